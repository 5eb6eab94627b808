import AloftAtomics
import AloftEngine
import AloftQueue
public import CAloft

// `aloft/queue.h` is the manual of all of these.

/// What an `aloft_queue` points to.
final class QueueBox: Sendable {
  let queue: MPMCQueue
  let waiting = QueueWaiting()
  init(_ options: QueueOptions) { queue = MPMCQueue(options) }

  static func of(_ pointer: OpaquePointer?) throws(Failure) -> QueueBox {
    guard let pointer = unsafe pointer else { throw .null("queue") }
    return unsafe Unmanaged<QueueBox>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }

  /// What follows from a push, a pop or the close: those who wait are served.
  @inline(__always)
  func serve(if isNeeded: Bool) {
    if isNeeded { waiting.serve(at: queue) }
  }

  func carryOut(_ after: QueueWaiting.After) {
    switch after {
    case .nothing: break
    case .pushed(let answer): serve(if: answer == .acceptedMustServe)
    case .popped(let answer): serve(if: answer == .itemMustServe)
    }
  }
}

@c @implementation
public func aloft_queue_create(
  _ options: UnsafePointer<aloft_queue_options>!, _ queue: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    guard let queue = unsafe queue else { throw .null("queue") }
    var given = aloft_queue_options()
    if let options = unsafe options {
      try unsafe read(options, into: &given, "aloft_queue_options")
    }
    let capacity = given.capacity == 0 ? 1_024 : given.capacity
    guard given.flags == 0, given.overflow <= UInt32(ALOFT_OVERFLOW_DROP_OLDEST),
      capacity <= UInt64(QueueOptions.capacityMax)
    else {
      throw Failure(
        Code.invalid,
        """
        capacity \(capacity), overflow \(given.overflow), flags \(given.flags): up to \
        \(QueueOptions.capacityMax), 0 or 1, and 0 are possible
        """)
    }
    let overflow: QueueOptions.Overflow =
      given.overflow == UInt32(ALOFT_OVERFLOW_REFUSE) ? .refuse : .dropOldest
    let made = QueueBox(QueueOptions(capacity: Int(capacity), overflow: overflow))
    unsafe queue.pointee = unsafe OpaquePointer(Unmanaged.passRetained(made).toOpaque())
    return Code.success
  }
}

@c @implementation
public func aloft_queue_destroy(_ queue: OpaquePointer!) -> Int32 {
  if let queue = unsafe queue {
    unsafe Unmanaged<QueueBox>.fromOpaque(UnsafeRawPointer(queue)).release()
  }
  return Code.success
}

@c @implementation
public func aloft_queue_push(_ queue: OpaquePointer!, _ message: OpaquePointer!) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try QueueBox.of(queue)
    guard let block = unsafe MessageBlock(message) else { throw .null("message") }
    // The word that goes in is the block's address; others may hold references as well.
    let answer = box.queue.push(block)
    box.serve(if: answer == .acceptedMustServe)
    if answer.isAccepted { return Code.success }
    return answer == .closed ? Code.closed : answer == .busy ? Code.wouldBlock : Code.full
  }
}

@c @implementation
public func aloft_queue_pop(
  _ queue: OpaquePointer!, _ message: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try QueueBox.of(queue)
    guard let message = unsafe message else { throw .null("message") }
    var block: MessageBlock?
    let answer = box.queue.pop(&block, exactly: box.queue.isClosed)
    box.serve(if: answer == .itemMustServe)
    guard let block else { return answer == .closed ? Code.closed : Code.wouldBlock }
    unsafe message.pointee = unsafe block.pointer
    return Code.success
  }
}

@c @implementation
public func aloft_queue_pop_many(
  _ queue: OpaquePointer!, _ messages: UnsafeMutablePointer<OpaquePointer?>!, _ capacity: Int
) -> Int64 {
  counting { () throws(Failure) in
    let box = unsafe try QueueBox.of(queue)
    guard unsafe messages != nil || capacity == 0 else { throw .null("messages") }
    guard capacity >= 0 else {
      throw Failure(Code.invalid, "capacity is \(UInt(bitPattern: capacity))")
    }
    var count = 0
    var mustServe = false
    _ = box.queue.pop(limit: capacity, mustServe: &mustServe) { message in
      unsafe messages[count] = unsafe message.take().pointer
      count += 1
    }
    box.serve(if: mustServe)
    guard count == 0, capacity > 0, box.queue.isClosed else { return count }
    // Closed: nothing comes any more, but a push may have been under way.
    var block: MessageBlock?
    let answer = box.queue.pop(&block)
    box.serve(if: answer == .itemMustServe)
    if let block {
      unsafe messages[0] = unsafe block.pointer
      return 1
    }
    return answer == .closed ? Int(Code.closed) : 0
  }
}

@c @implementation
public func aloft_queue_close(_ queue: OpaquePointer!) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try QueueBox.of(queue)
    box.serve(if: box.queue.close())
    return Code.success
  }
}

@c @implementation
public func aloft_queue_statistics_get(
  _ queue: OpaquePointer!, _ statistics: UnsafeMutablePointer<aloft_queue_statistics>!
) -> Int32 {
  reporting { () throws(Failure) in
    let counts = unsafe try QueueBox.of(queue).queue.statistics
    guard let statistics = unsafe statistics else { throw .null("statistics") }
    var sum = aloft_queue_statistics()
    sum.accepted = counts.accepted
    sum.delivered = counts.delivered
    sum.refused = counts.refused
    sum.dropped = counts.dropped
    sum.depth = UInt64(counts.depth)
    try unsafe write(sum, to: statistics, "aloft_queue_statistics")
    return Code.success
  }
}
