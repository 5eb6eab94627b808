import AloftAtomics

/// String keys: they are looked up in the order of a list that is read from end to end.
final class MicroNames: MicroTable, @unchecked Sendable {
  // Sendable: the queries are written once, before any thread reads them.
  private let table = NameTable(seed: 1987, memory: MicroMemory.system)
  private let count: UInt64
  private let queriesCount: Int
  private let queries: UnsafeMutableRawPointer
  private let names: UnsafeMutableRawPointer
  private static let chunk = 1024
  /// At least more than a branch predictor can learn.
  private static let queriesLeast: UInt64 = 64 << 10
  private static let queriesMost: UInt64 = 2 << 20

  init(count: UInt64) {
    self.count = count
    queriesCount = Int(min(max(count, Self.queriesLeast), Self.queriesMost))
    queries = .allocate(byteCount: queriesCount * MicroName.bytes, alignment: 64)
    names = .allocate(byteCount: Self.chunk * MicroName.bytes, alignment: 64)
  }

  deinit {
    queries.deallocate()
    names.deallocate()
  }

  func fill(_ range: Range<UInt64>) -> UInt64 {
    precondition(range.count <= Self.chunk)
    for (place, index) in range.enumerated() {
      MicroName.write(index, to: names + place * MicroName.bytes)
    }
    let begin = MicroRound.now()
    Self.insert(table, names, range)
    return MicroRound.now() - begin
  }

  func prepare() {
    var order = MicroOrder(state: 42)
    for place in 0..<queriesCount {
      MicroName.write(order.next(count), to: queries + place * MicroName.bytes)
    }
  }

  func lookupSlice(_ state: inout MicroReader) { Self.lookup(table, nextQueries(&state)) }
  func mixedSlice(_ state: inout MicroReader) { Self.mix(table, nextQueries(&state), &state) }

  private func nextQueries(_ state: inout MicroReader) -> UnsafeRawPointer {
    if state.at + MicroRound.slice > queriesCount { state.at = 0 }
    defer { state.at += MicroRound.slice }
    return UnsafeRawPointer(queries + state.at * MicroName.bytes)
  }

  @inline(never)
  private static func insert(
    _ table: borrowing NameTable, _ names: UnsafeRawPointer, _ range: Range<UInt64>
  ) {
    var failed = 0
    var name = names
    for index in range {
      if table.insert(MicroName.at(name), index &+ 1) != nil { failed &+= 1 }
      name += MicroName.bytes
    }
    precondition(failed == 0, "a name was refused")
  }

  @inline(never)
  private static func lookup(_ table: borrowing NameTable, _ queries: UnsafeRawPointer) {
    var missing = 0
    var query = queries
    for _ in 0..<MicroRound.slice {
      if table.find(MicroName.at(query)) == nil { missing &+= 1 }
      query += MicroName.bytes
    }
    precondition(missing == 0, "a name was not found")
  }

  @inline(never)
  private static func mix(
    _ table: borrowing NameTable, _ queries: UnsafeRawPointer, _ state: inout MicroReader
  ) {
    var failed = 0
    var query = queries
    withUnsafeTemporaryAllocation(byteCount: MicroName.bytes, alignment: 8) { own in
      let own = own.baseAddress!
      for write in 0..<MicroRound.writes {
        for _ in 0..<MicroRound.reads {
          if table.find(MicroName.at(query)) == nil { failed &+= 1 }
          query += MicroName.bytes
        }
        if write & 1 == 0 {
          MicroName.write(state.next, to: own)
          if table.insert(MicroName.at(own), 1) != nil { failed &+= 1 }
        } else {
          if table.remove(MicroName.at(own)) == nil { failed &+= 1 }
          state.next &+= 2
        }
      }
    }
    precondition(failed == 0, "an operation failed among two threads")
  }
}
