/// The connections of one loop, by slot: chunks of 1,024 that come from the system when a slot in
/// them is first used and go back to it when the last is free. The driver chooses the slots.
@safe
struct ConnectionTable: ~Copyable {
  private static let shift = 10
  private static let chunkSlots = 1 << shift
  private static let chunksMax = ConnectionID.slotsMax >> shift
  private static let chunkBytes = chunkSlots * MemoryLayout<ConnectionState>.stride

  private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<ConnectionState>?>
  private let used: UnsafeMutablePointer<UInt32>
  private let pages: any Driver
  private(set) var count = 0

  init(driver: any Driver) {
    pages = driver
    unsafe chunks = .allocate(capacity: Self.chunksMax)
    unsafe chunks.initialize(repeating: nil, count: Self.chunksMax)
    unsafe used = .allocate(capacity: Self.chunksMax)
    unsafe used.initialize(repeating: 0, count: Self.chunksMax)
  }

  deinit {
    for index in 0..<Self.chunksMax {
      if let chunk = unsafe chunks[index] { unsafe pages.freePages(chunk, bytes: Self.chunkBytes) }
    }
    unsafe chunks.deallocate()
    unsafe used.deallocate()
  }

  /// The slot's state; nil when no slot of its chunk is in use.
  @inline(__always)
  func find(_ slot: UInt32) -> UnsafeMutablePointer<ConnectionState>? {
    guard let chunk = unsafe chunks[Int(slot) >> Self.shift] else { return nil }
    return unsafe chunk + (Int(slot) & (Self.chunkSlots - 1))
  }

  /// False when the system has no memory left.
  mutating func insert(_ slot: UInt32, _ state: consuming ConnectionState) -> Bool {
    let index = Int(slot) >> Self.shift
    if unsafe chunks[index] == nil {
      guard let memory = unsafe pages.allocatePages(bytes: Self.chunkBytes) else { return false }
      // Touched whole, so that connections which come and go don't let it grow page by page.
      unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.chunkBytes)
      unsafe chunks[index] = memory.bindMemory(to: ConnectionState.self, capacity: Self.chunkSlots)
    }
    unsafe find(slot)!.initialize(to: state)
    unsafe used[index] += 1
    count += 1
    return true
  }

  mutating func remove(_ slot: UInt32) {
    let index = Int(slot) >> Self.shift
    unsafe find(slot)!.pointee.generation = 0
    unsafe find(slot)!.pointee.phase = .free
    unsafe used[index] -= 1
    count -= 1
    // The first chunk stays, so that a single connection coming and going costs no system call.
    if unsafe used[index] == 0, index > 0 {
      unsafe pages.freePages(chunks[index]!, bytes: Self.chunkBytes)
      unsafe chunks[index] = nil
    }
  }

  /// Every slot in use, in order; the body may remove.
  func forEach(_ body: (UInt32, UnsafeMutablePointer<ConnectionState>) -> Void) {
    for index in 0..<Self.chunksMax {
      for at in 0..<Self.chunkSlots {
        guard let chunk = unsafe chunks[index] else { break }
        let state = unsafe chunk + at
        if unsafe state.pointee.phase != .free {
          unsafe body(UInt32(index << Self.shift | at), state)
        }
      }
    }
  }
}
