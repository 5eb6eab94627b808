/// Events that were sent to a session's client and not acknowledged.
package struct SessionEvents: Hashable, Sendable {
  /// The number of the first of `events`; of the next one there will be, when there are none.
  package var first: UInt64
  package var events: [[UInt8]]
}

/// An outbox is a block of the slabs: room 4, where the first event begins 4, where the last one
/// ends 4, 4 unused; then the events, each behind its length. What was acknowledged is taken back
/// when there is no room behind the last one.
extension SessionStore {
  private static let outboxHead = 16

  private struct Outbox {
    var room: UInt32
    var begin: UInt32
    var end: UInt32
    var unused: UInt32 = 0

    var bytes: Int { Int(end &- begin) }
  }

  /// Bytes of the events, with 4 more for each.
  func outboxBytes(_ number: UInt32) -> Int {
    guard let block = unsafe records[number].outbox else { return 0 }
    return unsafe block.load(as: Outbox.self).bytes
  }

  /// The event's number is the next one. That there is room for it was looked at before.
  func addEvent(_ number: UInt32, _ event: UnsafeRawBufferPointer) {
    let needed = 4 + event.count
    let block = unsafe outbox(number, roomFor: needed)
    var outbox = unsafe block.load(as: Outbox.self)
    let place = unsafe block + Self.outboxHead + Int(outbox.end)
    unsafe place.storeBytes(of: UInt32(event.count), as: UInt32.self)
    if let base = event.baseAddress {
      unsafe (place + 4).copyMemory(from: base, byteCount: event.count)
    }
    outbox.end += UInt32(needed)
    unsafe block.storeBytes(of: outbox, as: Outbox.self)
    records[number].eventCount += 1
    addBytes(number, needed)
  }

  /// The outbox, with so much room behind its last event.
  private func outbox(_ number: UInt32, roomFor needed: Int) -> UnsafeMutableRawPointer {
    var outbox = Outbox(room: 0, begin: 0, end: 0)
    let old = unsafe records[number].outbox
    if let old = unsafe old {
      unsafe outbox = old.load(as: Outbox.self)
      if Int(outbox.end) + needed <= Int(outbox.room) { return unsafe old }
    }
    let (bytes, begin) = (outbox.bytes, Int(outbox.begin))
    // Moved within its block only when half of it was taken back, so that it isn't each time.
    if let old = unsafe old, bytes + needed <= Int(outbox.room), 2 * begin >= Int(outbox.room) {
      let start = unsafe old + Self.outboxHead
      unsafe start.copyMemory(from: start + begin, byteCount: bytes)
      (outbox.begin, outbox.end) = (0, UInt32(bytes))
      unsafe old.storeBytes(of: outbox, as: Outbox.self)
      return unsafe old
    }
    let size = ByteSlabs.room(for: max(Self.outboxHead + bytes + needed, 2 * bytes))
    let fresh = unsafe slabs.take(size)
    if let old = unsafe old {
      let start = unsafe old + Self.outboxHead
      unsafe (fresh + Self.outboxHead).copyMemory(from: start + begin, byteCount: bytes)
      unsafe slabs.give(old, Int(outbox.room) + Self.outboxHead)
    }
    outbox = Outbox(room: UInt32(size - Self.outboxHead), begin: 0, end: UInt32(bytes))
    unsafe fresh.storeBytes(of: outbox, as: Outbox.self)
    unsafe records[number].outbox = fresh
    return unsafe fresh
  }

  /// Forgets all events up to this number.
  func trim(_ number: UInt32, through last: UInt64) {
    guard let block = unsafe records[number].outbox else { return }
    var outbox = unsafe block.load(as: Outbox.self)
    let before = outbox.bytes
    while records[number].eventCount > 0, records[number].firstEvent <= last {
      let place = unsafe block + Self.outboxHead + Int(outbox.begin)
      outbox.begin += unsafe 4 + place.loadUnaligned(as: UInt32.self)
      records[number].firstEvent += 1
      records[number].eventCount -= 1
    }
    addBytes(number, outbox.bytes - before)
    unsafe block.storeBytes(of: outbox, as: Outbox.self)
    if records[number].eventCount == 0 { freeOutbox(number) }
  }

  /// The events' numbers are used up: the next one is what it was.
  func freeOutbox(_ number: UInt32) {
    guard let block = unsafe records[number].outbox else { return }
    let outbox = unsafe block.load(as: Outbox.self)
    addBytes(number, -outbox.bytes)
    unsafe slabs.give(block, Int(outbox.room) + Self.outboxHead)
    unsafe records[number].outbox = nil
    records[number].firstEvent += UInt64(records[number].eventCount)
    records[number].eventCount = 0
  }

  /// All events as they lie, each behind its length.
  func eventBytes(_ number: UInt32) -> UnsafeRawBufferPointer {
    guard let block = unsafe records[number].outbox else {
      return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }
    let outbox = unsafe block.load(as: Outbox.self)
    return unsafe UnsafeRawBufferPointer(
      start: block + Self.outboxHead + Int(outbox.begin), count: outbox.bytes)
  }

  /// The events from this number on that are still there: one at least, if there is one, then as
  /// many as the limits allow.
  package func events(
    _ ref: SessionRef, from first: UInt64 = 0, countMax: Int = .max, bytesMax: Int = .max
  ) -> SessionEvents {
    let record = records[ref.number]
    let start = min(max(first, record.firstEvent), record.nextEvent)
    var result = SessionEvents(first: start, events: [])
    var reader = unsafe RawReader(eventBytes(ref.number))
    var bytes = 0
    for number in record.firstEvent..<record.nextEvent {
      guard result.events.count < countMax, result.events.isEmpty || bytes < bytesMax,
        let length = try? Int(reader.word())
      else { break }
      if number < start {
        try? reader.skip(length)
      } else if let event = try? reader.array(length) {
        result.events.append(event)
        bytes += length
      }
    }
    return result
  }
}
