import AloftAtomics

/// What hangs on each owner: the reverse index from owners to names. 16 bytes a name and 8 an
/// owner.
///
/// A node keeps a key's hash and not the key. That is enough: when the owner ends, whatever has
/// this hash and stands for this owner goes.
///
/// A name that was taken away by hand leaves its node behind where the owner has many; the list is
/// tidied when it has twice as many nodes as it had names after the last time. So a change costs
/// O(1) on the average, and there are never more than twice as many nodes as there were names.
///
/// **Threads**: any; see ``BindingListCore`` for how late bindings and ends meet.
struct Bindings: ~Copyable {
  typealias List = BindingListCore<BindingPool.Nodes>

  /// What a node stands for.
  struct Node: Hashable {
    var hash: UInt
    /// Which space's.
    var kind: UInt
  }

  /// Up to so many nodes are looked through for the one to be taken out.
  private static let shortList: UInt = 8

  private let pool = BindingPool()
  private let words = OwnerWords()

  var bytes: Int { pool.bytes + words.bytes }

  private func list(_ word: HardwareMemory) -> List { List(memory: word, nodes: pool.nodes) }

  private static func stack(_ hash: UInt) -> Int { Int(truncatingIfNeeded: hash >> 8) }

  enum Outcome {
    case bound
    /// Bound; now the list is to be tidied.
    case full
    /// The owner has ended.
    case ended
    /// No memory for another node.
    case noRoom
  }

  /// Binds a name that stands in its table already. `isAlive` also sees to it that `end` is called
  /// for this owner; `displaced` is called with what an owner before it has left.
  func bind(
    _ owner: Target, _ node: Node, isAlive: () -> Bool, displaced: (Target, Node) -> Void
  ) -> Outcome {
    let index = pool.allocate(stack: Self.stack(node.hash))
    guard index != 0 else { return .noRoom }
    pool.nodes.memory(of: index).write(0, node.hash)
    let list = list(words.make(owner))
    switch list.push(index, kind: node.kind, generation: owner.generation, isAlive: isAlive) {
    case .closed:
      pool.free(first: index, last: index, stack: Self.stack(node.hash))
      return .ended
    case .bound(let isFull, let word):
      if word != 0 {
        let other = owner.earlier(List.generation(of: word))
        empty(List.first(of: word)) { displaced(other, $0) }
      }
      return isFull ? .full : .bound
    }
  }

  /// Takes a name's node out, where that is cheap. `sweep` is called for nodes whose owner has
  /// ended meanwhile.
  func unbind(_ owner: Target, _ node: Node, sweep: (Node) -> Void) {
    guard let word = words.find(owner) else { return }
    let list = list(word)
    let first = List.first(of: word.loadAcquire(0))
    // A hint; the node may be another owner's by now.
    if first == 0 { return }
    let link = BindingLink(word: pool.nodes.memory(of: first).loadRelaxed(1))
    if link.depth > Self.shortList { return list.markStale(generation: owner.generation) }
    var found = false
    tidy(owner, list, sweep: sweep) { other in
      if found || other != node { return true }
      found = true
      return false
    }
  }

  /// Drops the nodes for which `isBound` says no, and all but one of those that say the same.
  func tidy(_ owner: Target, isBound: (Node) -> Bool, sweep: (Node) -> Void) {
    guard let word = words.find(owner) else { return }
    var seen: Set<Node> = []
    tidy(owner, list(word), sweep: sweep) { seen.insert($0).inserted && isBound($0) }
  }

  private func tidy(
    _ owner: Target, _ list: List, sweep: (Node) -> Void, keep: (Node) -> Bool
  ) {
    var node = list.take(generation: owner.generation)
    if node == 0 { return }
    var kept = Chain()
    while node != 0 {
      let memory = pool.nodes.memory(of: node)
      let link = BindingLink(word: memory.loadRelaxed(1))
      let content = Node(hash: memory.read(0), kind: link.kind)
      if keep(content) {
        kept.push(node, kind: link.kind, pool.nodes)
      } else {
        pool.free(first: node, last: node, stack: Self.stack(content.hash))
      }
      node = link.next
    }
    if kept.first == 0 { return }
    kept.finish(pool.nodes)
    if list.putBack(first: kept.first, last: kept.last, generation: owner.generation) { return }
    empty(kept.first, sweep)
  }

  /// The owner has ended: calls `sweep` for each of its nodes, and for those of earlier owners.
  func end(_ owner: Target, sweep: (Target, Node) -> Void) {
    guard let word = words.find(owner) else { return }
    let before = list(word).close(generation: owner.generation)
    let first = List.first(of: before)
    if first == 0 { return }
    let other = owner.earlier(List.generation(of: before))
    empty(first) { sweep(other, $0) }
  }

  /// Hands out what a list that nobody else knows has, and gives its nodes back.
  private func empty(_ first: UInt, _ body: (Node) -> Void) {
    var node = first
    while node != 0 {
      let memory = pool.nodes.memory(of: node)
      let link = BindingLink(word: memory.loadRelaxed(1))
      let content = Node(hash: memory.read(0), kind: link.kind)
      pool.free(first: node, last: node, stack: Self.stack(content.hash))
      body(content)
      node = link.next
    }
  }

  /// Nodes on their way back into a list.
  private struct Chain {
    var first: UInt = 0
    var last: UInt = 0
    var depth: UInt = 0

    mutating func push(_ node: UInt, kind: UInt, _ nodes: BindingPool.Nodes) {
      depth += 1
      nodes.memory(of: node).storeRelaxed(
        1, BindingLink(next: first, kind: kind, depth: depth, limit: 0).word)
      first = node
      if last == 0 { last = node }
    }

    /// Sets the size at which the list is tidied next: twice what it has now.
    func finish(_ nodes: BindingPool.Nodes) {
      let memory = nodes.memory(of: first)
      let link = BindingLink(word: memory.loadRelaxed(1))
      let digits = UInt(UInt.bitWidth - depth.leadingZeroBitCount)
      memory.storeRelaxed(
        1,
        BindingLink(
          next: link.next, kind: link.kind, depth: depth,
          limit: max(digits + 1, List.limitFirst)
        ).word)
    }
  }
}
