import AloftEngine
import AloftSession

/// What a client has asked and not been answered.
@safe
final class ClientRequest {
  typealias Answer = (SessionOutcome, UnsafeRawBufferPointer) -> Void

  let number: UInt32
  let kind: DoorKind
  /// What comes behind the number and the time that there is.
  let body: [UInt8]
  let deadline: UInt64
  /// The session that it writes to: one waits for another.
  let session: String?
  let answer: Answer
  /// It's on its way at the present connection.
  var isSent = false
  /// It was on its way at any.
  var wasSent = false
  /// What was known of the log when it was sent for the first time.
  var since: UInt64 = 0
  /// It was on its way at a former connection.
  var isRepeated = false
  var timer: TimerID?

  init(
    _ number: UInt32, _ kind: DoorKind, _ body: [UInt8], deadline: UInt64, session: String?,
    _ answer: @escaping Answer
  ) {
    self.number = number
    self.kind = kind
    self.body = body
    self.deadline = deadline
    self.session = session
    unsafe self.answer = unsafe answer
  }

  func frame(now: UInt64) -> [UInt8] {
    let tellsSince = kind == .write && isRepeated
    var frame = FrameWriter(tellsSince ? .repeatedWrite : kind, capacity: body.count + 16)
    frame.put(number)
    let left = deadline > now ? (deadline - now) / 1_000_000 : 0
    frame.put(UInt32(clamping: left))
    if tellsSince {
      // Behind the session's text.
      frame.put(body.prefix(SessionKeys.textLength))
      frame.put(since)
      frame.put(body.dropFirst(SessionKeys.textLength))
    } else {
      frame.put(body)
    }
    return frame.finish()
  }
}

/// A session that a client is attached to, whatever becomes of connections.
@safe
package final class ClientSubscription {
  package let session: String
  /// The next event that it's told of; `SessionDoor.noEvents` for none.
  package internal(set) var next: UInt64
  let told: (UInt64, [UInt8]) -> Void
  /// What has ended it.
  let ended: (SessionCode) -> Void
  var number: UInt32 = 0
  /// Not at the present connection.
  var isAttached = false
  var isOver = false

  init(
    _ session: String, from next: UInt64, _ told: @escaping (UInt64, [UInt8]) -> Void,
    _ ended: @escaping (SessionCode) -> Void
  ) {
    self.session = session
    self.next = next
    self.told = told
    self.ended = ended
  }
}
