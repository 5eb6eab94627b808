import AloftAtomics
import AloftQueue
import Glibc
import Synchronization

/// The mailboxes of one loop, by slot: chunks of 1,024 that come from the driver when a slot in
/// them is first used and stay until the loop ends. Free slots are used again last in, first out.
@safe
struct MailboxTable: ~Copyable {
  static let shift = 10
  static let chunkSlots = 1 << shift
  private static let stateBytes = chunkSlots * MemoryLayout<MailboxState>.stride
  private static let countsBytes = chunkSlots * MemoryLayout<MailboxCounts>.stride
  static let none = UInt64.max

  private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<MailboxState>?>
  private let chunksMax: Int
  private let pages: any Driver
  private let gates: MailboxGates
  private let slotsMax: Int
  private var freeHead = none
  private(set) var untouched: UInt32 = 0
  private(set) var count = 0

  init(driver: any Driver, gates: MailboxGates, slotsMax: Int) {
    precondition(MemoryLayout<MailboxState>.stride == 64, "a mailbox's state is a cache line")
    self.slotsMax = min(slotsMax, MailboxID.slotsMax)
    pages = driver
    self.gates = gates
    chunksMax = (self.slotsMax + Self.chunkSlots - 1) >> Self.shift
    unsafe chunks = .allocate(capacity: max(chunksMax, 1))
    unsafe chunks.initialize(repeating: nil, count: max(chunksMax, 1))
  }

  deinit {
    for index in 0..<chunksMax {
      guard let chunk = unsafe chunks[index] else { break }
      unsafe pages.freePages(chunk, bytes: Self.stateBytes + Self.countsBytes)
    }
    unsafe chunks.deallocate()
  }

  /// The slot's state, which is one that was used before.
  @inline(__always)
  func state(_ slot: UInt32) -> UnsafeMutablePointer<MailboxState> {
    unsafe chunks[Int(slot) >> Self.shift].unsafelyUnwrapped + (Int(slot) & (Self.chunkSlots - 1))
  }

  func counts(_ slot: UInt32) -> UnsafeMutablePointer<MailboxCounts> {
    let chunk = unsafe UnsafeMutableRawPointer(chunks[Int(slot) >> Self.shift].unsafelyUnwrapped)
    return unsafe (chunk + Self.stateBytes).assumingMemoryBound(to: MailboxCounts.self)
      + (Int(slot) & (Self.chunkSlots - 1))
  }

  /// The state behind an ID, unless it is stale or none.
  @inline(__always)
  func find(_ id: MailboxID) -> UnsafeMutablePointer<MailboxState>? {
    let slot = id.slot
    guard slot < untouched else { return nil }
    let state = unsafe state(slot)
    guard unsafe state.pointee.generation == id.generation, id.generation & 1 != 0 else {
      return nil
    }
    return unsafe state
  }

  /// Reads from the state that an ID seems to name, so that its line is there when it is wanted.
  @inline(__always)
  func touch(_ id: MailboxID) -> UInt {
    let slot = id.slot
    return unsafe slot < untouched ? UInt(state(slot).pointee.generation) : 0
  }

  /// A slot and its generation; nil when all are in use or used up, or there is no memory.
  mutating func insert() -> (slot: UInt32, generation: UInt32)? {
    while freeHead != Self.none {
      let slot = UInt32(truncatingIfNeeded: freeHead)
      freeHead = unsafe state(slot).pointee.context
      // A slot whose generations are used up is never given out again.
      guard let generation = gates.gate(slot).nextGeneration else { continue }
      count += 1
      return (slot, generation)
    }
    while Int(untouched) < slotsMax {
      let slot = untouched
      if unsafe chunks[Int(slot) >> Self.shift] == nil, !addChunk(Int(slot) >> Self.shift) {
        return nil
      }
      untouched += 1
      guard let generation = gates.gate(slot).nextGeneration else { continue }
      count += 1
      return (slot, generation)
    }
    return nil
  }

  private func addChunk(_ index: Int) -> Bool {
    guard gates.makeChunk(index),
      let memory = unsafe pages.allocatePages(bytes: Self.stateBytes + Self.countsBytes)
    else { return false }
    // Zero, as a state that is not in use. Each page's first access is to be a write: after a read
    // the kernel has to change its mind about the page, and to interrupt the other threads for it.
    unsafe memory.initializeMemory(
      as: UInt8.self, repeating: 0, count: Self.stateBytes + Self.countsBytes)
    gates.touch(index)
    unsafe chunks[index] = memory.bindMemory(to: MailboxState.self, capacity: Self.chunkSlots)
    return true
  }

  /// The gate is closed already.
  mutating func remove(_ slot: UInt32) {
    let state = unsafe state(slot)
    unsafe state.pointee.generation = 0
    unsafe state.pointee.flags.formIntersection(.ready)
    unsafe state.pointee.handler = nil
    unsafe state.pointee.context = freeHead
    freeHead = UInt64(slot)
    count -= 1
  }

  /// Every slot in use; the body may remove.
  func forEach(_ body: (UInt32, UnsafeMutablePointer<MailboxState>) -> Void) {
    var slot: UInt32 = 0
    while slot < untouched {
      let state = unsafe state(slot)
      if unsafe state.pointee.generation != 0 { unsafe body(slot, state) }
      slot += 1
    }
  }
}

/// The gates of all mailboxes that ever lived on loops of one number: what other threads may read
/// of a mailbox. Never freed, so that a stale ID can be asked about at any time, and used again by
/// the next loop of that number, whose generations go on from there.
@safe
struct MailboxGates: @unchecked Sendable {
  // @unchecked: chunk addresses are atomic and written once; gates are made for any thread.
  private static let chunkBytes = MailboxTable.chunkSlots * 16
  private static let chunksMax = MailboxID.slotsMax >> MailboxTable.shift

  private let chunks: UnsafeMutablePointer<Atomic<UInt>>

  /// Of the loop's number, made with the first loop that has it.
  init(loop number: Int) {
    let entry = unsafe LoopTable.entries + number
    var base = unsafe entry.pointee.gates.load(ordering: .acquiring)
    if base == 0 {
      // Zeroes: pages that are only taken when they are written to.
      guard let fresh = unsafe calloc(Self.chunksMax, MemoryLayout<UInt>.stride) else {
        preconditionFailure("no memory for a directory of \(Self.chunksMax) words")
      }
      base = UInt(bitPattern: fresh)
      unsafe entry.pointee.gates.store(base, ordering: .releasing)
    }
    unsafe chunks = UnsafeMutablePointer(bitPattern: base).unsafelyUnwrapped
  }

  /// The loop's own thread. False without memory.
  func makeChunk(_ index: Int) -> Bool {
    if unsafe chunks[index].load(ordering: .relaxed) != 0 { return true }
    // Straight from the system, and many chunks at a time: what is not used yet takes no memory,
    // and malloc's memory, growing on two threads, has the kernel interrupt both with every page.
    let first = index & ~(Self.chunksAtOnce - 1)
    let memory = unsafe mmap(
      nil, Self.chunksAtOnce * Self.chunkBytes, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory = unsafe memory, UInt(bitPattern: memory) != .max else { return false }
    for chunk in 0..<Self.chunksAtOnce {
      let start = unsafe UInt(bitPattern: memory + chunk * Self.chunkBytes)
      unsafe chunks[first + chunk].store(start, ordering: .releasing)
    }
    return true
  }

  private static let chunksAtOnce = 64

  /// The loop's own thread, before a chunk's first use by this loop: writes to each of its pages
  /// something of no meaning, the refusals of a mailbox that is not open.
  func touch(_ chunk: Int) {
    let first = UInt32(chunk << MailboxTable.shift)
    for slot in stride(from: first, to: first + UInt32(MailboxTable.chunkSlots), by: 256) {
      unsafe refusals(slot).pointee.store(0, ordering: .relaxed)
    }
  }

  @inline(__always)
  private func word(_ slot: UInt32) -> UnsafeMutableRawPointer {
    let chunk = unsafe chunks[Int(slot) >> MailboxTable.shift].load(ordering: .relaxed)
    return unsafe UnsafeMutableRawPointer(bitPattern: chunk).unsafelyUnwrapped
      + (Int(slot) & (MailboxTable.chunkSlots - 1)) * 16
  }

  /// The loop's own thread, of a slot that was used before.
  @inline(__always)
  func gate(_ slot: UInt32) -> MailboxGate { unsafe MailboxGate(at: word(slot)) }

  /// How often senders were told `full`.
  @inline(__always)
  func refusals(_ slot: UInt32) -> UnsafeMutablePointer<Atomic<UInt32>> {
    unsafe (word(slot) + 8).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  /// How many messages wait, where that is published.
  @inline(__always)
  func depth(_ slot: UInt32) -> UnsafeMutablePointer<Atomic<UInt32>> {
    unsafe (word(slot) + 12).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  /// Any thread, any ID: reads the gate, so that its line is there when it is wanted.
  @inline(__always)
  static func touch(_ id: MailboxID) -> UInt {
    guard let place = place(id) else { return 0 }
    return UInt(place.depth)
  }

  /// Any thread, any ID: nil when no mailbox ever had its slot.
  @inline(__always)
  static func place(_ id: MailboxID) -> MailboxPlace? {
    let base = unsafe LoopTable.entries[id.loop].gates.load(ordering: .acquiring)
    guard let chunks = unsafe UnsafeMutablePointer<Atomic<UInt>>(bitPattern: base) else {
      return nil
    }
    let slot = Int(id.slot)
    let chunk = unsafe chunks[slot >> MailboxTable.shift].load(ordering: .acquiring)
    guard let start = unsafe UnsafeMutableRawPointer(bitPattern: chunk) else { return nil }
    return unsafe MailboxPlace(at: start + (slot & (MailboxTable.chunkSlots - 1)) * 16)
  }
}

/// A mailbox's two shared words.
@safe
struct MailboxPlace {
  private let base: UnsafeMutableRawPointer

  @inline(__always)
  init(at base: UnsafeMutableRawPointer) { unsafe self.base = unsafe base }

  @inline(__always)
  var gate: MailboxGate { unsafe MailboxGate(at: base) }

  func countRefusals(_ count: Int = 1) {
    let word = unsafe (base + 8).assumingMemoryBound(to: Atomic<UInt32>.self)
    _ = unsafe word.pointee.wrappingAdd(UInt32(truncatingIfNeeded: count), ordering: .relaxed)
  }

  /// As it was last published, if it is.
  var depth: UInt32 {
    let word = unsafe (base + 12).assumingMemoryBound(to: Atomic<UInt32>.self)
    return unsafe word.pointee.load(ordering: .relaxed)
  }
}
