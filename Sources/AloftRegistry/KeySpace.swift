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

/// Names by their bytes. An address, so that to pass it on copies no table.
@safe
struct NameSpace: KeySpace {
  let kind: UInt
  let table: UnsafeMutablePointer<NameTable>

  init(kind: UInt, table: consuming NameTable) {
    self.kind = kind
    unsafe self.table = .allocate(capacity: 1)
    unsafe self.table.initialize(to: table)
  }

  func free() {
    unsafe table.deinitialize(count: 1)
    unsafe table.deallocate()
  }

  var count: Int { unsafe table.pointee.count }

  func find(_ key: NameKey) -> Target? {
    unsafe table.pointee.find(key).map { Target(word: $0) }
  }
  func insert(_ key: NameKey, _ target: Target) -> Target? {
    unsafe table.pointee.insert(key, target.word).map { Target(word: $0) }
  }
  func replace(_ key: NameKey, _ expected: Target, with target: Target) -> HashChange {
    unsafe table.pointee.replace(key, expected: expected.word, with: target.word)
  }
  func remove(_ key: NameKey, _ expected: Target) -> HashChange {
    unsafe table.pointee.remove(key, expected: expected.word)
  }

  func describe(_ key: NameKey) -> String { key.description }
  func hash(_ key: NameKey) -> UInt { key.hash }
  func replace(hash: UInt, _ target: Target, with other: Target) -> Bool {
    unsafe table.pointee.replace(hash: hash, expected: target.word, with: other.word)
  }
  func remove(hash: UInt, _ target: Target) -> Bool {
    unsafe table.pointee.remove(hash: hash, value: target.word)
  }
  func target(hash: UInt, where body: (Target) -> Bool) -> Target? {
    unsafe table.pointee.value(hash: hash) { body(Target(word: $0)) }.map { Target(word: $0) }
  }

  func forEach(_ body: (NameKey, Target) -> Bool) {
    unsafe table.pointee.forEach { name, value in
      return body(unsafe table.pointee.key(name), Target(word: value))
    }
  }
}

/// The same for numbers.
@safe
struct IDSpace<ID: HashKey>: KeySpace {
  let kind: UInt
  let table: UnsafeMutablePointer<IDTableOf<ID>>

  init(kind: UInt, table: consuming IDTableOf<ID>) {
    self.kind = kind
    unsafe self.table = .allocate(capacity: 1)
    unsafe self.table.initialize(to: table)
  }

  func free() {
    unsafe table.deinitialize(count: 1)
    unsafe table.deallocate()
  }

  var count: Int { unsafe table.pointee.count }

  func find(_ key: ID) -> Target? { unsafe table.pointee.find(key).map { Target(word: $0) } }
  func insert(_ key: ID, _ target: Target) -> Target? {
    unsafe table.pointee.insert(key, target.word).map { Target(word: $0) }
  }
  func replace(_ key: ID, _ expected: Target, with target: Target) -> HashChange {
    unsafe table.pointee.replace(key, expected: expected.word, with: target.word)
  }
  func remove(_ key: ID, _ expected: Target) -> HashChange {
    unsafe table.pointee.remove(key, expected: expected.word)
  }

  func describe(_ key: ID) -> String { "\(key)" }
  func hash(_ key: ID) -> UInt { unsafe table.pointee.hash(key) }
  func replace(hash: UInt, _ target: Target, with other: Target) -> Bool {
    unsafe table.pointee.replace(hash: hash, expected: target.word, with: other.word)
  }
  func remove(hash: UInt, _ target: Target) -> Bool {
    unsafe table.pointee.remove(hash: hash, value: target.word)
  }
  func target(hash: UInt, where body: (Target) -> Bool) -> Target? {
    unsafe table.pointee.value(hash: hash) { body(Target(word: $0)) }.map { Target(word: $0) }
  }

  func forEach(_ body: (ID, Target) -> Bool) {
    unsafe table.pointee.forEach { body($0, Target(word: $1)) }
  }
}
