import Aloft
import CallCounters
import Glibc
import Synchronization

/// Messages between mailboxes: made, sent, received and dropped, which together must call neither
/// malloc nor Swift's reference counting once the pool is warm.
enum MailboxPath: String, CaseIterable {
  /// From a mailbox to another one of the same event loop, and back.
  case oneLoop = "mailbox-one-loop"
  /// To one of another event loop, and back; counted on one of the two.
  case acrossLoops = "mailbox-across-loops"
  /// The same between bounded mailboxes, with credits.
  case bounded = "mailbox-bounded"

  static let underWay = 64

  func measure(warm: Int, counted: Int) async throws -> call_counts {
    let notes = UnsafeMutablePointer<Notes>.allocate(capacity: 1)
    notes.initialize(to: Notes())
    defer {
      notes.deinitialize(count: 1)
      notes.deallocate()
    }
    notes.pointee.countFrom = warm
    notes.pointee.countTo = warm + counted
    let runtime = try Runtime(.init(eventLoops: 2, connectionsMax: 64))
    let (home, away) = (Player(notes), Player(nil))
    let loops = runtime.eventLoops
    let options = MailboxOptions(capacity: self == .bounded ? 1_024 : nil)
    let first = try await runtime.mailbox(options, on: loops[0], handler: home)
    let second = try await runtime.mailbox(
      options, on: loops[self == .oneLoop ? 0 : 1], handler: away)
    try await loops[0].run { home.peer = second }
    try await loops[self == .oneLoop ? 0 : 1].run { away.peer = first }
    for _ in 0..<Self.underWay { first.send(Message(copying: [1, 2, 3])) }
    while !notes.pointee.isDone.load(ordering: .acquiring) { usleep(1_000) }
    await runtime.shutdown(within: .milliseconds(100))
    return notes.pointee.after - notes.pointee.before
  }
}

/// Answers each message with a new one.
private final class Player: MailboxHandler, @unchecked Sendable {
  // @unchecked: one loop alone uses it.
  var peer = Mailbox(rawValue: 0)
  private let notes: UnsafeMutablePointer<Notes>?
  /// Memory that is never given back, so that a span of it needs nobody to hold it.
  private let lasting = UnsafeRawBufferPointer(
    UnsafeMutableRawBufferPointer.allocate(byteCount: messageBytes, alignment: 16))

  init(_ notes: UnsafeMutablePointer<Notes>?) { self.notes = notes }

  func received(_ mailbox: Mailbox, _ message: consuming Message) {
    peer.send(lasting.bytes)
    guard let notes else { return }
    notes.pointee.messages += 1
    if notes.pointee.messages == notes.pointee.countFrom {
      notes.pointee.before = call_counters_read()
    } else if notes.pointee.messages == notes.pointee.countTo {
      notes.pointee.after = call_counters_read()
      notes.pointee.isDone.store(true, ordering: .releasing)
    }
  }
}
