/// The algorithm of ``LoopInbox``: every way into one event loop, and its sleep.
///
/// A lane (``SPSCRingCore``) for each sibling loop, one ring (``MPSCRingCore``) for all foreign
/// threads, one ``SleepFlagCore``, in one block of memory.
///
/// Who may call: `push(_:lane:)` the one loop whose lane it is, `pushForeign` any thread, all
/// else the owner. Which orders pair stands with the three parts; here they meet: every push
/// publishes sequentially before it looks at the flag, every look of `isEmpty` is sequential
/// after the announcement.
public struct LoopInboxCore<Memory: AtomicMemory> {
  @usableFromInline let memory: Memory
  @usableFromInline let lanes: Int
  @usableFromInline let laneCapacity: Int
  @usableFromInline let foreignCapacity: Int

  /// The sleep flag's line.
  @usableFromInline static var flagWords: Int { 0 }
  /// The owner's line: where the next drain begins.
  @usableFromInline static var cursor: Int { 16 }
  @usableFromInline static var foreignWords: Int { 32 }

  public static func words(lanes: Int, laneCapacity: Int, foreignCapacity: Int) -> Int {
    foreignWords + MPSCRingCore<Memory>.words(capacity: foreignCapacity)
      + lanes * SPSCRingCore<Memory>.words(capacity: laneCapacity)
  }

  /// `memory` holds the zeroed `words` of these sizes; the capacities are powers of two.
  public init(memory: Memory, lanes: Int, laneCapacity: Int, foreignCapacity: Int) {
    self.memory = memory
    self.lanes = lanes
    self.laneCapacity = laneCapacity
    self.foreignCapacity = foreignCapacity
    self.firstLane = Self.foreignWords + MPSCRingCore<Memory>.words(capacity: foreignCapacity)
    self.laneStride = SPSCRingCore<Memory>.words(capacity: laneCapacity)
  }

  @usableFromInline let firstLane: Int
  @usableFromInline let laneStride: Int

  @inlinable @inline(__always)
  var flag: SleepFlagCore<Memory> {
    SleepFlagCore(memory: memory.advanced(by: Self.flagWords))
  }

  @inlinable @inline(__always)
  var foreign: MPSCRingCore<Memory> {
    MPSCRingCore(memory: memory.advanced(by: Self.foreignWords), capacity: foreignCapacity)
  }

  @inlinable @inline(__always)
  func lane(_ index: Int) -> SPSCRingCore<Memory> {
    SPSCRingCore(
      memory: memory.advanced(by: firstLane &+ index &* laneStride), capacity: laneCapacity)
  }

  // MARK: Producers

  @inlinable @inline(__always)
  public func push(_ item: UInt, lane index: Int) -> PushResult {
    guard lane(index).push(item, .sequential) else { return .full }
    return flag.mustWake() ? .acceptedMustWake : .accepted
  }

  @inlinable @inline(__always)
  public func push(
    contentsOf items: UnsafeBufferPointer<UInt>, lane index: Int
  ) -> BulkPushResult {
    let count = unsafe lane(index).push(contentsOf: items, .sequential)
    return BulkPushResult(accepted: count, mustWake: count > 0 && flag.mustWake())
  }

  @inlinable @inline(__always)
  public func pushForeign(_ item: UInt) -> PushResult {
    guard foreign.push(item) else { return .full }
    return flag.mustWake() ? .acceptedMustWake : .accepted
  }

  @inlinable @inline(__always)
  public func pushForeign(contentsOf items: UnsafeBufferPointer<UInt>) -> BulkPushResult {
    let count = unsafe foreign.push(contentsOf: items)
    return BulkPushResult(accepted: count, mustWake: count > 0 && flag.mustWake())
  }

  // MARK: Owner

  /// Fair: each source first gets an equal share of the buffer, then what others left of theirs,
  /// and the source that begins moves on by one with every call.
  @inlinable @inline(__always)
  public func drain(into target: UnsafeMutablePointer<UInt>, limit: Int) -> Int {
    let sources = lanes &+ 1
    let first = Int(bitPattern: memory.read(Self.cursor))
    memory.write(Self.cursor, UInt(bitPattern: first &+ 1 == sources ? 0 : first &+ 1))
    let share = sources == 1 ? limit : max(1, limit / sources)
    let count = unsafe sweep(from: first, target, 0, limit, share: share)
    // A source that was cut short by its share shows in a full share; looking again at empty
    // ones is a load each, and only when the buffer has room left.
    if count < share || count == limit { return count }
    return unsafe sweep(from: first, target, count, limit, share: limit)
  }

  /// One look at each source in turn; the answer is how many items `target` then holds.
  @inlinable @inline(__always)
  func sweep(
    from first: Int, _ target: UnsafeMutablePointer<UInt>, _ held: Int, _ limit: Int, share: Int
  ) -> Int {
    var count = held
    var source = first
    for _ in 0...lanes {
      if count == limit { break }
      let most = min(share, limit &- count)
      if source == lanes {
        count &+= unsafe foreign.pop(into: target + count, limit: most)
        source = 0
      } else {
        count &+= unsafe lane(source).pop(into: target + count, limit: most)
        source &+= 1
      }
    }
    return count
  }

  /// Whether nothing is left or under way; exact after `announce`.
  @inlinable @inline(__always)
  public var isEmpty: Bool {
    if !foreign.isEmpty { return false }
    for index in 0..<lanes where !lane(index).isEmpty { return false }
    return true
  }

  /// Announces the sleep and looks once more; `false`, and awake again, when there is something.
  @inlinable @inline(__always)
  public func prepareToSleep() -> Bool {
    flag.announce()
    if isEmpty { return true }
    flag.awake()
    return false
  }

  @inlinable @inline(__always)
  public func awake() { flag.awake() }
}

extension LoopInboxCore: Sendable where Memory: Sendable {}
