package import AloftQueue
import Synchronization

/// Where bytes are received into, and what messages hold of it.
@safe
struct ReceiveArena {
  private(set) var start: UInt = 0
  private(set) var end: UInt = 0
  /// The block that the arena is the payload of; nil when it is the driver's own, for want of
  /// memory.
  private(set) var block: MessageBlock?
  /// Takes its place at the turn's end. Got as soon as a message refers to the arena, so that no
  /// turn ends without.
  var next: MessageBlock?
  /// References to `block` that are counted and not yet given out: a message then costs no locked
  /// instruction. 0 as long as no message of this turn has one.
  var unissued: UInt32 = 0

  static let issuedAtOnce: UInt32 = 1 << 12

  @inline(__always)
  func contains(_ address: UnsafeRawPointer) -> Bool {
    let address = UInt(bitPattern: address)
    return address >= start && address < end
  }

  /// A message of this turn refers to it.
  @inline(__always)
  var isTaken: Bool { unissued != 0 }

  mutating func begin(_ block: MessageBlock?, at start: UnsafeRawPointer?, bytes: Int) {
    self.block = block
    self.start = UInt(bitPattern: start)
    end = self.start + UInt(bytes)
    unissued = 0
  }
}

/// Received bytes as messages, without a copy.
extension EventLoop {
  /// A message below this many bytes is copied into a block of its own: it costs less than a
  /// reference that other loops give back, and a few bytes then don't hold 256 KiB.
  package static let takenOverMin = 1_024

  func beginArena() {
    let bytes = unsafe driver.arena.count
    if let block = messages.allocateArena() {
      unsafe driver.exchangeArena(for: block.header.pointee.bytes)
      unsafe hot.pointee.arena.begin(block, at: block.header.pointee.bytes, bytes: bytes)
    } else {
      unsafe hot.pointee.arena.begin(nil, at: driver.arena.baseAddress, bytes: bytes)
    }
  }

  /// The driver receives no more.
  func endArena() {
    if let next = unsafe hot.pointee.arena.next { MessageBlock.release(next) }
    if let block = unsafe hot.pointee.arena.block { MessageBlock.release(block) }
  }

  /// A message of `bytes`, which are what `received` was called with or a part of it, for as long
  /// as that call lasts. They are copied only if they are few (`takenOverMin`), or if messages hold
  /// as much of the loop's receive memory as they may (`MessageMemory.arenasMax`).
  package func takeReceived(_ bytes: UnsafeRawBufferPointer) -> MessageBlock {
    preconditionOnLoop()
    if bytes.count >= Self.takenOverMin, let start = bytes.baseAddress {
      if unsafe hot.pointee.arena.contains(start) {
        if let block = unsafe takeOfArena(bytes) { return block }
        statistics.takenAtLimit.add(1)
        return unsafe copied(bytes)
      }
      if let frame = unsafe hot.pointee.frameTold, unsafe isWithin(bytes, frame) {
        return unsafe takeOfFrame(bytes, frame)
      }
    }
    statistics.takenCopied.add(1)
    return unsafe copied(bytes)
  }

  private func copied(_ bytes: UnsafeRawBufferPointer) -> MessageBlock {
    let block = messages.allocate(count: bytes.count)
    if let start = bytes.baseAddress {
      unsafe block.header.pointee.bytes.copyMemory(from: start, byteCount: bytes.count)
    }
    return block
  }

  private func takeOfArena(_ bytes: UnsafeRawBufferPointer) -> MessageBlock? {
    guard let arena = unsafe hot.pointee.arena.block else { return nil }
    // One is left always, which says that the arena is taken.
    if unsafe hot.pointee.arena.unissued <= 1 {
      if unsafe hot.pointee.arena.next == nil {
        unsafe hot.pointee.arena.next = messages.allocateArena()
        if unsafe hot.pointee.arena.next == nil { return nil }
      }
      MessageBlock.retain(arena, times: ReceiveArena.issuedAtOnce)
      unsafe hot.pointee.arena.unissued += ReceiveArena.issuedAtOnce
    }
    unsafe hot.pointee.arena.unissued -= 1
    statistics.takenOver.add(1)
    return unsafe messages.allocate(slice: bytes, of: arena)
  }

  private func isWithin(_ bytes: UnsafeRawBufferPointer, _ frame: MessageBlock) -> Bool {
    guard let start = bytes.baseAddress else { return false }
    let offset = unsafe start - UnsafeRawPointer(frame.header.pointee.bytes)
    return unsafe offset >= 0 && offset + bytes.count <= Int(frame.header.pointee.count)
  }

  private func takeOfFrame(
    _ bytes: UnsafeRawBufferPointer, _ frame: MessageBlock
  ) -> MessageBlock {
    statistics.takenOver.add(1)
    MessageBlock.retain(frame)
    if unsafe bytes.count == Int(frame.header.pointee.count) {
      // A block is one message: of bytes that are taken again, another has to be made.
      unsafe hot.pointee.frameTold = nil
      return frame
    }
    return unsafe messages.allocate(slice: bytes, of: frame)
  }

  /// At the end of a turn in which messages were made of the arena: if one still refers to it,
  /// another takes its place.
  @inline(never)
  func renewArena() {
    guard let block = unsafe hot.pointee.arena.block,
      let next = unsafe hot.pointee.arena.next
    else { return }
    let own = unsafe hot.pointee.arena.unissued + 1
    let bytes = unsafe driver.arena.count
    // Acquires what the readers of messages did before they let go.
    if unsafe block.references.pointee.load(ordering: .acquiring) == own {
      unsafe block.references.pointee.store(1, ordering: .relaxed)
      unsafe hot.pointee.arena.unissued = 0
      return
    }
    unsafe hot.pointee.arena.next = nil
    unsafe driver.exchangeArena(for: next.header.pointee.bytes)
    unsafe hot.pointee.arena.begin(next, at: next.header.pointee.bytes, bytes: bytes)
    if MessageBlock.dropShared(block, times: own) { MessageBlock.free(block) }
  }
}
