/// Every way into one event loop: what the loop owns, and what its siblings and foreign threads
/// push to.
///
/// ```swift
/// // sibling loop 1                          // the loop
/// if inbox.push(word, fromLoop: 1)           let count = inbox.drain(into: buffer)
///   == .acceptedMustWake { wake() }          ... work on buffer[..<count] ...
///                                            let maySleep = inbox.prepareToSleep()
///                                            poll(timeout: maySleep ? next : 0)
///                                            inbox.awake()
/// ```
///
/// Who may call: `push(_:fromLoop:)` that loop's thread, `pushForeign` any thread, all else the
/// owner's thread. No call blocks or allocates, and no reference is counted. Items are words
/// other than 0; from one lane, and from one foreign thread, they come out in the order in which
/// they went in. The algorithm, and which orders pair, stand in ``LoopInboxCore``.
///
/// The memory is freed with the owner: end the siblings first.
public struct LoopInbox: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  @usableFromInline let core: LoopInboxCore<HardwareMemory>
  @usableFromInline let owner: Int

  /// The inbox of loop `owner` out of `loops`: a lane for each of the others. The capacities, in
  /// items, are rounded up to powers of two; a lane's memory is 8 bytes an item.
  public init(owner: Int, loops: Int, laneCapacity: Int, foreignCapacity: Int) {
    precondition(owner >= 0 && owner < loops, "loop \(owner) of \(loops)")
    let lane = roundedUpToPowerOfTwo(laneCapacity)
    let foreign = roundedUpToPowerOfTwo(foreignCapacity)
    let words = LoopInboxCore<HardwareMemory>.words(
      lanes: loops - 1, laneCapacity: lane, foreignCapacity: foreign)
    let block = WordBlock(words: words)
    self.core = LoopInboxCore(
      memory: block.memory, lanes: loops - 1, laneCapacity: lane, foreignCapacity: foreign)
    self.block = block
    self.owner = owner
  }

  /// The lane of loop `index`: the owner has none.
  @inlinable @inline(__always)
  func lane(of index: Int) -> Int {
    precondition(index != owner && index >= 0 && index <= core.lanes)
    return index > owner ? index &- 1 : index
  }

  // MARK: Producers

  /// Loop `fromLoop`.
  @inlinable @inline(__always)
  public func push(_ item: UInt, fromLoop: Int) -> PushResult {
    core.push(item, lane: lane(of: fromLoop))
  }

  /// Loop `fromLoop`. Takes as many of `items` as fit, from the first on: one publication and
  /// one look at the sleep flag for all of them, so gather a turn's items and push them at once.
  @inlinable
  public func push(
    contentsOf items: UnsafeBufferPointer<UInt>, fromLoop: Int
  ) -> BulkPushResult {
    unsafe core.push(contentsOf: items, lane: lane(of: fromLoop))
  }

  /// Any thread.
  @inlinable @inline(__always)
  public func pushForeign(_ item: UInt) -> PushResult { core.pushForeign(item) }

  /// Any thread. Takes as many of `items` as fit, from the first on, one after the other.
  @inlinable
  public func pushForeign(contentsOf items: UnsafeBufferPointer<UInt>) -> BulkPushResult {
    unsafe core.pushForeign(contentsOf: items)
  }

  // MARK: Owner

  /// Owner. Fills `buffer` from its start, fair over the lanes and the foreign ring; the answer
  /// is how many. Linear in that and in the number of loops.
  @inlinable
  public func drain(into buffer: UnsafeMutableBufferPointer<UInt>) -> Int {
    guard let target = buffer.baseAddress else { return 0 }
    return unsafe core.drain(into: target, limit: buffer.count)
  }

  /// Owner. Whether nothing is left or under way.
  @inlinable
  public var isEmpty: Bool { core.isEmpty }

  /// Owner. `true`: it may sleep until it is woken; producers know. `false`: there is something
  /// to drain, or just about to be; poll without waiting.
  @inlinable
  public func prepareToSleep() -> Bool { core.prepareToSleep() }

  /// Owner, after its sleep: producers need not wake it any more.
  @inlinable @inline(__always)
  public func awake() { core.awake() }
}
