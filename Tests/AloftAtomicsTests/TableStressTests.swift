// More threads than cores at one table. What they were answered is judged for linearizability, key
// by key; what was inserted is found by all from then on, however the table grows meanwhile.
import AloftAtomics
import Glibc
import Histories
import Synchronization
import Testing

/// What the stories ask of a table.
protocol AnyTable: Sendable {
  func find(_ key: UInt64) -> UInt64?
  func insert(_ key: UInt64, _ value: UInt64) -> UInt64?
  func replace(_ key: UInt64, _ expected: UInt64, _ value: UInt64) -> HashChange
  func remove(_ key: UInt64, _ expected: UInt64) -> HashChange
  func remove(_ key: UInt64) -> UInt64?
  /// How often each key was seen in a walk.
  func seen() -> [UInt64: Int]
  var count: Int { get }
}

extension IDs: AnyTable {
  func find(_ key: UInt64) -> UInt64? { table.find(key) }
  func insert(_ key: UInt64, _ value: UInt64) -> UInt64? { table.insert(key, value) }
  func replace(_ key: UInt64, _ expected: UInt64, _ value: UInt64) -> HashChange {
    table.replace(key, expected: expected, with: value)
  }
  func remove(_ key: UInt64, _ expected: UInt64) -> HashChange {
    table.remove(key, expected: expected)
  }
  func remove(_ key: UInt64) -> UInt64? { table.remove(key) }
  func seen() -> [UInt64: Int] { all.mapValues(\.count) }
  var count: Int { table.count }
}

/// Keys as names, the odd ones so long that they lie in pieces of other sizes.
final class NamesByNumber: AnyTable {
  let names = Names()
  private func text(_ key: UInt64) -> [UInt8] {
    Array("\(key)".utf8) + Array(repeating: 46, count: key % 2 == 0 ? 10 : Int(key % 128) + 60)
  }
  func find(_ key: UInt64) -> UInt64? { names.find(text(key)) }
  func insert(_ key: UInt64, _ value: UInt64) -> UInt64? { names.insert(text(key), value) }
  func replace(_ key: UInt64, _ expected: UInt64, _ value: UInt64) -> HashChange {
    names.replace(text(key), expected, value)
  }
  func remove(_ key: UInt64, _ expected: UInt64) -> HashChange {
    names.remove(text(key), expected)
  }
  func remove(_ key: UInt64) -> UInt64? { names.remove(text(key)) }
  func seen() -> [UInt64: Int] {
    var seen: [UInt64: Int] = [:]
    for (name, values) in names.all {
      seen[UInt64(String(decoding: name.prefix { $0 != 46 }, as: UTF8.self))!] = values.count
    }
    return seen
  }
  var count: Int { names.table.count }
}

@Suite struct TableStressTests {
  static let tables: [@Sendable () -> any AnyTable] = [{ IDs() }, { NamesByNumber() }]

  /// One thing asked of `table`, drawn, and what it answered. Values are never used twice, so that
  /// an answer tells whose it is; `last` is one that the thread has seen under the key.
  static func step(
    _ table: some AnyTable, _ key: UInt64, _ value: UInt64, _ last: inout UInt64, draw: UInt64
  ) -> MapOperation {
    func found(_ change: HashChange, _ expected: UInt64) -> UInt64? {
      switch change {
      case .done: expected
      case .differs(let other): other
      case .absent: nil
      }
    }
    switch draw % 10 {
    case 0, 1, 2:
      let answer = table.insert(key, value)
      last = answer ?? value
      return .insert(value, found: answer)
    case 3, 4:
      let expected = last
      let answer = found(table.replace(key, expected, value), expected)
      last = answer == expected ? value : answer ?? last
      return .replace(expected, with: value, found: answer)
    case 5:
      let answer = found(table.remove(key, last), last)
      defer { last = answer ?? last }
      return .remove(last, found: answer)
    case 6:
      return .take(table.remove(key))
    default:
      let answer = table.find(key)
      last = answer ?? last
      return .find(answer)
    }
  }

  @Test(
    "Six threads at a few keys while the table grows: their history is linearizable",
    arguments: 0..<2, 1...4)
  func linearizable(kind: Int, seed: Int) {
    let table = Self.tables[kind]()
    let threads = 6
    let steps = 3_000
    // All at one key, and all at some.
    let keys: UInt64 = seed % 2 == 0 ? 2 : 12
    let recorder = Recorder<MapOperation>(threads: threads, operationsMax: steps)
    var bodies: [@Sendable () -> Void] = (0..<threads).map { thread in
      {
        var random = SplitMix(state: UInt64(seed * 100 + thread))
        var last = Array(repeating: UInt64(0), count: Int(keys))
        let lane = recorder[thread]
        for number in 1...steps {
          let key = random.next() % keys
          let value = UInt64(thread + 1) << 32 | UInt64(number)
          let draw = random.next()
          lane.record(key: key) { Self.step(table, key, value, &last[Int(key)], draw: draw) }
        }
      }
    }
    bodies.append {
      for key in 1_000..<9_000 as Range<UInt64> { _ = table.insert(key, key) }
    }
    runThreads(bodies)
    let verdict = judge(recorder.history, MapModel())
    #expect(verdict.isLinearizable, "\(verdict)")
    print("table kind=\(kind) seed=\(seed): \(verdict)")
  }

  @Test("A table that answers from a moment ago is found out")
  func staleTwin() {
    // Remembers its last look-up of each key and gives that answer once more.
    final class Stale: AnyTable {
      let ids = IDs()
      let memory = Array(0..<2).map { _ in Cell() }
      final class Cell: Sendable { let word = Atomic<UInt64>(0) }
      func find(_ key: UInt64) -> UInt64? {
        let found = ids.table.find(key)
        let old = memory[Int(key)].word.exchange(found ?? 0, ordering: .relaxed)
        return old % 64 == 1 ? old : found
      }
      func insert(_ key: UInt64, _ value: UInt64) -> UInt64? { ids.insert(key, value) }
      func replace(_ key: UInt64, _ expected: UInt64, _ value: UInt64) -> HashChange {
        ids.replace(key, expected, value)
      }
      func remove(_ key: UInt64, _ expected: UInt64) -> HashChange { ids.remove(key, expected) }
      func remove(_ key: UInt64) -> UInt64? { ids.table.remove(key) }
      func seen() -> [UInt64: Int] { ids.seen() }
      var count: Int { ids.count }
    }
    let table = Stale()
    let recorder = Recorder<MapOperation>(threads: 4, operationsMax: 2_000)
    runThreads(
      (0..<4).map { thread in
        {
          var random = SplitMix(state: UInt64(thread))
          var last: UInt64 = 0
          for number in 1...2_000 {
            let value = UInt64(thread + 1) << 32 | UInt64(number)
            let draw = random.next()
            recorder[thread].record(key: 0) { Self.step(table, 0, value, &last, draw: draw) }
          }
        }
      })
    #expect(!judge(recorder.history, MapModel()).isLinearizable)
  }

  @Test("From one entry to a million while others read: nothing is lost", arguments: 0..<2)
  func growth(kind: Int) {
    let table = Self.tables[kind]()
    // Under a sanitizer, which is asked for with fewer seeds, a tenth.
    let share: UInt64 = getenv("ALOFT_SEEDS") == nil ? 1 : 10
    let entries: UInt64 = (kind == 0 ? 1_000_000 : 200_000) / share
    let writers: UInt64 = 2
    let inserted = (0..<writers).map { _ in Mark() }
    let lost = Mark()
    let walks = Mark()
    var bodies: [@Sendable () -> Void] = (0..<writers).map { writer in
      {
        for number in 0..<entries / writers {
          let key = number * writers + writer
          if table.insert(key, key ^ 1) != nil { _ = lost.word.wrappingAdd(1, ordering: .relaxed) }
          inserted[Int(writer)].word.store(number + 1, ordering: .releasing)
        }
      }
    }
    @Sendable func isDone() -> Bool {
      inserted.allSatisfy { $0.word.load(ordering: .acquiring) == entries / writers }
    }
    for reader in 0..<2 as Range<UInt64> {
      bodies.append {
        var random = SplitMix(state: reader)
        while !isDone() {
          let writer = random.next() % writers
          let bound = inserted[Int(writer)].word.load(ordering: .acquiring)
          if bound == 0 { continue }
          // The newest as often as any.
          let draw = random.next()
          let number = draw % 2 == 0 ? bound - 1 : draw / 2 % bound
          let key = number * writers + writer
          if table.find(key) != key ^ 1 { _ = lost.word.wrappingAdd(1, ordering: .relaxed) }
        }
      }
    }
    bodies.append {
      repeat {
        let before = inserted.map { $0.word.load(ordering: .acquiring) }
        let seen = table.seen()
        for (writer, bound) in before.enumerated() {
          for number in 0..<bound where seen[number * writers + UInt64(writer)] != 1 {
            _ = lost.word.wrappingAdd(1, ordering: .relaxed)
          }
        }
        if seen.values.contains(where: { $0 > 1 }) {
          _ = lost.word.wrappingAdd(1, ordering: .relaxed)
        }
        _ = walks.word.wrappingAdd(1, ordering: .relaxed)
      } while !isDone()
    }
    runThreads(bodies)
    #expect(lost.word.load(ordering: .relaxed) == 0)
    #expect(table.count == Int(entries))
    #expect((0..<entries).allSatisfy { table.find($0) == $0 ^ 1 })
    print("growth kind=\(kind): \(walks.word.load(ordering: .relaxed)) walks")
  }

  @Test("Eight threads insert and remove the same keys: each is given out once", arguments: 0..<2)
  func ownership(kind: Int) {
    let table = Self.tables[kind]()
    let twice = Mark()
    let owned = (0..<200).map { _ in Mark() }
    runThreads(
      (0..<8).map { thread in
        {
          var random = SplitMix(state: UInt64(thread))
          for _ in 0..<10_000 {
            let key = random.next() % UInt64(owned.count)
            guard table.insert(key, UInt64(thread)) == nil else { continue }
            let others = owned[Int(key)].word.wrappingAdd(1, ordering: .relaxed).oldValue
            if others != 0 { _ = twice.word.wrappingAdd(1, ordering: .relaxed) }
            _ = owned[Int(key)].word.wrappingSubtract(1, ordering: .relaxed)
            if table.remove(key, UInt64(thread)) != .done {
              _ = twice.word.wrappingAdd(1, ordering: .relaxed)
            }
          }
        }
      })
    #expect(twice.word.load(ordering: .relaxed) == 0)
    #expect(table.count == 0 && table.seen().isEmpty)
  }

  final class Mark: Sendable { let word = Atomic<UInt64>(0) }
}
