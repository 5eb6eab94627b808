import AloftAtomics

/// The memory of a ``Model``: each operation of an algorithm becomes a step of the running
/// thread, or, where it is plain, a check for races.
struct ModelMemory: AtomicMemory {
  // Unowned: the model outlives its case, and a fiber that is forgotten must not keep it.
  unowned(unsafe) let model: Model
  let origin: Int
  /// A plain word that each atomic operation reads as well. Whoever frees the memory writes it, and
  /// so races with every operation that is not over by then.
  var life: Int?

  func advanced(by words: Int) -> ModelMemory {
    ModelMemory(model: model, origin: origin + words, life: life)
  }

  private func touch() { if let life { _ = model.plainRead(life) } }

  func block(at address: UInt) -> ModelMemory {
    ModelMemory(model: model, origin: Int(bitPattern: address))
  }
  static var wordStride: UInt { 1 }

  func read(_ word: Int) -> UInt { model.plainRead(origin + word) }
  func write(_ word: Int, _ value: UInt) { model.plainWrite(origin + word, value) }

  func read(_ word: Int, into target: UnsafeMutablePointer<UInt>, count: Int) {
    for i in 0..<count { target[i] = read(word + i) }
  }
  func write(_ word: Int, from source: UnsafePointer<UInt>, count: Int) {
    for i in 0..<count { write(word + i, source[i]) }
  }

  /// A node's address is its word in the model.
  func readLink(of node: UInt) -> UInt { model.plainRead(Int(node)) }
  func writeLink(of node: UInt, to next: UInt) { model.plainWrite(Int(node), next) }

  func loadOwn(_ word: Int) -> UInt { model.loadOwn(origin + word) }
  func loadRelaxed(_ word: Int) -> UInt { load(word, .relaxed) }
  func loadAcquire(_ word: Int) -> UInt { load(word, .acquire) }
  func loadSequential(_ word: Int) -> UInt { load(word, .sequential) }

  func storeRelaxed(_ word: Int, _ value: UInt) { store(word, value, .relaxed) }
  func storeRelease(_ word: Int, _ value: UInt) { store(word, value, .release) }
  func storeSequential(_ word: Int, _ value: UInt) { store(word, value, .sequential) }

  func exchangeRelaxed(_ word: Int, _ value: UInt) -> UInt { exchange(word, value, .relaxed) }
  func exchangeAcquire(_ word: Int, _ value: UInt) -> UInt { exchange(word, value, .acquire) }

  func compareExchangeRelease(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt {
    compareExchange(word, expected, desired, .release)
  }
  func compareExchangeSequential(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt {
    compareExchange(word, expected, desired, .sequential)
  }

  func fenceSequential() { model.fence(.sequential) }

  // MARK: Any order, for litmus tests

  func load(_ word: Int, _ order: Operation.Order) -> UInt {
    touch()
    return model.step(Operation(kind: .load, order: order, word: origin + word))
  }
  func store(_ word: Int, _ value: UInt, _ order: Operation.Order) {
    touch()
    _ = model.step(Operation(kind: .store, order: order, word: origin + word, value: value))
  }
  func exchange(_ word: Int, _ value: UInt, _ order: Operation.Order) -> UInt {
    touch()
    return model.step(Operation(kind: .exchange, order: order, word: origin + word, value: value))
  }
  func compareExchange(
    _ word: Int, _ expected: UInt, _ desired: UInt, _ order: Operation.Order
  ) -> UInt {
    touch()
    return model.step(
      Operation(
        kind: .compareExchange, order: order, word: origin + word, value: desired,
        expected: expected))
  }
}
