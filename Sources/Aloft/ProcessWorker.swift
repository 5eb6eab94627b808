internal import AloftEngine
public import AloftQueue
internal import AloftSupervision

/// A program that process workers run, and the spares of it that are kept ready.
///
/// The worker finds a stream socket at its descriptor 3 (or where `channel` says), and on it
/// messages: four bytes of length, big-endian, and as many bytes, both ways. A spare is a process
/// that runs already and waits for its first message; when a worker dies, one is promoted by
/// sending it that message, and another is started in the background.
///
/// A process has a group of its own and no descriptor but 0 to 3; no signal is blocked or ignored
/// in it; it is killed when the runtime's loop ends, whatever becomes of this process.
public struct ProcessProgram: Sendable, Hashable {
  /// What a standard descriptor of the process is.
  public enum Standard: Sendable, Hashable {
    /// `/dev/null`.
    case null
    /// The same as in this process.
    case inherited
    /// A descriptor of this process, which must stay open while processes are started.
    case descriptor(Int32)
    case closed
  }

  /// Where the process finds its channel.
  public enum Channel: Sendable, Hashable {
    case descriptor3
    /// Standard input and output at once, as under inetd.
    case standardInputAndOutput
  }

  /// An absolute path, or one relative to `directory`; no search.
  public var path: String
  public var arguments: [String]
  /// `NAME=value`. Nothing is passed on unless it stands here.
  public var environment: [String] = []
  public var directory: String?
  public var standardInput = Standard.null
  public var standardOutput = Standard.inherited
  public var standardError = Standard.inherited
  public var channel = Channel.descriptor3
  /// Spares kept ready for all workers of one supervisor that run the same program.
  public var spares = 0

  public init(_ path: String, arguments: [String] = [], spares: Int = 0) {
    self.path = path
    self.arguments = arguments
    self.spares = spares
  }

  var spawn: ProcessSpawn {
    var spawn = ProcessSpawn(path: path)
    spawn.arguments = arguments
    spawn.environment = environment
    spawn.directory = directory
    func place(_ standard: Standard, _ number: Int32) -> ProcessSpawn.Descriptor {
      switch standard {
      case .null: .null
      case .inherited: .inherited(number)
      case .descriptor(let other): .inherited(other)
      case .closed: .closed
      }
    }
    spawn.descriptors =
      switch channel {
      case .descriptor3:
        [
          place(standardInput, 0), place(standardOutput, 1), place(standardError, 2), .channel,
        ]
      case .standardInputAndOutput: [.channel, .channel, place(standardError, 2), .closed]
      }
    return spawn
  }
}

/// What the processes of one process worker are told to, on its supervisor's loop: one object for
/// all of them, one after another.
public protocol ProcessHandler: AnyObject, Sendable {
  /// A process has been started for it, or a spare promoted.
  func started(_ worker: ProcessWorker, pid: Int32)
  /// A message from the process; the bytes are valid until the call returns.
  func received(_ worker: ProcessWorker, _ bytes: RawSpan)
  /// The process has ended. What it sent right before may have been lost with it.
  func ended(_ worker: ProcessWorker, _ end: ProcessEnd)
}

extension ProcessHandler {
  public func started(_ worker: ProcessWorker, pid: Int32) {}
  public func ended(_ worker: ProcessWorker, _ end: ProcessEnd) {}
}

/// How a process has ended.
public enum ProcessEnd: Sendable, Hashable {
  case exited(code: Int32)
  case signaled(Int32)
  /// Somebody else in this process has waited for it before.
  case unknown

  init(_ end: AloftEngine.ProcessEnd) {
    self =
      switch end {
      case .exited(let code): .exited(code: code)
      case .signaled(let number): .signaled(number)
      case .unknown: .unknown
      }
  }
}

/// How a process worker is started and stopped.
public struct ProcessOptions: Sendable {
  public var mailbox = MailboxOptions()
  /// The worker counts as up when its process has sent a message, and not as soon as it runs.
  public var waitsForFirstMessage = false
  /// The first message to each process, which says what it is to do.
  public var assignment: [UInt8]?
  /// What a process is sent when it is to stop in order; SIGTERM.
  public var stopSignal: Int32 = 15
  /// Within how long the process must send something. Nil for never.
  public var progressLimit: Duration?

  public init() {}

  func engineOptions() throws(AloftError) -> ProcessWorkerOptions {
    var options = ProcessWorkerOptions()
    options.mailbox = try mailbox.engineOptions()
    options.readiness = waitsForFirstMessage ? .firstMessage : .started
    options.assignment = assignment
    options.progressLimit = try progressLimit.milliseconds("progressLimit")
    guard 1...64 ~= stopSignal else {
      throw AloftError(.invalidOption, "stopSignal is \(stopSignal); 1 to 64 are possible")
    }
    options.stopSignal = stopSignal
    return options
  }
}

/// A supervised process, whichever it is at the moment. It lives on its supervisor's loop. What is
/// sent to its mailbox is passed on to the process, and waits while there is none.
public struct ProcessWorker: Sendable, Hashable {
  let core: AloftEngine.ProcessWorker

  public var name: String? { core.name }
  public var mailbox: Mailbox? { core.mailbox.map { Mailbox($0) } }

  /// See `Worker.send`. Any thread.
  @discardableResult
  public func send(
    _ message: consuming Message, priority: MessagePriority = .normal
  ) -> SendResult {
    guard let mailbox else { return .closed }
    return mailbox.send(message, priority: priority)
  }

  @discardableResult
  public func send(_ bytes: RawSpan, priority: MessagePriority = .normal) -> SendResult {
    mailbox?.send(bytes, priority: priority) ?? .closed
  }

  /// The process at the moment; nil when there is none. Suspends.
  public func pid() async throws -> Int32? {
    let core = core
    return try await EventLoop(core.loop).run { core.pid }
  }

  /// Sends the process a signal, through its pidfd, so never to another. False when there is none.
  @discardableResult
  public func signal(_ number: Int32) async throws -> Bool {
    let core = core
    return try await EventLoop(core.loop).run { core.signal(number) }
  }

  public static func == (a: ProcessWorker, b: ProcessWorker) -> Bool { a.core === b.core }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(core)) }
}

/// Between the engine's class and the user's protocol.
final class ProcessAdapter: ProcessBehavior {
  private let handler: any ProcessHandler

  init(_ handler: any ProcessHandler) { self.handler = handler }

  func started(_ worker: AloftEngine.ProcessWorker, pid: Int32) {
    handler.started(ProcessWorker(core: worker), pid: pid)
  }

  func received(_ worker: AloftEngine.ProcessWorker, _ bytes: UnsafeRawBufferPointer) {
    unsafe handler.received(ProcessWorker(core: worker), bytes.bytes)
  }

  func ended(_ worker: AloftEngine.ProcessWorker, _ end: AloftEngine.ProcessEnd) {
    handler.ended(ProcessWorker(core: worker), ProcessEnd(end))
  }
}
