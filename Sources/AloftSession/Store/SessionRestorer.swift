package import AloftMembership

/// Makes a store of a snapshot's pieces, a few at a time, so that whoever does it can do something
/// else in between.
package struct SessionRestorer {
  private enum Progress { case fence, sessions, done }

  private let store: SessionStore
  private var progress = Progress.fence

  /// - Parameter limits: those of the store that the pieces are for.
  package init(limits: SessionLimits = SessionLimits()) { store = SessionStore(limits: limits) }

  /// How long the piece is that begins so; 8 bytes are enough.
  package static func length(ofPieceAt head: UnsafeRawBufferPointer) throws(MalformedBytes) -> Int {
    var reader = unsafe RawReader(head)
    let length = Int(try reader.word())
    guard length >= SnapshotPiece.headBytes else { throw MalformedBytes() }
    return length
  }

  /// Takes one whole piece, or several that lie behind each other.
  package mutating func take(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
    var offset = 0
    while offset < bytes.count {
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
      let length = unsafe try Self.length(ofPieceAt: rest)
      guard length <= rest.count else { throw MalformedBytes() }
      unsafe try takeOne(UnsafeRawBufferPointer(rebasing: rest[..<length]))
      offset += length
    }
  }

  private mutating func takeOne(_ piece: UnsafeRawBufferPointer) throws(MalformedBytes) {
    var reader = unsafe RawReader(piece)
    try reader.skip(4)
    let kind = try reader.byte()
    guard try reader.byte() == SnapshotPiece.version, try reader.short() == 0 else {
      throw MalformedBytes()
    }
    switch (kind, progress) {
    case (SnapshotPiece.fence, .fence):
      store.appliedIndex = try reader.long()
      store.fence = try SlotFence(&reader)
      try reader.end()
      progress = .sessions
    case (SnapshotPiece.sessions, .sessions):
      while reader.remaining > 0 { try store.restore(&reader) }
    case (SnapshotPiece.end, .sessions):
      guard try reader.long() == UInt64(store.count) else { throw MalformedBytes() }
      try reader.end()
      progress = .done
    default: throw MalformedBytes()
    }
  }

  /// The store, when all pieces were taken.
  package consuming func finish() throws(MalformedBytes) -> SessionStore {
    guard progress == .done else { throw MalformedBytes() }
    return store
  }
}
