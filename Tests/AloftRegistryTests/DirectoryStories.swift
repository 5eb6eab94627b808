import Testing

@testable import AloftRegistry

/// Random stories of registering, taking over, joining, leaving and ending, told to the registry's
/// logic and to a plain model at once: every answer must be the same, and in the end every name,
/// every member, and everything that the watches heard.
@Suite
struct DirectoryStories {
  @Test("What happens is what one who registers expects", arguments: 1...40)
  func story(seed: Int) {
    var teller = Teller(seed: UInt64(seed))
    for _ in 0..<2_000 { teller.step() }
    teller.judge()
  }
}

/// Tells a story of a few names, numbers, groups and owners to both.
private struct Teller {
  private enum Key: Hashable {
    case name(String)
    case id(UInt64)
    case wideID(UInt64)
  }

  private let world = World(slots: 12)
  private var dice: Dice
  private var holders: [Key: Target] = [:]
  private var groups: [String: [Target]] = [:]
  private var watches: [Key: [(Listener, [NameChange])]] = [:]
  private var groupWatches: [String: [(Listener, [NameChange])]] = [:]

  private let keys: [Key] =
    (0..<10).map { .name("name \($0)") } + (0..<4).map { .id($0) } + (0..<4).map { .wideID($0) }

  init(seed: UInt64) { dice = Dice(seed) }

  private var directory: Directory { world.directory }

  private func with<Value>(
    _ key: Key, _ body: (RegistryKey) throws(RegistryError) -> Value
  ) throws(RegistryError) -> Value {
    switch key {
    case .name(let name): return try directory.with(name, body)
    case .id(let id):
      return try inEpoch { () throws(RegistryError) -> Value in try body(.id(id)) }
    case .wideID(let id):
      return try inEpoch { () throws(RegistryError) -> Value in
        try body(.wideID(.init(high: id, low: ~id)))
      }
    }
  }

  /// The code of what is thrown, nil when nothing is.
  private func refusal(_ body: () throws(RegistryError) -> Void) -> RegistryError? {
    do throws(RegistryError) {
      try body()
      return nil
    } catch {
      return error
    }
  }

  /// A living owner mostly, else one that has ended.
  private mutating func someOwner() -> (Target, isAlive: Bool) {
    let owner = world.owner(dice.roll(world.slotCount))
    guard dice.roll(10) == 0 else { return (owner, true) }
    return (World.owner(owner.slot, UInt64(owner.generation) &+ 2), false)
  }

  mutating func step() {
    let key = keys[dice.roll(keys.count)]
    let group = "group \(dice.roll(3))"
    switch dice.roll(12) {
    case 0, 1, 2: register(key)
    case 3, 4: unregister(key)
    case 5: replace(key)
    case 6: takeOver(key)
    case 7: watch(key, group)
    case 8: end()
    case 9, 10: join(group)
    default: leave(group)
    }
    if dice.roll(20) == 0 { deliver() }
    #expect((try? with(key) { key throws(RegistryError) in directory.find(key) }) == holders[key])
  }

  private mutating func change(_ key: Key, _ target: Target?) {
    let change = NameChange(gone: holders[key], came: target)
    holders[key] = target
    for index in (watches[key] ?? []).indices { watches[key]![index].1.append(change) }
  }

  private mutating func register(_ key: Key) {
    let (owner, isAlive) = someOwner()
    let error = refusal { () throws(RegistryError) in
      try with(key) { key throws(RegistryError) in try directory.register(key, owner) }
    }
    if !isAlive {
      #expect(error?.code == .ownerEnded)
    } else if let holder = holders[key], holder != owner {
      #expect(error?.code == .nameTaken && error?.holder == holder)
    } else {
      #expect(error == nil)
      if holders[key] == nil { change(key, owner) }
    }
  }

  private mutating func unregister(_ key: Key) {
    let owner = dice.roll(2) == 0 ? holders[key] ?? someOwner().0 : someOwner().0
    let error = refusal { () throws(RegistryError) in
      try with(key) { key throws(RegistryError) in try directory.unregister(key, owner) }
    }
    switch holders[key] {
    case nil: #expect(error?.code == .nameUnknown)
    case owner?:
      #expect(error == nil)
      change(key, nil)
    case let holder: #expect(error?.code == .notOwner && error?.holder == holder)
    }
  }

  private mutating func replace(_ key: Key) {
    let (owner, isAlive) = someOwner()
    let expected = dice.roll(3) > 0 ? holders[key] ?? someOwner().0 : someOwner().0
    let error = refusal { () throws(RegistryError) in
      try with(key) { key throws(RegistryError) in
        try directory.replace(key, expected, with: owner)
      }
    }
    if !isAlive {
      #expect(error?.code == .ownerEnded)
    } else if holders[key] == nil {
      #expect(error?.code == .nameUnknown)
    } else if holders[key] != expected {
      #expect(error?.code == .notOwner && error?.holder == holders[key])
    } else {
      #expect(error == nil)
      if owner != expected { change(key, owner) }
    }
  }

  private mutating func takeOver(_ key: Key) {
    let (owner, isAlive) = someOwner()
    guard isAlive else { return }
    let before = holders[key]
    let error = refusal { () throws(RegistryError) in
      try with(key) { key throws(RegistryError) in
        if let before {
          try directory.replace(key, before, with: owner)
        } else {
          try directory.register(key, owner)
        }
      }
    }
    #expect(error == nil)
    if before != owner { change(key, owner) }
  }

  private mutating func join(_ group: String) {
    let (owner, isAlive) = someOwner()
    let error = refusal { () throws(RegistryError) in
      try directory.withGroup(group) { key throws(RegistryError) in
        try directory.join(group: key, owner)
      }
    }
    #expect(isAlive ? error == nil : error?.code == .ownerEnded)
    if isAlive && !(groups[group] ?? []).contains(owner) { member(group, came: owner) }
  }

  private mutating func leave(_ group: String) {
    let owner = groups[group]?.first ?? someOwner().0
    let error = refusal { () throws(RegistryError) in
      try directory.withGroup(group) { key throws(RegistryError) in
        try directory.leave(group: key, owner)
      }
    }
    if (groups[group] ?? []).contains(owner) {
      #expect(error == nil)
      member(group, gone: owner)
    } else {
      #expect(error != nil)
    }
    #expect(directory.members(of: group) == groups[group] ?? [])
  }

  private mutating func member(_ group: String, gone: Target? = nil, came: Target? = nil) {
    if let gone { groups[group]!.removeAll { $0 == gone } }
    if let came { groups[group, default: []].append(came) }
    for index in (groupWatches[group] ?? []).indices {
      groupWatches[group]![index].1.append(NameChange(gone: gone, came: came))
    }
  }

  private mutating func watch(_ key: Key, _ group: String) {
    if dice.roll(2) == 0 {
      let listener = Listener()
      if dice.roll(3) > 0 {
        let now = try? with(key) { key throws(RegistryError) in directory.watch(key, listener) }
        #expect(now == .some(holders[key]))
        watches[key, default: []].append((listener, []))
      } else {
        let now = directory.withGroup(group) { directory.watch(group: $0, listener) }
        #expect(now == groups[group] ?? [])
        groupWatches[group, default: []].append((listener, []))
      }
    } else if let (listener, _) = watches[key]?.popLast() {
      _ = try? with(key) { key throws(RegistryError) in directory.unwatch(key, listener) }
      let before = listener.heard.count
      listener.deliver()
      #expect(listener.heard.count == before, "told after it was cancelled")
    } else if let (listener, _) = groupWatches[group]?.popLast() {
      directory.withGroup(group) { directory.unwatch(group: $0, listener) }
    }
  }

  private mutating func end() {
    let slot = dice.roll(world.slotCount)
    let owner = world.owner(slot)
    world.end(slot, thenBegin: true)
    for key in keys where holders[key] == owner { change(key, nil) }
    for group in groups.keys where groups[group]!.contains(owner) { member(group, gone: owner) }
  }

  private func deliver() {
    for (listener, _) in watches.values.joined() { listener.deliver() }
    for (listener, _) in groupWatches.values.joined() { listener.deliver() }
  }

  func judge() {
    deliver()
    for (listener, expected) in Array(watches.values.joined()) + groupWatches.values.joined() {
      #expect(listener.heard.map { [$0.gone, $0.came] } == expected.map { [$0.gone, $0.came] })
    }
    var names: [Key: Target] = [:]
    inEpoch {
      directory.forEachName { name, target in
        names[.name(String(decoding: name, as: UTF8.self))] = target
        return true
      }
      directory.forEachID { id, target in
        names[.id(id)] = target
        return true
      }
      directory.forEachWideID { id, target in
        names[.wideID(id.high)] = target
        return true
      }
    }
    #expect(names == holders)
    #expect(directory.nameCount + directory.idCount == holders.count)
    #expect(directory.groupCount == groups.values.filter { !$0.isEmpty }.count)
    for (group, members) in groups { #expect(directory.members(of: group) == members) }
    // When all have ended nothing is left.
    for slot in 0..<world.slotCount { world.end(slot) }
    #expect(directory.nameCount == 0 && directory.idCount == 0 && directory.groupCount == 0)
  }
}
