/// What the engine refuses, with the numbers that matter.
package struct EngineError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Code: Hashable, Sendable {
    case invalidAddress, system, connectionLimit, listenerLimit, inboxFull, loopLimit
    case descriptorLimit, closed, timerLimit, invalidOption, mailboxLimit
    case nameTaken, childLimit
  }

  package var code: Code
  /// A positive errno value where the system had a say.
  package var errno: Int32
  package var message: String

  package init(_ code: Code, errno: Int32 = 0, _ message: String) {
    self.code = code
    self.errno = errno
    self.message = message
  }

  package var description: String { message }
}
