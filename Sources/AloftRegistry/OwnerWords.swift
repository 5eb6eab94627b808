import AloftAtomics

/// The words behind which the names of owners hang (`BindingListCore`), one for each slot of each
/// loop that ever had a name, in chunks of 4,096 slots that are taken when the first slot in them
/// is named and freed with the registry.
///
/// **Threads**: any. A chunk that was found or made has been found or made sequentially, which the
/// binding protocol counts on.
@safe
struct OwnerWords: ~Copyable {
  private static let chunkBits = 12
  private static let loopsMax = 256
  /// Chunks for mailboxes and for connections: 2^24 and 2^20 slots.
  private static let chunks = (mailboxes: 1 << 12, connections: 1 << 8)

  /// For each loop's mailboxes, then for each loop's connections, a block of chunks' addresses.
  private let directories = WordBlock(words: 2 * loopsMax)

  deinit {
    for directory in 0..<(2 * Self.loopsMax) {
      guard let block = unsafe Self.pointer(directories.memory.loadAcquire(directory)) else {
        continue
      }
      let memory = unsafe HardwareMemory(base: block)
      for chunk in 0..<Self.chunkCount(directory) {
        unsafe Self.pointer(memory.loadAcquire(chunk))?.deallocate()
      }
      unsafe block.deallocate()
    }
  }

  /// Bytes of the chunks and of the blocks that name them.
  var bytes: Int {
    var words = 0
    for directory in 0..<(2 * Self.loopsMax) {
      guard let block = unsafe Self.pointer(directories.memory.loadAcquire(directory)) else {
        continue
      }
      words += Self.chunkCount(directory)
      for chunk in 0..<Self.chunkCount(directory)
      where unsafe HardwareMemory(base: block).loadAcquire(chunk) != 0 {
        words += 1 << Self.chunkBits
      }
    }
    return (words + 2 * Self.loopsMax) * MemoryLayout<UInt>.stride
  }

  /// The owner's word; nil when nobody of its chunk was ever named.
  func find(_ owner: Target) -> HardwareMemory? {
    guard let directory = Self.directory(of: owner),
      let block = unsafe Self.pointer(directories.memory.loadSequential(directory)),
      let chunk = unsafe Self.pointer(
        HardwareMemory(base: block).loadSequential(owner.slot >> Self.chunkBits))
    else { return nil }
    return unsafe Self.word(chunk, owner)
  }

  /// The owner's word, made if need be. The owner has a loop.
  func make(_ owner: Target) -> HardwareMemory {
    let directory = unsafe Self.directory(of: owner).unsafelyUnwrapped
    let block = unsafe Self.ensure(
      directories.memory.advanced(by: directory), words: Self.chunkCount(directory))
    let chunk = unsafe Self.ensure(
      HardwareMemory(base: block).advanced(by: owner.slot >> Self.chunkBits),
      words: 1 << Self.chunkBits)
    return unsafe Self.word(chunk, owner)
  }

  private static func directory(of owner: Target) -> Int? {
    owner.loop.map { owner.isMailbox ? $0 : loopsMax + $0 }
  }

  private static func chunkCount(_ directory: Int) -> Int {
    directory < loopsMax ? chunks.mailboxes : chunks.connections
  }

  private static func word(_ chunk: UnsafeMutableRawPointer, _ owner: Target) -> HardwareMemory {
    unsafe HardwareMemory(base: chunk).advanced(by: owner.slot & (1 << chunkBits - 1))
  }

  private static func pointer(_ word: UInt) -> UnsafeMutableRawPointer? {
    unsafe UnsafeMutableRawPointer(bitPattern: word)
  }

  /// The block whose address stands in `place`, put there if there is none.
  private static func ensure(_ place: HardwareMemory, words: Int) -> UnsafeMutableRawPointer {
    if let block = unsafe pointer(place.loadSequential(0)) { return unsafe block }
    let bytes = words * MemoryLayout<UInt>.stride
    let fresh = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: MemoryLine.bytes)
    unsafe fresh.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    if place.compareExchangeSequential(0, 0, UInt(bitPattern: fresh)) == 0 {
      return unsafe fresh
    }
    unsafe fresh.deallocate()
    // Another one was faster. The failed exchange was no sequential load; this is one.
    return unsafe pointer(place.loadSequential(0)).unsafelyUnwrapped
  }
}
