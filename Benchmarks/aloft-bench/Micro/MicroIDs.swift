import AloftAtomics

/// 64-bit keys: each is made from its number when it is looked up, and its value is checked
/// against the sum that all must give.
final class MicroIDs: MicroTable {
  private let table = IDTable(seed: 1987, memory: MicroMemory.system)
  private let count: UInt64

  init(count: UInt64) { self.count = count }

  func fill(_ range: Range<UInt64>) -> UInt64 {
    let begin = MicroRound.now()
    Self.insert(table, range)
    return MicroRound.now() - begin
  }

  func prepare() {}
  func lookupSlice(_ state: inout MicroReader) { Self.lookup(table, count, &state.order) }
  func mixedSlice(_ state: inout MicroReader) { Self.mix(table, count, &state) }

  @inline(never)
  private static func insert(_ table: borrowing IDTable, _ range: Range<UInt64>) {
    var failed = 0
    for index in range where table.insert(microID(index), index &+ 1) != nil { failed &+= 1 }
    precondition(failed == 0, "a key was refused")
  }

  @inline(never)
  private static func lookup(
    _ table: borrowing IDTable, _ count: UInt64, _ order: inout MicroOrder
  ) {
    var found: UInt64 = 0
    var wanted: UInt64 = 0
    for _ in 0..<MicroRound.slice {
      let index = order.next(count)
      found &+= table.find(microID(index)) ?? 0
      wanted &+= index &+ 1
    }
    precondition(found == wanted, "a key was not found")
  }

  @inline(never)
  private static func mix(
    _ table: borrowing IDTable, _ count: UInt64, _ state: inout MicroReader
  ) {
    var found: UInt64 = 0
    var wanted: UInt64 = 0
    var failed = 0
    var order = state.order
    var next = state.next
    for write in 0..<MicroRound.writes {
      for _ in 0..<MicroRound.reads {
        let index = order.next(count)
        found &+= table.find(microID(index)) ?? 0
        wanted &+= index &+ 1
      }
      let key = microID(next)
      if write & 1 == 0 {
        if table.insert(key, 1) != nil { failed &+= 1 }
      } else {
        if table.remove(key) == nil { failed &+= 1 }
        next &+= 2
      }
    }
    state.order = order
    state.next = next
    precondition(found == wanted && failed == 0, "an operation failed among two threads")
  }
}
