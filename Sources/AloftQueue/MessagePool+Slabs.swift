import AloftAtomics

/// A piece of a pool's memory that is cut into blocks of one size: this header, two lines, and the
/// blocks behind it.
@safe
struct Slab {
  /// In which of its pool's lists it is.
  enum Place: UInt8 {
    /// Allocated from.
    case current
    /// Has free blocks.
    case partial
    /// In none but the list of all.
    case full
    /// Has free blocks only.
    case empty
  }

  static var headerBytes: Int { 128 }

  /// Blocks that came back, linked.
  var free: UInt = 0
  /// Blocks that are out.
  var used: UInt32 = 0
  /// Blocks from here on were never used.
  var fresh: UInt32 = 0
  var capacity: UInt32
  var size: UInt8
  var place: Place
  let bytes: Int
  /// In the list that `place` names.
  var next: UnsafeMutablePointer<Slab>?
  var previous: UnsafeMutablePointer<Slab>?
  /// In the list of all.
  var nextOfAll: UnsafeMutablePointer<Slab>?
  var previousOfAll: UnsafeMutablePointer<Slab>?

  init(bytes: Int, size: Int, capacity: Int) {
    self.bytes = bytes
    self.size = UInt8(size)
    self.capacity = UInt32(capacity)
    place = .empty
  }

  /// The slab that a block was cut from.
  @inline(__always)
  static func of(_ block: MessageBlock) -> UnsafeMutablePointer<Slab> {
    let offset = unsafe Int(block.header.pointee.index) &<< Int(block.header.pointee.sizeClass &+ 7)
    return unsafe (block.address - (offset &+ headerBytes)).assumingMemoryBound(to: Slab.self)
  }

  /// What a slab for blocks of this size is kept among when it is empty.
  @inline(__always)
  static func kind(ofSize size: Int) -> Int {
    size == MessagePool.arena ? 2 : size > 5 ? 1 : 0
  }
}

/// Slabs: where blocks come from when the list at hand is empty, and where they go. The owner's.
extension MessagePool {
  private func slabBytes(size: Int) -> Int {
    switch Slab.kind(ofSize: size) {
    case 0: 64 << 10
    case 1: 256 << 10
    default:
      // Whole pages.
      unsafe (Slab.headerBytes + MessageBlock.headerBytes + state.pointee.arenaBytes + 4_095)
        & ~4_095
    }
  }

  private func capacity(size: Int, bytes: Int) -> Int {
    size == Self.arena ? 1 : (bytes - Slab.headerBytes) / Self.blockBytes(size)
  }

  @inline(never)
  func allocateSlowly(size: Int, count: Int) -> MessageBlock {
    if let slab = unsafe sizeClass(size).pointee.current, let block = unsafe cut(slab, count) {
      return block
    }
    // What other threads have given back may be of this size.
    takeReturned()
    if let slab = unsafe sizeClass(size).pointee.current {
      if let block = unsafe cut(slab, count) { return block }
      unsafe slab.pointee.place = .full
      unsafe sizeClass(size).pointee.current = nil
    }
    let slab: UnsafeMutablePointer<Slab>
    if let partial = unsafe sizeClass(size).pointee.partial {
      unsafe unlink(partial, from: &sizeClass(size).pointee.partial)
      unsafe slab = unsafe partial
    } else if let fresh = unsafe emptySlab(size: size) {
      unsafe slab = unsafe fresh
    } else {
      preconditionFailure("no memory for a message of \(count) bytes")
    }
    unsafe slab.pointee.place = .current
    unsafe sizeClass(size).pointee.current = unsafe slab
    return unsafe cut(slab, count).unsafelyUnwrapped
  }

  /// A block of the slab; nil when it has none.
  private func cut(_ slab: UnsafeMutablePointer<Slab>, _ count: Int) -> MessageBlock? {
    if unsafe slab.pointee.free != 0 { return unsafe take(from: slab, count: count) }
    return unsafe slab.pointee.fresh < slab.pointee.capacity ? carve(from: slab, count: count) : nil
  }

  /// A block that was never used.
  func carve(from slab: UnsafeMutablePointer<Slab>, count: Int) -> MessageBlock {
    let index = unsafe slab.pointee.fresh
    unsafe slab.pointee.fresh += 1
    unsafe slab.pointee.used += 1
    let offset = unsafe Slab.headerBytes + Int(index) * Self.blockBytes(Int(slab.pointee.size))
    let header = unsafe (UnsafeMutableRawPointer(slab) + offset)
      .bindMemory(to: MessageBlock.Header.self, capacity: 1)
    let block = unsafe MessageBlock(header)
    unsafe prepare(block, slab, index: UInt16(index), count: count)
    return block
  }

  /// A slab without a block in use, cut anew for this size; nil without memory.
  func emptySlab(size: Int) -> UnsafeMutablePointer<Slab>? {
    let kind = Slab.kind(ofSize: size)
    let slab: UnsafeMutablePointer<Slab>
    if let kept = unsafe empty(kind).pointee {
      unsafe unlink(kept, from: &empty(kind).pointee)
      unsafe state.pointee.emptyBytes -= kept.pointee.bytes
      unsafe slab = unsafe kept
    } else {
      let bytes = slabBytes(size: size)
      guard let memory = unsafe state.pointee.source.allocate(bytes) else { return nil }
      unsafe slab = memory.bindMemory(to: Slab.self, capacity: 1)
      unsafe slab.initialize(to: Slab(bytes: bytes, size: size, capacity: 0))
      unsafe slab.pointee.nextOfAll = state.pointee.slabs
      unsafe state.pointee.slabs?.pointee.previousOfAll = unsafe slab
      unsafe state.pointee.slabs = unsafe slab
      unsafe state.pointee.slabBytes += bytes
    }
    unsafe slab.pointee.free = 0
    unsafe slab.pointee.fresh = 0
    unsafe slab.pointee.size = UInt8(size)
    unsafe slab.pointee.capacity = UInt32(capacity(size: size, bytes: slab.pointee.bytes))
    // For an arena, whose only block is out at once.
    unsafe slab.pointee.place = .full
    unsafe state.pointee.peakBytes = max(
      state.pointee.peakBytes, state.pointee.slabBytes - state.pointee.emptyBytes)
    return unsafe slab
  }

  /// A block came back to a slab that was full, or whose last one it was.
  @inline(never)
  func settle(_ slab: UnsafeMutablePointer<Slab>) {
    let size = unsafe Int(slab.pointee.size)
    if unsafe slab.pointee.used == 0 {
      switch unsafe slab.pointee.place {
      case .current: return
      case .partial: unsafe unlink(slab, from: &sizeClass(size).pointee.partial)
      case .full, .empty: break
      }
      if size == Self.arena { unsafe state.pointee.arenasOut -= 1 }
      unsafe keep(slab)
    } else if unsafe slab.pointee.place == .full {
      unsafe slab.pointee.place = .partial
      unsafe link(slab, into: &sizeClass(size).pointee.partial)
    }
  }

  private func keep(_ slab: UnsafeMutablePointer<Slab>) {
    unsafe slab.pointee.place = .empty
    unsafe state.pointee.emptyBytes += slab.pointee.bytes
    unsafe link(slab, into: &empty(Slab.kind(ofSize: Int(slab.pointee.size))).pointee)
    if unsafe state.pointee.emptyBytes > state.pointee.emptyBytesMax { unsafe discard(slab) }
  }

  /// Gives an empty slab back to where it came from.
  private func discard(_ slab: UnsafeMutablePointer<Slab>) {
    let bytes = unsafe slab.pointee.bytes
    unsafe unlink(slab, from: &empty(Slab.kind(ofSize: Int(slab.pointee.size))).pointee)
    let (next, previous) = unsafe (slab.pointee.nextOfAll, slab.pointee.previousOfAll)
    unsafe next?.pointee.previousOfAll = unsafe previous
    if let previous = unsafe previous {
      unsafe previous.pointee.nextOfAll = unsafe next
    } else {
      unsafe state.pointee.slabs = unsafe next
    }
    unsafe state.pointee.emptyBytes -= bytes
    unsafe state.pointee.slabBytes -= bytes
    unsafe state.pointee.source.free(slab, bytes)
  }

  /// The owner: takes what other threads have given back.
  public func takeReturned() {
    var node = returns.takeAll()
    while node != 0 {
      let block = unsafe MessageBlock(UnsafeMutablePointer(bitPattern: node).unsafelyUnwrapped)
      node = unsafe block.header.pointee.link
      for place in 0..<(unsafe Int(block.header.pointee.count)) {
        free(MessageBlock(address: unsafe block.carriedAddresses[place]))
      }
      free(block)
    }
  }

  // MARK: What is kept

  /// The owner, now and then: gives empty slabs back, but for ``keptBytes`` and what was in use at
  /// some time since the trim before.
  public func trim() {
    giveBorrowedBack()
    takeReturned()
    let kept = unsafe max(Self.keptBytes, state.pointee.peakBytes)
    for size in 0..<Self.sizes {
      guard let slab = unsafe sizeClass(size).pointee.current, unsafe slab.pointee.used == 0 else {
        continue
      }
      unsafe sizeClass(size).pointee.current = nil
      unsafe keep(slab)
    }
    discardEmpty { unsafe state.pointee.slabBytes > kept && state.pointee.emptyBytes > 0 }
    unsafe state.pointee.peakBytes = unsafe state.pointee.slabBytes - state.pointee.emptyBytes
  }

  /// Whether a trim, or the one after it, would have something to do.
  @inline(__always)
  public var hasExcess: Bool { unsafe state.pointee.slabBytes > Self.keptBytes }

  private func discardEmpty(while condition: () -> Bool) {
    for kind in [2, 1, 0] {
      while condition(), let slab = unsafe empty(kind).pointee { unsafe discard(slab) }
    }
  }

  /// The owner's last call: nothing of the pool may be asked for any more. What is out lives on.
  public func end() {
    giveBorrowedBack()
    while true {
      takeReturned()
      var missing: UInt = 0
      var slab = unsafe state.pointee.slabs
      while let one = unsafe slab {
        missing += unsafe UInt(one.pointee.used)
        unsafe slab = one.pointee.nextOfAll
      }
      if missing == 0 {
        freeAll()
        return
      }
      discardEmpty { true }
      if returns.end(missing: missing) { return }
    }
  }

  /// Whoever is the last: the owner, or the thread that freed the last block after the end.
  func freeAll() {
    let source = unsafe state.pointee.source
    var slab = unsafe state.pointee.slabs
    while let one = unsafe slab {
      unsafe slab = one.pointee.nextOfAll
      unsafe source.free(one, one.pointee.bytes)
    }
    deallocateState()
  }

  // MARK: Figures, for the owner

  /// Bytes of all slabs.
  public var heldBytes: Int { unsafe state.pointee.slabBytes }
  /// Those among them without a block in use.
  public var emptyBytes: Int { unsafe state.pointee.emptyBytes }
  public var arenasOut: Int { unsafe state.pointee.arenasOut }

  /// Blocks that are out, those included that are on their way back. Looks at every slab.
  public func countBlocksOut() -> Int {
    var count = 0
    var slab = unsafe state.pointee.slabs
    while let one = unsafe slab {
      count += unsafe Int(one.pointee.used)
      unsafe slab = one.pointee.nextOfAll
    }
    return count
  }

  // MARK: Lists

  private func empty(_ kind: Int) -> UnsafeMutablePointer<UnsafeMutablePointer<Slab>?> {
    let offset = unsafe MemoryLayout<State>.offset(of: \.empty)!
    return unsafe (UnsafeMutableRawPointer(state) + offset)
      .assumingMemoryBound(to: UnsafeMutablePointer<Slab>?.self) + kind
  }

  private func link(
    _ slab: UnsafeMutablePointer<Slab>, into list: inout UnsafeMutablePointer<Slab>?
  ) {
    unsafe slab.pointee.previous = nil
    unsafe slab.pointee.next = unsafe list
    unsafe list?.pointee.previous = unsafe slab
    unsafe list = unsafe slab
  }

  private func unlink(
    _ slab: UnsafeMutablePointer<Slab>, from list: inout UnsafeMutablePointer<Slab>?
  ) {
    let (next, previous) = unsafe (slab.pointee.next, slab.pointee.previous)
    unsafe next?.pointee.previous = unsafe previous
    if let previous = unsafe previous {
      unsafe previous.pointee.next = unsafe next
    } else {
      unsafe list = unsafe next
    }
  }
}
