import Synchronization

/// Writes down what each thread asked and was answered.
///
/// Each thread has a lane of its own: memory taken beforehand, which it alone writes. Nothing is
/// shared while threads record, so recording orders nothing between them and hides no fault.
///
/// ```swift
/// let recorder = Recorder<MapOperation>(threads: 4, operationsMax: 10_000)
/// runThreads((0..<4).map { thread in
///   {
///     let lane = recorder[thread]
///     lane.record(key: 7) { .insert(1, found: table.insert(7, 1)) }
///   }
/// })
/// let verdict = judge(recorder.history, MapModel())
/// #expect(verdict.isLinearizable, "\(verdict)")
/// ```
public final class Recorder<Operation: Sendable>: Sendable {
  private let lanes: [Lane<Operation>]

  /// `operationsMax` is each thread's.
  public init(threads: Int, operationsMax: Int) {
    lanes = (0..<threads).map { Lane(thread: $0, operationsMax: operationsMax) }
  }

  public subscript(thread: Int) -> Lane<Operation> { lanes[thread] }

  /// All that was recorded, in no particular order. Only after all threads are done.
  public var history: [Timed<Operation>] { lanes.flatMap { $0.recorded } }
}

/// What one thread of a ``Recorder`` writes to.
public final class Lane<Operation: Sendable>: @unchecked Sendable {
  // @unchecked: one thread writes; others read after they have joined it.
  private let thread: Int
  private let operationsMax: Int
  private let operations: UnsafeMutablePointer<Timed<Operation>>
  private var count = 0
  private let barrier = Atomic<UInt64>(0)

  init(thread: Int, operationsMax: Int) {
    self.thread = thread
    self.operationsMax = operationsMax
    operations = .allocate(capacity: max(operationsMax, 1))
  }

  deinit {
    operations.deinitialize(count: count)
    operations.deallocate()
  }

  /// Calls `body`, which does one thing and answers what it did, and writes that down with the
  /// times before and after.
  ///
  /// The exchanges keep the call within its times: no load of the call runs ahead of the first
  /// reading, which the exchange waits for, and all its stores are out before the second. They are
  /// on a word of the lane's own, so they order nothing between threads.
  public func record(key: UInt64 = 0, _ body: () -> Operation) {
    precondition(count < operationsMax, "more than \(operationsMax) operations in one lane")
    let invoked = HistoryClock.now()
    _ = barrier.exchange(invoked, ordering: .sequentiallyConsistent)
    let operation = body()
    _ = barrier.exchange(0, ordering: .sequentiallyConsistent)
    let responded = HistoryClock.now()
    (operations + count).initialize(
      to: Timed(
        operation, key: key, thread: thread, invoked: invoked, responded: responded))
    count += 1
  }

  /// The same for a call that may turn out not to be worth writing down: `nil`.
  public func recordUnlessNil(key: UInt64 = 0, _ body: () -> Operation?) {
    precondition(count < operationsMax, "more than \(operationsMax) operations in one lane")
    let invoked = HistoryClock.now()
    _ = barrier.exchange(invoked, ordering: .sequentiallyConsistent)
    let operation = body()
    _ = barrier.exchange(0, ordering: .sequentiallyConsistent)
    let responded = HistoryClock.now()
    guard let operation else { return }
    (operations + count).initialize(
      to: Timed(
        operation, key: key, thread: thread, invoked: invoked, responded: responded))
    count += 1
  }

  var recorded: UnsafeBufferPointer<Timed<Operation>> {
    UnsafeBufferPointer(start: operations, count: count)
  }
}
