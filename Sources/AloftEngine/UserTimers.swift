import AloftAtomics

/// A timer started by the user, named by value: loop, index and generation. A stale one is found
/// out like a stale connection's ID.
package struct TimerID: Hashable, Sendable {
  package let rawValue: UInt64

  package init(rawValue: UInt64) { self.rawValue = rawValue }

  init(loop: Int, index: UInt32, generation: UInt32) {
    rawValue = UInt64(loop) << 56 | UInt64(index) << 32 | UInt64(generation)
  }

  package var loop: Int { Int(rawValue >> 56) }
  var index: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32 & 0xFF_FFFF) }
  var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
}

/// The user's timers of one loop: what to call, and the node in the wheel.
struct UserTimers: ~Copyable {
  /// Payloads of the wheel: this bit marks a user's timer, the rest is its index here.
  static let payloadBit: UInt32 = 1 << 31
  static let timersMax = 1 << 24

  struct Entry {
    var node: UInt32 = 0
    var generation: UInt32
    /// Milliseconds between firings; 0 for once.
    var period: UInt32 = 0
    var nextFree: UInt32 = 0
    var action: (() -> Void)?
  }

  /// Index 0 is not used: a `nextFree` of 0 means none.
  var entries: [Entry]
  private let firstGeneration: UInt32
  var free: UInt32 = 0
  private(set) var count = 0

  init(firstGeneration: UInt32) {
    self.firstGeneration = firstGeneration
    entries = [Entry(generation: firstGeneration)]
  }

  mutating func insert(period: UInt32, action: @escaping () -> Void) -> UInt32? {
    var index = free
    if index != 0 {
      free = entries[Int(index)].nextFree
    } else {
      guard entries.count < Self.timersMax else { return nil }
      index = UInt32(entries.count)
      entries.append(Entry(generation: firstGeneration))
    }
    entries[Int(index)].period = period
    entries[Int(index)].action = action
    count += 1
    return index
  }

  mutating func remove(_ index: UInt32) {
    entries[Int(index)].action = nil
    entries[Int(index)].generation &+= 1
    entries[Int(index)].node = 0
    entries[Int(index)].nextFree = free
    free = index
    count -= 1
  }

  /// No timer fires any more: hands out what was to be called, to be let go of. IDs are stale then.
  mutating func removeAll() -> [() -> Void] {
    var actions: [() -> Void] = []
    for index in entries.indices {
      guard let action = entries[index].action else { continue }
      actions.append(action)
      remove(UInt32(index))
    }
    return actions
  }

  func find(_ id: TimerID) -> UInt32? {
    let index = id.index
    guard index > 0, index < entries.count, entries[Int(index)].generation == id.generation,
      entries[Int(index)].action != nil
    else { return nil }
    return index
  }
}
