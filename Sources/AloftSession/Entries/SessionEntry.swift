package import AloftMembership

/// What stands before an entry's operations: whose it is, and what he knew.
package struct SessionEntryHeader: Hashable, Sendable {
  package var origin: NodeID
  package var incarnation: Incarnation
  /// The owner's own count of entries, from 1 on in each of its lives, without a gap.
  package var sequence: UInt64
  /// The last change of members or slots that the owner knew when its operations were asked for.
  package var epoch: Epoch
  package var operations: UInt32

  static let operationsOffset = 4
  static let sequenceOffset = 16
  static let version: UInt8 = 1

  /// Of an entry of the log, which may be anything.
  package init(entry: UnsafeRawBufferPointer) throws(MalformedBytes) {
    var reader = unsafe RawReader(entry)
    try self.init(&reader)
  }

  init(_ reader: inout RawReader) throws(MalformedBytes) {
    guard try reader.byte() == LogEntryKind.session, try reader.byte() == Self.version else {
      throw MalformedBytes()
    }
    origin = NodeID(rawValue: try reader.byte())
    guard try reader.byte() == 0 else { throw MalformedBytes() }
    operations = try reader.word()
    incarnation = Incarnation(rawValue: try reader.long())
    sequence = try reader.long()
    epoch = Epoch(rawValue: try reader.long())
    // For what may come.
    guard try reader.long() == 0 else { throw MalformedBytes() }
  }

  init(
    origin: NodeID, incarnation: Incarnation, sequence: UInt64, epoch: Epoch, operations: UInt32
  ) {
    self.origin = origin
    self.incarnation = incarnation
    self.sequence = sequence
    self.epoch = epoch
    self.operations = operations
  }

  func write(_ writer: inout RawWriter) {
    writer.put(LogEntryKind.session)
    writer.put(Self.version)
    writer.put(origin.rawValue)
    writer.put(UInt8(0))
    writer.put(operations)
    writer.put(incarnation.rawValue)
    writer.put(sequence)
    writer.put(epoch.rawValue)
    writer.put(UInt64(0))
  }
}

/// An entry for the log.
package struct SessionEntry: Hashable, Sendable {
  package var sequence: UInt64
  package var bytes: [UInt8]
}

/// What an entry has come to, as every node finds that applies it.
package struct SessionVerdict: Hashable, Sendable {
  package enum Kind: UInt8, Hashable, Sendable {
    /// Done, but for those that are refused.
    case applied
    /// It stands in the log a second time: its first time counts.
    case duplicate
    /// One before it is missing: nothing is done, and it has to be sent again after that one.
    case gap
    /// The life that it comes from is over: nothing is done.
    case stale
    /// Nobody of ours writes such a thing: nothing is done.
    case malformed
  }

  package var index: UInt64
  package var kind: Kind
  /// The life that the entry is of: a later one begins its sequence anew.
  package var incarnation = Incarnation(rawValue: 0)
  /// The positions of operations on slots that their owner didn't have any more, ascending.
  package var refused: [UInt32]

  package init(index: UInt64, kind: Kind, refused: [UInt32] = []) {
    (self.index, self.kind, self.refused) = (index, kind, refused)
  }

  package var bytes: [UInt8] {
    var writer = RawWriter(capacity: 24 + 4 * refused.count)
    writer.put(kind.rawValue)
    writer.put(index)
    writer.put(incarnation.rawValue)
    for position in refused { writer.put(position) }
    return writer.take()
  }

  package init(bytes: [UInt8]) throws(MalformedBytes) {
    self = try reading(bytes) { reader throws(MalformedBytes) in
      guard let kind = Kind(rawValue: try reader.byte()) else { throw MalformedBytes() }
      var verdict = SessionVerdict(index: try reader.long(), kind: kind)
      verdict.incarnation = Incarnation(rawValue: try reader.long())
      verdict.refused.reserveCapacity(reader.remaining / 4)
      while reader.remaining > 0 {
        let position = try reader.word()
        guard verdict.refused.last.map({ $0 < position }) ?? true else { throw MalformedBytes() }
        verdict.refused.append(position)
      }
      return verdict
    }
  }
}
