import AloftAtomics
import AloftQueue
import Histories

/// A queue of any form, as tests use it.
protocol QueueForm: Sendable {
  static var producersMax: Int { get }
  static var consumersMax: Int { get }
  static var isBounded: Bool { get }
  init(capacity: Int)
  func push(_ block: MessageBlock) -> RingPush
  func pop(_ block: inout MessageBlock?) -> RingPop
  /// By the producer, where there is only one.
  func close()
  var statistics: QueueStatistics { get }
}

extension QueueForm {
  /// The word after a push, for a history; nil for "somebody is under way".
  func pushed(_ number: UInt64) -> FIFOOperation? {
    let block = message(number).take()
    let answer = push(block)
    if !answer.isAccepted { MessageBlock.release(block) }
    return switch answer {
    case .accepted, .acceptedMustServe: .push(number)
    case .full: .pushFull(number)
    case .busy: nil
    case .closed: .pushClosed(number)
    }
  }

  func popped() -> FIFOOperation? {
    var block: MessageBlock?
    switch pop(&block) {
    case .item, .itemMustServe: return .pop(Message(adopting: block!).number)
    case .empty: return .popEmpty
    case .busy: return nil
    case .closed: return .popClosed
    }
  }
}

final class SPSCForm: QueueForm {
  static let producersMax = 1
  static let consumersMax = 1
  static let isBounded = true
  let queue: SPSCQueue
  init(capacity: Int) { queue = SPSCQueue(capacity: capacity) }
  func push(_ block: MessageBlock) -> RingPush { queue.push(block) }
  func pop(_ block: inout MessageBlock?) -> RingPop { queue.pop(&block) }
  func close() { queue.close() }
  var statistics: QueueStatistics { queue.statistics }
}

final class MPSCForm: QueueForm {
  static let producersMax = 5
  static let consumersMax = 1
  static let isBounded = true
  let queue: MPSCQueue
  init(capacity: Int) { queue = MPSCQueue(capacity: capacity) }
  func push(_ block: MessageBlock) -> RingPush { queue.push(block, exactly: true) }
  func pop(_ block: inout MessageBlock?) -> RingPop { queue.pop(&block) }
  func close() { queue.close() }
  var statistics: QueueStatistics { queue.statistics }
}

final class MPMCForm: QueueForm {
  static let producersMax = 4
  static let consumersMax = 4
  static let isBounded = true
  let queue: MPMCQueue
  init(capacity: Int) { queue = MPMCQueue(.init(capacity: capacity)) }
  func push(_ block: MessageBlock) -> RingPush { queue.push(block, exactly: true) }
  func pop(_ block: inout MessageBlock?) -> RingPop { queue.pop(&block) }
  func close() { _ = queue.close() }
  var statistics: QueueStatistics { queue.statistics }
}

final class UnboundedForm: QueueForm {
  static let producersMax = 5
  static let consumersMax = 1
  static let isBounded = false
  let queue = UnboundedQueue()
  init(capacity: Int) {}
  func push(_ block: MessageBlock) -> RingPush { queue.push(block) }
  func pop(_ block: inout MessageBlock?) -> RingPop { queue.pop(&block) }
  func close() { queue.close() }
  var statistics: QueueStatistics { queue.statistics }
}

/// Wrong on purpose: a push answers before its message is in, which the thread's next call sees to.
/// What is lost that way by nobody is late for everybody.
final class TardyForm: QueueForm, @unchecked Sendable {
  // @unchecked: `late` belongs to the one producer.
  static let producersMax = 1
  static let consumersMax = 4
  static let isBounded = false
  let queue: MPMCQueue
  private var late: MessageBlock?
  init(capacity: Int) { queue = MPMCQueue(.init(capacity: 1 << 16)) }
  deinit {
    if let late { MessageBlock.release(late) }
  }
  func push(_ block: MessageBlock) -> RingPush {
    if let late { _ = queue.push(late) }
    late = block
    return .accepted
  }
  func pop(_ block: inout MessageBlock?) -> RingPop { queue.pop(&block) }
  func close() {
    if let late { _ = queue.push(late) }
    late = nil
    _ = queue.close()
  }
  var statistics: QueueStatistics { queue.statistics }
}
