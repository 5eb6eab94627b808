import Aloft
import AloftNode
import AloftOperations
import ArgumentParser
import Glibc
import Synchronization

/// Runs a node until it is told to stop.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Runs a node until SIGTERM, SIGINT or `leave`; SIGHUP is `reload`.")

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
  @Option(help: "IP:PORT, or unix:PATH, for the live page, /metrics, /health and /ready.")
  var metricsListen: String?
  @Option(help: "text or json: how lines of the log are written, to standard error.")
  var log: String?
  @Flag(help: "Plain text to other machines is allowed.") var plaintextOffLoopback = false

  func run() async throws {
    let settings = try Settings(file: config)
    let secrets = try self.secrets(settings)
    let options = try nodeOptions(settings, secrets)
    let loops = try self.loops ?? settings["loops"].map { try number($0, "loops") } ?? 1
    let places = Places(
      metrics: try (metricsListen ?? settings["metrics-listen"]).map(Self.anyAddress),
      control: (control ?? settings["control"]).map { SocketAddress(unixPath: $0) })
    let log = Log(format: try logFormat(settings), node: options.name)
    let manager = try ServiceManager()
    let signals = try Signals()
    let runtime = try Runtime(.init(eventLoops: loops, connectionsMax: 4_096))
    // Why it ended by itself: whoever started it should know.
    let end = Mutex<String?>(nil)
    let journal = Journal()
    let node: Node
    do {
      node = try await runtime.join(options) { event in
        journal.note(event)
        log.write(event)
        if case .stopped(let reason) = event, !signals.isLeaving.load(ordering: .acquiring) {
          end.withLock { $0 = reason }
          signals.stop()
        }
      }
    } catch {
      await runtime.shutdown(within: .zero)
      throw error
    }
    do {
      let operations = OperationsServer(Instruments(runtime, node: node), journal: journal)
      let handler = ControlHandler(node, signals, secrets, operations)
      try await places.open(runtime, operations, handler, manager)
    } catch {
      await node.shutdown()
      await runtime.shutdown(within: .zero)
      throw error
    }
    // For who has started it and waits: all that it does is there now.
    print("member \(options.name) at \(await node.address)")
    if let door = await node.sessionAddress { print("sessions at \(door)") }
    fflush(nil)
    manager.tell("READY=1")
    let attending = Task { await manager.attend(node, runtime) }
    await serve(signals, node, secrets, log, manager)
    attending.cancel()
    manager.tell("STOPPING=1")
    await node.shutdown()
    await runtime.shutdown(within: .seconds(5))
    if let reason = end.withLock({ $0 }) { throw ValidationError(reason) }
  }

  /// Until it is to stop.
  private func serve(
    _ signals: Signals, _ node: Node, _ secrets: Secrets, _ log: Log, _ manager: ServiceManager
  ) async {
    for await request in signals.requests {
      if request == .stop { return }
      manager.tellReloading()
      do {
        try await secrets.reload(node)
        log.write(.notice, "keys and certificates have been read anew")
      } catch {
        log.write(.error, "nothing was read anew", [("why", "\(error)")])
      }
      manager.tell("READY=1")
    }
  }

  private func logFormat(_ settings: Settings) throws -> Log.Format {
    let name = log ?? settings["log"] ?? "text"
    guard let format = Log.Format(rawValue: name) else {
      throw ValidationError("log is text or json, not `\(name)`")
    }
    return format
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

  private static func anyAddress(_ text: String) throws -> SocketAddress {
    guard let address = SocketAddress(text: text) else {
      throw ValidationError("an address is IP:PORT or unix:PATH, not `\(text)`")
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

/// Where a node is asked.
struct Places {
  let metrics: SocketAddress?
  let control: SocketAddress?

  /// Opens them; what the service manager has opened counts before what the options say.
  func open(
    _ runtime: Runtime, _ operations: OperationsServer, _ handler: ControlHandler,
    _ manager: ServiceManager
  ) async throws {
    if let descriptor = manager.sockets["metrics"] {
      print("metrics at \(try await operations.listen(inherited: descriptor).address)")
    } else if let metrics {
      print("metrics at \(try await operations.listen(on: metrics).address)")
    }
    if let descriptor = manager.sockets["control"] {
      _ = try await runtime.listen(inherited: descriptor, handler: handler)
    } else if let control {
      unsafe unlink(control.host)
      _ = try await runtime.listen(on: control, handler: handler)
    }
  }
}
