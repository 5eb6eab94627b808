/// Chooses a number of slots whose sessions add up to a number, or come close.
enum SlotPick {
  /// Takes `count` of `slots` out, `load` sessions with them as nearly as can be found.
  ///
  /// In the order of their loads, neighbouring windows of that many slots have sums that grow, so
  /// the one just below is found by walking; then slots in the window are exchanged for slots
  /// outside it that have more by what is missing. Few exchanges do, for the loads of slots hardly
  /// differ.
  static func take(
    _ count: Int, load: Int, from slots: inout [Int], _ loads: [UInt32]
  ) -> [Int] {
    guard count < slots.count, !loads.isEmpty else {
      let taken = Array(slots.prefix(count))
      slots.removeFirst(taken.count)
      return taken
    }
    let sorted = slots.sorted { (loads[$0], $0) < (loads[$1], $1) }
    let first = window(count, load, sorted, loads)
    var taken = Array(sorted[first..<first + count])
    var rest = Array(sorted[..<first] + sorted[(first + count)...])
    var missing = load - taken.reduce(0) { $0 + Int(loads[$1]) }
    for _ in 0..<16 where missing > 0 {
      guard let gain = exchange(&taken, &rest, missing: missing, loads) else { break }
      missing -= gain
    }
    slots = rest.sorted()
    return taken.sorted()
  }

  /// The last window whose sum is not above `load`; the first one if all are.
  private static func window(
    _ count: Int, _ load: Int, _ sorted: [Int], _ loads: [UInt32]
  ) -> Int {
    var sum = sorted[..<count].reduce(0) { $0 + Int(loads[$1]) }
    var first = 0
    while first + count < sorted.count {
      let next = sum + Int(loads[sorted[first + count]]) - Int(loads[sorted[first]])
      guard next <= load else { break }
      sum = next
      first += 1
    }
    return first
  }

  /// Exchanges one taken for one of the rest, which are in the order of their loads, such that as
  /// much as possible of what is missing is gained; nil when nothing can be.
  private static func exchange(
    _ taken: inout [Int], _ rest: inout [Int], missing: Int, _ loads: [UInt32]
  ) -> Int? {
    var best: (gain: Int, taken: Int, rest: Int)?
    var above = 0
    var lastLoad = UInt32.max
    for (position, slot) in taken.enumerated() where loads[slot] != lastLoad {
      lastLoad = loads[slot]
      // `taken` ascends, so what may be reached ascends with it.
      while above < rest.count, Int(loads[rest[above]]) <= Int(lastLoad) + missing { above += 1 }
      guard above > 0 else { continue }
      let gain = Int(loads[rest[above - 1]]) - Int(lastLoad)
      if gain > (best?.gain ?? 0) { best = (gain, position, above - 1) }
      if gain == missing { break }
    }
    guard let best else { return nil }
    swap(&taken[best.taken], &rest[best.rest])
    let order: (Int, Int) -> Bool = { (loads[$0], $0) < (loads[$1], $1) }
    taken.sort(by: order)
    rest.sort(by: order)
    return best.gain
  }
}
