package import AloftMembership

/// What became of a request.
package enum SessionCode: UInt8, Hashable, Sendable, CaseIterable {
  case done
  /// It was done before, under the same key: the answer is that one's.
  case repeated

  // Certainly not done, by what the session is.
  case exists
  case unknown
  case closed
  /// Another write came before: `version` says which.
  case conflict
  /// Somebody else's.
  case forbidden
  /// `number` is the limit.
  case tooLarge
  case outboxFull
  /// The state isn't a list of fields.
  case notFields
  case badTransition
  /// Of an event that was never sent.
  case badNumber
  case malformed

  // Certainly not done, by what the node is.
  case principalFull
  case storeFull
  /// The durability can't be had with `number` voters.
  case weaker
  /// `number` is the node to ask.
  case moved
  /// The slot comes here, but its former owner may still serve it, for `number` milliseconds at
  /// most; 0 when that isn't known.
  case notReady
  case notAccepting
  /// `number` operations wait.
  case busy
  case attachmentsFull

  /// It may be done, or come to be done: the same key brings the answer.
  case uncertain
  /// What is asked for is later than what this node knows.
  case behind
}

/// The answer to a request.
package struct SessionOutcome: Hashable, Sendable {
  package var code: SessionCode
  /// The session's: after the write; or as it is, when it was refused. 0 when there is none.
  package var version: UInt64
  /// An event's number, the first one left in the outbox, a limit, a node: as the code says.
  package var number: UInt64

  package init(_ code: SessionCode, version: UInt64 = 0, number: UInt64 = 0) {
    (self.code, self.version, self.number) = (code, version, number)
  }

  package var isDone: Bool { code == .done || code == .repeated }

  package static let byteCount = 17

  package var bytes: [UInt8] {
    var writer = RawWriter(capacity: Self.byteCount)
    writer.put(code.rawValue)
    writer.put(version)
    writer.put(number)
    return writer.take()
  }

  package init(bytes: [UInt8]) throws(MalformedBytes) {
    self = try reading(bytes) { reader throws(MalformedBytes) in
      guard let code = SessionCode(rawValue: try reader.byte()) else { throw MalformedBytes() }
      let outcome = SessionOutcome(code, version: try reader.long(), number: try reader.long())
      try reader.end()
      return outcome
    }
  }
}

/// An answer that was waited for.
package struct SessionAnswer: Hashable, Sendable {
  package var token: UInt64
  package var outcome: SessionOutcome
}
