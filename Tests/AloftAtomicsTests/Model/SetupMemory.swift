import AloftAtomics

/// Words that one thread writes before a case begins: an algorithm's own calls bring them into the
/// state from which the case then sets out, as ``Model/initial``.
struct SetupMemory: AtomicMemory {
  final class Block {
    var words: [UInt]
    init(words: Int) { self.words = Array(repeating: 0, count: words) }

    var initial: [Int: UInt] {
      var initial: [Int: UInt] = [:]
      for (word, value) in words.enumerated() where value != 0 { initial[word] = value }
      return initial
    }
  }

  let owner: Block
  let origin: Int

  init(_ owner: Block, origin: Int = 0) {
    self.owner = owner
    self.origin = origin
  }

  func advanced(by words: Int) -> SetupMemory { SetupMemory(owner, origin: origin + words) }
  func block(at address: UInt) -> SetupMemory {
    SetupMemory(owner, origin: Int(bitPattern: address))
  }
  static var wordStride: UInt { 1 }

  func read(_ word: Int) -> UInt { owner.words[origin + word] }
  func write(_ word: Int, _ value: UInt) { owner.words[origin + word] = value }
  func read(_ word: Int, into target: UnsafeMutablePointer<UInt>, count: Int) {
    for i in 0..<count { target[i] = read(word + i) }
  }
  func write(_ word: Int, from source: UnsafePointer<UInt>, count: Int) {
    for i in 0..<count { write(word + i, source[i]) }
  }
  func readLink(of node: UInt) -> UInt { owner.words[Int(node)] }
  func writeLink(of node: UInt, to next: UInt) { owner.words[Int(node)] = next }

  func loadOwn(_ word: Int) -> UInt { read(word) }
  func loadRelaxed(_ word: Int) -> UInt { read(word) }
  func loadAcquire(_ word: Int) -> UInt { read(word) }
  func loadSequential(_ word: Int) -> UInt { read(word) }
  func storeRelaxed(_ word: Int, _ value: UInt) { write(word, value) }
  func storeRelease(_ word: Int, _ value: UInt) { write(word, value) }
  func storeSequential(_ word: Int, _ value: UInt) { write(word, value) }
  func exchangeRelaxed(_ word: Int, _ value: UInt) -> UInt { exchange(word, value) }
  func exchangeAcquire(_ word: Int, _ value: UInt) -> UInt { exchange(word, value) }
  func compareExchangeRelease(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt {
    compareExchange(word, expected, desired)
  }
  func compareExchangeSequential(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt {
    compareExchange(word, expected, desired)
  }
  func fenceSequential() {}

  private func exchange(_ word: Int, _ value: UInt) -> UInt {
    defer { write(word, value) }
    return read(word)
  }
  private func compareExchange(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt {
    read(word) == expected ? exchange(word, desired) : read(word)
  }
}
