internal import AloftMembership

/// What stands before an operation's body.
struct OperationHead {
  var kind: OperationKind
  var id: SessionID
  var key: UInt64
  var expected: UInt64?
  /// Whose it is to be held to be: in a request always, in an entry if the owner couldn't tell.
  var principal: Principal?
}

extension RawWriter {
  /// Begins an operation; the body follows, and then ``finish(_:)`` with what this returned.
  @inline(__always)
  mutating func begin(_ head: OperationHead) -> Int {
    let start = count
    // Room for all that may come, so that the checks below are few.
    reserve(64)
    var flags: UInt8 = 0
    if head.key != 0 { flags |= OperationFlags.key }
    if head.expected != nil { flags |= OperationFlags.expected }
    if head.principal != nil { flags |= OperationFlags.principal }
    put(head.kind.rawValue)
    put(flags)
    put(head.id.place)
    put(UInt32(0))
    put(head.id.high)
    put(head.id.low)
    if head.key != 0 { put(head.key) }
    if let expected = head.expected { put(expected) }
    if let principal = head.principal {
      put(principal.high)
      put(principal.low)
    }
    return start
  }

  @inline(__always)
  mutating func finish(_ start: Int) {
    set(UInt32(truncatingIfNeeded: count &- start), at: start &+ OperationLayout.lengthOffset)
  }
}

/// An operation where it lies. Good as long as those bytes are.
@safe
struct OperationView {
  let head: OperationHead
  let body: UnsafeRawBufferPointer

  /// One that stands in no entry.
  init(_ head: OperationHead, body: UnsafeRawBufferPointer) {
    self.head = head
    unsafe self.body = body
  }

  @inline(__always)
  init(_ reader: inout RawReader) throws(MalformedBytes) {
    let start = reader.position
    guard let kind = OperationKind(rawValue: try reader.byte()) else { throw MalformedBytes() }
    let flags = try reader.byte()
    let place = try reader.short()
    let length = Int(try reader.word())
    let (high, low) = (try reader.long(), try reader.long())
    guard flags & ~OperationFlags.all == 0,
      let id = SessionID(high: high, low: low, place: place)
    else { throw MalformedBytes() }
    var head = OperationHead(kind: kind, id: id, key: 0, expected: nil, principal: nil)
    if flags & OperationFlags.key != 0 { head.key = try reader.long() }
    if flags & OperationFlags.expected != 0 { head.expected = try reader.long() }
    if flags & OperationFlags.principal != 0 {
      head.principal = Principal(high: try reader.long(), low: try reader.long())
    }
    self.head = head
    unsafe body = try reader.raw(length &- (reader.position &- start))
  }
}
