import AloftAtomics

/// The rule by which a message's references are given back (`MessageBlock.release`, whose count has
/// 32 bits and so is no word of `AtomicMemory`): whoever finds itself alone, by an acquiring load,
/// frees without a locked instruction; others subtract, acquiring and releasing.
enum ReferenceCases {
  static let count = 0..<1
  private static let bytes = 16

  /// Ways to get it wrong.
  enum Fault: CaseIterable {
    /// Frees when it had found two: another may have gone meanwhile, or not.
    case two
    /// Subtracts without looking at what was left.
    case unlooked
  }

  private static func release(_ model: Model, _ memory: ModelMemory, fault: Fault? = nil) -> Bool {
    var found = memory.load(0, .acquire)
    if found == 1 || fault == .two && found == 2 { return true }
    while true {
      let seen = memory.compareExchange(0, found, found &- 1, .acquireRelease)
      if seen == found { return found == 1 && fault != .unlooked }
      found = seen
    }
  }

  /// So many holders read the bytes and let go; exactly one of them frees, after all have read.
  static func holders(_ holders: Int, fault: Fault? = nil) -> Model {
    let model = Model(words: 32)
    let memory = model.memory
    for holder in 0..<holders {
      model.thread("holder \(holder)") { [unowned model] in
        if holder == 0 {
          memory.write(bytes, 7)
          memory.storeRelease(0, UInt(holders))
        } else {
          model.attempt { memory.loadAcquire(0) > 0 ? () : nil }
        }
        _ = memory.read(bytes)
        if release(model, memory, fault: fault) {
          memory.write(bytes, 0)
          model.record(1)
        }
      }
    }
    model.finally { records in
      let frees = records.flatMap { $0 }.count
      return frees == 1 ? nil : "freed \(frees) times"
    }
    return model
  }

  /// A loop that has references of its own, beside those of messages, and uses the memory again
  /// when it finds none but its own: the receive arena at a turn's end.
  static func arena() -> Model {
    let model = Model(words: 32)
    let memory = model.memory
    model.thread("loop") { [unowned model] in
      memory.write(bytes, 7)
      memory.storeRelease(0, 2)
      model.attempt { memory.load(0, .acquire) == 1 ? () : nil }
      memory.write(bytes, 8)
    }
    model.thread("message") { [unowned model] in
      model.attempt { memory.loadAcquire(0) == 2 ? () : nil }
      _ = memory.read(bytes)
      if release(model, memory) { model.fail("freed the loop's arena") }
    }
    return model
  }
}
