import AloftAtomics

/// A model's memory with a fault put in: what an algorithm stores arrives changed, or not at all.
/// So the algorithm itself can be made wrong without being written twice.
struct FaultyMemory: AtomicMemory {
  /// What becomes of a store or a successful exchange; nil for a store that is lost.
  typealias Fault = (_ word: Int, _ value: UInt) -> UInt?

  let real: ModelMemory
  let fault: Fault

  func advanced(by words: Int) -> FaultyMemory {
    FaultyMemory(real: real.advanced(by: words), fault: fault)
  }
  func block(at address: UInt) -> FaultyMemory {
    FaultyMemory(real: real.block(at: address), fault: fault)
  }
  static var wordStride: UInt { ModelMemory.wordStride }

  private func faulty(_ word: Int, _ value: UInt) -> UInt? { fault(real.origin + word, value) }

  func read(_ word: Int) -> UInt { real.read(word) }
  func write(_ word: Int, _ value: UInt) { real.write(word, value) }
  func read(_ word: Int, into target: UnsafeMutablePointer<UInt>, count: Int) {
    real.read(word, into: target, count: count)
  }
  func write(_ word: Int, from source: UnsafePointer<UInt>, count: Int) {
    real.write(word, from: source, count: count)
  }
  func readLink(of node: UInt) -> UInt { real.readLink(of: node) }
  func writeLink(of node: UInt, to next: UInt) { real.writeLink(of: node, to: next) }
  func loadOwn(_ word: Int) -> UInt { real.loadOwn(word) }
  func loadRelaxed(_ word: Int) -> UInt { real.loadRelaxed(word) }
  func loadAcquire(_ word: Int) -> UInt { real.loadAcquire(word) }
  func loadSequential(_ word: Int) -> UInt { real.loadSequential(word) }
  func storeRelaxed(_ word: Int, _ value: UInt) {
    if let value = faulty(word, value) { real.storeRelaxed(word, value) }
  }
  func storeRelease(_ word: Int, _ value: UInt) {
    if let value = faulty(word, value) { real.storeRelease(word, value) }
  }
  func storeSequential(_ word: Int, _ value: UInt) {
    if let value = faulty(word, value) { real.storeSequential(word, value) }
  }
  func exchangeRelaxed(_ word: Int, _ value: UInt) -> UInt { real.exchangeRelaxed(word, value) }
  func exchangeAcquire(_ word: Int, _ value: UInt) -> UInt { real.exchangeAcquire(word, value) }
  func compareExchangeRelease(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt {
    real.compareExchangeRelease(word, expected, faulty(word, desired) ?? desired)
  }
  func compareExchangeSequential(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt {
    real.compareExchangeSequential(word, expected, faulty(word, desired) ?? desired)
  }
  func fenceSequential() { real.fenceSequential() }
}
