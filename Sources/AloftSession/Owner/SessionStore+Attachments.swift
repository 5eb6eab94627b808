package import AloftMembership

/// A connection, on whatever node, of a life of that node.
package struct SessionConnection: Hashable, Sendable {
  package var node: NodeID
  package var incarnation: Incarnation
  /// The node's own number for it.
  package var number: UInt64

  package init(node: NodeID, incarnation: Incarnation, number: UInt64) {
    self.node = node
    self.incarnation = incarnation
    self.number = number
  }
}

extension SessionStore {
  func attachmentCount(_ number: UInt32) -> Int {
    var count = 0
    var next = records[number].attachment
    while next != 0 {
      count += 1
      next = attachments[next].next
    }
    return count
  }

  func connections(_ number: UInt32) -> [SessionConnection] {
    var connections: [SessionConnection] = []
    var next = records[number].attachment
    while next != 0 {
      let attachment = attachments[next]
      connections.append(
        SessionConnection(
          node: NodeID(rawValue: attachment.node),
          incarnation: Incarnation(rawValue: attachment.incarnation), number: attachment.number))
      next = attachment.next
    }
    return connections
  }

  /// False when there are as many attachments as may be.
  func attach(_ number: UInt32, _ connection: SessionConnection) -> Bool {
    guard let fresh = attachments.take(&slabs.pages) else { return false }
    attachments[fresh].node = connection.node.rawValue
    attachments[fresh].incarnation = connection.incarnation.rawValue
    attachments[fresh].number = connection.number
    attachments[fresh].next = records[number].attachment
    records[number].attachment = fresh
    return true
  }

  /// Takes away those that are no more wanted; true if there were any.
  @inline(__always)
  func detach(_ number: UInt32, where isOver: (Attachment) -> Bool) -> Bool {
    var previous: UInt32 = 0
    var next = records[number].attachment
    var found = false
    while next != 0 {
      let current = next
      next = attachments[current].next
      guard isOver(attachments[current]) else {
        previous = current
        continue
      }
      found = true
      if previous == 0 {
        records[number].attachment = next
      } else {
        attachments[previous].next = next
      }
      attachments.give(current)
    }
    return found
  }

  func detachAll(_ number: UInt32) {
    if records[number].attachment != 0 { _ = detach(number) { _ in true } }
  }
}

extension SessionStore {
  /// A session of this node's memory, from the store that this one replaces.
  func bringOver(_ old: UInt32, from other: SessionStore) {
    guard let number = records.take(&slabs.pages) else { return }
    let was = other.records[old]
    var record = was
    unsafe record.block = nil
    unsafe record.keys = nil
    unsafe record.outbox = nil
    (record.keyCount, record.eventCount, record.timer, record.attachment) = (0, 0, 0, 0)
    (record.inFlight, record.mark) = (0, snapshot.generation)
    records[number] = record
    link(number, was.id)
    records[number].flags = was.flags
    if was.phase == .closed { tombstones += 1 }
    joinPrincipal(number, other.principal(of: old))
    unsafe setBlock(number, name: other.nameBytes(old), state: other.stateBytes(old))
    var keys = unsafe RawReader(other.keyBytes(old))
    while let key = try? keys.long(), let version = try? keys.long(), let value = try? keys.long() {
      remember(number, key, version: version, value)
    }
    for event in other.events(SessionRef(number: old)).events {
      unsafe event.withUnsafeBytes { unsafe addEvent(number, $0) }
    }
    for connection in other.connections(old) { _ = attach(number, connection) }
  }
}
