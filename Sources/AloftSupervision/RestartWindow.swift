/// How many restarts lie within a window that moves with time: exact, also at its edges.
///
/// A ring of (tick, restarts at it). Restarts of one tick share an entry, so ten thousand children
/// that fail at once take one, and the ring never holds more entries than the window has ticks.
/// Adding takes constant time on the average: each entry is dropped once.
struct RestartWindow {
  private struct Entry {
    var tick: UInt64
    var count: UInt64
  }

  private var entries: [Entry] = []
  private var head = 0
  private let length: UInt64
  private(set) var count: UInt64 = 0

  init(length: UInt32) { self.length = UInt64(length) }

  /// Counts a restart at `now`, which never goes back, and answers how many there were within
  /// the window that ends now: those of `now - length` are among them, as in Erlang.
  mutating func add(at now: UInt64) -> UInt64 {
    drop(before: now)
    if head < entries.count, entries[entries.count - 1].tick == now {
      entries[entries.count - 1].count += 1
    } else {
      entries.append(Entry(tick: now, count: 1))
    }
    count += 1
    return count
  }

  mutating func clear() {
    entries.removeAll(keepingCapacity: true)
    head = 0
    count = 0
  }

  private mutating func drop(before now: UInt64) {
    while head < entries.count, now - entries[head].tick > length {
      count -= entries[head].count
      head += 1
    }
    // Moved to the front when half of it is through: each entry once.
    if head > 32, head * 2 >= entries.count {
      entries.removeFirst(head)
      head = 0
    }
  }
}
