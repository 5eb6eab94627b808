import Aloft
import AloftNode
import ArgumentParser
import Glibc
import Synchronization

/// Runs a node until it is told to stop.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Runs a node until SIGTERM, SIGINT or `leave`.")

  @Option(help: "A file of options.") var config: String?
  @Option(help: "Its name, its own in the cluster.") var name: String?
  @Option(help: "IP:PORT for other nodes; port 0 lets the system choose.") var listen: String?
  @Option(help: "IP:PORT for clients of sessions; none are listened for without.")
  var sessionListen: String?
  @Option(help: "IP:PORT that others are told to dial.") var advertise: String?
  @Option(help: "IP:PORT of nodes to ask, separated by commas; none founds a cluster.")
  var seeds: String?
  @Option(help: "A file with the cluster's key, a line each; the first is used, all are accepted.")
  var keyFile: String?
  @Option(help: "The data directory.") var data: String?
  @Option(help: "The cluster's name.") var cluster: String?
  @Option(help: "What fails together.") var zone: String?
  @Option(help: "Its share of the work; 100 is usual.") var weight: UInt16?
  @Option(help: "voter, standby or witness.") var role: String?
  @Option(help: "fast, standard or relaxed.") var timing: String?
  @Option(help: "A path for the control socket, which the other commands ask at.")
  var control: String?
  @Option(help: "Event loops.") var loops: Int?
  @Option(help: "Its certificate, PEM.") var certificate: String?
  @Option(help: "The certificate's key, PEM.") var privateKey: String?
  @Option(help: "Authorities that vouch for nodes, PEM.") var authorities: String?
  @Flag(help: "Plain text to other machines is allowed.") var plaintextOffLoopback = false

  func run() async throws {
    let settings = try Settings(file: config)
    let secrets = try self.secrets(settings)
    let options = try nodeOptions(settings, secrets)
    let loops = try self.loops ?? settings["loops"].map { try number($0, "loops") } ?? 1
    // Before any thread is made, so that all have it.
    let signals = try Signals()
    let runtime = try Runtime(.init(eventLoops: loops, connectionsMax: 4_096))
    // Why it ended by itself: whoever started it should know.
    let end = Mutex<String?>(nil)
    let node: Node
    do {
      node = try await runtime.join(options) { event in
        Self.note(event)
        if case .stopped(let reason) = event, !signals.isLeaving.load(ordering: .acquiring) {
          end.withLock { $0 = reason }
          signals.stop()
        }
      }
    } catch {
      await runtime.shutdown(within: .zero)
      throw error
    }
    print("member \(options.name) at \(await node.address)")
    if let door = await node.sessionAddress { print("sessions at \(door)") }
    fflush(nil)
    if let path = control ?? settings["control"] {
      unsafe unlink(path)
      _ = try await runtime.listen(
        on: SocketAddress(unixPath: path), handler: ControlHandler(node, signals, secrets))
    }
    await signals.wait()
    await node.shutdown()
    await runtime.shutdown(within: .seconds(5))
    if let reason = end.withLock({ $0 }) { throw ValidationError(reason) }
  }

  /// On the node's loop: standard output is where an operator looks.
  private static func note(_ event: Node.Event) {
    switch event {
    case .refused(let address, let reason): print("refused \(address): \(reason)")
    case .stopped(let reason): print("stopped: \(reason)")
    default: print("\(event)")
    }
    fflush(nil)
  }

  private func number<Value: FixedWidthInteger>(_ text: String, _ name: String) throws -> Value {
    guard let value = Value(text) else { throw ValidationError("\(name) is no number: `\(text)`") }
    return value
  }

  private static func address(_ text: String) throws -> SocketAddress {
    guard let address = SocketAddress(text: text), address.port != nil else {
      throw ValidationError("an address is IP:PORT, not `\(text)`")
    }
    return address
  }

  private func nodeOptions(_ settings: Settings, _ secrets: Secrets) throws -> NodeOptions {
    guard let name = name ?? settings["name"], let data = data ?? settings["data"] else {
      throw ValidationError("a node needs --name, --data and --key-file")
    }
    var options = NodeOptions(name: name, keys: try secrets.keys(), data: data)
    if let text = listen ?? settings["listen"] { options.listen = try Self.address(text) }
    options.sessionListen = try (sessionListen ?? settings["session-listen"]).map(Self.address)
    options.advertise = try (advertise ?? settings["advertise"]).map(Self.address)
    options.seeds = try (seeds ?? settings["seeds"] ?? "").split(separator: ",").map {
      try Self.address(String($0))
    }
    options.cluster = cluster ?? settings["cluster"] ?? options.cluster
    options.zone = zone ?? settings["zone"] ?? ""
    options.weight = try weight ?? settings["weight"].map { try number($0, "weight") } ?? 100
    options.role = try Self.role(role ?? settings["role"] ?? "voter")
    let timingName = timing ?? settings["timing"] ?? "standard"
    guard let timing = NodeOptions.Timing(rawValue: timingName) else {
      throw ValidationError("timing is fast, standard or relaxed, not `\(timingName)`")
    }
    options.timing = timing
    options.plaintextOffLoopback =
      plaintextOffLoopback || settings["plaintext-off-loopback"] == "yes"
    options.tls = try secrets.tls()
    return options
  }

  private static func role(_ text: String) throws -> NodeOptions.Role {
    switch text {
    case "voter": .voter
    case "standby": .standby
    case "witness": .witness
    default: throw ValidationError("role is voter, standby or witness, not `\(text)`")
    }
  }

  private func secrets(_ settings: Settings) throws -> Secrets {
    guard let keyFile = keyFile ?? settings["key-file"] else {
      throw ValidationError("a node needs --name, --data and --key-file")
    }
    return try Secrets(
      keyFile: keyFile,
      certificates: [
        certificate ?? settings["certificate"], privateKey ?? settings["private-key"],
        authorities ?? settings["authorities"],
      ])
  }
}

/// Waits for SIGTERM or SIGINT, or for `stop`.
final class Signals: Sendable {
  private let ends: [Int32]
  /// Its end will be no failure: it was asked to leave.
  let isLeaving = Atomic<Bool>(false)

  /// Blocks the two for all threads that are made from now on; one of its own reads them.
  init() throws {
    var pipes: [Int32] = [0, 0]
    guard unsafe pipe(&pipes) == 0 else { throw ValidationError("no pipe is left") }
    ends = pipes
    var set = sigset_t()
    unsafe sigemptyset(&set)
    unsafe sigaddset(&set, SIGTERM)
    unsafe sigaddset(&set, SIGINT)
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    let write = ends[1]
    let wanted = set
    Thread.start {
      var set = wanted
      var number: Int32 = 0
      unsafe sigwait(&set, &number)
      Signals.poke(write)
    }
  }

  private static func poke(_ end: Int32) {
    var byte: UInt8 = 1
    _ = unsafe write(end, &byte, 1)
  }

  func stop() { Self.poke(ends[1]) }

  func wait() async {
    let end = ends[0]
    await withCheckedContinuation { continuation in
      Thread.start {
        var byte: UInt8 = 0
        while unsafe read(end, &byte, 1) < 0 && errno == EINTR {}
        continuation.resume()
      }
    }
  }

  /// A thread that nobody joins.
  private enum Thread {
    private final class Body {
      let run: () -> Void
      init(_ run: @escaping () -> Void) { self.run = run }
    }

    static func start(_ body: @escaping @Sendable () -> Void) {
      var thread = pthread_t()
      let context = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
      let status = unsafe pthread_create(
        &thread, nil,
        { context in
          unsafe Unmanaged<Body>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().run()
          return nil
        }, context)
      precondition(status == 0, "no thread: \(status)")
      pthread_detach(thread)
    }
  }
}
