/// How many entries a table has, counted in stripes so that two writers seldom meet on one.
///
/// Any thread. Which stripe a thread counts in is taken from where its stack lies: any will do, so
/// long as threads differ. A thread may take out what another put in, so single stripes may go
/// below 0; their sum is what counts.
@usableFromInline
@frozen
struct HashCounts: Sendable {
  @inlinable static var stripes: Int { 16 }
  @inlinable static var words: Int { stripes &* MemoryLine.words }
  /// A writer looks at the sum once in so many of its insertions.
  @inlinable static var interval: Int { 64 }

  @usableFromInline let memory: HardwareMemory

  @inlinable
  init(memory: HardwareMemory) { self.memory = memory }

  @inlinable @inline(__always)
  static var stripe: Int {
    var local: UInt8 = 0
    let stack = unsafe withUnsafeMutablePointer(to: &local) { UInt(bitPattern: $0) }
    // Stacks lie megabytes apart, in no known distance: stir all digits above 64 KiB.
    let mixed = (stack &>> 16) &* 0x9e37_79b9_7f4a_7c15
    return Int(bitPattern: mixed &>> 60)
  }

  /// One more or less; the answer is the stripe's new count.
  @inlinable @inline(__always)
  func add(_ change: Int) -> Int {
    let word = Self.stripe &* MemoryLine.words
    return Int(bitPattern: memory.addRelaxed(word, UInt(bitPattern: change)))
  }

  @inlinable
  var sum: Int {
    var sum = 0
    for stripe in 0..<Self.stripes {
      sum &+= Int(bitPattern: memory.loadRelaxed(stripe &* MemoryLine.words))
    }
    // Between two stripes' loads, others may move on.
    return max(sum, 0)
  }
}
