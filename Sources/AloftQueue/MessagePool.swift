import AloftAtomics

/// Where a pool's memory comes from: the system's pages, or a test's allocator.
@safe
public struct MessageMemorySource: Sendable {
  let allocate: @convention(c) (_ bytes: Int) -> UnsafeMutableRawPointer?
  let free: @convention(c) (_ memory: UnsafeMutableRawPointer, _ bytes: Int) -> Void

  /// Both are called on any thread. Memory is aligned to 128 bytes; nil means that there is none.
  public init(
    allocate: @escaping @convention(c) (_ bytes: Int) -> UnsafeMutableRawPointer?,
    free: @escaping @convention(c) (_ memory: UnsafeMutableRawPointer, _ bytes: Int) -> Void
  ) {
    unsafe self.allocate = unsafe allocate
    unsafe self.free = unsafe free
  }
}

/// Memory of messages with one owner: an event loop, or a thread of the application's.
///
/// The owner alone allocates, without an atomic operation. Any thread frees (`MessageBlock.release`
/// finds out whose the block is): the owner's own blocks go to a plain list; those of another owner
/// are gathered by the freeing thread's pool and given back as a chain, with one exchange for up to
/// 64 of them (``ReturnStackCore``). The division of labour is that of mimalloc (Leijen, Zorn, de
/// Moura, 2019: lists by slab, a separate one for other threads' frees) and of snmalloc (Liétar and
/// others, 2019: frees of others' memory travel in batches).
///
/// A loop's pool **borrows**: a block of another owner that is freed here is handed out here again,
/// up to ``borrowedMax`` of each small size. Its lines are in this core's cache, where the owner
/// would have to fetch them from; between two loops that send to each other a message then moves
/// its lines once, and not there and back. ``giveBorrowedBack()`` ends it: once a second, and when
/// the loop is about to sleep.
///
/// Blocks have sizes of 128 bytes to 64 KiB in powers of two, of which 64 are the header: a message
/// of 64 bytes is 128 in all. A larger message comes from malloc. Blocks are cut from slabs of
/// 64 KiB (blocks up to 4 KiB) or 256 KiB.
///
/// What is kept: ``trim()`` gives empty slabs back, but for ``keptBytes`` and for what was in use
/// at some time since the trim before. So a burst's memory is the system's again two trims after
/// it. Above `emptyBytesMax` an empty slab goes back at once.
///
/// The value is one address, and counts nothing. ``end()`` ends it: memory that messages still hold
/// lives until the last of them is freed, on whatever thread, and then goes back.
@safe
public struct MessagePool: @unchecked Sendable {
  // Sendable: an address alone; who may call what stands at each function.
  let state: UnsafeMutablePointer<State>

  /// Empty slabs that a trim leaves: enough that a quiet loop's next messages cost no page fault.
  public static var keptBytes: Int { 1 << 20 }
  /// Blocks gathered for another owner before they are given back, and their bytes.
  static var gatheredMax: UInt32 { 64 }
  static var gatheredBytesMax: UInt32 { 64 << 10 }
  /// Blocks of other owners kept for use here, of each of the sizes up to 512 bytes: as many as a
  /// loop may well send to another before that sends as many to it, and 480 KiB in all at most.
  static var borrowedMax: UInt32 { 512 }
  static var borrowedSizes: Int { 3 }

  /// The owner's alone, but for `returns`, a line before it.
  @safe
  struct State {
    var source: MessageMemorySource
    /// The arena's payload; see ``allocateArena()``.
    var arenaBytes: Int
    var arenasMax: Int
    var emptyBytesMax: Int
    var arenasOut = 0
    /// Of all slabs, and of those among them that are kept empty.
    var slabBytes = 0
    var emptyBytes = 0
    /// The most in use since the last trim.
    var peakBytes = 0
    /// All slabs there are.
    var slabs: UnsafeMutablePointer<Slab>?
    /// Kept empty: small ones, large ones, arenas.
    var empty:
      (
        UnsafeMutablePointer<Slab>?, UnsafeMutablePointer<Slab>?, UnsafeMutablePointer<Slab>?
      ) = (nil, nil, nil)
    /// Blocks that wait in `outgoing`.
    var gathered = 0
    /// Of each size, so many of other owners' blocks are kept.
    var borrowedMax: UInt32
  }

  /// One size of blocks: the slab that is being allocated from, and others that have room.
  @safe
  struct SizeClass {
    var current: UnsafeMutablePointer<Slab>?
    var partial: UnsafeMutablePointer<Slab>?
    /// Other owners' blocks at hand, and where their addresses are; the newest is the last.
    var borrowed: UInt32 = 0
    var borrowedAt: UnsafeMutablePointer<UInt>?
  }

  /// Blocks of one other owner, on their way back to it.
  struct Outgoing {
    var owner: UInt = 0
    var first: UInt = 0
    var last: UInt = 0
    var count: UInt32 = 0
    var bytes: UInt32 = 0
    /// Blocks whose addresses the first one carries.
    var carried: UInt32 = 0
  }

  /// Addresses that a block on its way back has room for, where its bytes were.
  static var carriedMax: UInt32 { 8 }

  static var sizes: Int { 10 }
  /// Behind the sizes: blocks that bytes are received into.
  static var arena: Int { 10 }
  static var outgoingPlaces: Int { 8 }

  // One piece of memory: two lines for the return stack, which others write to; the state; the
  // sizes; what is gathered.
  private static var stateOffset: Int { 128 }
  private static var classesOffset: Int { 384 }
  private static var outgoingOffset: Int {
    classesOffset + (sizes + 1) * MemoryLayout<SizeClass>.stride
  }
  private static var totalBytes: Int {
    outgoingOffset + outgoingPlaces * MemoryLayout<Outgoing>.stride
  }
  private static var borrowedBytes: Int {
    borrowedSizes * Int(borrowedMax) * MemoryLayout<UInt>.stride
  }

  /// - Parameters:
  ///   - arenaBytes: what ``allocateArena()`` gives room for.
  ///   - arenasMax: so many at a time.
  ///   - emptyBytesMax: empty slabs above it aren't kept until the next trim.
  ///   - borrows: other owners' blocks are used here; the owner calls ``giveBorrowedBack()``.
  public init(
    source: MessageMemorySource, arenaBytes: Int = 0, arenasMax: Int = 0,
    emptyBytesMax: Int = .max, borrows: Bool = false
  ) {
    unsafe precondition(
      MemoryLayout<State>.size <= Self.classesOffset - Self.stateOffset
        && MemoryLayout<MessageBlock.Header>.size == MessageBlock.headerBytes
        && MemoryLayout<Slab>.size <= Slab.headerBytes, "layout of a message pool")
    let base = UnsafeMutableRawPointer.allocate(
      byteCount: Self.totalBytes + (borrows ? Self.borrowedBytes : 0),
      alignment: MemoryLine.bytes)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.totalBytes)
    unsafe state = (base + Self.stateOffset).bindMemory(to: State.self, capacity: 1)
    unsafe state.initialize(
      to: State(
        source: source, arenaBytes: arenaBytes, arenasMax: arenasMax,
        emptyBytesMax: emptyBytesMax, borrowedMax: borrows ? Self.borrowedMax : 0))
    for index in 0...Self.sizes { unsafe sizeClass(index).initialize(to: SizeClass()) }
    for size in 0..<(borrows ? Self.borrowedSizes : 0) {
      unsafe sizeClass(size).pointee.borrowedAt =
        (base + Self.totalBytes).assumingMemoryBound(to: UInt.self)
        + size * Int(Self.borrowedMax)
    }
    for place in 0..<Self.outgoingPlaces { unsafe outgoing(place).initialize(to: Outgoing()) }
  }

  /// The pool behind ``address``.
  @inline(__always)
  public init(address: UInt) {
    unsafe state = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }

  /// What a block's header has.
  @inline(__always)
  public var address: UInt { unsafe UInt(bitPattern: state) }

  @inline(__always)
  private var base: UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(state) - Self.stateOffset
  }

  @inline(__always)
  var returns: ReturnStackCore<HardwareMemory> {
    unsafe ReturnStackCore(memory: HardwareMemory(base: base))
  }

  @inline(__always)
  func sizeClass(_ index: Int) -> UnsafeMutablePointer<SizeClass> {
    unsafe (base + Self.classesOffset).assumingMemoryBound(to: SizeClass.self) + index
  }

  @inline(__always)
  func outgoing(_ place: Int) -> UnsafeMutablePointer<Outgoing> {
    unsafe (base + Self.outgoingOffset).assumingMemoryBound(to: Outgoing.self) + place
  }

  func deallocateState() { unsafe base.deallocate() }
}

// MARK: Allocating, by the owner

extension MessagePool {
  /// Most bytes of a message whose memory is the pool's.
  public static var pooledBytesMax: Int { (64 << 10) - MessageBlock.headerBytes }

  /// Which size a block for `count` bytes, at most `pooledBytesMax`, has: 0 is 128 bytes in all.
  @inline(__always)
  static func size(for count: Int) -> Int {
    let bytes = UInt(bitPattern: count) &+ UInt(MessageBlock.headerBytes - 1)
    return max(0, 57 &- bytes.leadingZeroBitCount)
  }

  @inline(__always)
  static func blockBytes(_ size: Int) -> Int { 128 &<< size }

  /// The owner: a block with one reference and room for `count` bytes, which are not initialised.
  /// Traps when the system has no memory, as malloc's users do.
  @inline(__always)
  public func allocate(count: Int) -> MessageBlock {
    guard count >= 0 && count <= Self.pooledBytesMax else {
      return MessageBlock.allocateLarge(count: count)
    }
    let size = Self.size(for: count)
    if unsafe sizeClass(size).pointee.borrowed != 0 { return takeBorrowed(size, count) }
    let slab = unsafe sizeClass(size).pointee.current
    guard let slab = unsafe slab, unsafe slab.pointee.free != 0 else {
      return allocateSlowly(size: size, count: count)
    }
    return unsafe take(from: slab, count: count)
  }

  /// From a slab whose list of free blocks is not empty.
  @inline(__always)
  func take(from slab: UnsafeMutablePointer<Slab>, count: Int) -> MessageBlock {
    let block = unsafe MessageBlock(
      UnsafeMutablePointer(bitPattern: slab.pointee.free).unsafelyUnwrapped)
    unsafe slab.pointee.free = block.header.pointee.link
    unsafe slab.pointee.used &+= 1
    unsafe prepare(block, slab, index: block.header.pointee.index, count: count)
    return block
  }

  /// A block of another owner's, which its header says.
  @inline(__always)
  private func takeBorrowed(_ size: Int, _ count: Int) -> MessageBlock {
    let left = unsafe sizeClass(size).pointee.borrowed &- 1
    unsafe sizeClass(size).pointee.borrowed = left
    let block = unsafe MessageBlock(
      address: sizeClass(size).pointee.borrowedAt.unsafelyUnwrapped[Int(left)])
    unsafe block.header.pointee.link = 0
    unsafe block.header.pointee.target = MailboxID(rawValue: 0)
    unsafe block.header.pointee.bytes = block.address + MessageBlock.headerBytes
    unsafe block.header.pointee.count = UInt32(truncatingIfNeeded: count)
    unsafe block.header.pointee.priority = 1
    unsafe block.header.pointee.region = 0
    unsafe block.header.pointee.references = 1
    unsafe block.header.pointee.arrived = 0
    unsafe block.header.pointee.tag = 0
    return block
  }

  @inline(__always)
  func prepare(
    _ block: MessageBlock, _ slab: UnsafeMutablePointer<Slab>, index: UInt16, count: Int
  ) {
    unsafe block.header.initialize(
      to: MessageBlock.Header(
        link: 0, target: MailboxID(rawValue: 0),
        bytes: block.address + MessageBlock.headerBytes, count: UInt32(truncatingIfNeeded: count),
        priority: 1, sizeClass: slab.pointee.size, index: index, pool: address, region: 0,
        references: 1, arrived: 0, tag: 0))
  }

  /// The owner: a block that bytes can be received into and that messages may refer to
  /// (``allocate(slice:of:)``); nil when `arenasMax` are out, or without memory.
  public func allocateArena() -> MessageBlock? {
    takeReturned()
    guard unsafe state.pointee.arenasOut < state.pointee.arenasMax,
      let slab = unsafe emptySlab(size: Self.arena)
    else { return nil }
    unsafe state.pointee.arenasOut += 1
    return unsafe carve(from: slab, count: state.pointee.arenaBytes)
  }
}

// MARK: Freeing, by any thread

extension MessagePool {
  /// The owner: takes a block of its own back.
  @inline(__always)
  func free(_ block: MessageBlock) {
    let slab = unsafe Slab.of(block)
    block.scribble()
    unsafe block.header.pointee.link = slab.pointee.free
    unsafe slab.pointee.free = UInt(bitPattern: block.header)
    unsafe slab.pointee.used &-= 1
    if unsafe slab.pointee.used == 0 || slab.pointee.place == .full { unsafe settle(slab) }
  }

  /// The owner: keeps a block of another pool, to use it or to give it back.
  @inline(__always)
  func keep(_ block: MessageBlock, of owner: UInt) {
    let size = unsafe Int(block.header.pointee.sizeClass)
    guard size < Self.borrowedSizes,
      unsafe sizeClass(size).pointee.borrowed < state.pointee.borrowedMax
    else { return gather(block, of: owner) }
    block.scribble()
    let count = unsafe sizeClass(size).pointee.borrowed
    unsafe sizeClass(size).pointee.borrowedAt.unsafelyUnwrapped[Int(count)] = block.word
    unsafe sizeClass(size).pointee.borrowed = count &+ 1
  }

  /// The owner: gives back what it uses of other owners'. Before it has nothing to do for a while,
  /// and now and then: what is borrowed keeps its owners' slabs in use.
  public func giveBorrowedBack() {
    for size in 0..<Self.borrowedSizes {
      while unsafe sizeClass(size).pointee.borrowed > 0 {
        let left = unsafe sizeClass(size).pointee.borrowed - 1
        unsafe sizeClass(size).pointee.borrowed = left
        let block = unsafe MessageBlock(
          address: sizeClass(size).pointee.borrowedAt.unsafelyUnwrapped[Int(left)])
        gather(block, of: unsafe block.header.pointee.pool)
      }
    }
    flush()
  }

  /// The owner: keeps a block of another pool until there are some, for one exchange together.
  @inline(__always)
  func gather(_ block: MessageBlock, of owner: UInt) {
    let entry = unsafe outgoing(Int(truncatingIfNeeded: owner &>> 9 ^ owner &>> 15) & 7)
    if unsafe entry.pointee.owner != owner {
      if unsafe entry.pointee.count > 0 { unsafe giveBack(entry) }
      unsafe entry.pointee.owner = owner
    }
    block.scribble()
    let carried = unsafe entry.pointee.carried
    if unsafe entry.pointee.count == 0 || carried == Self.carriedMax {
      unsafe seal(entry)
      unsafe block.header.pointee.link = entry.pointee.first
      unsafe entry.pointee.first = block.word
      if unsafe entry.pointee.count == 0 { unsafe entry.pointee.last = block.word }
      unsafe entry.pointee.carried = 0
    } else {
      unsafe MessageBlock(address: entry.pointee.first).carriedAddresses[Int(carried)] = block.word
      unsafe entry.pointee.carried = carried &+ 1
    }
    unsafe entry.pointee.count &+= 1
    unsafe entry.pointee.bytes &+= UInt32(128) &<< UInt32(block.header.pointee.sizeClass)
    unsafe state.pointee.gathered &+= 1
    if unsafe entry.pointee.count == Self.gatheredMax
      || entry.pointee.bytes >= Self.gatheredBytesMax
    {
      unsafe giveBack(entry)
    }
  }

  /// The first block says how many it carries.
  @inline(__always)
  private func seal(_ entry: UnsafeMutablePointer<Outgoing>) {
    guard unsafe entry.pointee.first != 0 else { return }
    unsafe MessageBlock(address: entry.pointee.first).header.pointee.count =
      entry.pointee.carried
  }

  @inline(never)
  private func giveBack(_ entry: UnsafeMutablePointer<Outgoing>) {
    unsafe seal(entry)
    let chain = unsafe entry.pointee
    unsafe state.pointee.gathered &-= Int(chain.count)
    unsafe entry.pointee = Outgoing()
    MessagePool(address: chain.owner).put(
      first: chain.first, last: chain.last, count: UInt(chain.count))
  }

  /// Any thread: gives back a chain of this pool's blocks, each with the addresses of those that it
  /// carries, and frees the pool if it has ended and these were the last. `count`: with those.
  func put(first: UInt, last: UInt, count: UInt) {
    if returns.put(first: first, last: last, count: count) { freeAll() }
  }

  /// The owner: gives back what it has gathered for other owners. At the end of a loop's turn.
  @inline(__always)
  public func flush() {
    if unsafe state.pointee.gathered > 0 { giveAllBack() }
  }

  @inline(never)
  private func giveAllBack() {
    for place in 0..<Self.outgoingPlaces {
      let entry = unsafe outgoing(place)
      if unsafe entry.pointee.count > 0 { unsafe giveBack(entry) }
    }
  }
}
