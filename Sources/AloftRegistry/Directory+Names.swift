import AloftAtomics

/// Names come and go. Each change of one name is one step that all others see at one moment.
extension Directory {
  /// Whom a key stands for; nil for nobody.
  func find<Space: KeySpace & ~Copyable>(_ space: borrowing Space, _ key: Space.Key) -> Target? {
    guard let target = space.find(key) else { return nil }
    if !target.isRecord { return target }
    let state = Record(target).state
    return state.count > 0 ? state[0] : nil
  }

  enum Entered {
    case new
    /// It had the name already, and so has its node.
    case same
  }

  /// Registers: enters the name, and binds it to its owner.
  func register<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ key: Space.Key, _ target: Target
  ) throws(RegistryError) {
    try check(target)
    if try enter(space, key, target) == .new { try bind(space, space.hash(key), target) }
  }

  /// Enters a name that is nobody's. To be followed by `bind`.
  func enter<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ key: Space.Key, _ target: Target
  ) throws(RegistryError) -> Entered {
    while true {
      guard let found = space.insert(key, target) else { return .new }
      if found == target { return .same }
      var holder = found
      if found.isRecord {
        switch claim(Record(found), target, space.kind) {
        case .done: return .new
        case .same: return .same
        case .held(let other): holder = other
        case .sealed, .absent:
          finish(Record(found), space, hash: space.hash(key))
          continue
        }
      }
      // The name of one who has just ended is about to go.
      if holder.loop == nil || isAlive(holder) {
        throw RegistryError(
          .nameTaken, holder: holder, "the name \(space.describe(key)) is taken by \(holder)")
      }
      sweep(space, space.hash(key), holder)
    }
  }

  /// Binds a name that stands in its table to its owner; takes it out again when the owner ended.
  func bind<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ hash: UInt, _ target: Target
  ) throws(RegistryError) {
    guard target.loop != nil else { return }
    let node = Bindings.Node(hash: hash, kind: space.kind)
    let outcome = bindings.bind(target, node) {
      arrangeEnd(of: target)
    } displaced: { owner, node in
      sweep(node, owner)
    }
    switch outcome {
    case .bound: return
    case .full:
      bindings.tidy(target) {
        isBound($0, to: target)
      } sweep: {
        sweep($0, target)
      }
    case .ended:
      sweep(space, hash, target)
      throw RegistryError(.ownerEnded, holder: target, "\(target) has ended, or never was")
    case .noRoom:
      sweep(space, hash, target)
      throw RegistryError(.full, "the registry is full: 4294967295 names have owners")
    }
  }

  private func check(_ target: Target) throws(RegistryError) {
    guard target.loop != nil else { return }
    if !isAlive(target) {
      throw RegistryError(.ownerEnded, holder: target, "\(target) has ended, or never was")
    }
  }

  /// Takes a name from `target`, and from nobody else.
  func unregister<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ key: Space.Key, _ target: Target
  ) throws(RegistryError) {
    let hash = space.hash(key)
    while true {
      var holder = target
      switch space.remove(key, target) {
      case .done: return unbind(space.kind, hash, target)
      case .absent: throw unknown(space, key)
      case .differs(let word): holder = Target(word: word)
      }
      if holder.isRecord {
        let record = Record(holder)
        switch leave(record, target, space.kind) {
        case .done: return unbind(space.kind, hash, target)
        case .absent, .same: throw unknown(space, key)
        case .held(let other): holder = other
        case .sealed:
          finish(record, space, hash: hash)
          continue
        }
      }
      throw RegistryError(
        .notOwner, holder: holder,
        "the name \(space.describe(key)) is not that of \(target) but of \(holder)")
    }
  }

  func unknown<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ key: Space.Key
  ) -> RegistryError {
    RegistryError(.nameUnknown, "nobody has the name \(space.describe(key))")
  }

  /// Hands a name from `expected` to `target` in one step, in which it is never nobody's.
  func replace<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ key: Space.Key, _ expected: Target, with target: Target
  ) throws(RegistryError) {
    try check(target)
    if try exchange(space, key, expected, with: target) == .new {
      try bind(space, space.hash(key), target)
    }
  }

  /// The same, to be followed by `bind`.
  func exchange<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ key: Space.Key, _ expected: Target, with target: Target
  ) throws(RegistryError) -> Entered {
    let hash = space.hash(key)
    while true {
      var holder = expected
      var isDone = false
      switch space.replace(key, expected, with: target) {
      case .done: isDone = true
      case .absent: throw unknown(space, key)
      case .differs(let word): holder = Target(word: word)
      }
      if holder.isRecord {
        let record = Record(holder)
        switch handOver(record, from: expected, to: target, space.kind) {
        case .done, .same: isDone = true
        case .absent: throw unknown(space, key)
        case .held(let other): holder = other
        case .sealed:
          finish(record, space, hash: hash)
          continue
        }
      }
      guard isDone else {
        throw RegistryError(
          .notOwner, holder: holder,
          "the name \(space.describe(key)) is not that of \(expected) but of \(holder)")
      }
      if expected == target { return .same }
      unbind(space.kind, hash, expected)
      return .new
    }
  }

  // MARK: Owners

  func unbind(_ kind: UInt, _ hash: UInt, _ owner: Target) {
    guard owner.loop != nil else { return }
    bindings.unbind(owner, Bindings.Node(hash: hash, kind: kind)) { sweep($0, owner) }
  }

  /// An owner has ended: all its names go, and it leaves its groups. On its loop's thread.
  public func end(_ owner: Target) {
    bindings.end(owner) { other, node in sweep(node, other) }
  }

  /// Whether a node still stands for a name of its owner.
  private func isBound(_ node: Bindings.Node, to owner: Target) -> Bool {
    switch node.kind {
    case Kind.name: isBound(names, node.hash, owner)
    case Kind.id: isBound(ids, node.hash, owner)
    case Kind.wideID: isBound(wideIDs, node.hash, owner)
    default: isBound(groups, node.hash, owner)
    }
  }

  private func isBound<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ hash: UInt, _ owner: Target
  ) -> Bool {
    space.target(hash: hash) { $0 == owner || $0.isRecord && Record($0).state.contains(owner) }
      != nil
  }

  /// What a node of an owner that has ended stands for goes.
  private func sweep(_ node: Bindings.Node, _ owner: Target) {
    switch node.kind {
    case Kind.name: sweep(names, node.hash, owner)
    case Kind.id: sweep(ids, node.hash, owner)
    case Kind.wideID: sweep(wideIDs, node.hash, owner)
    default: sweep(groups, node.hash, owner)
    }
  }

  func sweep<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ hash: UInt, _ owner: Target
  ) {
    while true {
      while space.remove(hash: hash, owner) {}
      let found = space.target(hash: hash) {
        $0.isRecord && Record($0).state.contains(owner)
      }
      guard let found else {
        // A watched name may have come to lead straight to its target since the first look.
        if space.target(hash: hash, where: { $0 == owner }) == nil { return }
        continue
      }
      let record = Record(found)
      if case .sealed = leave(record, owner, space.kind) {
        finish(record, space, hash: hash)
      } else {
        dissolve(record, space, hash: hash)
      }
    }
  }
}
