/// What a supervisor waits for, earliest first: a binary heap of (tick, child, epoch).
///
/// Nothing is taken out before its time. Whoever waits no longer has another epoch by then, and is
/// passed over; when such leftovers are the most of a large heap, they are swept out.
struct DeadlineHeap {
  struct Entry {
    var due: UInt64
    var index: UInt32
    var epoch: UInt32
  }

  private(set) var entries: [Entry] = []

  var next: UInt64? { entries.first?.due }

  mutating func push(_ entry: Entry) {
    entries.append(entry)
    var at = entries.count - 1
    while at > 0 {
      let parent = (at - 1) / 2
      if entries[parent].due <= entries[at].due { break }
      entries.swapAt(parent, at)
      at = parent
    }
  }

  /// The first that is due at `now`.
  mutating func pop(at now: UInt64) -> Entry? {
    guard let first = entries.first, first.due <= now else { return nil }
    removeFirst()
    return first
  }

  mutating func removeFirst() {
    let last = entries.removeLast()
    guard !entries.isEmpty else { return }
    entries[0] = last
    sink(0)
  }

  mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  /// Keeps those of whom `isWaiting` is true.
  mutating func sweep(_ isWaiting: (Entry) -> Bool) {
    entries.removeAll { !isWaiting($0) }
    for at in stride(from: entries.count / 2 - 1, through: 0, by: -1) { sink(at) }
  }

  private mutating func sink(_ start: Int) {
    var at = start
    while true {
      var least = 2 * at + 1
      guard least < entries.count else { return }
      if least + 1 < entries.count, entries[least + 1].due < entries[least].due { least += 1 }
      if entries[at].due <= entries[least].due { return }
      entries.swapAt(at, least)
      at = least
    }
  }
}
