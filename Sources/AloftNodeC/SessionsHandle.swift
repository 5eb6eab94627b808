import AloftC
import AloftCluster
import AloftEngine
import AloftSession
import CAloft
import Synchronization

/// What an `aloft_sessions` points to.
@safe
final class SessionsHandle: @unchecked Sendable {
  // @unchecked: what may change is touched on the loop alone.
  enum Way {
    case node(ClusterHandle, principal: [UInt8])
    case client(SessionClientCore)
  }

  let loop: EventLoop
  /// For each request.
  let milliseconds: UInt32
  private let way: Way
  private var found: (any SessionAccess)?
  private var isOver = false
  /// Requests that are owed an answer.
  private var waiting: [ObjectIdentifier: OwedResult] = [:]
  /// By the number that the application has.
  private var attachments: [UInt64: AnyObject] = [:]
  private let attachmentsNamed = Atomic<UInt64>(0)

  init(_ way: Way, _ loop: EventLoop, milliseconds: UInt32) {
    self.way = way
    self.loop = loop
    self.milliseconds = milliseconds
  }

  // MARK: The application's pointer

  static func of(_ pointer: OpaquePointer?) throws(Failure) -> SessionsHandle {
    guard let pointer = unsafe pointer else { throw .null("sessions") }
    return unsafe Unmanaged<SessionsHandle>.fromOpaque(UnsafeRawPointer(pointer))
      .takeUnretainedValue()
  }

  func handOut() -> OpaquePointer {
    unsafe OpaquePointer(Unmanaged.passRetained(self).toOpaque())
  }

  // MARK: On the loop

  private var access: (any SessionAccess)? {
    if isOver { return nil }
    if let found { return found }
    switch way {
    case .client(let core): found = core
    case .node(let handle, let principal):
      found = handle.node.map { NodeSessionAccess($0, principal: principal) }
    }
    return found
  }

  /// Has `body` ask; `owed` is told by whatever comes of it.
  func run(_ owed: OwedResult, _ body: (any SessionAccess) -> Void) {
    guard let access else { return owed.tell(.stopped) }
    waiting[ObjectIdentifier(owed)] = owed
    body(access)
  }

  func tell(
    _ owed: OwedResult, _ outcome: SessionOutcome, id: String, _ view: SessionView? = nil
  ) {
    waiting[ObjectIdentifier(owed)] = nil
    owed.tell(outcome, id: id, view)
  }

  func nameAttachment() -> UInt64 { attachmentsNamed.add(1, ordering: .relaxed).newValue }

  func keep(_ attachment: AnyObject?, as number: UInt64) { attachments[number] = attachment }

  func forget(_ number: UInt64) { attachments[number] = nil }

  func detach(_ number: UInt64) {
    if let attachment = attachments.removeValue(forKey: number) { access?.leave(attachment) }
  }

  /// Nothing is told from here on.
  func end() {
    if isOver { return }
    for attachment in attachments.values { access?.leave(attachment) }
    attachments = [:]
    if case .client(let core) = way { core.close() }
    isOver = true
    found = nil
    let left = waiting.values
    waiting = [:]
    for owed in left { owed.tell(.stopped) }
  }

  func destroy() throws(Failure) {
    if loop.isRunning {
      do throws(Failure) {
        try loop.done { [self] (_) throws(Failure) in end() }
      } catch  where error.code == Code.shutDown {
        // Whoever waited was told so.
      }
    }
    unsafe Unmanaged.passUnretained(self).release()
  }
}

/// A `done` of the application's, owed one call.
@safe
final class OwedResult: @unchecked Sendable {
  // @unchecked: the thread that asks, then the loop, or whichever thread lets go of it last.
  private let done: aloft_session_done?
  private let context: UnsafeMutableRawPointer?
  private var isOwed = true

  init(_ done: aloft_session_done?, _ context: UnsafeMutableRawPointer?) {
    unsafe self.done = unsafe done
    unsafe self.context = unsafe context
  }

  deinit { tell(.shutDown) }

  var isWaiting: Bool { isOwed }

  /// It was not taken: nobody is owed a call.
  func forget() { isOwed = false }

  func tell(_ failure: Failure) {
    guard isOwed else { return }
    isOwed = false
    unsafe done?(Code.shutDown == failure.code ? failure.report() : Code.shutDown, nil, context)
  }

  func tell(_ outcome: SessionOutcome, id: String, _ view: SessionView?) {
    guard isOwed else { return }
    isOwed = false
    guard let done = unsafe done else { return }
    let status = Failure(outcome)?.report() ?? Code.success
    unsafe withResult(id, outcome, view) { unsafe done(status, $0, context) }
  }
}

/// A session as C has it, for the time of the call.
func withResult(
  _ id: String, _ outcome: SessionOutcome, _ view: SessionView?,
  _ body: (UnsafePointer<aloft_session_result>) -> Void
) {
  var result = unsafe aloft_session_result()
  unsafe result.struct_size = MemoryLayout<aloft_session_result>.size
  unsafe result.version = outcome.version
  unsafe result.number = outcome.number
  if let view {
    unsafe result.version = view.version
    unsafe result.first_event = view.firstEvent
    unsafe result.next_event = view.nextEvent
    unsafe result.state = unsafe view.bytes.baseAddress
    unsafe result.length = unsafe view.bytes.count
    unsafe result.phase = UInt32(view.phase.rawValue)
  }
  unsafe id.withCString { text in
    unsafe result.id = id.isEmpty ? nil : unsafe text
    unsafe body(&result)
  }
}

extension Failure {
  /// Nil for what was done.
  init?(_ outcome: SessionOutcome) {
    let number = outcome.number
    let (code, text): (Int32, String) =
      switch outcome.code {
      case .done, .repeated: (Code.success, "")
      case .exists: (Code.nameTaken, "a session of that name is there already")
      case .unknown: (Code.noEntry, "there is no such session")
      case .closed: (Code.closed, "the session is closed")
      case .conflict: (Code.stale, "the session was changed by somebody else meanwhile")
      case .forbidden: (Int32(ALOFT_EACCES), "the session is another principal's")
      case .tooLarge, .outboxFull, .principalFull, .storeFull, .attachmentsFull:
        (Code.limit, "a limit is reached, which is \(number): \(outcome.code)")
      case .notFields, .badTransition, .badNumber, .malformed:
        (Code.invalid, "it makes no sense for the session as it is: \(outcome.code)")
      case .weaker:
        (
          Code.refused,
          "with \(number) voting nodes that durability can't be had: add nodes, or ask for "
            + "ALOFT_DURABILITY_DURABLE"
        )
      case .busy: (Code.full, "\(number) operations wait already")
      case .moved, .notReady, .notAccepting, .behind:
        (Code.node, "no node could answer for the session in time: is a majority up?")
      case .uncertain: (Code.undecided, "no answer came in time: it may have been done")
      }
    if code == Code.success { return nil }
    self.init(code, text)
  }
}
