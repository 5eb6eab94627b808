/// All that happened to one atomic word in an execution.
struct WordHistory {
  struct Store {
    var value: UInt
    /// -1 for the initial value.
    var thread: Int
    var event: Int
    /// What an acquiring load of it learns.
    var released: Clock
    /// Part of an exchange, so that nothing may come between it and the store before it.
    var isExchange: Bool
  }

  struct Access {
    var thread: Int
    var event: Int
    /// The store that was read or written, as an index into `stores`.
    var store: Int
    var isWrite: Bool
    /// Its node in the sequential order, or -1.
    var node: Int
    /// What happened before it.
    var clock: Clock
  }

  /// In the order of execution.
  private(set) var stores: [Store]
  private(set) var accesses: [Access] = []
  /// The modification order: indices into `stores`.
  private(set) var modification: [Int]
  /// Where each store stands in it.
  private(set) var position: [Int]
  private(set) var fingerprint: UInt64 = 0

  init(_ value: UInt = 0) {
    let initial = Store(value: value, thread: -1, event: 0, released: Clock(), isExchange: false)
    stores = [initial]
    modification = [0]
    position = [0]
  }

  var last: Int { modification.count - 1 }
  func store(at position: Int) -> Store { stores[modification[position]] }

  /// The earliest place in the modification order that a thread with this clock may still see:
  /// behind everything that it wrote or read, or that happened before.
  func floor(_ clock: Clock) -> Int {
    var floor = 0
    for access in accesses where clock[access.thread] > access.event {
      let at = position[access.store]
      if at > floor { floor = at }
    }
    return floor
  }

  /// Whether the store at `position` is taken by an exchange that follows it at once.
  func isTaken(_ position: Int) -> Bool {
    position < last && store(at: position + 1).isExchange
  }

  mutating func read(_ position: Int, thread: Int, event: Int, node: Int, clock: Clock) {
    accesses.append(
      Access(
        thread: thread, event: event, store: modification[position], isWrite: false, node: node,
        clock: clock))
  }

  mutating func insert(_ store: Store, after place: Int, node: Int, clock: Clock) {
    let next = fingerprint(inserting: store.thread, store.event, after: place)
    stores.append(store)
    let index = stores.count - 1
    modification.insert(index, at: place + 1)
    position.append(place + 1)
    if place + 2 < modification.count {
      for at in (place + 2)..<modification.count { position[modification[at]] = at }
    }
    accesses.append(
      Access(
        thread: store.thread, event: store.event, store: index, isWrite: true, node: node,
        clock: clock))
    fingerprint = next
  }

  /// What the fingerprint, of all stores but the initial one in order, is with one more.
  func fingerprint(inserting thread: Int, _ event: Int, after place: Int) -> UInt64 {
    var hash: UInt64 = 0
    for at in 0..<modification.count {
      if at > 0 {
        let store = stores[modification[at]]
        hash = stirred(hash, UInt64(store.thread << 16 | store.event))
      }
      if at == place { hash = stirred(hash, UInt64(thread << 16 | event)) }
    }
    return hash
  }

  /// Where an access stands in coherence order: a read between the store that it reads and the
  /// next one, with room left for one more store in between.
  func rank(_ access: Access) -> Int {
    4 * position[access.store] + (access.isWrite ? 0 : 1)
  }
  static func rankOfRead(_ position: Int) -> Int { 4 * position + 1 }
  static func rankOfInsert(after position: Int) -> Int { 4 * position + 2 }
}
