import AloftAtomics

/// The small cases of memory that comes back to its owner: each block once, and whole; and of the
/// owner's end, after which whoever gives the last one back frees everything.
enum ReturnStackCases {
  typealias Stack = ReturnStackCore<ModelMemory>

  static let head = 0..<1
  static let missing = 1..<2
  /// Written by whoever frees the stack; read with each operation on it.
  private static let life = 2

  /// A node's first word is its link, its second what its holder writes.
  private static func node(_ freer: Int, _ index: Int) -> UInt {
    UInt(16 * (freer + 1) + 2 * index)
  }

  private static func use(_ node: UInt, _ model: Model, by who: Int) {
    model.memory.write(Int(node) + 1, UInt(who))
  }

  private static func chain(_ freer: Int, _ nodes: Int, _ model: Model) {
    for index in 0..<nodes {
      use(node(freer, index), model, by: freer)
      if index > 0 { model.memory.writeLink(of: node(freer, index - 1), to: node(freer, index)) }
    }
  }

  /// Each of the freers gives a chain back; the owner takes all and uses them again.
  /// - Parameter again: a freer that gives its chain back twice: wrong.
  static func chains(_ lengths: [Int], again: Bool = false) -> Model {
    let model = Model(words: 16 * (lengths.count + 1))
    let stack = Stack(memory: model.memory)
    for (freer, length) in lengths.enumerated() {
      model.thread("freer \(freer)") { [unowned model] in
        chain(freer, length, model)
        for _ in 0..<(again && freer == 0 ? 2 : 1) {
          _ = stack.put(
            first: node(freer, 0), last: node(freer, length - 1), count: UInt(length))
        }
      }
    }
    let total = lengths.reduce(0, +)
    model.thread("owner") { [unowned model] in
      var got = 0
      while got < total {
        var next = model.attempt { () -> UInt? in
          let first = stack.takeAll()
          return first == 0 ? nil : first
        }
        while next != 0 && got <= total {
          let one = next
          next = model.memory.readLink(of: one)
          model.memory.writeLink(of: one, to: 0)
          use(one, model, by: 9)
          model.record(one)
          got += 1
        }
      }
    }
    model.finally { records in
      let wanted = lengths.enumerated().flatMap { freer, length in
        (0..<length).map { node(freer, $0) }
      }
      let got = records[lengths.count].sorted()
      return got == wanted.sorted() ? nil : "taken \(got)"
    }
    return model
  }

  /// One block goes out and comes back twice, while another is on its way: the head that one freer
  /// has seen may be gone and there again.
  static func roundTrip() -> Model {
    let model = Model(words: 64)
    let stack = Stack(memory: model.memory)
    let handedOut = 48
    model.thread("one") { [unowned model] in
      for round in 1...2 {
        model.attempt { model.memory.loadAcquire(handedOut) == UInt(round) ? () : nil }
        use(node(0, 0), model, by: 0)
        _ = stack.put(first: node(0, 0), last: node(0, 0), count: 1)
      }
    }
    model.thread("other") { [unowned model] in
      use(node(1, 0), model, by: 1)
      _ = stack.put(first: node(1, 0), last: node(1, 0), count: 1)
    }
    model.thread("owner") { [unowned model] in
      model.memory.storeRelease(handedOut, 1)
      var got = 0
      while got < 3 {
        var next = model.attempt { () -> UInt? in
          let first = stack.takeAll()
          return first == 0 ? nil : first
        }
        while next != 0 {
          let one = next
          next = model.memory.readLink(of: one)
          use(one, model, by: 9)
          model.record(one)
          got += 1
          if one == node(0, 0), model.memory.loadOwn(handedOut) == 1 {
            model.memory.storeRelease(handedOut, 2)
          }
        }
      }
    }
    model.finally { records in
      let got = records[2].sorted()
      return got == [node(0, 0), node(0, 0), node(1, 0)] ? nil : "taken \(got)"
    }
    return model
  }

  /// Ways to get the end wrong.
  enum EndFault: CaseIterable {
    /// `ended` is stored and not exchanged for nothing: what came meanwhile is lost.
    case stored
    /// A freer looks at the stack once more after it has put its blocks there.
    case lastLook
    /// What is on its way is not counted as missing.
    case uncounted
    /// The number missing is written down after the end is announced.
    case late
    /// Whoever finds the owner ended frees everything, be it the last or not.
    case first
  }

  /// The owner ends while freers still hold chains.
  static func end(_ lengths: [Int], fault: EndFault? = nil) -> Model {
    let model = Model(words: 16 * (lengths.count + 1))
    var memory = model.memory
    memory.life = life
    let guarded = memory
    let stack = Stack(memory: guarded)
    let total = lengths.reduce(0, +)
    for (freer, length) in lengths.enumerated() {
      model.thread("freer \(freer)") { [unowned model] in
        chain(freer, length, model)
        let isLast = stack.put(
          first: node(freer, 0), last: node(freer, length - 1), count: UInt(length))
        if fault == .lastLook { _ = guarded.loadRelaxed(0) }
        if isLast || fault == .first && guarded.loadAcquire(0) == 1 { freeAll(lengths, model) }
      }
    }
    model.thread("owner") { [unowned model] in
      var got = 0
      while true {
        var next = stack.takeAll()
        while next != 0 {
          let one = next
          next = model.memory.readLink(of: one)
          use(one, model, by: 9)
          got += 1
        }
        let missing = UInt(total - got)
        if missing == 0 || fault == .uncounted {
          freeAll(lengths, model)
          return
        }
        switch fault {
        case .stored:
          guarded.storeRelaxed(1, missing)
          guarded.storeRelease(0, 1)
          return
        case .late:
          if guarded.compareExchangeRelease(0, 0, 1) == 0 {
            guarded.storeRelaxed(1, missing)
            return
          }
        default: if stack.end(missing: missing) { return }
        }
      }
    }
    model.finally { records in
      let frees = records.flatMap { $0 }.count
      return frees == 1 ? nil : "freed \(frees) times"
    }
    return model
  }

  /// Needs that everybody has let go: of the blocks, and of the stack.
  private static func freeAll(_ lengths: [Int], _ model: Model) {
    model.record(1)
    model.memory.write(life, 1)
    for (freer, length) in lengths.enumerated() {
      for index in 0..<length {
        model.memory.write(Int(node(freer, index)), 0)
        model.memory.write(Int(node(freer, index)) + 1, 0)
      }
    }
  }

  /// Two threads take single blocks off the top, as if memory could be allocated from where it was
  /// given back: one block's second coming lets an exchange succeed that must not.
  static func poppers() -> Model {
    let model = Model(words: 96)
    let memory = model.memory
    func pop() -> UInt {
      var top = memory.load(0, .acquire)
      while top != 0 {
        let next = memory.load(Int(top), .relaxed)
        let found = memory.compareExchange(0, top, next, .acquireRelease)
        if found == top { return top }
        top = found
      }
      return 0
    }
    func push(_ node: UInt) {
      var top = memory.load(0, .relaxed)
      while true {
        memory.store(Int(node), top, .relaxed)
        let found = memory.compareExchange(0, top, node, .release)
        if found == top { return }
        top = found
      }
    }
    model.thread("owner") { [unowned model] in
      for index in 0..<3 { push(node(0, index)) }
      memory.storeRelease(80, 1)
      let first = pop()
      let second = pop()
      if second != 0 { model.record(second) }
      if first != 0 { push(first) }
    }
    model.thread("second owner") { [unowned model] in
      model.attempt { memory.loadAcquire(80) == 1 ? () : nil }
      for _ in 0..<2 {
        let one = pop()
        if one != 0 { model.record(one) }
      }
    }
    model.finally { records in
      let taken = records.flatMap { $0 }
      return Set(taken).count == taken.count ? nil : "taken \(taken)"
    }
    return model
  }
}
