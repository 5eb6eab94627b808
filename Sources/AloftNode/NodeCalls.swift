internal import Aloft
internal import AloftCluster
internal import AloftEngine
internal import AloftMembership
import Synchronization

/// A node's calls, in both directions. On the node's loop, but for `setHandler`.
///
/// The links know a call by a word, the place of its closure here, so that a call costs no memory
/// but what the closure itself takes.
@safe
final class NodeCalls: CallTaker, @unchecked Sendable {
  // @unchecked: used on the node's loop alone, but for `given`, which is locked.
  typealias Key = Node.IncomingCall.Key
  typealias Answer = (_ reply: RawSpan, _ error: NodeCallError?) -> Void

  // References are kept here, and used below without being counted.
  private var node: ClusterNode?
  private let links: UnsafeMutablePointer<Unmanaged<LinkTable>?>
  private let handler: UnsafeMutablePointer<Handler?>
  private let given = Mutex<Handler?>(nil)
  /// Who takes the calls of distributed actors, and is told of those that nobody waits for.
  private let actors = Mutex<(called: Handler, cancelled: @Sendable (Key) -> Void)?>(nil)
  private var places: UnsafeMutablePointer<Place>
  private var capacity: UInt32 = 64
  /// Places that were ever used, and those free among them.
  private var used: UInt32 = 0
  private var firstFree: UInt32 = 0
  /// The time limit of the last call: to take one apart costs more than to see that it's the same.
  private var limit = Duration.zero
  private var milliseconds: UInt32 = 1

  private struct Place {
    var answer: Answer?
    /// One more than the place; 0 is none.
    var nextFree: UInt32 = 0
  }

  /// A closure in a struct is passed on as it is; by itself, generic code would wrap it each time.
  private struct Handler: Sendable {
    let body: Node.CallHandler
  }

  init() {
    unsafe places = .allocate(capacity: 64)
    unsafe links = .allocate(capacity: 1)
    unsafe links.initialize(to: nil)
    unsafe handler = .allocate(capacity: 1)
    unsafe handler.initialize(to: nil)
    super.init(stream: NodeStream.calls)
  }

  deinit {
    unsafe links.deallocate()
    unsafe handler.deinitialize(count: 1)
    unsafe handler.deallocate()
    unsafe places.deinitialize(count: Int(used))
    unsafe places.deallocate()
  }

  /// The node is there, or has stopped.
  func set(_ node: ClusterNode?) {
    self.node = node
    unsafe links.pointee = node.map { unsafe .passUnretained($0.links) }
  }

  // MARK: To others

  @inline(__always)
  func call(_ number: Int, _ bytes: RawSpan, within limit: Duration, _ answer: @escaping Answer) {
    guard let links = unsafe links.pointee, let number = UInt8(exactly: number), number != 0
    else { return Self.fail(.noLink, answer) }
    if limit != self.limit { setLimit(limit) }
    let word = place(answer)
    let milliseconds = milliseconds
    let start = unsafe bytes.withUnsafeBytes { bytes in
      unsafe links._withUnsafeGuaranteedRef { links in
        precondition(links.loop.isCurrent, "called off the node's own event loop")
        return unsafe links.call(
          to: NodeID(rawValue: number), stream: NodeStream.calls, kind: 0, bytes,
          timeout: milliseconds, word: word)
      }
    }
    if case .started = start { return }
    refused(word, start)
  }

  /// The same with a number by which it may be given up. Nil when `answer` was told already why the
  /// call can't be made.
  func begin(
    _ number: Int, kind: UInt8, _ bytes: RawSpan, within limit: Duration,
    _ answer: @escaping Answer
  ) -> CallID? {
    guard let node, let number = UInt8(exactly: number), number != 0 else {
      Self.fail(.noLink, answer)
      return nil
    }
    if limit != self.limit { setLimit(limit) }
    let milliseconds = milliseconds
    let start = unsafe bytes.withUnsafeBytes { bytes in
      unsafe node.call(
        NodeID(rawValue: number), kind: kind, bytes, milliseconds: milliseconds
      ) { Self.tell($0, answer) }
    }
    if case .started(let call) = start { return call }
    Self.refuse(start, answer)
    return nil
  }

  @inline(never)
  private func setLimit(_ limit: Duration) {
    self.limit = limit
    milliseconds = limit.limitMilliseconds
  }

  @inline(never)
  private func refused(_ word: UInt32, _ start: CallStart) {
    Self.refuse(start, take(word))
  }

  private static func refuse(_ start: CallStart, _ answer: Answer) {
    switch start {
    case .started: return
    case .wouldBlock, .tooMany: fail(.busy, answer)
    case .noLink: fail(.noLink, answer)
    case .tooLarge: fail(.tooLarge, answer)
    }
  }

  @inline(__always)
  private func place(_ answer: @escaping Answer) -> UInt32 {
    if firstFree != 0 {
      let free = firstFree - 1
      firstFree = unsafe places[Int(free)].nextFree
      unsafe places[Int(free)].answer = answer
      return free
    }
    if used == capacity { grow() }
    unsafe (places + Int(used)).initialize(to: Place(answer: answer))
    used += 1
    return used - 1
  }

  private func grow() {
    let larger = UnsafeMutablePointer<Place>.allocate(capacity: Int(capacity) * 2)
    unsafe larger.moveInitialize(from: places, count: Int(used))
    unsafe places.deallocate()
    unsafe places = unsafe larger
    capacity *= 2
  }

  @inline(__always)
  private func take(_ word: UInt32) -> Answer {
    let place = unsafe places + Int(word)
    guard let answer = unsafe place.pointee.answer else {
      preconditionFailure("a call's end is told once")
    }
    unsafe place.pointee.answer = nil
    unsafe place.pointee.nextFree = firstFree
    firstFree = word + 1
    return answer
  }

  override func ended(_ word: UInt32, _ outcome: CallOutcome) {
    Self.tell(outcome, take(word))
  }

  @inline(__always)
  private static func tell(_ outcome: CallOutcome, _ answer: Answer) {
    switch outcome {
    case .reply(let bytes): unsafe answer(bytes.bytes, nil)
    case .failed(let code, _): fail(.refused(code: code), answer)
    case .timedOut: fail(.timedOut, answer)
    case .linkDown: fail(.linkDown, answer)
    }
  }

  private static func fail(_ error: NodeCallError, _ answer: Answer) {
    unsafe answer(UnsafeRawBufferPointer(start: nil, count: 0).bytes, error)
  }

  // MARK: From others

  /// Any thread. Calls that come from now on are told to this one, unless one is being told.
  func setHandler(_ handler: @escaping Node.CallHandler, on loop: Aloft.EventLoop) {
    given.withLock { $0 = Handler(body: handler) }
    loop.engineLoop.executeUnrefused { self.takeHandler() }
  }

  /// Any thread. The same for calls of distributed actors.
  func setActorHandler(
    _ handler: @escaping Node.CallHandler, cancelled: @escaping @Sendable (Key) -> Void
  ) {
    actors.withLock { $0 = (Handler(body: handler), cancelled) }
  }

  override func called(_ call: IncomingCall, from: UInt8, _ bytes: UnsafeRawBufferPointer) {
    guard call.kind == CallKind.application else { return unsafe calledOther(call, from, bytes) }
    if unsafe handler.pointee == nil { takeHandler() }
    let call = Node.IncomingCall(call, from: from, self)
    guard let handler = unsafe handler.pointee else { return call.refuse(code: 1) }
    unsafe handler.body(call, bytes.bytes)
  }

  @inline(never)
  private func calledOther(_ call: IncomingCall, _ from: UInt8, _ bytes: UnsafeRawBufferPointer) {
    let outer = Node.IncomingCall(call, from: from, self)
    guard call.kind == CallKind.actor, let handler = actors.withLock({ $0?.called }) else {
      return outer.refuse(code: 1)
    }
    unsafe handler.body(outer, bytes.bytes)
  }

  /// The caller no longer waits for the answer.
  func cancelled(_ call: NodeCall) {
    actors.withLock { $0?.cancelled }?(Key(call.words.0, call.words.1))
  }

  /// It was given, and the loop has not come to that.
  @inline(never)
  private func takeHandler() { unsafe handler.pointee = given.withLock { $0 } }

  @inline(__always)
  func reply(_ call: IncomingCall, _ bytes: RawSpan) {
    guard let links = unsafe links.pointee else { return }
    unsafe bytes.withUnsafeBytes { bytes in
      unsafe links._withUnsafeGuaranteedRef { _ = unsafe $0.reply(to: call, bytes) }
    }
  }

  func refuse(_ call: IncomingCall, code: UInt8) {
    guard let links = unsafe links.pointee else { return }
    unsafe links._withUnsafeGuaranteedRef {
      _ = unsafe $0.fail(call, code: code, UnsafeRawBufferPointer(start: nil, count: 0))
    }
  }
}
