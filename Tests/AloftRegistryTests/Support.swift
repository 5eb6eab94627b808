import AloftAtomics
import Glibc
import Synchronization

@testable import AloftRegistry

/// Owners that come and end at the test's word, in the place of an event loop's mailboxes.
///
/// Each slot has one word: its generation, odd while somebody lives there, and whether the end is
/// to be told.
final class World: DirectoryHost, @unchecked Sendable {
  private let slots: UnsafeMutablePointer<Atomic<UInt64>>
  let slotCount: Int
  /// Wrong on purpose: says that owners live without seeing to it that their end is told.
  let isForgetful: Bool
  let directory: Directory

  init(slots count: Int, isForgetful: Bool = false) {
    slotCount = count
    self.isForgetful = isForgetful
    slots = .allocate(capacity: count)
    for slot in 0..<count { (slots + slot).initialize(to: Atomic(1 << 1)) }
    directory = Directory(seed: 4711, memory: .plain)
    super.init()
    directory.attach(self)
  }

  deinit { slots.deallocate() }

  func owner(_ slot: Int) -> Target {
    let generation = slots[slot].load(ordering: .acquiring) >> 1
    return Self.owner(slot, generation)
  }

  static func owner(_ slot: Int, _ generation: UInt64) -> Target {
    .mailbox(UInt64(slot) << 24 | generation)
  }

  override func isAlive(_ owner: Target) -> Bool {
    guard owner.slot < slotCount else { return false }
    let generation = slots[owner.slot].load(ordering: .sequentiallyConsistent) >> 1
    return generation & 1 != 0 && Self.owner(owner.slot, generation) == owner
  }

  override func arrangeEnd(of owner: Target) -> Bool {
    if isForgetful { return isAlive(owner) }
    guard isAlive(owner) else { return false }
    var word = slots[owner.slot].load(ordering: .relaxed)
    while word >> 1 == owner.generation {
      let (done, seen) = slots[owner.slot].compareExchange(
        expected: word, desired: word | 1, ordering: .acquiringAndReleasing)
      if done { return true }
      word = seen
    }
    return false
  }

  /// One thread for each slot. The next one to live there has the generation after the next.
  func end(_ slot: Int, thenBegin: Bool = false) {
    let before = slots[slot].load(ordering: .acquiring)
    let dead = (before >> 1) + 1
    let word = slots[slot].exchange(dead << 1, ordering: .acquiringAndReleasing)
    if word & 1 != 0 { inEpoch { directory.end(Self.owner(slot, before >> 1)) } }
    if thenBegin { slots[slot].store((dead + 1) << 1, ordering: .sequentiallyConsistent) }
  }
}

/// Runs `body` pinned.
func inEpoch<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
  Epochs.shared.pin(.shared)
  defer { Epochs.shared.unpin(.shared) }
  return try body()
}

extension Directory {
  /// A name's key for as long as `body` runs.
  func with<Value, Failure: Error>(
    _ name: String, _ body: (RegistryKey) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let bytes = Array(name.utf8)
    return try inEpoch { () throws(Failure) -> Value in
      try withExtendedLifetime(bytes) { () throws(Failure) -> Value in
        let buffer = bytes.span.bytes.withUnsafeBytes { $0 }
        return try body(.name(key(buffer)))
      }
    }
  }

  func withGroup<Value, Failure: Error>(
    _ name: String, _ body: (NameKey) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try with(name) { key throws(Failure) in
      guard case .name(let name) = key else { preconditionFailure() }
      return try body(name)
    }
  }

  func find(name: String) -> Target? { with(name) { find($0) } }
  func register(name: String, _ target: Target) throws(RegistryError) {
    try with(name) { key throws(RegistryError) in try register(key, target) }
  }
  func unregister(name: String, _ target: Target) throws(RegistryError) {
    try with(name) { key throws(RegistryError) in try unregister(key, target) }
  }
  func members(of name: String) -> [Target] {
    withGroup(name) { key in
      withMembers(of: key) { members in (0..<members.count).map { members[$0] } }
    } ?? []
  }
}

/// A watch that writes down what it is told.
final class Listener: Watch, @unchecked Sendable {
  private(set) var heard: [NameChange] = []
  let wakes = Atomic<Int>(0)
  override init() {}
  override func wake() { wakes.add(1, ordering: .relaxed) }
  override func tell(_ change: NameChange) { heard.append(change) }
}

/// Random numbers that are the same for the same seed.
struct Dice {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func roll(_ sides: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(sides))
  }
}

/// Real threads, more than cores, joined before `runThreads` returns.
func runThreads(_ bodies: [@Sendable () -> Void]) {
  final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
  let threads = bodies.map { body -> pthread_t in
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(Body(body)).toOpaque())
    precondition(code == 0, "no thread: \(code)")
    return thread
  }
  for thread in threads { pthread_join(thread, nil) }
}
