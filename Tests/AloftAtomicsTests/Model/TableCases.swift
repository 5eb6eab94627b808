import AloftAtomics

/// The small cases of the hash tables that the checker walks through: one line, two or three
/// threads, and a judge who asks whether some order of what they did explains what they found.
///
/// All keys fall upon line 0. Splitting it takes the odd ones to line 64.
enum TableCases {
  struct Key: HashKey {
    let word: UInt
    static var words: Int { 1 }
    init(_ word: UInt) { self.word = word }
    init<Memory: AtomicMemory>(_ line: Memory, _ word: Int) { self.word = line.loadAcquire(word) }
    func store<Memory: AtomicMemory>(_ line: Memory, _ word: Int) {
      line.storeRelease(word, self.word)
    }
    func hash(_ function: HashFunction) -> UInt { word << 10 | (word & 1) << 6 }
  }

  /// What a thread does, one after the other.
  enum Step {
    case find(UInt)
    case insert(UInt, UInt)
    case replace(UInt, UInt, with: UInt)
    case remove(UInt)
    /// As `find`, by a reader who doesn't look at the header again.
    case findCarelessly(UInt)
    /// Has line 64 born.
    case split
    /// Counts one line more, so that odd keys are looked for in line 64.
    case count
  }

  // Where things are.
  static let count = 0
  static let root = IDTableCore<SetupMemory, Key>.Lines.words
  static let lines = root
  static let children = lines + 64 * 8
  static let pieces = children + 64 * 8
  static let words = pieces + 40 * 4

  /// Of the line and of the one that it splits into.
  static let header = lines..<(lines + 1)
  static let slots = (lines + 1)..<(lines + 7)
  static let childHeader = children..<(children + 1)
  static let childSlots = (children + 1)..<(children + 7)

  /// A table with these entries in line 0.
  static func ids(
    _ entries: [(UInt, UInt)], _ threads: [[Step]], counted: UInt = 64,
    fault: FaultyMemory.Fault? = nil
  ) -> Model {
    let model = Model(words: words)
    prepare(model, counted: counted) { memory in
      let core = IDTableCore<SetupMemory, Key>(root: memory, seed: 1, source: .plain)
      core.lines.begin()
      for (key, value) in entries { _ = core.tryInsert(Key(key), value, hash(key)) }
    }
    let memory = FaultyMemory(real: model.memory, fault: fault ?? { $1 })
    let core = IDTableCore<FaultyMemory, Key>(root: memory, seed: 1, source: .plain)
    for (index, steps) in threads.enumerated() {
      model.thread("t\(index)") { [unowned model] in
        for step in steps { run(step, core, model) }
      }
    }
    model.finally { records in
      TableJudge.explains(records, initial: Dictionary(uniqueKeysWithValues: entries))
        ? nil : "no order explains \(records)"
    }
    return model
  }

  static func hash(_ key: UInt) -> UInt { Key(key).hash(HashFunction(seed: 1)) }

  static func prepare(
    _ model: Model, counted: UInt, firstBits: Int = 6, pieces: Int = TableCases.pieces,
    _ fill: (SetupMemory) -> Void
  ) {
    let block = SetupMemory.Block(words: pieces + 40 * 4)
    typealias Lines = HashSegments<SetupMemory>
    // The directories of lines and of pieces: entries by the digits of an index.
    let directory = MemoryLine.words
    let pool = directory + MemoryLine.roundedUp(Lines.directoryWords)
    let poolDirectory =
      pool + HashPool<SetupMemory>.words
      - MemoryLine.roundedUp(Lines.directoryWords)
    block.words[directory + firstBits] = UInt(lines)
    if firstBits == 6 { block.words[directory + 7] = UInt(bitPattern: children - 64 * 8) }
    block.words[poolDirectory + 10] = UInt(pieces)
    fill(SetupMemory(block))
    if counted > 64 { block.words[count] = 7 << 48 | counted }
    model.initial = block.initial
    model.looksTwice = true
    model.constants = directory..<pool
  }

  private static func run(
    _ step: Step, _ core: IDTableCore<FaultyMemory, Key>, _ model: Model
  ) {
    switch step {
    case .find(let key):
      let found = model.attempt { core.tryFind(Key(key), hash(key)) }
      TableJudge.record(model, .find(found.map { UInt64($0) }), key)
    case .findCarelessly(let key):
      let line = model.memory.advanced(by: lines)
      let header = line.loadAcquire(0)
      var found: UInt64?
      for slot in 0..<3 where header >> UInt(8 + slot) & 1 != 0 && found == nil {
        if line.loadAcquire(1 + 2 * slot) == key { found = UInt64(line.loadAcquire(2 + 2 * slot)) }
      }
      TableJudge.record(model, .find(found), key)
    case .insert(let key, let value):
      let found = model.attempt { core.tryInsert(Key(key), value, hash(key)) }
      TableJudge.record(model, .insert(UInt64(value), found: found.map { UInt64($0) }), key)
    case .replace(let key, let expected, let value):
      let change = model.attempt { core.tryReplace(Key(key), expected, value, hash(key)) }
      let found: UInt64? =
        switch change {
        case .done: UInt64(expected)
        case .differs(let other): other
        case .absent: nil
        }
      TableJudge.record(
        model, .replace(UInt64(expected), with: UInt64(value), found: found), key)
    case .remove(let key):
      let (change, value) = model.attempt { core.tryRemove(Key(key), nil, hash(key)) }
      TableJudge.record(model, .take(change == .done ? UInt64(value) : nil), key)
    case .split:
      _ = model.attempt { core.lines.bringForth(64) ? true : nil }
    case .count:
      model.memory.storeRelease(count, 7 << 48 | 65)
    }
  }
}
