import AloftAtomics
import Glibc
import Testing

/// Memory that forgets acquire and release: the ring over it is broken on every machine but x86,
/// and ThreadSanitizer has to say so.
struct ForgetfulMemory: AtomicMemory, @unchecked Sendable {
  // Sendable: as the memory that it stands before.
  let real: HardwareMemory

  func advanced(by words: Int) -> ForgetfulMemory {
    ForgetfulMemory(real: real.advanced(by: words))
  }
  func block(at address: UInt) -> ForgetfulMemory {
    ForgetfulMemory(real: real.block(at: address))
  }
  static var wordStride: UInt { HardwareMemory.wordStride }
  func read(_ word: Int) -> UInt { real.read(word) }
  func write(_ word: Int, _ value: UInt) { real.write(word, value) }
  func read(_ word: Int, into target: UnsafeMutablePointer<UInt>, count: Int) {
    real.read(word, into: target, count: count)
  }
  func write(_ word: Int, from source: UnsafePointer<UInt>, count: Int) {
    real.write(word, from: source, count: count)
  }
  func readLink(of node: UInt) -> UInt { real.readLink(of: node) }
  func writeLink(of node: UInt, to next: UInt) { real.writeLink(of: node, to: next) }
  func loadOwn(_ word: Int) -> UInt { real.loadOwn(word) }
  func loadRelaxed(_ word: Int) -> UInt { real.loadRelaxed(word) }
  func loadAcquire(_ word: Int) -> UInt { real.loadRelaxed(word) }
  func loadSequential(_ word: Int) -> UInt { real.loadRelaxed(word) }
  func storeRelaxed(_ word: Int, _ value: UInt) { real.storeRelaxed(word, value) }
  func storeRelease(_ word: Int, _ value: UInt) { real.storeRelaxed(word, value) }
  func storeSequential(_ word: Int, _ value: UInt) { real.storeRelaxed(word, value) }
  func exchangeRelaxed(_ word: Int, _ value: UInt) -> UInt { real.exchangeRelaxed(word, value) }
  func exchangeAcquire(_ word: Int, _ value: UInt) -> UInt { real.exchangeRelaxed(word, value) }
  func compareExchangeRelease(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt {
    real.compareExchangeRelease(word, expected, desired)
  }
  func compareExchangeSequential(_ word: Int, _ expected: UInt, _ desired: UInt) -> UInt {
    real.compareExchangeSequential(word, expected, desired)
  }
  func fenceSequential() {}
}

/// Proof that ThreadSanitizer sees into the rings: the same algorithm over a memory that forgets
/// its orders has to be reported. It fails on purpose, so it runs only when asked for:
///
///     ALOFT_BROKEN_TWIN=1 swift test --sanitize=thread --filter SanitizerTwinTests
///
/// must end with "data race" and a failure; `script/sanitize` checks that, and that the same
/// command without the twin is silent.
@Suite(.enabled(if: getenv("ALOFT_BROKEN_TWIN") != nil))
struct SanitizerTwinTests {
  @Test("A ring without acquire and release: the sanitizer reports its slots")
  func forgetfulRing() {
    let words = SPSCRingCore<ForgetfulMemory>.words(capacity: 16)
    let base = UnsafeMutableRawPointer.allocate(byteCount: 8 * words, alignment: 128)
    base.initializeMemory(as: UInt8.self, repeating: 0, count: 8 * words)
    defer { base.deallocate() }
    let ring = SPSCRingCore(
      memory: ForgetfulMemory(real: HardwareMemory(base: base)), capacity: 16)
    let items: UInt = 2_000
    runThreads([
      { for item in 1...items { while !ring.push(item, .release) { sched_yield() } } },
      {
        var got: UInt = 0
        while got < items { if ring.pop() != nil { got += 1 } else { sched_yield() } }
      },
    ])
  }
}
