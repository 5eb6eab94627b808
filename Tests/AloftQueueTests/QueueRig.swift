import AloftQueue
import Glibc
import Histories
import Synchronization

/// Real threads, more of them than cores; all joined before it returns.
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

/// Lets threads go on together, so that their operations overlap.
final class Gate: Sendable {
  private let missing: Atomic<Int>

  init(_ threads: Int) { missing = Atomic(threads) }

  func pass() {
    missing.wrappingSubtract(1, ordering: .relaxed)
    while missing.load(ordering: .relaxed) > 0 { sched_yield() }
  }
}

extension [Timed<FIFOOperation>] {
  /// How many operations began before one of another thread that had begun earlier was over.
  var overlaps: Int {
    var latest: UInt64 = 0
    var count = 0
    for timed in sorted(by: { $0.invoked < $1.invoked }) {
      if timed.invoked < latest { count += 1 }
      latest = Swift.max(latest, timed.responded)
    }
    return count
  }
}

/// Empty messages that carry a number: the producer's, and how many it has sent before.
func message(_ number: UInt64) -> Message {
  let block = MessageBlock.allocate(count: 0)
  block.header.pointee.tag = number
  return Message(adopting: block)
}

extension Message {
  var number: UInt64 { block.header.pointee.tag }
}

/// What a consumer got, held against what each producer sent: `producer << 32 | index`, from 0.
struct Ledger: Sendable {
  private(set) var items = 0
  private(set) var disorders = 0
  private var last: [Int]

  init(producers: Int) { last = Array(repeating: -1, count: producers) }

  static func number(_ producer: Int, _ index: Int) -> UInt64 {
    UInt64(producer) << 32 | UInt64(index)
  }

  /// In this consumer's eyes a producer's numbers only grow.
  mutating func enter(_ number: UInt64) {
    let (producer, index) = (Int(number >> 32), Int(number & 0xffff_ffff))
    if index <= last[producer] { disorders += 1 }
    last[producer] = index
    items += 1
  }
}

/// Which numbers came out, by producer: each once.
final class Tally: @unchecked Sendable {
  // @unchecked: a byte a number, and each number is entered by one thread if all is well; after
  // the join a byte that is not 1 tells.
  private let seen: UnsafeMutablePointer<UInt8>
  private let each: Int
  private let count: Int

  init(producers: Int, each: Int) {
    self.each = each
    count = producers * each
    seen = .allocate(capacity: count)
    seen.initialize(repeating: 0, count: count)
  }

  deinit { seen.deallocate() }

  func enter(_ number: UInt64) {
    seen[Int(number >> 32) * each + Int(number & 0xffff_ffff)] &+= 1
  }

  /// Lost or doubled.
  var wrong: Int { (0..<count).count { seen[$0] != 1 } }
}

/// A result that one thread leaves for whoever joins it.
final class Outcome<Value>: @unchecked Sendable {
  // @unchecked: the join stands between.
  var value: Value
  init(_ value: Value) { self.value = value }
}

/// Messages of a stress test: `ALOFT_QUEUE_ITEMS` of them, where that is set.
let stressItems = getenv("ALOFT_QUEUE_ITEMS").flatMap { Int(String(cString: $0)) } ?? itemsUsually

#if DEBUG
  private let itemsUsually = 400_000
  let historyRounds = 150
#else
  private let itemsUsually = 10_000_000
  let historyRounds = 1_000
#endif
