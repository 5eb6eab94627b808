/// A loop's table of connections, mailboxes or sessions: raw slots of one size, named by handles
/// that go stale when the tenant leaves.
///
/// Source: the slot map of Sean Middleditch ("Data Structures for Game Developers: The Slot Map",
/// 2013), with the parity of the generation as the mark of a live slot.
///
/// **Slots** are `stride` bytes apart, in chunks of 1,024 slots that are taken one by one as the
/// number of tenants first needs them, never move, and are freed by `deinit` alone. So a pointer
/// that `find` gave stays good for as long as the tenant stays. The first 8 bytes of a slot are the
/// map's; the pointer is to the rest, 8-byte aligned, which holds whatever was left there: the
/// caller initializes it after `insert`, and takes apart what needs it before `remove`.
///
/// **Generations** are 32 bits: odd while someone lives in the slot, even while it is free, one up
/// with each change. A slot whose generations are used up, after 2^31 tenants, is retired: it never
/// gets another, and `slotsMax` is less by one. Free slots are used again last in, first out, whose
/// memory is likely still in the caches.
///
/// **Threads**: one, the owner's. All calls O(1); `insert` allocates where a chunk is full.
@safe
@usableFromInline
package struct SlotMap: ~Copyable {
  /// What the map keeps of each slot, in its first 8 bytes.
  @usableFromInline
  @frozen
  struct Header {
    @usableFromInline var generation: UInt32
    /// Of a free slot: the one freed before it, or `none`.
    @usableFromInline var nextFree: UInt32

    @inlinable
    init(generation: UInt32, nextFree: UInt32) {
      self.generation = generation
      self.nextFree = nextFree
    }
  }

  /// Slots in a chunk, as a power of 2. A constant, for it saves a fifth of a look-up.
  @inlinable static var chunkBits: UInt32 { 10 }
  @inlinable static var none: UInt32 { .max }
  /// Of a retired slot: even, so nobody lives there.
  @inlinable static var retiredGeneration: UInt32 { 0 }

  /// Bytes from a slot to the next: the size asked for and the header, rounded up to 8.
  @usableFromInline package let stride: Int
  /// How many may live here at a time, less those `retired`.
  @usableFromInline package let slotsMax: Int
  /// How many live here.
  @usableFromInline package internal(set) var count = 0
  /// How many slots have used up their generations.
  package private(set) var retired = 0

  /// One for each chunk that `slotsMax` may come to need.
  @usableFromInline let chunks: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  /// The first slot that nobody ever lived in.
  @usableFromInline var untouched: UInt32 = 0
  @usableFromInline var freeHead: UInt32 = none
  let firstGeneration: UInt32

  /// An empty map.
  ///
  /// - Parameters:
  ///   - bytes: what a tenant needs.
  ///   - slotsMax: the limit. Costs 8 bytes for each chunk until the slots are used.
  ///   - firstGeneration: odd; anything but 1 is for tests of the last generations.
  package init(bytes: Int, slotsMax: Int, firstGeneration: UInt32 = 1) {
    precondition(bytes > 0 && bytes <= 1 << 20, "bytes \(bytes)")
    precondition(slotsMax > 0 && slotsMax < 1 << 31, "slotsMax \(slotsMax)")
    precondition(firstGeneration % 2 == 1, "firstGeneration \(firstGeneration)")
    stride = (MemoryLayout<Header>.stride + bytes + 7) & ~7
    self.slotsMax = slotsMax
    self.firstGeneration = firstGeneration
    let count = (slotsMax + (1 << Self.chunkBits) - 1) >> Self.chunkBits
    unsafe chunks = .allocate(capacity: count)
    unsafe chunks.initialize(repeating: nil, count: count)
  }

  deinit {
    let taken = (Int(untouched) + (1 << Self.chunkBits) - 1) >> Self.chunkBits
    for chunk in 0..<taken { unsafe chunks[chunk]?.deallocate() }
    unsafe chunks.deallocate()
  }

  /// Where a tenant lives; nil when it has left, or never was.
  @inlinable
  @inline(__always)
  package func find(_ handle: SlotHandle) -> UnsafeMutableRawPointer? {
    guard handle.index < untouched else { return nil }
    let slot = unsafe slot(handle.index)
    let generation = unsafe slot.load(as: UInt32.self)
    // A handle from outside may be anything: an even one could match a free slot.
    guard generation == handle.generation, generation & 1 != 0 else { return nil }
    return unsafe slot + MemoryLayout<Header>.stride
  }

  /// A slot for a new tenant; nil when `slotsMax` are in use or retired.
  @inlinable
  package mutating func insert() -> SlotHandle? {
    let index = freeHead
    guard index != Self.none else { return insertUntouched() }
    let header = unsafe slot(index).assumingMemoryBound(to: Header.self)
    freeHead = unsafe header.pointee.nextFree
    unsafe header.pointee.generation &+= 1
    count &+= 1
    return unsafe SlotHandle(index: index, generation: header.pointee.generation)
  }

  /// Ends a tenancy: its handle is stale from then on. False when it was already.
  @inlinable
  @discardableResult
  package mutating func remove(_ handle: SlotHandle) -> Bool {
    guard unsafe find(handle) != nil else { return false }
    let header = unsafe slot(handle.index).assumingMemoryBound(to: Header.self)
    count &-= 1
    guard handle.generation != .max else {
      retire(handle.index)
      return true
    }
    unsafe header.pointee = Header(generation: handle.generation &+ 1, nextFree: freeHead)
    freeHead = handle.index
    return true
  }

  /// The first tenant at `index` or behind it: for going through all of them, when shutting down.
  package func first(from index: UInt32) -> SlotHandle? {
    var index = index
    while index < untouched {
      let generation = unsafe slot(index).load(as: UInt32.self)
      if generation & 1 != 0 { return SlotHandle(index: index, generation: generation) }
      index += 1
    }
    return nil
  }
}

extension SlotMap {
  @inlinable
  @inline(__always)
  func slot(_ index: UInt32) -> UnsafeMutableRawPointer {
    let chunk = unsafe chunks[Int(index &>> Self.chunkBits)].unsafelyUnwrapped
    return unsafe chunk + Int(index & ((1 &<< Self.chunkBits) &- 1)) &* stride
  }

  @usableFromInline
  @inline(never)
  mutating func insertUntouched() -> SlotHandle? {
    guard untouched < slotsMax else { return nil }
    let index = untouched
    let chunk = Int(index &>> Self.chunkBits)
    if unsafe chunks[chunk] == nil {
      // The last chunk holds no more slots than the limit leaves.
      let slots = min(1 << Self.chunkBits, slotsMax - Int(index))
      unsafe chunks[chunk] = .allocate(byteCount: slots * stride, alignment: 64)
    }
    untouched += 1
    count += 1
    unsafe slot(index).initializeMemory(
      as: Header.self, to: Header(generation: firstGeneration, nextFree: Self.none))
    return SlotHandle(index: index, generation: firstGeneration)
  }

  @usableFromInline
  @inline(never)
  mutating func retire(_ index: UInt32) {
    let header = unsafe slot(index).assumingMemoryBound(to: Header.self)
    unsafe header.pointee = Header(generation: Self.retiredGeneration, nextFree: Self.none)
    retired += 1
  }
}
