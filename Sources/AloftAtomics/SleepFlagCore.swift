/// The algorithm of ``SleepFlag``: how a loop goes to sleep with no item left behind, and no
/// wake-up sent that isn't needed.
///
/// The loop: `announce()`; look at every inbox once more, with sequential loads; sleep if all are
/// empty; `awake()` in either case. A producer: publish the item with a sequential store or
/// exchange; then `mustWake()`, and wake the loop if it says so.
///
/// Who may call: `announce` and `awake` the loop, `mustWake` any thread.
///
/// Why no wake-up is lost (Dekker, 1965, in the words of C++20 [atomics.order]): there is one
/// order S of all sequential operations. Either the producer's publication comes before the
/// loop's last look in S, and the loop sees the item and stays awake. Or the look comes first;
/// then so does the announcement, which precedes the look in the loop's program, and the
/// producer's load of the flag, which follows the publication in its program, finds the
/// announcement or something later. Later is either another producer's exchange, which wakes
/// the loop, or `awake`, after which the loop has yet to look again: a flag that the producer
/// saw before the next announcement means a publication before the next look.
///
/// All four operations must be sequential: with release and acquire alone the load of one side
/// may overtake its store, and both sides see the old state. No fence is needed besides: the
/// load of the flag is a plain load on x86, and the publication was a locked instruction anyway
/// (the ring for foreign threads) or becomes one (the lanes).
///
/// `awake` and the exchange carry no item and order nothing, so they are relaxed.
public struct SleepFlagCore<Memory: AtomicMemory> {
  @usableFromInline static var flag: Int { 0 }
  @usableFromInline static var isAwake: UInt { 0 }
  @usableFromInline static var isAsleep: UInt { 1 }

  @usableFromInline let memory: Memory

  @inlinable @inline(__always)
  public init(memory: Memory) {
    self.memory = memory
  }

  /// Loop. Then look at every inbox again, and only then sleep.
  @inlinable @inline(__always)
  public func announce() {
    memory.storeSequential(Self.flag, Self.isAsleep)
  }

  /// Loop, after the sleep or instead of it.
  @inlinable @inline(__always)
  public func awake() {
    memory.storeRelaxed(Self.flag, Self.isAwake)
  }

  /// Producer, after its publication. `true` for one producer per announcement, who then has to
  /// wake the loop.
  @inlinable @inline(__always)
  public func mustWake() -> Bool {
    if memory.loadSequential(Self.flag) == Self.isAwake { return false }
    return memory.exchangeRelaxed(Self.flag, Self.isAwake) == Self.isAsleep
  }
}

extension SleepFlagCore: Sendable where Memory: Sendable {}
