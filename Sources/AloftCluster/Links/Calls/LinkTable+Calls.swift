import AloftAtomics
import AloftEngine
package import AloftMembership
import AloftQueue

/// Calls: a message that is answered, or whose time is over.
extension LinkTable {
  /// Calls a peer. `answer` is called once, on the loop, with the answer or with why there is none,
  /// unless the call is cancelled; not before this returns. The time is in milliseconds.
  package func call(
    to id: NodeID, stream: UInt16, kind: UInt8, _ bytes: UnsafeRawBufferPointer, timeout: UInt32,
    _ answer: @escaping (CallOutcome) -> Void
  ) -> CallStart {
    guard let state = unsafe byID[Int(id.rawValue)] else { return .noLink }
    return unsafe call(
      state, stream: stream, kind: kind, bytes, timeout: timeout, .closure(answer))
  }

  /// The same, and the table's taker hears of the end, with `word`.
  package func call(
    to id: NodeID, stream: UInt16, kind: UInt8, _ bytes: UnsafeRawBufferPointer, timeout: UInt32,
    word: UInt32
  ) -> CallStart {
    guard let state = unsafe byID[Int(id.rawValue)] else { return .noLink }
    return unsafe call(state, stream: stream, kind: kind, bytes, timeout: timeout, .word(word))
  }

  /// The same to a peer that need not have a number yet.
  package func call(
    to peer: LinkPeer, stream: UInt16, kind: UInt8, _ bytes: UnsafeRawBufferPointer,
    timeout: UInt32, _ answer: @escaping (CallOutcome) -> Void
  ) -> CallStart {
    unsafe call(peer.state, stream: stream, kind: kind, bytes, timeout: timeout, .closure(answer))
  }

  @inline(__always)
  private func call(
    _ state: UnsafeMutablePointer<PeerState>, stream: UInt16, kind: UInt8,
    _ bytes: UnsafeRawBufferPointer, timeout: UInt32, _ owner: consuming CallOwner
  ) -> CallStart {
    guard unsafe state.pointee.isUp else { return .noLink }
    // The turn's clock may be a tick old: one more is waited for.
    let due = loop.turnTime / 1_000_000 + UInt64(timeout) + 1
    let id = unsafe calls.pointee.insert(
      peer: state.pointee.number, link: state.pointee.link, stream: stream, due: due, owner)
    guard let id else { return .tooMany }
    switch unsafe put(state, .call, stream, kind, (id.rawValue, UInt64(timeout)), bytes) {
    case .accepted:
      unsafe counts.pointee.callsStarted += 1
      if unsafe due < calls.pointee.armed { armCallTimer(at: due) }
      return .started(id)
    case .wouldBlock:
      forget(id)
      return .wouldBlock
    case .noLink:
      forget(id)
      return .noLink
    case .tooLarge:
      forget(id)
      return .tooLarge
    }
  }

  private func forget(_ call: CallID) {
    if let slot = unsafe calls.pointee.find(call) { unsafe calls.pointee.remove(slot) }
  }

  /// Tells of a call's end.
  @inline(__always)
  private func tell(_ owner: CallOwner, _ outcome: CallOutcome) {
    switch owner {
    case .closure(let answer): answer(outcome)
    case .word(let word):
      unsafe taker.pointee?._withUnsafeGuaranteedRef { $0.ended(word, outcome) }
    }
  }

  /// Waits for the answer no more, and tells the peer. False when the call is over already.
  @discardableResult
  package func cancel(_ call: CallID) -> Bool {
    guard let slot = unsafe calls.pointee.find(call) else { return false }
    let number = unsafe Int(slot.pointee.peer)
    let stream = unsafe slot.pointee.stream
    let link = unsafe slot.pointee.link
    unsafe calls.pointee.remove(slot)
    if let peer = peers[number], peer.isUp, unsafe peer.state.pointee.link == link {
      // If there is no room for it the peer works in vain; its answer is dropped.
      unsafe writeControl(
        peer.state, RecordHeader(.cancel, stream: stream, word: call.rawValue), orElse: { _ in })
    }
    return true
  }

  /// Answers a call, once. What does not go out at once waits, up to the stream's bound.
  package func reply(
    to call: IncomingCall, kind: UInt8 = 0, _ bytes: UnsafeRawBufferPointer
  ) -> LinkSendResult {
    unsafe answer(call, .reply, kind, bytes)
  }

  /// Answers that it can't be done.
  package func fail(
    _ call: IncomingCall, code: UInt8, _ bytes: UnsafeRawBufferPointer
  ) -> LinkSendResult {
    unsafe answer(call, .failure, code, bytes)
  }

  private func answer(
    _ call: IncomingCall, _ type: RecordType, _ kind: UInt8, _ bytes: UnsafeRawBufferPointer
  ) -> LinkSendResult {
    guard let state = unsafe byNumber.pointee.find(call.peer), unsafe state.pointee.isUp,
      unsafe state.pointee.link == call.link
    else { return .noLink }
    return unsafe put(state, type, call.stream, kind, (call.number, 0), bytes)
  }

  // MARK: What comes

  func called(
    _ peer: LinkPeer, _ state: UnsafeMutablePointer<PeerState>, _ header: RecordHeader,
    _ body: UnsafeRawBufferPointer
  ) {
    let number = unsafe UInt64(littleEndian: body.loadUnaligned(as: UInt64.self))
    let timeout = unsafe UInt32(
      littleEndian: body.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    let call = unsafe IncomingCall(
      peer: state.pointee.number, link: state.pointee.link, number: number, stream: header.stream,
      kind: header.kind, timeout: timeout)
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: body[16...])
    guard let taker = unsafe taker.pointee,
      unsafe taker._withUnsafeGuaranteedRef({ $0.stream }) == header.stream
    else { return unsafe client.called(peer, call, message: bytes) }
    let from = unsafe state.pointee.id.rawValue
    unsafe taker._withUnsafeGuaranteedRef { unsafe $0.called(call, from: from, bytes) }
  }

  /// Has all calls on its stream told to `taker`, which is not retained.
  package func setCallTaker(_ taker: CallTaker?) {
    unsafe self.taker.pointee = taker.map { unsafe .passUnretained($0) }
  }

  func answered(
    _ state: UnsafeMutablePointer<PeerState>, _ header: RecordHeader,
    _ body: UnsafeRawBufferPointer
  ) {
    let number = unsafe UInt64(littleEndian: body.loadUnaligned(as: UInt64.self))
    guard let slot = unsafe calls.pointee.find(CallID(rawValue: number)),
      // Nobody answers for another.
      unsafe slot.pointee.peer == state.pointee.number
    else {
      unsafe counts.pointee.answersLate += 1
      return
    }
    let owner = unsafe calls.pointee.remove(slot)
    unsafe counts.pointee.callsAnswered += 1
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: body[8...])
    unsafe tell(
      owner, header.type == .reply ? .reply(bytes) : .failed(code: header.kind, bytes))
  }

  /// The link is gone: nobody will answer.
  func failCalls(of peer: UInt32) {
    guard unsafe calls.pointee.count > 0 else { return }
    for call in unsafe calls.pointee.calls(of: peer) {
      guard let slot = unsafe calls.pointee.find(call) else { continue }
      tell(unsafe calls.pointee.remove(slot), .linkDown)
    }
  }

  // MARK: Time

  /// One timer of the loop's serves all calls.
  private func armCallTimer(at tick: UInt64) {
    unsafe calls.pointee.armed = tick
    let now = loop.turnTime / 1_000_000
    let delay = tick > now ? tick - now : 1
    if let timer = callTimer, loop.rearmTimer(timer, afterMilliseconds: delay) { return }
    callTimer = loop.startTimer(afterMilliseconds: delay) { self.endOverdueCalls() }
  }

  func stopCallTimer() {
    if let callTimer { loop.cancelTimer(callTimer) }
    callTimer = nil
  }

  private func endOverdueCalls() {
    callTimer = nil
    unsafe calls.pointee.armed = .max
    unsafe calls.pointee.wheel.advance(to: loop.turnTime / 1_000_000)
    while let slot = unsafe calls.pointee.popDue() {
      unsafe counts.pointee.callsTimedOut += 1
      let number = unsafe Int(slot.pointee.peer)
      let link = unsafe slot.pointee.link
      let stream = unsafe slot.pointee.stream
      let index = UInt64(unsafe slot - calls.pointee.slots)
      let call = unsafe UInt64(slot.pointee.generation) << 32 | index
      let owner = unsafe calls.pointee.remove(slot)
      if let peer = peers[number], peer.isUp, unsafe peer.state.pointee.link == link {
        unsafe writeControl(
          peer.state, RecordHeader(.cancel, stream: stream, word: call), orElse: { _ in })
      }
      tell(owner, .timedOut)
    }
    if let next = unsafe calls.pointee.wheel.nextDeadline(), unsafe next < calls.pointee.armed {
      armCallTimer(at: next)
    }
  }
}
