package import AloftSession

/// Why something could not be done with a session.
public struct SessionFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kinds of reasons. There may come to be more.
  public enum Code: Hashable, Sendable {
    /// A session of that name is there already.
    case exists
    /// There is no such session, or no longer.
    case unknown
    case closed
    /// It was changed by somebody else meanwhile.
    case conflict
    /// It is another principal's.
    case forbidden
    /// A limit of the session's, the principal's or the cluster's was reached: `number`.
    case limit
    /// What was asked for makes no sense for the session as it is.
    case invalid
    /// So few nodes vote that the durability can't be had: `number` of them.
    case weaker
    /// Too much waits to be written: `number` operations. Not done; try again later.
    case busy
    /// Nobody could answer in time. Not done.
    case notAccepting
    /// Nobody answered in time. It may have been done, or come to be done.
    case uncertain
    /// The cluster doesn't take who comes: a client's token, for instance.
    case denied
    /// This node doesn't know yet what is asked for.
    case behind
  }

  public let code: Code
  /// A limit or a count, as the code says.
  public let number: UInt64
  /// The session's version, if it's known.
  public let version: UInt64
  public let description: String

  package init?(_ outcome: SessionOutcome) {
    guard let (code, text) = Self.reason(outcome) else { return nil }
    self.code = code
    number = outcome.number
    version = outcome.version
    description = text
  }

  package init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
    number = 0
    version = 0
  }

  private static func reason(_ outcome: SessionOutcome) -> (Code, String)? {
    let number = outcome.number
    return switch outcome.code {
    case .done, .repeated: nil
    case .exists: (.exists, "a session of that name is there already")
    case .unknown: (.unknown, "there is no such session")
    case .closed: (.closed, "the session is closed")
    case .conflict: (.conflict, "the session was changed by somebody else meanwhile")
    case .forbidden: (.forbidden, "the session is another principal's")
    case .tooLarge: (.limit, "that is larger than the \(number) bytes that the session may have")
    case .outboxFull:
      (.limit, "the outbox has its \(number) events or bytes: acknowledge some first")
    case .principalFull: (.limit, "the principal has all that it may have (\(number))")
    case .storeFull: (.limit, "the cluster has all the sessions that it may have (\(number))")
    case .attachmentsFull: (.limit, "the session has its \(number) connections")
    case .notFields: (.invalid, "the session's state is not a list of fields")
    case .badTransition: (.invalid, "the session can't go from its phase to that one")
    case .badNumber: (.invalid, "there was never an event of that number")
    case .malformed: (.invalid, "the request makes no sense")
    case .weaker:
      (
        .weaker,
        "with \(number) voting nodes that durability can't be had: add nodes, or ask for `durable`"
      )
    case .busy: (.busy, "\(number) operations wait already")
    case .moved, .notReady, .notAccepting:
      (.notAccepting, "no node could answer for the session in time: is a majority up?")
    case .uncertain: (.uncertain, "no answer came in time: it may have been done")
    case .behind: (.behind, "this node doesn't know so much yet")
    }
  }
}
