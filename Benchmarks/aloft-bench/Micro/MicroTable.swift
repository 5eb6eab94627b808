import AloftAtomics
import Glibc

/// A table of ours under test: the loops of `peers/peer_map.h`, over ``MicroIDs`` and
/// ``MicroNames``. All calls end the program when a key is not where it must be.
protocol MicroTable: AnyObject, Sendable {
  init(count: UInt64)
  /// Inserts keys number `range`; the answer is the nanoseconds of that alone.
  func fill(_ range: Range<UInt64>) -> UInt64
  /// Makes what look-ups need, once all keys are in.
  func prepare()
  /// `MicroRound.slice` look-ups.
  func lookupSlice(_ state: inout MicroReader)
  /// `MicroRound.writes` times nine look-ups and a write: a new key, or the same one away.
  func mixedSlice(_ state: inout MicroReader)
}

/// Where a thread is.
struct MicroReader {
  var order = MicroOrder(state: 42)
  /// Its place among the queries.
  var at = 0
  /// Its next key beyond those of the table.
  var next: UInt64 = 0
}

extension MicroTable {
  private static var insertionsLeast: UInt64 { 200_000 }
  private static var chunk: UInt64 { 1024 }

  /// Fills a table of `count` keys and measures it as the lines of standard input ask for.
  static func serve(count: UInt64, cores: [Int]) {
    MicroRound.pin(cores[0])
    let (table, insertion) = filled(count)
    table.prepare()
    var reader = MicroReader()
    var used: UInt64 = 0
    MicroRound.serve(ready: insertion) { what in
      guard what == "mixed" else {
        return MicroRound.measure(count: MicroRound.slice) { table.lookupSlice(&reader) }
      }
      used += 1 << 24  // keys that earlier rounds may have taken
      return mixed(table, first: count + used, cores: cores)
    }
  }

  /// Small tables several times over, so that the time can be told.
  private static func filled(_ count: UInt64) -> (Self, Double) {
    let tables = (insertionsLeast + count - 1) / count
    var taken: UInt64 = 0
    var table: Self!
    for _ in 0..<tables {
      table = Self(count: count)
      for first in stride(from: 0, to: count, by: Int(chunk)) {
        taken += table.fill(first..<min(first + chunk, count))
      }
    }
    return (table, Double(taken) / Double(tables * count))
  }

  private static func mixed(_ table: Self, first: UInt64, cores: [Int]) -> Double {
    let bodies = (0..<2).map { index -> @Sendable () -> Double in
      {
        var reader = MicroReader(next: first + UInt64(index))
        reader.order.state += UInt64(index)
        let count = MicroRound.writes * (MicroRound.reads + 1)
        return MicroRound.measure(count: count) { table.mixedSlice(&reader) }
      }
    }
    return MicroTeam.run(cores: cores, bodies).results.reduce(0, +) / 2
  }
}

/// Where tables of the `micro` bench get their memory: from the system, in small pages as the
/// registry's.
enum MicroMemory {
  static let system = HashMemory(
    allocate: { bytes in
      let start = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      precondition(start != MAP_FAILED, "no memory")
      madvise(start, bytes, MADV_NOHUGEPAGE)
      return start!
    },
    release: { start, bytes in munmap(start, bytes) },
    yield: { sched_yield() })
}
