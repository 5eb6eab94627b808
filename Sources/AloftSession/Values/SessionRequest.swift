/// A named part of a state. A state that is patched is a list of them.
package struct SessionField: Hashable, Sendable {
  /// 1...255 bytes.
  package var name: [UInt8]
  /// Nil in a patch takes the field away.
  package var value: [UInt8]?

  package init(name: [UInt8], value: [UInt8]?) { (self.name, self.value) = (name, value) }
}

/// A write.
package enum SessionOperation: Hashable, Sendable {
  /// `name`: what the caller called it, up to 255 bytes, if the ID was made of a name.
  case create(SessionOptions, name: [UInt8], state: [UInt8])
  case put([UInt8])
  case append([UInt8])
  /// Up to 64 fields.
  case patch([SessionField])
  case setPhase(SessionPhase)
  /// An event for the outbox. `number` of the outcome is its number.
  case publish([UInt8])
  /// All events up to this number have arrived. `number` of the outcome is the first one left.
  case acknowledge(through: UInt64)
  case close

  /// A patch of fields by name, whose order is the names'.
  package static func patch(_ fields: [String: [UInt8]?]) -> SessionOperation {
    .patch(
      fields.sorted { $0.key < $1.key }.map {
        SessionField(name: Array($0.key.utf8), value: $0.value)
      })
  }
}

/// What is asked of a session's owner, as it is passed on from node to node.
package struct SessionRequest: Hashable, Sendable {
  package var id: SessionID
  package var principal: Principal
  /// Chosen by whoever asks, for this write alone, so that it may be repeated; 0 if it won't be.
  package var key: UInt64
  /// The version that the session has to be of.
  package var expected: UInt64?
  package var operation: SessionOperation

  package init(
    id: SessionID, principal: Principal, key: UInt64 = 0, expected: UInt64? = nil,
    operation: SessionOperation
  ) {
    self.id = id
    self.principal = principal
    self.key = key
    self.expected = expected
    self.operation = operation
  }
}
