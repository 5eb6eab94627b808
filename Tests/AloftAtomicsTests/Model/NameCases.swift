import AloftAtomics

/// The small cases of names: pieces of memory that change hands while they are read.
enum NameCases {
  typealias Core = NameTableCore<ModelMemory>

  enum Step {
    case find(Int)
    case insert(Int, UInt)
    case remove(Int)
  }

  /// Of two names on one line, the first is there with value 10, in piece 2.
  static let cases: [[[Step]]] = [
    [[.insert(1, 20)], [.insert(1, 30)], [.find(1)]],
    [[.remove(0), .insert(1, 20)], [.find(0)]],
    [[.remove(0), .insert(0, 20)], [.find(0), .find(1)]],
  ]

  /// Lines take 256 * 8 words here; a case uses line 0 alone.
  private static let lines = TableCases.lines
  private static let pieces = lines + 256 * 8
  /// The words of the first name's piece.
  static let piece = (pieces + 2 * 4)..<(pieces + 3 * 4)

  /// Names of 8 bytes that fall upon line 0 of 256.
  static let names: [UInt64] = {
    let function = HashFunction(seed: 1)
    var names: [UInt64] = []
    var name: UInt64 = 0
    while names.count < 2 {
      name += 1
      let hash = withUnsafeBytes(of: name) { function.hash(NameWords($0)) }
      if hash & 0xff == 0 { names.append(name) }
    }
    return names
  }()

  static func model(_ threads: [[Step]]) -> Model {
    let model = Model(words: pieces + 40 * 4)
    TableCases.prepare(model, counted: 0, firstBits: 8, pieces: pieces) { memory in
      let core = NameTableCore<SetupMemory>(root: memory, seed: 1, source: .plain)
      core.lines.begin()
      withName(0) { _ = core.tryInsert($0, 10, core.hash($0)) }
    }
    let core = Core(root: model.memory, seed: 1, source: .plain)
    for (index, steps) in threads.enumerated() {
      model.thread("t\(index)") { [unowned model] in
        for step in steps { run(step, core, model) }
      }
    }
    model.finally { records in
      TableJudge.explains(records, initial: [0: 10]) ? nil : "no order explains \(records)"
    }
    return model
  }

  private static func withName(_ index: Int, _ body: (NameWords) -> Void) {
    withUnsafeBytes(of: names[index]) { body(NameWords($0)) }
  }

  private static func run(_ step: Step, _ core: Core, _ model: Model) {
    switch step {
    case .find(let index):
      withName(index) { name in
        let found = model.attempt { core.tryFind(name, core.hash(name)) }
        TableJudge.record(model, .find(found.map { UInt64($0) }), UInt(index))
      }
    case .insert(let index, let value):
      withName(index) { name in
        let found = model.attempt { core.tryInsert(name, value, core.hash(name)) }
        TableJudge.record(
          model, .insert(UInt64(value), found: found.map { UInt64($0) }), UInt(index))
      }
    case .remove(let index):
      withName(index) { name in
        let (change, value) = model.attempt { core.tryRemove(name, nil, core.hash(name)) }
        TableJudge.record(
          model, .take(change == .done ? UInt64(value) : nil), UInt(index))
      }
    }
  }
}

/// The pieces of memory alone: a stack from which several threads take, and to which they give.
enum PoolCases {
  /// The head of the stack of 64-byte pieces.
  static let head = MemoryLine.words

  /// One thread takes two pieces; another takes two and gives the first back. Three are free.
  static func takers(fault: FaultyMemory.Fault? = nil) -> Model {
    typealias Pool = HashPool<SetupMemory>
    let pieces = Pool.words
    let block = SetupMemory.Block(words: pieces + 40 * 4)
    block.words[Pool.words - MemoryLine.roundedUp(HashSegments<SetupMemory>.directoryWords) + 10] =
      UInt(pieces)
    let setup = Pool(memory: SetupMemory(block), source: .plain)
    let free = (0..<4).map { _ in setup.take(1) }
    for piece in free { setup.give(piece, 1) }

    // The counter begins anew, so that it can be missed.
    block.words[head] &= 0xffff_ffff
    let model = Model(words: block.words.count)
    model.initial = block.initial
    model.constants = (Pool.words - 48)..<Pool.words
    let pool = HashPool(
      memory: FaultyMemory(real: model.memory, fault: fault ?? { $1 }), source: .plain)
    model.thread("taker") { [unowned model] in
      for _ in 0..<2 { model.record(pool.take(1)) }
    }
    model.thread("giver") { [unowned model] in
      let first = pool.take(1)
      model.record(pool.take(1))
      pool.give(first, 1)
    }
    model.finally { records in
      let held = records.flatMap { $0 }
      return Set(held).count == held.count ? nil : "given out twice: \(held)"
    }
    return model
  }
}
