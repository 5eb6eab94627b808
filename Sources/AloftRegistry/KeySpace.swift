import AloftAtomics

/// A table of names of one kind, as the registry's logic sees it: what is said once of names, of
/// 64-bit and 128-bit IDs, and of groups.
protocol KeySpace: ~Copyable {
  associatedtype Key
  /// What the nodes of this space are marked with in an owner's list.
  var kind: UInt { get }
  /// Entries, of which some may stand for nobody.
  var count: Int { get }
  func describe(_ key: Key) -> String

  func find(_ key: Key) -> Target?
  /// Nil when inserted, else who is there and stays.
  func insert(_ key: Key, _ target: Target) -> Target?
  func replace(_ key: Key, _ expected: Target, with target: Target) -> HashChange
  func remove(_ key: Key, _ expected: Target) -> HashChange

  // For the reverse index, which keeps 8 bytes of a key.
  func hash(_ key: Key) -> UInt
  /// A key of this hash that stands for `target` stands for `other` from now on.
  func replace(hash: UInt, _ target: Target, with other: Target) -> Bool
  /// Takes out a key of this hash that stands for `target`; false when there is none.
  func remove(hash: UInt, _ target: Target) -> Bool
  /// The first target of this hash that `body` says yes to.
  func target(hash: UInt, where body: (Target) -> Bool) -> Target?

  /// All entries, without stopping anybody, until `body` answers false.
  func forEach(_ body: (Key, Target) -> Bool)
}

struct NameSpace: ~Copyable, KeySpace {
  let kind: UInt
  let table: NameTable

  var count: Int { table.count }

  func find(_ key: NameKey) -> Target? {
    table.find(key).map { Target(word: $0) }
  }
  func insert(_ key: NameKey, _ target: Target) -> Target? {
    table.insert(key, target.word).map { Target(word: $0) }
  }
  func replace(_ key: NameKey, _ expected: Target, with target: Target) -> HashChange {
    table.replace(key, expected: expected.word, with: target.word)
  }
  func remove(_ key: NameKey, _ expected: Target) -> HashChange {
    table.remove(key, expected: expected.word)
  }

  func describe(_ key: NameKey) -> String { key.description }
  func hash(_ key: NameKey) -> UInt { key.hash }
  func replace(hash: UInt, _ target: Target, with other: Target) -> Bool {
    table.replace(hash: hash, expected: target.word, with: other.word)
  }
  func remove(hash: UInt, _ target: Target) -> Bool {
    table.remove(hash: hash, value: target.word)
  }
  func target(hash: UInt, where body: (Target) -> Bool) -> Target? {
    table.value(hash: hash) { body(Target(word: $0)) }.map { Target(word: $0) }
  }

  func forEach(_ body: (NameKey, Target) -> Bool) {
    unsafe table.forEach { name, value in
      return body(unsafe table.key(name), Target(word: value))
    }
  }
}

struct IDSpace<ID: HashKey>: ~Copyable, KeySpace {
  let kind: UInt
  let table: IDTableOf<ID>

  var count: Int { table.count }

  func find(_ key: ID) -> Target? { table.find(key).map { Target(word: $0) } }
  func insert(_ key: ID, _ target: Target) -> Target? {
    table.insert(key, target.word).map { Target(word: $0) }
  }
  func replace(_ key: ID, _ expected: Target, with target: Target) -> HashChange {
    table.replace(key, expected: expected.word, with: target.word)
  }
  func remove(_ key: ID, _ expected: Target) -> HashChange {
    table.remove(key, expected: expected.word)
  }

  func describe(_ key: ID) -> String { "\(key)" }
  func hash(_ key: ID) -> UInt { table.hash(key) }
  func replace(hash: UInt, _ target: Target, with other: Target) -> Bool {
    table.replace(hash: hash, expected: target.word, with: other.word)
  }
  func remove(hash: UInt, _ target: Target) -> Bool {
    table.remove(hash: hash, value: target.word)
  }
  func target(hash: UInt, where body: (Target) -> Bool) -> Target? {
    table.value(hash: hash) { body(Target(word: $0)) }.map { Target(word: $0) }
  }

  func forEach(_ body: (ID, Target) -> Bool) {
    table.forEach { body($0, Target(word: $1)) }
  }
}
