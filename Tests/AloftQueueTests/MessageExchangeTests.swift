import AloftAtomics
import AloftQueue
import Glibc
import Synchronization
import Testing

extension MessageMemoryTests {
  /// Messages that other threads free than made them: more threads than cores, owners that end
  /// before their messages do, nothing lost and nothing twice.
  struct Exchanges {
    /// Threads with a mailbox each, into which the others put blocks.
    private final class Exchange: @unchecked Sendable {
      // @unchecked: a word and a counter that are atomic.
      let places: UnsafeMutablePointer<UInt>
      let count: Int
      let finished = Atomic<Int>(0)

      init(_ count: Int) {
        self.count = count
        places = .allocate(capacity: count * 16)
        places.initialize(repeating: 0, count: count * 16)
      }

      deinit { places.deallocate() }

      func mailbox(_ place: Int) -> MailboxWord { MailboxWord(at: places + place * 16) }

      /// Answers how many came.
      func receive(_ place: Int) -> Int {
        var node = UInt(bitPattern: mailbox(place).drain())
        var count = 0
        while node != 0 {
          let block = MessageBlock(UnsafeMutablePointer(bitPattern: node)!)
          node = block.header.pointee.link
          if !block.isFilled() {
            Issue.record("another's bytes in message \(block.header.pointee.tag)")
          }
          MessageBlock.release(block)
          count += 1
        }
        return count
      }
    }

    /// Each thread makes messages for the others in turn and frees what it gets. The last
    /// `freers` threads have no pool and only free.
    private func exchange(
      threads: Int, messages: Int, endEarly: Bool, freers: Int = 0, borrows: Bool = false
    ) {
      let exchange = Exchange(threads + freers)
      let received = (0..<threads + freers).map { _ in Outcome(0) }
      let makers = (0..<threads).map { me -> @Sendable () -> Void in
        {
          let pool = MessagePool(
            source: CountedMemory.source, emptyBytesMax: 1 << 20, borrows: borrows)
          ThreadPool.use(pool)
          var got = 0
          for index in 0..<messages {
            let block = pool.allocate(count: (index * 37 + me) % 300)
            block.fill(UInt64(me) << 32 | UInt64(index))
            let to = (me + 1 + index % (exchange.count - 1)) % exchange.count
            _ = exchange.mailbox(to).push(block.address)
            if index % 16 == 0 { got += exchange.receive(me) }
            if index % 64 == 0 { pool.flush() }
            if index % 10_000 == 0 { pool.trim() }
            if index % 3_000 == 0 { pool.giveBorrowedBack() }
          }
          exchange.finished.add(1, ordering: .acquiringAndReleasing)
          if endEarly {
            // The others hold blocks of this pool, and the rest is freed without it.
            ThreadPool.use(nil)
            pool.end()
          }
          while exchange.finished.load(ordering: .acquiring) < threads {
            got += exchange.receive(me)
            sched_yield()
          }
          got += exchange.receive(me)
          if !endEarly {
            ThreadPool.use(nil)
            pool.end()
          }
          received[me].value = got
        }
      }
      let others = (threads..<threads + freers).map { me -> @Sendable () -> Void in
        {
          var got = 0
          while exchange.finished.load(ordering: .acquiring) < threads {
            got += exchange.receive(me)
            sched_yield()
          }
          received[me].value = got + exchange.receive(me)
        }
      }
      runMessageThreads(makers + others)
      #expect(received.reduce(0) { $0 + $1.value } == threads * messages)
      #expect(CountedMemory.bytes.load(ordering: .relaxed) == 0)
    }

    final class Outcome: @unchecked Sendable {
      // Sendable: the join stands between the one writer and the reader.
      var value: Int
      init(_ value: Int) { self.value = value }
    }

    /// Of each thread. A sanitizer makes each a hundred times dearer.
    static let messages = getenv("ALOFT_SHORT") == nil ? 40_000 : 4_000

    @Test(
      "Every message is received whole, and all memory is back when the last thread has ended",
      arguments: [2, 3, 8], [false, true])
    func exchanges(threads: Int, endEarly: Bool) {
      exchange(threads: threads, messages: Self.messages, endEarly: endEarly)
    }

    @Test("The same where the pools use each other's blocks", arguments: [2, 3, 8], [false, true])
    func exchangesBorrowing(threads: Int, endEarly: Bool) {
      exchange(threads: threads, messages: Self.messages, endEarly: endEarly, borrows: true)
    }

    @Test("Threads without a pool may free, too", arguments: [1, 6])
    func withoutPool(freers: Int) {
      exchange(threads: 2, messages: Self.messages, endEarly: true, freers: freers)
    }

    @Test("A pool that ended with messages out is freed by whoever frees the last")
    func orphans() {
      for out in [1, 2, 63, 64, 65, 1_000] {
        let pool = MessagePool(source: CountedMemory.source)
        let blocks = (0..<out).map { _ in pool.allocate(count: 64) }
        pool.end()
        #expect(CountedMemory.bytes.load(ordering: .relaxed) >= out * 128)
        runMessageThreads(
          (0..<4).map { part in
            {
              for index in stride(from: part, to: out, by: 4) {
                MessageBlock.release(blocks[index])
              }
            }
          })
        #expect(CountedMemory.bytes.load(ordering: .relaxed) == 0)
      }
    }

    @Test("A thread's gathered blocks go back with its flush, and with its end")
    func gathered() {
      let owner = MessagePool(source: CountedMemory.source)
      let blocks = (0..<20).map { _ in owner.allocate(count: 64) }
      runMessageThreads([
        {
          ThreadPool.with { other in
            for block in blocks[..<10] { MessageBlock.release(block) }
            other.flush()
            for block in blocks[10...] { MessageBlock.release(block) }
          }
        }
      ])
      #expect(owner.countBlocksOut() == 20)
      owner.takeReturned()
      #expect(owner.countBlocksOut() == 0)
      owner.end()
      #expect(CountedMemory.bytes.load(ordering: .relaxed) == 0)
    }
  }
}
