internal import AloftAtomics
internal import AloftEngine
public import AloftQueue

/// A bounded queue of messages between any threads and tasks.
///
/// ```swift
/// let queue = try Queue(.init(capacity: 1_024))
/// Task {
///   while let message = try await queue.pop() { handle(message) }   // nil: closed and empty
/// }
/// try await queue.push(Message(copying: bytes), within: .milliseconds(5))
/// if queue.tryPush(Message(copying: bytes)) != .accepted { … }      // from any thread
/// queue.close()
/// ```
/// **Order**: the messages of one producer come out in its order. Tasks that wait are served in the
/// order in which they came, for messages and for room; `tryPop` and `tryPush` don't wait and may
/// take what is there before them.
/// **Threads**: every call from any thread or task. `tryPush` and `tryPop` neither block nor
/// allocate, and take no lock unless a task waits at the other end.
/// **Complexity**: constant; some 10 ns a message while nobody waits (Vyukov's bounded ring, 2010).
/// **Ownership**: a message in the queue is the queue's; what is inside at the queue's end is
/// released.
public final class Queue: Sendable {
  let core: MPMCQueue
  let waiting = QueueWaiting()
  let pressure: QueuePressure?

  /// - Throws: `invalidOption` for an option outside its range.
  public init(_ options: Options = .init()) throws(AloftError) {
    core = MPMCQueue(try options.checked())
    pressure = options.onPressure.map(QueuePressure.init)
  }

  // MARK: Without waiting

  /// Any thread. A message that isn't accepted is released.
  @discardableResult
  public func tryPush(_ message: consuming Message) -> SendResult {
    let block = message.take()
    let result = tryPush(block)
    if result != .accepted { MessageBlock.release(block) }
    return result
  }

  /// Any thread. Takes the message and leaves nil, or leaves it where it is when it isn't accepted.
  @discardableResult
  public func tryPush(offering message: inout Message?) -> SendResult {
    guard let block = message.take()?.take() else { return .accepted }
    let result = tryPush(block)
    if result != .accepted { message = Message(adopting: block) }
    return result
  }

  private func tryPush(_ block: MessageBlock) -> SendResult {
    let answer = core.push(block)
    pushed(answer)
    if answer.isAccepted { return .accepted }
    return answer == .closed ? .closed : answer == .busy ? .busy : .full
  }

  /// Any thread. The oldest message; nil when there is none, or when the one whose turn it is is
  /// being pushed at this moment.
  public func tryPop() -> Message? {
    var block: MessageBlock?
    popped(core.pop(&block, exactly: false))
    return block.map { Message(adopting: $0) }
  }

  /// Any thread. Up to `limit` messages at once, oldest first; the answer is how many.
  public func tryPop(limit: Int, _ body: (consuming Message) -> Void) -> Int {
    var mustServe = false
    let count = core.pop(limit: limit, mustServe: &mustServe, body)
    if count > 0 { popped(mustServe ? .itemMustServe : .item) }
    return count
  }

  /// What follows from a push or a pop.
  func pushed(_ answer: RingPush) {
    if answer == .acceptedMustServe { waiting.serve(at: core) }
    if answer.isAccepted, let pressure, core.roseAboveHighWater() { pressure.tell(of: core) }
  }

  func popped(_ answer: RingPop) {
    if answer == .itemMustServe { waiting.serve(at: core) }
    if answer.isItem, let pressure, core.fellToLowWater() { pressure.tell(of: core) }
  }

  // MARK: The end and the figures

  /// Any thread; idempotent. Pushes are refused from now on, also those that wait; one that is
  /// under way is delivered or refused. What is inside can still be popped; pops then answer nil.
  ///
  /// - Parameter drain: if false, what is inside is released instead.
  public func close(drain: Bool = true) {
    if core.close() { waiting.serve(at: core) }
    if drain { return }
    while let message = tryPop() { _ = consume message }
  }

  public var isClosed: Bool { core.isClosed }
  /// The number of messages that fit: the capacity asked for, rounded up to a power of two.
  public var capacity: Int { core.capacity }
  /// How many messages are inside, as of a moment ago.
  public var count: Int { core.statistics.depth }

  /// Exact counts; see `QueueStatistics`. The age of the oldest message isn't among them: whoever
  /// looked at a message in here would race with whoever takes it.
  public var statistics: QueueStatistics { core.statistics }
  /// How many tasks wait for a message, and how many for room.
  public var tasksWaiting: (forMessage: Int, forRoom: Int) {
    waiting.counts
  }
}
