package import AloftQueue
import Glibc
import Synchronization

/// Whose memory a thread's messages are of: each loop has a pool, and each other thread that makes
/// messages gets one, which ends with the thread.
enum MessageMemory {
  /// How often a loop gives back what it does not need, in ticks.
  static let trimPeriod: UInt64 = 1_000
  /// Memory that bytes are received into: so many pieces of a loop may be held by messages at a
  /// time. 16 MiB with the 256 KiB of the libuv driver.
  static let arenasMax = 64
  /// A foreign thread's pool has nobody who trims it.
  private static let foreignEmptyBytesMax = 4 << 20

  // The pool to use at present, and the one that a foreign thread's end has to end. Atomic not for
  // their order but because access to a variable would be checked for exclusivity at each message.
  // No key has the number that they begin with.
  private static let currentKey = Atomic<pthread_key_t>(.max)
  private static let ownKey = Atomic<pthread_key_t>(.max)

  static let prepared: Void = {
    var current = pthread_key_t()
    var own = pthread_key_t()
    let made = unsafe pthread_key_create(&current, nil)
    let madeOwn = unsafe pthread_key_create(&own) { pool in
      MessageMemory.use(0)
      if let pool = unsafe pool { MessagePool(address: UInt(bitPattern: pool)).end() }
    }
    precondition(made == 0 && madeOwn == 0, "no thread-specific key left")
    currentKey.store(current, ordering: .releasing)
    ownKey.store(own, ordering: .releasing)
    MessagePool.findPools { MessageMemory.currentAddress }
  }()

  @inline(__always)
  private static var currentAddress: UInt {
    unsafe UInt(bitPattern: pthread_getspecific(currentKey.load(ordering: .relaxed)))
  }

  private static func use(_ pool: UInt) {
    unsafe pthread_setspecific(
      currentKey.load(ordering: .relaxed), UnsafeRawPointer(bitPattern: pool))
  }

  /// The system's pages, so that what is freed is the system's at once.
  private static let source = unsafe MessageMemorySource(
    allocate: { bytes in
      let pages = unsafe mmap(
        nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      guard let pages = unsafe pages, UInt(bitPattern: pages) != .max else { return nil }
      mapped.add(bytes, ordering: .relaxed)
      return unsafe pages
    },
    free: { pages, bytes in
      unsafe munmap(pages, bytes)
      mapped.subtract(bytes, ordering: .relaxed)
    })

  /// Bytes of all pools' pages.
  static let mapped = Atomic<Int>(0)

  static func makeLoopPool(arenaBytes: Int) -> MessagePool {
    prepared
    return MessagePool(
      source: source, arenaBytes: arenaBytes, arenasMax: arenasMax, borrows: true)
  }

  /// The calling thread's pool.
  @inline(__always)
  static var current: MessagePool {
    let found = currentAddress
    return found != 0 ? MessagePool(address: found) : makeForeignPool()
  }

  @inline(never)
  private static func makeForeignPool() -> MessagePool {
    prepared
    let pool = MessagePool(source: source, emptyBytesMax: foreignEmptyBytesMax)
    unsafe pthread_setspecific(
      ownKey.load(ordering: .relaxed), UnsafeRawPointer(bitPattern: pool.address))
    use(pool.address)
    return pool
  }

  /// Has the calling thread use this pool, whose owner it is from here on; answers the one before.
  static func enter(_ pool: UInt) -> UInt {
    let before = currentAddress
    use(pool)
    return before
  }
}

extension EventLoop {
  /// Any thread: a message's memory with one reference and room for `count` bytes, which are not
  /// initialised; of the calling loop's or thread's pool.
  @inline(__always)
  package static func newMessage(count: Int) -> MessageBlock {
    MessageMemory.current.allocate(count: count)
  }

  /// Any thread: the same, with a copy of `bytes`.
  @inline(__always)
  package static func newMessage(copying bytes: UnsafeRawBufferPointer) -> MessageBlock {
    let block = newMessage(count: bytes.count)
    if let start = bytes.baseAddress {
      unsafe block.header.pointee.bytes.copyMemory(from: start, byteCount: bytes.count)
    }
    return block
  }

  /// Bytes of memory that all loops and threads hold for messages, in use or not.
  package static var messageBytesHeld: Int { MessageMemory.mapped.load(ordering: .relaxed) }

  /// At the end of a turn: others' memory goes back to them, and what is not needed to the system.
  @inline(__always)
  func settleMessages(final: Bool) {
    if unsafe hot.pointee.arena.isTaken { renewArena() }
    messages.flush()
    if final, unsafe hot.pointee.tick >= hot.pointee.nextTrim { trimMessages() }
  }

  @inline(never)
  private func trimMessages() {
    messages.trim()
    unsafe hot.pointee.nextTrim = unsafe hot.pointee.tick + MessageMemory.trimPeriod
  }

  /// For how long the loop may sleep, if memory is not to be kept for too long.
  @inline(__always)
  func boundedByTrim(_ sleep: Int64) -> Int64 {
    messages.giveBorrowedBack()
    guard messages.hasExcess else { return sleep }
    let period = Int64(MessageMemory.trimPeriod)
    return sleep < 0 ? period : min(sleep, period)
  }
}
