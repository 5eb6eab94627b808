import AloftAtomics

/// A node of a case is two words of the model's memory.
struct ModelNodes: BindingNodes {
  let origin: ModelMemory
  func memory(of node: UInt) -> ModelMemory { origin.advanced(by: Int(node) * 2) }
}

/// The small cases of names that are bound to an owner while it ends. A name is a word that holds
/// its owner's generation; when all is over no name may be left of an owner that has ended, and
/// each node must have been given back once.
struct BindingCases {
  typealias List = BindingListCore<ModelNodes>

  /// What a wrong version leaves out.
  enum Fault {
    /// Doesn't look at the answer of `push`.
    case ignoresClosed
    /// Binds, and then enters the name.
    case bindsFirst
    /// Ends the owner without closing its list.
    case leavesOpen
    /// Takes an exchange that failed, which is but a relaxed load, for a sequential look.
    case trustsFailure
    /// Asks whether the owner lives before it reads the word.
    case asksEarly
    /// Puts back without looking whether it could.
    case ignoresEnd
  }

  // The words.
  static let word = 0..<1
  /// The generation that lives in the slot; even for none.
  static let living = 1..<2
  /// 0 until somebody has made room for the slot's word, without which the end has nothing to do.
  static let room = 2..<3
  static let names = 8
  static let nodes = 16

  let model = Model(words: 32)
  var fault: Fault?
  /// Whether the room for the owner's word is still to be made.
  var fresh = false

  private var memory: ModelMemory { model.memory }
  private var list: List {
    List(memory: memory, nodes: ModelNodes(origin: memory.advanced(by: Self.nodes)))
  }
  /// Nodes free for good are recorded as this and their index.
  private static let freed: UInt = 100

  // MARK: What the threads do; `memory` and `list` are values, so nothing is held across steps

  private static func isAlive(_ memory: ModelMemory, _ generation: UInt) -> Bool {
    memory.loadSequential(living.lowerBound) == generation
  }

  private static func makeRoom(_ memory: ModelMemory, looksAgain: Bool) {
    if memory.compareExchangeSequential(room.lowerBound, 0, 1) != 0, looksAgain {
      _ = memory.loadSequential(room.lowerBound)
    }
  }

  private static func sweep(_ first: UInt, of generation: UInt, _ model: Model) {
    let memory = model.memory
    var node = first
    while node != 0 {
      let at = memory.advanced(by: nodes + Int(node) * 2)
      let name = at.read(0)
      let next = BindingLink(word: at.loadRelaxed(1)).next
      _ = memory.compareExchangeSequential(names + Int(name), generation, 0)
      model.record(freed + node)
      node = next
    }
  }

  private static func register(
    _ name: Int, _ generation: UInt, node: UInt, fault: Fault?, fresh: Bool, _ model: Model,
    _ list: List
  ) {
    let memory = model.memory
    guard isAlive(memory, generation) else { return }
    if fault != .bindsFirst {
      _ = memory.compareExchangeSequential(names + name, 0, generation)
    }
    if fresh { makeRoom(memory, looksAgain: fault != .trustsFailure) }
    memory.advanced(by: nodes + Int(node) * 2).write(0, UInt(name))
    let early = fault == .asksEarly
    let outcome = list.push(node, kind: 1, generation: generation) {
      early || isAlive(memory, generation)
    }
    if fault == .bindsFirst {
      _ = memory.compareExchangeSequential(names + name, 0, generation)
    }
    switch outcome {
    case .closed:
      model.record(freed + node)
      if fault != .ignoresClosed {
        _ = memory.compareExchangeSequential(names + name, generation, 0)
      }
    case .bound(_, let displaced):
      if displaced == 0 { return }
      sweep(List.first(of: displaced), of: List.generation(of: displaced), model)
    }
  }

  private static func unregister(
    _ name: Int, _ generation: UInt, fault: Fault?, _ model: Model, _ list: List
  ) {
    let memory = model.memory
    let found = memory.compareExchangeSequential(names + name, generation, 0)
    guard found == generation else { return }
    let first = list.take(generation: generation)
    if first == 0 { return }
    // Puts back all but the name's own node, which is at the head or behind it in these cases.
    var kept: UInt = 0
    var last: UInt = 0
    var node = first
    while node != 0 {
      let at = memory.advanced(by: nodes + Int(node) * 2)
      let link = BindingLink(word: at.loadRelaxed(1))
      if at.read(0) == UInt(name) {
        model.record(freed + node)
      } else {
        at.storeRelaxed(1, BindingLink(next: kept, kind: 1, depth: 1, limit: 3).word)
        kept = node
        if last == 0 { last = node }
      }
      node = link.next
    }
    if kept == 0 || list.putBack(first: kept, last: last, generation: generation) { return }
    if fault != .ignoresEnd { sweep(kept, of: generation, model) }
  }

  private static func end(
    _ generation: UInt, fault: Fault?, fresh: Bool, _ model: Model, _ list: List
  ) {
    let memory = model.memory
    memory.storeSequential(living.lowerBound, generation + 1)
    if fresh, memory.loadSequential(room.lowerBound) == 0 { return }
    if fault == .leavesOpen {
      sweep(list.take(generation: generation), of: generation, model)
      return
    }
    let word = list.close(generation: generation)
    sweep(List.first(of: word), of: List.generation(of: word), model)
  }

  // MARK: The cases

  /// One thread brings the owner to life before the others begin; then names are registered while
  /// it ends.
  func registrations(_ count: Int, thenUnregister: Bool = false) -> Model {
    let (fault, fresh, list) = (fault, fresh, list)
    for index in 0..<count {
      model.thread("registrant \(index)") { [unowned model] in
        Self.waitFor(3, model)
        Self.register(
          index, 3, node: UInt(index + 1), fault: fault, fresh: fresh, model, list)
        if thenUnregister && index == 0 { Self.unregister(index, 3, fault: fault, model, list) }
      }
    }
    model.thread("loop") { [unowned model] in
      model.memory.storeSequential(Self.living.lowerBound, 3)
      Self.end(3, fault: fault, fresh: fresh, model, list)
    }
    model.finally { [unowned model] records in
      for index in 0..<count where model.newest(Self.names + index) != 0 {
        return "name \(index) outlives its owner"
      }
      return Self.judge(records, left: model.newest(0))
    }
    return model
  }

  /// A slot's owner ends and another one takes its place, while one who comes late binds to the
  /// first and one who comes early binds to the second.
  func tenants() -> Model {
    let (fault, list) = (fault, list)
    model.thread("late") { [unowned model] in
      Self.waitFor(3, model)
      Self.register(0, 3, node: 1, fault: fault, fresh: false, model, list)
    }
    model.thread("early") { [unowned model] in
      Self.waitFor(5, model)
      Self.register(1, 5, node: 2, fault: fault, fresh: false, model, list)
    }
    model.thread("loop") { [unowned model] in
      model.memory.storeSequential(Self.living.lowerBound, 3)
      Self.end(3, fault: fault, fresh: false, model, list)
      model.memory.storeSequential(Self.living.lowerBound, 5)
    }
    model.finally { [unowned model] records in
      if model.newest(Self.names) != 0 { return "a name outlives its owner" }
      if model.newest(Self.names + 1) != 5 { return "a living owner's name is gone" }
      if List.first(of: model.newest(0)) != 2 { return "a living owner's node is gone" }
      return Self.judge(records, left: 0)
    }
    return model
  }

  private static func waitFor(_ generation: UInt, _ model: Model) {
    _ = model.attempt {
      model.memory.loadSequential(living.lowerBound) >= generation ? true : nil
    }
  }

  private static func judge(_ records: [[UInt]], left word: UInt) -> String? {
    let all = records.joined().sorted()
    if Set(all).count != all.count { return "a node was given back twice: \(records)" }
    return List.first(of: word) == 0 ? nil : "nodes are left in the list of an owner that ended"
  }
}

/// The free stack: one thread takes a node while another takes two and gives the first back.
enum NodeStackCases {
  static let head = 0..<1

  static func taking(tagged: Bool = true) -> Model {
    let model = Model(words: 16)
    let nodes = ModelNodes(origin: model.memory.advanced(by: 4))
    let stack = NodeStackCore(memory: model.memory, nodes: nodes)
    let twin = UntaggedNodeStack(memory: model.memory, nodes: nodes)
    model.thread("one") { [unowned model] in
      model.record(model.attempt { notZero(tagged ? stack.pop() : twin.pop()) })
    }
    model.thread("other") { [unowned model] in
      nodes.memory(of: 1).storeRelaxed(1, 2)
      nodes.memory(of: 2).storeRelaxed(1, 3)
      if tagged { stack.push(first: 1, last: 3) } else { twin.push(first: 1, last: 3) }
      let first = tagged ? stack.pop() : twin.pop()
      let second = tagged ? stack.pop() : twin.pop()
      if tagged {
        stack.push(first: first, last: first)
      } else {
        twin.push(first: first, last: first)
      }
      model.record(second)
    }
    model.finally { [unowned model] records in
      var held = records[0] + records[1]
      var node = model.newest(0) & 0xFFFF_FFFF
      while node != 0, held.count <= 4 {
        held.append(node)
        node = model.newest(4 + Int(node) * 2 + 1) & 0xFFFF_FFFF
      }
      return held.sorted() == [1, 2, 3] ? nil : "nodes \(held)"
    }
    return model
  }

  private static func notZero(_ node: UInt) -> UInt? { node == 0 ? nil : node }
}

/// ``NodeStackCore`` without its tag: a wrong version.
struct UntaggedNodeStack {
  let memory: ModelMemory
  let nodes: ModelNodes

  func pop() -> UInt {
    while true {
      let head = memory.loadAcquire(0)
      if head == 0 { return 0 }
      let next = nodes.memory(of: head).loadRelaxed(1)
      if memory.compareExchangeSequential(0, head, next) == head { return head }
    }
  }

  func push(first: UInt, last: UInt) {
    while true {
      let head = memory.loadAcquire(0)
      nodes.memory(of: last).storeRelaxed(1, head)
      if memory.compareExchangeSequential(0, head, first) == head { return }
    }
  }
}
