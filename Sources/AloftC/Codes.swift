import AloftEngine
import CAloft

/// Codes of `aloft.h`, as functions return them.
enum Code {
  static let success = Int32(ALOFT_OK)
  static let wouldBlock = Int32(ALOFT_EAGAIN)
  static let invalid = Int32(ALOFT_EINVAL)
  static let noEntry = Int32(ALOFT_ENOENT)
  static let busy = Int32(ALOFT_EBUSY)
  static let descriptorLimit = Int32(ALOFT_EMFILE)
  static let nameTooLong = Int32(ALOFT_ENAMETOOLONG)
  static let messageSize = Int32(ALOFT_EMSGSIZE)
  static let unsupported = Int32(ALOFT_ENOTSUP)
  static let timedOut = Int32(ALOFT_ETIMEDOUT)
  static let shutDown = Int32(ALOFT_ESHUTDOWN)
  static let closed = Int32(ALOFT_ECLOSED)
  static let wrongThread = Int32(ALOFT_EWRONGTHREAD)
  static let limit = Int32(ALOFT_ELIMIT)
  static let full = Int32(ALOFT_EFULL)
  static let nameTaken = Int32(ALOFT_ENAMETAKEN)
  static let noName = Int32(ALOFT_ENONAME)
  static let notOwner = Int32(ALOFT_ENOTOWNER)
  static let foreign = Int32(ALOFT_EFOREIGN)
  static let stale = Int32(ALOFT_ESTALE)
  static let upstream = Int32(ALOFT_EUPSTREAM)
  static let failed = Int32(ALOFT_EFAILED)
}

/// A refusal: its code and its one sentence, which `aloft_last_error_message` tells.
struct Failure: Error {
  let code: Int32
  let message: String

  init(_ code: Int32, _ message: String) {
    self.code = code
    self.message = message
  }

  init(_ error: EngineError) {
    code =
      switch error.code {
      case .invalidAddress:
        error.errno == -Code.nameTooLong ? Code.nameTooLong : Code.invalid
      case .invalidOption: Code.invalid
      case .system: error.errno > 0 ? -error.errno : Code.invalid
      case .connectionLimit, .listenerLimit, .loopLimit, .timerLimit, .mailboxLimit, .childLimit:
        Code.limit
      case .nameTaken: Code.nameTaken
      case .inboxFull: Code.wouldBlock
      case .descriptorLimit: Code.descriptorLimit
      case .closed: Code.shutDown
      }
    message = error.message
  }

  /// Notes the message for the thread, and answers with the code.
  func report() -> Int32 {
    LastError.set(message)
    return code
  }
}

extension Failure {
  static func null(_ name: StaticString) -> Failure { Failure(Code.invalid, "\(name) is NULL") }
  static let shutDown = Failure(Code.shutDown, "the runtime is shutting down or has ended")
}

/// Runs what may be refused, and makes a code of it.
func reporting(_ body: () throws(Failure) -> Int32) -> Int32 {
  do throws(Failure) {
    return try body()
  } catch {
    return error.report()
  }
}

/// The engine's refusals as ours.
func translating<Value: ~Copyable>(
  _ body: () throws(EngineError) -> Value
) throws(Failure) -> Value {
  do throws(EngineError) {
    return try body()
  } catch {
    throw Failure(error)
  }
}

extension CloseReason {
  /// The reason and the code that `on_close` is given.
  var codes: (reason: Int32, error: Int32) {
    switch self {
    case .local: (Int32(ALOFT_CLOSED_BY_US), 0)
    case .peer: (Int32(ALOFT_CLOSED_BY_PEER), 0)
    case .system(let errno): (Int32(ALOFT_CLOSED_BY_SYSTEM), -errno)
    case .idleTimeout: (Int32(ALOFT_CLOSED_IDLE), Code.timedOut)
    case .connectTimeout: (Int32(ALOFT_CLOSED_CONNECT_TIMEOUT), Code.timedOut)
    case .writeStalled: (Int32(ALOFT_CLOSED_STALLED), Code.timedOut)
    case .frameTooLarge: (Int32(ALOFT_CLOSED_FRAME_TOO_LARGE), Code.messageSize)
    case .shutdown: (Int32(ALOFT_CLOSED_BY_SHUTDOWN), 0)
    }
  }
}
