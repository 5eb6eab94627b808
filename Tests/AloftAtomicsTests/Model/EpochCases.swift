import AloftAtomics

/// The small cases of reclamation: a node that readers find through a word, a writer who unlinks
/// it and retires it. To free it is a plain write to its content, which a reader reads plainly: who
/// still reads what is freed races with that, and the checker sees it.
enum EpochCases {
  typealias Core = EpochsCore<ModelMemory>

  static let epoch = 0..<1
  static let slots = 48..<(48 + 3 * 16)
  /// Where readers find the node: its address, 0 when it's unlinked.
  static let shared = 48 + 3 * 16
  static let node = shared + 16
  static let other = shared + 32
  private static let words = shared + 48

  enum Step {
    case pin, unpin, announce
    case pinShared, unpinShared
    /// Finds the node and reads its content.
    case read
    /// Announces between finding the node and reading it.
    case announceTooEarly
    /// Waits for nothing after the pin: no fence.
    case unlinkAndRetire
    /// Frees at once.
    case unlinkAndFree
    case collect
  }

  static func model(_ threads: [[Step]]) -> Model {
    let model = Model(words: words)
    model.initial = [shared: UInt(node), node + 1: 7, 1: 3]
    let core = Core(memory: model.memory)
    for (index, steps) in threads.enumerated() {
      model.thread("t\(index)") { [unowned model] in
        for step in steps { run(step, core, index, model) }
      }
    }
    return model
  }

  private static func run(_ step: Step, _ core: Core, _ slot: Int, _ model: Model) {
    let memory = model.memory
    switch step {
    case .pin: core.pin(slot)
    case .unpin: core.unpin(slot)
    case .announce: core.announce(slot)
    case .pinShared: core.pinShared(2)
    case .unpinShared: core.unpinShared(2)
    case .read, .announceTooEarly:
      let found = memory.loadAcquire(shared)
      if case .announceTooEarly = step { core.announce(slot) }
      if found != 0, memory.read(Int(found) + 1) != 7 { model.fail("freed memory was read") }
    case .unlinkAndRetire:
      memory.storeRelease(shared, 0)
      core.retire(UInt(node))
    case .unlinkAndFree:
      memory.storeRelease(shared, 0)
      free(UInt(node), model)
    case .collect:
      _ = core.collect { free($0, model) }
    }
  }

  private static func free(_ node: UInt, _ model: Model) {
    model.memory.write(Int(node) + 1, 8)
    model.record(node)
  }
}
