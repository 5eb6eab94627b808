/// A block of words that threads share: the one door through which every lock-free brick of this
/// module touches memory.
///
/// Each algorithm is written once over this protocol. In production the memory is
/// ``HardwareMemory`` and every call below becomes one machine instruction; in the tests a model
/// memory stands in, which answers each load with every value that the C++20 memory model allows
/// and so walks through all executions of a small case.
///
/// The order is part of each operation's name, so an algorithm reads as its own proof. What is
/// not here is not used: no consume, no 128-bit words, and of fences the one that nothing replaces.
///
/// `word` counts 8-byte words from the start of the block.
///
/// This and everything above it is `public`, not `package`, though no product shows it: Swift 6.3
/// keeps no bodies of `package` functions for other modules, `@inlinable` or not, so each push
/// from another module would be a call, and generic code would stay generic.
public protocol AtomicMemory {
  /// The block that begins `words` further on.
  func advanced(by words: Int) -> Self
  /// The block at an address, which is another one than this.
  func block(at address: UInt) -> Self
  /// From one word's address to the next one's.
  static var wordStride: UInt { get }

  // MARK: Words that one thread writes at a time, handed over by the atomic ones

  func read(_ word: Int) -> UInt
  func write(_ word: Int, _ value: UInt)
  /// `count` plain reads, from `word` on.
  func read(_ word: Int, into target: UnsafeMutablePointer<UInt>, count: Int)
  /// `count` plain writes, from `word` on.
  func write(_ word: Int, from source: UnsafePointer<UInt>, count: Int)

  /// The link inside an intrusive node, whose address stands in `node`.
  func readLink(of node: UInt) -> UInt
  func writeLink(of node: UInt, to next: UInt)

  // MARK: Atomic words

  /// A relaxed load of a word that none but the calling thread ever writes.
  func loadOwn(_ word: Int) -> UInt
  func loadRelaxed(_ word: Int) -> UInt
  func loadAcquire(_ word: Int) -> UInt
  func loadSequential(_ word: Int) -> UInt

  func storeRelaxed(_ word: Int, _ value: UInt)
  func storeRelease(_ word: Int, _ value: UInt)
  func storeSequential(_ word: Int, _ value: UInt)

  func exchangeRelaxed(_ word: Int, _ value: UInt) -> UInt
  func exchangeAcquire(_ word: Int, _ value: UInt) -> UInt

  /// Strong; the answer is the value that was found, equal to `expected` when it was replaced.
  /// A failed exchange is a relaxed load.
  func compareExchangeRelease(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt
  func compareExchangeSequential(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt

  /// Orders what the thread did before with all that it does afterwards, among all such fences.
  func fenceSequential()
}

/// How the memory of every brick is laid out.
public enum MemoryLine {
  /// Words to a line: 128 bytes, two cache lines of 64, because x86 fetches them in pairs and
  /// Apple's cores have lines of 128. Two threads' words never share a line.
  @inlinable public static var words: Int { 16 }
  @inlinable public static var bytes: Int { 128 }

  /// `words` rounded up to whole lines.
  @inlinable public static func roundedUp(_ words: Int) -> Int {
    (words + Self.words - 1) / Self.words * Self.words
  }
}
