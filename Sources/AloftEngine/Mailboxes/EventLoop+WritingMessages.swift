package import AloftQueue

/// Messages as output: sent from where they lie.
///
/// An operation points to a message's bytes, and the batch keeps a reference until the driver has
/// carried it out. What the socket does not take then, the driver copies to the connection's queue,
/// which `queuedMax` bounds: no message is held for a slow peer.
extension EventLoop {
  /// A message up to this size that follows others to the same connection in the same turn is
  /// copied behind them: the system takes 20 to 60 ns longer over a piece of its own, up to here
  /// (at 2,048 bytes it is even).
  package static let stagedMax = 1_024

  /// Writes a message on a connection of the calling loop thread, and takes over the caller's
  /// reference if it is accepted, else not.
  @inline(__always)
  package static func write(_ id: ConnectionID, adopting block: MessageBlock) -> WriteResult {
    guard let owner = unsafe LoopTable.owner(of: id) else { return offLoop(id) }
    return unsafe owner._withUnsafeGuaranteedRef { $0.write(id, adopting: block) }
  }

  /// The same with a frame. See `writeFrame(_:adopting:)`.
  @inline(__always)
  package static func writeFrame(_ id: ConnectionID, adopting block: MessageBlock) -> WriteResult {
    guard let owner = unsafe LoopTable.owner(of: id) else { return offLoop(id) }
    return unsafe owner._withUnsafeGuaranteedRef { $0.writeFrame(id, adopting: block) }
  }

  /// The same, on this loop.
  package func write(_ id: ConnectionID, adopting block: MessageBlock) -> WriteResult {
    guard let state = unsafe find(id), unsafe state.pointee.phase == .open,
      unsafe !state.pointee.flags.contains(.ending), let handler = unsafe state.pointee.handler
    else { return .closed }
    let limit = unsafe handler._withUnsafeGuaranteedRef { $0.settings.queuedMax }
    let count = unsafe Int(block.header.pointee.count)
    guard unsafe hasRoom(for: count, state, limit: Int(limit)) else {
      return unsafe refusal(state)
    }
    unsafe add(id.slot, state, block)
    return .accepted
  }

  /// A frame: four bytes of length, big-endian, and the message; both or neither.
  package func writeFrame(_ id: ConnectionID, adopting block: MessageBlock) -> WriteResult {
    guard let state = unsafe find(id), unsafe state.pointee.phase == .open,
      unsafe !state.pointee.flags.contains(.ending), let handler = unsafe state.pointee.handler
    else { return .closed }
    let limit = unsafe handler._withUnsafeGuaranteedRef { $0.settings.queuedMax }
    let count = unsafe block.header.pointee.count
    guard unsafe hasRoom(for: Int(count) + 4, state, limit: Int(limit)) else {
      return unsafe refusal(state)
    }
    var length = count.bigEndian
    statistics.bytesWritten.add(4)
    unsafe withUnsafeBytes(of: &length) {
      unsafe stage(
        id.slot, state, $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self), 4)
    }
    unsafe add(id.slot, state, block)
    return .accepted
  }

  /// The message, given up: for callers who have no use for one that was not accepted.
  package func write(_ id: ConnectionID, _ message: consuming Message) -> WriteResult {
    let block = message.take()
    let result = write(id, adopting: block)
    if result != .accepted { MessageBlock.release(block) }
    return result
  }

  @inline(__always)
  private func add(
    _ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>, _ block: MessageBlock
  ) {
    let count = unsafe Int(block.header.pointee.count)
    let start = unsafe UnsafePointer(block.header.pointee.bytes.assumingMemoryBound(to: UInt8.self))
    statistics.bytesWritten.add(UInt64(count))
    if unsafe count <= Self.stagedMax && (count == 0 || isFollowing(state)) {
      statistics.messagesStaged.add(1)
      if count > 0 { unsafe stage(slot, state, start, count) }
      MessageBlock.release(block)
      return
    }
    statistics.messagesPointed.add(1)
    if unsafe hot.pointee.batch.heldCount == OperationBatch.operationsMax { submit() }
    unsafe hot.pointee.batch.held[hot.pointee.batch.heldCount] = block
    unsafe hot.pointee.batch.heldCount &+= 1
    unsafe gather(slot, state, start, count)
  }

  /// Whether this turn has something for the connection already.
  @inline(__always)
  private func isFollowing(_ state: UnsafeMutablePointer<ConnectionState>) -> Bool {
    unsafe state.pointee.batch == hot.pointee.batchNumber
  }
}
