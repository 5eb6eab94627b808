import Glibc

/// Real threads for the stress tests: more of them than cores, all started together, all joined
/// before `run` returns.
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

/// What a consumer got, held against what each producer sent: `producer << 32 | index`, counted
/// from 1.
struct Ledger {
  private(set) var items = 0
  private(set) var disorders = 0
  private var next: [UInt]

  init(producers: Int) { next = Array(repeating: 1, count: producers) }

  static func item(_ producer: Int, _ index: Int) -> UInt { UInt(producer) << 32 | UInt(index) }

  mutating func enter(_ item: UInt) {
    let producer = Int(item >> 32)
    if producer >= next.count || item & 0xffff_ffff != next[producer] {
      disorders += 1
    } else {
      next[producer] += 1
    }
    items += 1
  }
}

/// A place that one thread writes and another reads after the join.
final class Outcome<Value>: @unchecked Sendable {
  // Sendable: the join stands between the one writer and the reader.
  var value: Value
  init(_ value: Value) { self.value = value }
}
