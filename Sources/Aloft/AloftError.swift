internal import AloftEngine

/// What Aloft refuses or reports, with the numbers that matter in its text.
///
/// ```swift
/// do throws(AloftError) {
///   let runtime = try Runtime(.init(connectionsMax: 1_000_000))
/// } catch where error.code == .descriptorLimit {
///   print(error)  // connectionsMax is 1000000, but the descriptor limit of 20000 leaves room for
/// … }
/// ```
public struct AloftError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of refusal. More may come, so switch with a `default`.
  public struct Code: Hashable, Sendable {
    let value: UInt8

    /// An address that is neither an IP literal nor a path a socket can have.
    public static let invalidAddress = Code(value: 1)
    /// The system refused; `errno` says why.
    public static let system = Code(value: 2)
    /// As many connections as the configuration allows are open.
    public static let connectionLimit = Code(value: 3)
    /// 64 listeners are open.
    public static let listenerLimit = Code(value: 4)
    /// The event loop is behind: as much as may wait for it waits.
    public static let inboxFull = Code(value: 5)
    /// 256 event loops live in this process.
    public static let loopLimit = Code(value: 6)
    /// The process may not hold as many descriptors as the configuration asks for.
    public static let descriptorLimit = Code(value: 7)
    /// The connection, the listener or the runtime has ended.
    public static let closed = Code(value: 8)
    /// As many timers as the configuration allows are running.
    public static let timerLimit = Code(value: 9)
    /// An option outside its range.
    public static let invalidOption = Code(value: 10)
    /// A message that no queue of this connection could ever hold.
    public static let messageTooLarge = Code(value: 11)
    /// As many mailboxes as the configuration allows are open.
    public static let mailboxLimit = Code(value: 12)
    /// What was waited for did not come in time.
    public static let timedOut = Code(value: 13)
    /// The supervisor has as many children as it may have.
    public static let childLimit = Code(value: 41)
    /// A supervisor has ended because its children failed too often.
    public static let tooManyRestarts = Code(value: 42)
    /// A child did not come up when its supervisor was started.
    public static let startFailed = Code(value: 43)
  }

  public let code: Code
  /// A positive errno value where the system had a say, else 0.
  public let errno: Int32
  /// One sentence for a person.
  public let message: String
  /// A word that goes with the code, else 0.
  let detail: UInt64

  public var description: String { message }

  init(_ code: Code, errno: Int32 = 0, detail: UInt64 = 0, _ message: String) {
    self.code = code
    self.errno = errno
    self.detail = detail
    self.message = message
  }

  init(_ error: EngineError) {
    let code: Code =
      switch error.code {
      case .invalidAddress: .invalidAddress
      case .system: .system
      case .connectionLimit: .connectionLimit
      case .listenerLimit: .listenerLimit
      case .inboxFull: .inboxFull
      case .loopLimit: .loopLimit
      case .descriptorLimit: .descriptorLimit
      case .closed: .closed
      case .timerLimit: .timerLimit
      case .invalidOption: .invalidOption
      case .mailboxLimit: .mailboxLimit
      case .nameTaken: .nameTaken
      case .childLimit: .childLimit
      }
    self.init(code, errno: error.errno, error.message)
  }
}

extension AloftError {
  static let runtimeClosed = AloftError(.closed, "the runtime has been shut down")
}
