import AloftAtomics
import AloftQueue
import Glibc
import Synchronization
import Testing

extension MessageMemoryTests {
  /// Memory of messages: each block is one message's alone, and all of it goes back.
  struct Pools {
    private struct Random {
      var state: UInt64
      mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
      }
    }

    private func expectNothingHeld(_ location: SourceLocation = #_sourceLocation) {
      #expect(CountedMemory.bytes.load(ordering: .relaxed) == 0, sourceLocation: location)
    }

    @Test("A message of 64 bytes takes 128; sizes are powers of two up to 64 KiB, then malloc's")
    func sizes() {
      ThreadPool.with { pool in
        for (count, size) in [
          (0, 128), (1, 128), (64, 128), (65, 256), (192, 256), (193, 512), (4_032, 4_096),
          (4_033, 8_192), (65_472, 65_536),
        ] {
          let blocks = (0..<2).map { _ in pool.allocate(count: count) }
          #expect(abs(blocks[1].address - blocks[0].address) == size, "\(count)")
          #expect(UInt(bitPattern: blocks[0].address) % 64 == 0)
          #expect(blocks[0].header.pointee.bytes == blocks[0].address + 64)
          for block in blocks { MessageBlock.release(block) }
        }
        let large = pool.allocate(count: 65_473)
        #expect(large.header.pointee.pool == 0)
        large.fill(1)
        MessageBlock.release(large)
        #expect(pool.countBlocksOut() == 0)
      }
      expectNothingHeld()
    }

    @Test(
      "Whatever comes and goes in whatever order, each block is one message's", arguments: 0..<6)
    func story(seed: UInt64) {
      var random = Random(state: seed)
      ThreadPool.with(emptyBytesMax: seed % 2 == 0 ? .max : 128 << 10) { pool in
        var held: [MessageBlock] = []
        var number: UInt64 = 0
        for _ in 0..<10_000 {
          // The number held wanders between none and a thousand.
          if held.isEmpty || held.count < 1_000 && random.below(100) < 40 + Int(seed) * 3 {
            let exponent = random.below(18)
            let block = pool.allocate(count: random.below((1 << exponent) + 1))
            number += 1
            block.fill(number)
            held.append(block)
          } else {
            let block = held.remove(at: random.below(held.count))
            #expect(block.isFilled())
            MessageBlock.release(block)
          }
          if random.below(1_000) == 0 { pool.trim() }
        }
        let pooled = held.count { $0.header.pointee.pool != 0 }
        #expect(pool.countBlocksOut() == pooled)
        for block in held {
          #expect(block.isFilled())
          MessageBlock.release(block)
        }
        #expect(pool.countBlocksOut() == 0)
      }
      expectNothingHeld()
    }

    @Test("After a burst the memory is back two trims later, but for a mebibyte")
    func burst() {
      ThreadPool.with { pool in
        let blocks = (0..<100_000).map { _ in pool.allocate(count: 64) }
        let peak = pool.heldBytes
        #expect(peak >= 12_800_000)
        for block in blocks { MessageBlock.release(block) }
        #expect(pool.heldBytes == peak)
        pool.trim()
        #expect(pool.heldBytes == peak, "what was in use since the last trim is kept once")
        // What is used again and again is not given back and fetched anew.
        for _ in 0..<3 {
          let again = (0..<50_000).map { _ in pool.allocate(count: 64) }
          for block in again { MessageBlock.release(block) }
          pool.trim()
          #expect(pool.heldBytes >= 6_400_000 && pool.heldBytes <= peak)
        }
        pool.trim()
        #expect(pool.heldBytes <= MessagePool.keptBytes)
        #expect(CountedMemory.bytes.load(ordering: .relaxed) == pool.heldBytes)
      }
      expectNothingHeld()
    }

    @Test("Above its bound a pool without trims gives empty slabs back at once")
    func bound() {
      ThreadPool.with(emptyBytesMax: 256 << 10) { pool in
        let blocks = (0..<100_000).map { _ in pool.allocate(count: 64) }
        for block in blocks { MessageBlock.release(block) }
        #expect(pool.emptyBytes <= 256 << 10 && pool.heldBytes <= 320 << 10)
      }
      expectNothingHeld()
    }

    @Test("A slab that one size no longer needs serves another")
    func reuse() {
      ThreadPool.with { pool in
        for count in [64, 100, 300, 700, 1_500, 3_000, 64, 3_000] {
          let blocks = (0..<100_000 / max(count, 128)).map { _ in pool.allocate(count: count) }
          for block in blocks { MessageBlock.release(block) }
        }
        #expect(pool.heldBytes <= 9 * (64 << 10))
      }
      expectNothingHeld()
    }

    @Test("A slice holds its region, whose memory comes back with the last of them")
    func slices() {
      ThreadPool.with(arenaBytes: 1_000, arenasMax: 2) { pool in
        let arenas = (0..<2).map { _ in pool.allocateArena()! }
        #expect(pool.allocateArena() == nil, "two is the limit")
        arenas[0].fill(7)
        let all = UnsafeRawBufferPointer(start: arenas[0].header.pointee.bytes, count: 1_000)
        MessageBlock.retain(arenas[0], times: 2)
        let slices = [all[0..<500], all[500..<1_000]].map {
          Message(adopting: pool.allocate(slice: .init(rebasing: $0), of: arenas[0])).take()
        }
        for arena in arenas { MessageBlock.release(arena) }
        #expect(pool.arenasOut == 1 && arenas[0].isFilled())
        MessageBlock.release(slices[0])
        #expect(pool.arenasOut == 1 && arenas[0].isFilled())
        MessageBlock.release(slices[1])
        #expect(pool.arenasOut == 0 && pool.countBlocksOut() == 0)
      }
      expectNothingHeld()
    }

    @Test("A pool that borrows hands out what it was given of others, and gives it back when asked")
    func borrowing() {
      let owner = MessagePool(source: CountedMemory.source)
      let blocks = (0..<600).map { _ in owner.allocate(count: 64) }
      let large = owner.allocate(count: 600)
      ThreadPool.with(borrows: true) { pool in
        for block in blocks { MessageBlock.release(block) }
        MessageBlock.release(large)
        pool.flush()
        owner.takeReturned()
        #expect(owner.countBlocksOut() == 512, "so many are kept, and none of a larger size")
        let again = (0..<513).map { pool.allocate(count: $0 % 65) }
        for (number, block) in again.enumerated() {
          block.fill(UInt64(number))
          let isBorrowed = number < 512
          #expect(block.header.pointee.pool == (isBorrowed ? owner : pool).address)
          #expect(blocks.contains(block) == isBorrowed)
        }
        #expect(again.allSatisfy { $0.isFilled() }, "each is one message's")
        for block in again { MessageBlock.release(block) }
        #expect(pool.countBlocksOut() == 0, "its own went back to its slab")
        pool.giveBorrowedBack()
        owner.takeReturned()
        #expect(owner.countBlocksOut() == 0)
        // A trim gives back, too: a busy loop that borrows keeps nobody's burst for long.
        let last = owner.allocate(count: 64)
        MessageBlock.release(last)
        pool.trim()
        owner.takeReturned()
        #expect(owner.countBlocksOut() == 0)
      }
      owner.end()
      expectNothingHeld()
    }

    @Test("Who borrows of a pool that has ended frees it with the last block")
    func borrowingOfTheEnded() {
      let owner = MessagePool(source: CountedMemory.source)
      let blocks = (0..<10).map { _ in owner.allocate(count: 64) }
      ThreadPool.with(borrows: true) { pool in
        for block in blocks { MessageBlock.release(block) }
        owner.end()
        #expect(CountedMemory.bytes.load(ordering: .relaxed) > 0)
        let block = pool.allocate(count: 10)
        #expect(block.header.pointee.pool == owner.address)
        MessageBlock.release(block)
      }
      expectNothingHeld()
    }

    @Test(
      "However many come back together, of whatever sizes, the owner has all of them",
      arguments: [1, 2, 8, 9, 10, 17, 18, 63, 64, 65, 129, 1_000])
    func returned(count: Int) {
      let owner = MessagePool(source: CountedMemory.source)
      for round in 0..<3 {
        let blocks = (0..<count).map { owner.allocate(count: 64 &<< ($0 &* (round + 1) % 4)) }
        ThreadPool.with { pool in
          for block in blocks { MessageBlock.release(block) }
          pool.flush()
        }
        owner.takeReturned()
        #expect(owner.countBlocksOut() == 0)
        // Each of them is there once.
        let again = (0..<count).map { _ in owner.allocate(count: 64) }
        #expect(Set(again.map(\.word)).count == count)
        for (number, block) in again.enumerated() { block.fill(UInt64(number)) }
        #expect(again.allSatisfy { $0.isFilled() })
        // A thread without a pool gives back one by one.
        for block in again { MessageBlock.release(block) }
        owner.takeReturned()
        #expect(owner.countBlocksOut() == 0)
      }
      owner.end()
      expectNothingHeld()
    }

    @Test("Sharing: the last of many threads frees, once")
    func sharing() {
      ThreadPool.with { pool in
        for round in 0..<200 {
          let block = pool.allocate(count: round % 2 == 0 ? 32 : 1_000)
          block.fill(3)
          let message = Message(adopting: block)
          let shared = (0..<4).map { _ in message.share().take() }
          runMessageThreads(
            shared.map { other in
              {
                #expect(other.isFilled())
                MessageBlock.release(other)
              }
            })
          _ = message.take()
          MessageBlock.release(block)
          pool.takeReturned()
          #expect(pool.countBlocksOut() == 0)
        }
      }
      expectNothingHeld()
    }
  }
}
