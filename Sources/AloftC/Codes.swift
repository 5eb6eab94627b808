package import AloftEngine
import CAloft

/// Codes of `aloft.h`, as functions return them.
package enum Code {
  package static let success = Int32(ALOFT_OK)
  package static let wouldBlock = Int32(ALOFT_EAGAIN)
  package static let invalid = Int32(ALOFT_EINVAL)
  package static let noEntry = Int32(ALOFT_ENOENT)
  package static let busy = Int32(ALOFT_EBUSY)
  package static let descriptorLimit = Int32(ALOFT_EMFILE)
  package static let nameTooLong = Int32(ALOFT_ENAMETOOLONG)
  package static let messageSize = Int32(ALOFT_EMSGSIZE)
  package static let unsupported = Int32(ALOFT_ENOTSUP)
  package static let timedOut = Int32(ALOFT_ETIMEDOUT)
  package static let shutDown = Int32(ALOFT_ESHUTDOWN)
  package static let closed = Int32(ALOFT_ECLOSED)
  package static let wrongThread = Int32(ALOFT_EWRONGTHREAD)
  package static let limit = Int32(ALOFT_ELIMIT)
  package static let full = Int32(ALOFT_EFULL)
  package static let nameTaken = Int32(ALOFT_ENAMETAKEN)
  package static let noName = Int32(ALOFT_ENONAME)
  package static let notOwner = Int32(ALOFT_ENOTOWNER)
  package static let foreign = Int32(ALOFT_EFOREIGN)
  package static let stale = Int32(ALOFT_ESTALE)
  package static let upstream = Int32(ALOFT_EUPSTREAM)
  package static let failed = Int32(ALOFT_EFAILED)
  package static let cancelled = Int32(ALOFT_ECANCELED)
  package static let node = Int32(ALOFT_ENODE)
  package static let noLink = Int32(ALOFT_ENOLINK)
  package static let linkDown = Int32(ALOFT_ELINKDOWN)
  package static let refused = Int32(ALOFT_EREFUSED)
  package static let undecided = Int32(ALOFT_EUNDECIDED)
}

/// A refusal: its code and its one sentence, which `aloft_last_error_message` tells.
package struct Failure: Error {
  package let code: Int32
  package let message: String

  package init(_ code: Int32, _ message: String) {
    self.code = code
    self.message = message
  }

  package init(_ error: EngineError) {
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
  package func report() -> Int32 {
    LastError.set(message)
    return code
  }
}

extension Failure {
  package static func null(_ name: StaticString) -> Failure {
    Failure(Code.invalid, "\(name) is NULL")
  }
  package static let shutDown = Failure(Code.shutDown, "the runtime is shutting down or has ended")
  package static let forked = Failure(
    Code.shutDown,
    "this process was forked from one with event loops, whose threads it hasn't: it may only exec")
}

/// Runs what may be refused, and makes a code of it.
package func reporting(_ body: () throws(Failure) -> Int32) -> Int32 {
  do throws(Failure) {
    return try body()
  } catch {
    return error.report()
  }
}

/// The engine's refusals as ours.
package func translating<Value: ~Copyable>(
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
