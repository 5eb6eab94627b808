import AloftQueue
import Glibc
import Synchronization
import Testing

/// Memory for the pools of these tests, counted: malloc's, so that AddressSanitizer sees leaks.
enum CountedMemory {
  static let bytes = Atomic<Int>(0)

  static let source = MessageMemorySource(
    allocate: { bytes in
      CountedMemory.bytes.add(bytes, ordering: .relaxed)
      return .allocate(byteCount: bytes, alignment: 128)
    },
    free: { memory, bytes in
      // Whoever reads on reads this.
      memory.initializeMemory(as: UInt8.self, repeating: 0xEE, count: bytes)
      CountedMemory.bytes.subtract(bytes, ordering: .relaxed)
      memory.deallocate()
    })
}

/// What the engine does: tells a message's release whose pool the calling thread uses.
enum ThreadPool {
  nonisolated(unsafe) private static var key = pthread_key_t.max

  private static let prepared: Void = {
    precondition(pthread_key_create(&key, nil) == 0)
    MessagePool.findPools { UInt(bitPattern: pthread_getspecific(ThreadPool.key)) }
  }()

  /// The calling thread is the pool's owner from here on; of none with nil.
  static func use(_ pool: MessagePool?) {
    prepared
    pthread_setspecific(key, UnsafeRawPointer(bitPattern: pool?.address ?? 0))
  }

  /// Runs `body` as the owner of a pool, which ends afterwards.
  static func with<Value>(
    emptyBytesMax: Int = .max, arenaBytes: Int = 0, arenasMax: Int = 0, borrows: Bool = false,
    _ body: (MessagePool) throws -> Value
  ) rethrows -> Value {
    let pool = MessagePool(
      source: CountedMemory.source, arenaBytes: arenaBytes, arenasMax: arenasMax,
      emptyBytesMax: emptyBytesMax, borrows: borrows)
    use(pool)
    defer {
      use(nil)
      pool.end()
    }
    return try body(pool)
  }
}

/// Threads, started together and joined before this returns.
func runMessageThreads(_ bodies: [@Sendable () -> Void]) {
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

/// All that counts the bytes of `CountedMemory`, one test at a time.
@Suite(.serialized)
enum MessageMemoryTests {}

extension MessageBlock {
  /// Marks the block's first bytes and its last with its number, to find out if another has them.
  func fill(_ number: UInt64) {
    for place in marked {
      header.pointee.bytes.storeBytes(
        of: mark(number, place), toByteOffset: place, as: UInt8.self)
    }
    header.pointee.tag = number
  }

  func isFilled() -> Bool {
    marked.allSatisfy {
      header.pointee.bytes.load(fromByteOffset: $0, as: UInt8.self) == mark(header.pointee.tag, $0)
    }
  }

  private var marked: [Int] {
    let count = Int(header.pointee.count)
    return Array(0..<min(count, 24)) + (count > 24 ? Array(max(24, count - 8)..<count) : [])
  }

  private func mark(_ number: UInt64, _ place: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: (number &+ UInt64(place)) &* 0x9E37_79B9_7F4A_7C15 >> 40)
  }
}
