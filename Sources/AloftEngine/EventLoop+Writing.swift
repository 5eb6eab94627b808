import Synchronization

/// What came of a write.
package enum WriteResult: Hashable, Sendable {
  /// Taken whole: sent at the end of this turn, or queued.
  case accepted
  /// Nothing was taken, for the queue would grow over its limit; `writable` follows.
  case wouldBlock
  /// Nothing was taken: the connection is closed, closing, or was finished for writing.
  case closed
}

/// Output: gathered during the turn, handed to the driver at its end.
extension EventLoop {
  /// Writes on a connection of the calling loop thread. See `write(_:_:)`.
  @inline(__always)
  package static func write(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) -> WriteResult {
    guard let owner = unsafe LoopTable.owner(of: id) else { return offLoop(id) }
    return unsafe owner._withUnsafeGuaranteedRef { unsafe $0.write(id, bytes) }
  }

  /// The loop behind an ID, for its own thread; nil when the loop is gone.
  package static func owner(of id: ConnectionID) -> EventLoop? {
    unsafe unretainedOwner(of: id)?.takeUnretainedValue()
  }

  /// The same, unretained: for what happens with each message.
  @inline(__always)
  package static func unretainedOwner(of id: ConnectionID) -> Unmanaged<EventLoop>? {
    if let owner = unsafe LoopTable.owner(of: id) { return unsafe owner }
    checkGone(id)
    return nil
  }

  /// A stale ID of a loop that is gone is no mistake; a live loop's ID on another thread is.
  @inline(never)
  static func offLoop(_ id: ConnectionID) -> WriteResult {
    checkGone(id)
    return .closed
  }

  static func checkGone(_ id: ConnectionID) { checkGone(loop: id.loop) }

  static func checkGone(loop: Int) {
    precondition(
      unsafe LoopTable.entries[loop].thread.load(ordering: .relaxed) == 0,
      "connection or timer used off its event loop's thread")
  }

  /// The state behind an ID, unless it is stale.
  @inline(__always)
  func find(_ id: ConnectionID) -> UnsafeMutablePointer<ConnectionState>? {
    guard let state = unsafe hot.pointee.table.find(id.slot),
      unsafe state.pointee.generation == id.generation
    else { return nil }
    return unsafe state
  }

  /// Takes all of `bytes` or nothing. They are copied unless they lie in the driver's arena, so the
  /// caller may reuse its memory at once.
  package func write(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) -> WriteResult {
    guard let state = unsafe find(id), unsafe state.pointee.phase == .open,
      unsafe !state.pointee.flags.contains(.ending), let handler = unsafe state.pointee.handler
    else { return .closed }
    let limit = unsafe handler._withUnsafeGuaranteedRef { $0.settings.queuedMax }
    guard unsafe hasRoom(for: bytes.count, state, limit: Int(limit)) else {
      return unsafe refusal(state)
    }
    unsafe add(id.slot, state, bytes)
    return .accepted
  }

  @inline(__always)
  private func add(
    _ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>, _ bytes: UnsafeRawBufferPointer
  ) {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return }
    statistics.bytesWritten.add(UInt64(bytes.count))
    if unsafe hot.pointee.arena.contains(start) {
      unsafe gather(slot, state, start.assumingMemoryBound(to: UInt8.self), bytes.count)
    } else {
      unsafe stage(slot, state, start.assumingMemoryBound(to: UInt8.self), bytes.count)
    }
  }

  /// Looking for room may have shown that the connection is broken.
  func refusal(_ state: UnsafeMutablePointer<ConnectionState>) -> WriteResult {
    unsafe state.pointee.phase == .open ? .wouldBlock : .closed
  }

  /// A frame: four bytes of length, big-endian, and the payload; both or neither.
  package func writeFrame(_ id: ConnectionID, _ payload: UnsafeRawBufferPointer) -> WriteResult {
    guard let state = unsafe find(id), unsafe state.pointee.phase == .open,
      unsafe !state.pointee.flags.contains(.ending), let handler = unsafe state.pointee.handler
    else { return .closed }
    let limit = unsafe handler._withUnsafeGuaranteedRef { $0.settings.queuedMax }
    guard unsafe hasRoom(for: payload.count + 4, state, limit: Int(limit)) else {
      return unsafe refusal(state)
    }
    // There is room for both; to ask again in between could refuse the second.
    var length = UInt32(truncatingIfNeeded: payload.count).bigEndian
    unsafe withUnsafeBytes(of: &length) { unsafe add(id.slot, state, $0) }
    unsafe add(id.slot, state, payload)
    return .accepted
  }

  @inline(__always)
  func hasRoom(
    for count: Int, _ state: UnsafeMutablePointer<ConnectionState>, limit: Int
  ) -> Bool {
    var pending = unsafe Int(state.pointee.queued)
    if unsafe state.pointee.batch == hot.pointee.batchNumber {
      pending &+= unsafe Int(state.pointee.pending)
    }
    if pending &+ count <= limit { return true }
    return unsafe makeRoom(for: count, state, limit: limit)
  }

  /// What this turn has gathered may find room in the socket: asks the driver before refusing.
  @inline(never)
  private func makeRoom(
    for count: Int, _ state: UnsafeMutablePointer<ConnectionState>, limit: Int
  ) -> Bool {
    if unsafe state.pointee.batch == hot.pointee.batchNumber { submit() }
    // One message above the limit goes out when nothing waits before it.
    let queued = unsafe Int(state.pointee.queued)
    if unsafe state.pointee.phase == .open && (queued == 0 || queued + count <= limit) {
      return true
    }
    unsafe state.pointee.flags.insert(.blocked)
    return false
  }

  /// Adds bytes that stay where they are until the batch is submitted.
  @inline(__always)
  func gather(
    _ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>,
    _ start: UnsafePointer<UInt8>, _ count: Int
  ) {
    let length = UInt32(truncatingIfNeeded: count)
    if unsafe state.pointee.batch == hot.pointee.batchNumber {
      let tail = unsafe hot.pointee.batch.operations + Int(state.pointee.tail)
      unsafe state.pointee.pending &+= length
      if let end = unsafe tail.pointee.data, unsafe end + Int(tail.pointee.length) == start {
        unsafe tail.pointee.length &+= length
        return
      }
      unsafe tail.pointee.next = UInt32(truncatingIfNeeded: hot.pointee.batch.count)
      unsafe state.pointee.tail = UInt32(truncatingIfNeeded: hot.pointee.batch.count)
      unsafe append(Operation(.segment, slot: slot, data: start, length: length))
    } else {
      unsafe state.pointee.activity = UInt32(truncatingIfNeeded: hot.pointee.tick)
      unsafe state.pointee.batch = unsafe hot.pointee.batchNumber
      unsafe state.pointee.pending = length
      unsafe state.pointee.tail = UInt32(truncatingIfNeeded: hot.pointee.batch.count)
      unsafe append(Operation(.write, slot: slot, data: start, length: length))
    }
    if unsafe hot.pointee.batch.count == OperationBatch.operationsMax { submit() }
  }

  /// Adds a copy.
  @inline(__always)
  func stage(
    _ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>,
    _ start: UnsafePointer<UInt8>, _ count: Int
  ) {
    if count > OperationBatch.stagingBytes {
      unsafe gather(slot, state, start, count)
      submit()  // The bytes are the caller's, whose they are again when this returns.
      return
    }
    if unsafe hot.pointee.batch.staged &+ count > OperationBatch.stagingBytes { submit() }
    let copy = unsafe hot.pointee.batch.staging + hot.pointee.batch.staged
    unsafe UnsafeMutableRawPointer(copy).copyMemory(from: start, byteCount: count)
    unsafe hot.pointee.batch.staged &+= count
    unsafe gather(slot, state, copy, count)
  }

  @inline(__always)
  private func append(_ operation: Operation) {
    unsafe (hot.pointee.batch.operations + hot.pointee.batch.count).initialize(to: operation)
    unsafe hot.pointee.batch.count &+= 1
  }

  func enqueue(_ operation: Operation) {
    append(operation)
    if unsafe hot.pointee.batch.count == OperationBatch.operationsMax { submit() }
  }

  func enqueueClose(_ operation: Operation) {
    unsafe hot.pointee.batch.closes += 1
    enqueue(operation)
  }

  /// Hands the batch to the driver and notes what came of it. Calls no handler: those hear of it
  /// from `settle`, so this may happen in the midst of one's call.
  func submit() {
    let count = unsafe hot.pointee.batch.count
    guard count > 0 else { return }
    readClockBetweenTurns()
    unsafe swap(&hot.pointee.batch, &hot.pointee.spare)
    unsafe hot.pointee.batchNumber &+= 1
    let results = unsafe driver.submit(hot.pointee.spare.operations, count: count)
    unsafe hot.pointee.spare.releaseHeld()
    if unsafe results > 0 || hot.pointee.spare.closes > 0 {
      let operations = unsafe UnsafeBufferPointer(
        start: hot.pointee.spare.operations, count: count)
      // What is noted may start another batch, and even submit it: what matters is kept aside.
      let notable = unsafe operations.filter {
        $0.result != 0 || $0.kind == OperationKind.close.rawValue
      }
      unsafe hot.pointee.spare.clear()
      for operation in notable { note(operation) }
    } else {
      unsafe hot.pointee.spare.clear()
    }
  }

  private func note(_ operation: Operation) {
    let slot = operation.slot
    switch OperationKind(rawValue: operation.kind) {
    case .write, .end:
      guard operation.result != 0, let state = unsafe hot.pointee.table.find(slot) else { return }
      if operation.result < 0 {
        unsafe drop(slot, state, .system(Int32(-operation.result)))
      } else {
        unsafe queueGrew(slot, state, UInt32(operation.result))
      }
    case .close:
      guard let state = unsafe hot.pointee.table.find(slot) else { return }
      // With bytes queued the driver has not closed; `progress` comes when they are gone.
      if unsafe operation.result == 0 && state.pointee.phase == .closing {
        unsafe state.pointee.phase = .dead
        unsafe hot.pointee.finished.append(slot)
      }
    case .segment, .drop, .reset, .pause, .resume, nil:
      break
    }
  }

  private func queueGrew(
    _ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>, _ added: UInt32
  ) {
    guard unsafe state.pointee.phase == .open || state.pointee.phase == .closing,
      let handler = unsafe state.pointee.handler
    else { return }
    let before = unsafe state.pointee.queued
    let queued = before + added
    unsafe state.pointee.queued = queued
    if before == 0 {
      unsafe state.pointee.progress = UInt32(truncatingIfNeeded: hot.pointee.tick)
      unsafe watchTime(slot, state)
    }
    let high = unsafe handler._withUnsafeGuaranteedRef { $0.settings.highWater }
    if unsafe queued > high && !state.pointee.flags.contains(.pausedByOutput) {
      if unsafe !state.pointee.isPaused { unsafe enqueue(Operation(.pause, slot: slot)) }
      unsafe state.pointee.flags.insert(.pausedByOutput)
    }
  }
}
