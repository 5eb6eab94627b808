internal import AloftMembership

/// A snapshot is a row of pieces: one with the fence, those with sessions in any order, and one
/// that says how many they were. It is exactly as of the entry that was the last one when it began,
/// however long it takes: a session that is about to be changed, and isn't in it yet, is written
/// first. So each session is written once, and nothing of it is copied but for that.
enum SnapshotPiece {
  static let headBytes = 8
  static let fence: UInt8 = 1
  static let sessions: UInt8 = 2
  static let end: UInt8 = 3
  static let version: UInt8 = 1
}

extension SessionStore {
  package var isSnapshotUnderWay: Bool { snapshot.generation != 0 }

  /// Begins a snapshot as of `appliedIndex`. One at a time: one that is under way is dropped.
  package func beginSnapshot() {
    cancelSnapshot()
    let last = snapshot.last
    snapshot.generation = last &+ 1 == 0 ? 1 : last &+ 1
    snapshot.last = snapshot.generation
    snapshot.end = records.last
    var writer = RawWriter(capacity: 8192)
    beginPiece(&writer, SnapshotPiece.fence)
    writer.put(appliedIndex)
    fence.write(&writer)
    endPiece(&writer)
    snapshot.head = writer.take()
  }

  /// Nothing of it is wanted any more.
  package func cancelSnapshot() {
    let last = snapshot.last
    snapshot = SnapshotProgress()
    snapshot.last = last
    captured.removeAll()
  }

  /// The next piece, of about so many bytes at most; nil when the last one was given out. 256 KiB
  /// of sessions of 200 bytes take a third of a millisecond.
  package func nextPiece(bytesMax: Int = 256 << 10) -> [UInt8]? {
    guard snapshot.generation != 0 else { return nil }
    if let head = snapshot.head {
      snapshot.head = nil
      return head
    }
    if snapshot.next > snapshot.end, captured.count == 0 { return lastPiece() }
    var writer = RawWriter(capacity: captured.count + bytesMax + (bytesMax >> 2))
    beginPiece(&writer, SnapshotPiece.sessions)
    unsafe captured.withBytes { unsafe writer.put(raw: $0) }
    captured.removeAll()
    while snapshot.next <= snapshot.end, writer.count < bytesMax {
      let number = snapshot.next
      snapshot.next += 1
      guard records[number].isLinked, records[number].mark != snapshot.generation else { continue }
      records[number].mark = snapshot.generation
      write(number, &writer)
    }
    endPiece(&writer)
    return writer.take()
  }

  private func lastPiece() -> [UInt8] {
    var writer = RawWriter()
    beginPiece(&writer, SnapshotPiece.end)
    writer.put(snapshot.sessions)
    endPiece(&writer)
    cancelSnapshot()
    return writer.take()
  }

  /// The session is about to be changed.
  @inline(__always)
  func capture(_ number: UInt32) {
    if snapshot.generation != 0, records[number].mark != snapshot.generation { write(now: number) }
  }

  @inline(never)
  private func write(now number: UInt32) {
    records[number].mark = snapshot.generation
    write(number, &captured)
  }

  private func beginPiece(_ writer: inout RawWriter, _ kind: UInt8) {
    writer.put(UInt32(0))
    writer.put(kind)
    writer.put(SnapshotPiece.version)
    writer.put(UInt16(0))
  }

  private func endPiece(_ writer: inout RawWriter) {
    writer.set(UInt32(truncatingIfNeeded: writer.count), at: 0)
  }

  // MARK: A session

  private func write(_ number: UInt32, _ writer: inout RawWriter) {
    let record = records[number]
    guard !record.id.isLocal else { return }
    snapshot.sessions += 1
    let principal = principal(of: number)
    writer.reserve(128)
    writer.put(record.high)
    writer.put(record.low)
    writer.put(record.place)
    writer.put(record.phase.rawValue)
    writer.put(record.durability.rawValue | (record.flags & Record.expired) &<< 4)
    writer.put(record.version)
    writer.put(principal.high)
    writer.put(principal.low)
    writer.put(record.idleMs)
    writer.put(record.deadline)
    writer.put(record.firstEvent)
    writer.put(record.stateMax)
    writer.put(record.outboxBytesMax)
    writer.put(record.outboxEventsMax)
    writer.put(record.eventCount)
    writer.put(record.keysMax)
    writer.put(record.keyCount)
    writer.put(record.nameLength)
    writer.put(record.stateLength)
    let events = unsafe eventBytes(number)
    writer.put(UInt32(events.count))
    unsafe writer.put(raw: nameBytes(number))
    unsafe writer.put(raw: stateBytes(number))
    unsafe writer.put(raw: keyBytes(number))
    unsafe writer.put(raw: events)
  }

  /// A session as ``write(_:_:)`` wrote it.
  func restore(_ reader: inout RawReader) throws(MalformedBytes) {
    var record = Record()
    (record.high, record.low) = (try reader.long(), try reader.long())
    record.place = try reader.short()
    let phase = SessionPhase(rawValue: try reader.byte())
    let mixed = try reader.byte()
    let durability = SessionDurability(rawValue: mixed & 15)
    guard let id = SessionID(high: record.high, low: record.low, place: record.place),
      !id.isLocal, let phase, let durability, number(of: id) == 0
    else { throw MalformedBytes() }
    record.version = try reader.long()
    let principal = Principal(high: try reader.long(), low: try reader.long())
    record.idleMs = try reader.word()
    record.deadline = try reader.long()
    record.firstEvent = try reader.long()
    record.stateMax = try reader.word()
    record.outboxBytesMax = try reader.word()
    record.outboxEventsMax = try reader.short()
    let eventCount = try reader.short()
    record.keysMax = try reader.byte()
    let keyCount = try reader.byte()
    let nameLength = Int(try reader.byte())
    let stateLength = Int(try reader.word())
    let eventBytes = Int(try reader.word())
    let name = unsafe try reader.raw(nameLength)
    let state = unsafe try reader.raw(stateLength)
    guard keyCount <= record.keysMax || keyCount == 0 else { throw MalformedBytes() }
    guard let number = records.take(&slabs.pages) else { throw MalformedBytes() }
    records[number] = record
    (records[number].phase, records[number].durability) = (phase, durability)
    link(number, id)
    records[number].flags |= mixed &>> 4 & Record.expired
    if phase == .closed { tombstones += 1 }
    joinPrincipal(number, principal)
    unsafe setBlock(number, name: name, state: state)
    for _ in 0..<keyCount {
      let (key, version, value) = (try reader.long(), try reader.long(), try reader.long())
      remember(number, key, version: version, value)
    }
    let end = reader.remaining - eventBytes
    for _ in 0..<eventCount {
      let length = Int(try reader.word())
      unsafe addEvent(number, try reader.raw(length))
    }
    guard reader.remaining == end else { throw MalformedBytes() }
  }
}
