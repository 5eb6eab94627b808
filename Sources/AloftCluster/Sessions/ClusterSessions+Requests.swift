import AloftEngine
import AloftMembership
package import AloftSession
import Glibc

/// Requests of this node's programs and of other nodes.
extension ClusterSessions {
  // MARK: Asked here

  /// A write, by whoever owns the session. `answer` is called once, maybe at once; by the deadline,
  /// on the monotonic clock, at the latest a while after.
  ///
  /// While nobody may answer (a failover, a node that is cut off) it waits. Without a key it is not
  /// repeated when it may have been done; `uncertain` is the answer then.
  ///
  /// `since`: of a write that may have been done before, what had been applied at the node where it
  /// was asked for first, or before that.
  package func write(
    _ request: SessionRequest, deadline: UInt64, repeatedSince since: UInt64? = nil,
    _ answer: @escaping (SessionOutcome) -> Void
  ) {
    let asked = SessionAsk(
      request.id, request.principal, .write(request), deadline: deadline
    ) { outcome, _ in answer(outcome) }
    if let since {
      asked.since = since
      asked.lastOutcome = SessionOutcome(.uncertain)
    }
    ask(asked)
  }

  /// A question to whoever owns the session. With an answer that is `done` comes the session, good
  /// until the closure returns.
  package func query(
    _ query: SessionQuery, _ id: SessionID, _ principal: Principal, deadline: UInt64,
    _ answer: @escaping (SessionOutcome, SessionView?) -> Void
  ) {
    ask(SessionAsk(id, principal, .query(query), deadline: deadline, answer))
  }

  /// A number for a session that is yet to be created: of the node that has fewest, or for this
  /// node's memory alone.
  package func mint(isLocal: Bool = false) -> SessionID? {
    if !isLocal { return owner.mint(high: random(), low: random()) }
    let node = node.core.identity.id
    return node.rawValue == 0 ? nil : SessionID(high: random(), low: random(), localTo: node)
  }

  /// A key for a write: another one each time, and nobody else's.
  package func newKey() -> UInt64 { random() | 1 }

  /// A word of the system's randomness, of which some is kept.
  private func random() -> UInt64 {
    if randomWords.isEmpty { fetchRandomWords() }
    return randomWords.removeLast()
  }

  /// As many at once as the system gives.
  private func fetchRandomWords() {
    randomWords = Array(repeating: 0, count: Self.randomWordsKept)
    let status = unsafe randomWords.withUnsafeMutableBytes {
      unsafe getentropy($0.baseAddress!, $0.count)
    }
    precondition(status == 0, "the system has no randomness")
  }

  /// Who serves the session; nil while nobody does.
  func server(of id: SessionID) -> NodeID? {
    if let node = id.localNode { return node }
    guard let slot = id.slot else { return nil }
    let owner = owner.server(of: slot)
    return owner.rawValue == 0 ? nil : owner
  }

  func ask(_ ask: SessionAsk) {
    guard !hasStopped else { return ask.answer(SessionOutcome(.notAccepting), nil) }
    if ask.since == nil { ask.since = store.appliedIndex }
    guard let server = server(of: ask.id) else { return hold(ask, SessionOutcome(.notAccepting)) }
    if server == owner.identity.id { serve(ask) } else { pass(ask, to: server) }
  }

  private func serve(_ ask: SessionAsk) {
    switch ask.body {
    case .write(let request):
      let outcome = submit(.local(ask)) { owner, token, now in
        guard ask.isRepeated else { return owner.submit(request, token: token, now: now) }
        return unsafe request.bytes.withUnsafeBytes {
          unsafe owner.submit(bytes: $0, repeatedSince: ask.since, token: token, now: now)
        }
      }
      if let outcome { came(outcome, nil, ask) }
    case .query(let query):
      answer(query, ask.id, ask.principal, from: owner.identity) { outcome, view in
        came(outcome, view, ask)
      }
    }
  }

  /// To the owner, which is another node.
  private func pass(_ ask: SessionAsk, to id: NodeID) {
    statistics.requestsOut += 1
    let (kind, bytes): (UInt8, [UInt8]) =
      switch ask.body {
      case .write(let request) where ask.isRepeated:
        (NodeKind.repeatedWrite, SessionWire.repeated(request, since: ask.since ?? 0))
      case .write(let request): (NodeKind.write, request.bytes)
      case .query(let query):
        (NodeKind.query, SessionWire.query(query, ask.id, ask.principal))
      }
    let left = ask.deadline > ClusterNode.now() ? ask.deadline - ClusterNode.now() : 0
    let milliseconds = UInt32(clamping: left / 1_000_000 + 1)
    let start = unsafe bytes.withUnsafeBytes { bytes in
      unsafe node.links.call(
        to: id, stream: NodeStream.sessions, kind: kind, bytes, timeout: milliseconds
      ) { [self] outcome in
        if case .reply(let bytes) = outcome, let answer = unsafe SessionWire.answer(bytes) {
          return came(answer.0, answer.1, ask)
        }
        came(SessionOutcome(.uncertain), nil, ask)
      }
    }
    switch start {
    case .started: break
    case .wouldBlock, .tooMany: finish(ask, SessionOutcome(.busy), nil)
    case .tooLarge: finish(ask, SessionOutcome(.tooLarge), nil)
    case .noLink: hold(ask, SessionOutcome(.notAccepting))
    }
  }

  /// An owner has answered. What only says that it isn't the time or the place is kept from whoever
  /// asked, as long as there is time.
  private func came(_ outcome: SessionOutcome, _ view: SessionView?, _ ask: SessionAsk) {
    switch outcome.code {
    case .moved, .notReady, .notAccepting: hold(ask, outcome)
    // 1: it's too late to find out.
    case .uncertain where ask.isRepeatable && outcome.number == 0: hold(ask, outcome)
    default: finish(ask, outcome, view)
    }
  }

  private func finish(_ ask: SessionAsk, _ outcome: SessionOutcome, _ view: SessionView?) {
    var outcome = outcome
    // It may have been done the first time.
    if ask.lastOutcome.code == .uncertain, outcome.code == .busy || outcome.code == .notAccepting {
      outcome.code = .uncertain
    }
    ask.answer(outcome, view)
  }

  // MARK: Waiting for a better time

  private func hold(_ ask: SessionAsk, _ outcome: SessionOutcome) {
    if ask.lastOutcome.code != .uncertain { ask.lastOutcome = outcome }
    guard !hasStopped, ClusterNode.now() < ask.deadline, held.count < heldMax else {
      return ask.answer(ask.lastOutcome, nil)
    }
    statistics.requestsHeld += 1
    held.append(ask)
  }

  /// Requests that may wait; more are told at once how things are.
  private var heldMax: Int { 1 << 16 }

  func retryHeld() {
    guard !held.isEmpty, owner.isAccepting else { return }
    let asks = held
    held = []
    for waiting in asks { ask(waiting) }
  }

  func endOverdue(_ now: UInt64) {
    guard !held.isEmpty else { return }
    let asks = held
    held = []
    for waiting in asks {
      if waiting.deadline <= now {
        waiting.answer(waiting.lastOutcome, nil)
      } else {
        held.append(waiting)
      }
    }
  }

  // MARK: Asked by other nodes

  func called(_ peer: LinkPeer, _ call: IncomingCall, _ message: UnsafeRawBufferPointer) {
    if call.stream == NodeStream.entries { return unsafe entryCame(call, message) }
    statistics.requestsIn += 1
    switch call.kind {
    case NodeKind.write:
      let outcome = submit(.remote(call)) { owner, token, now in
        unsafe owner.submit(bytes: message, token: token, now: now)
      }
      if let outcome { reply(call, outcome, nil) }
    case NodeKind.repeatedWrite:
      guard let (since, request) = unsafe SessionWire.repeated(message) else {
        return reply(call, SessionOutcome(.malformed), nil)
      }
      let outcome = submit(.remote(call)) { owner, token, now in
        unsafe owner.submit(bytes: request, repeatedSince: since, token: token, now: now)
      }
      if let outcome { reply(call, outcome, nil) }
    case NodeKind.query:
      guard let (query, id, principal) = unsafe SessionWire.query(message) else {
        return reply(call, SessionOutcome(.malformed), nil)
      }
      let sender = NodeIdentity(
        cluster: owner.identity.cluster, id: peer.id, incarnation: peer.incarnation)
      answer(query, id, principal, from: sender) { reply(call, $0, $1) }
    default: reply(call, SessionOutcome(.malformed), nil)
    }
  }

  private func reply(_ call: IncomingCall, _ outcome: SessionOutcome, _ view: SessionView?) {
    _ = unsafe SessionWire.answer(outcome, view).withUnsafeBytes {
      unsafe node.links.reply(to: call, $0)
    }
  }

  /// As owner; nil when the answer comes later.
  private func submit(
    _ asker: Asker, _ body: (SessionOwner, UInt64, UInt64) -> SessionOutcome?
  ) -> SessionOutcome? {
    let now = ClusterNode.now()
    guard isInTime(now) else { return SessionOutcome(.notAccepting) }
    let token = wait(asker)
    if let outcome = body(owner, token, now) {
      forget(token)
      return outcome
    }
    due()
    return nil
  }

  /// Whether the lease still runs, by the clock and not by when this loop last looked: it may have
  /// been stopped for longer than that.
  private func isInTime(_ now: UInt64) -> Bool { now < acceptsUntil }

  /// The session's state, if it's this node's and may be told of now; else false, and `query` is
  /// the way. Nothing is allocated.
  package func readHere(
    _ id: SessionID, _ principal: Principal,
    _ body: (SessionOutcome, UnsafeRawBufferPointer) -> Void
  ) -> Bool {
    let now = ClusterNode.now()
    guard isInTime(now) else { return false }
    switch owner.read(id, by: principal, now: now) {
    case .found(let ref):
      let outcome = SessionOutcome(.done, version: store.version(ref))
      unsafe store.withState(ref) { unsafe body(outcome, $0) }
    case .refused(let outcome):
      switch outcome.code {
      case .moved, .notReady, .notAccepting: return false
      default: unsafe body(outcome, UnsafeRawBufferPointer(start: nil, count: 0))
      }
    }
    return true
  }

  /// As owner. `sender` is the node that asks, which connections are attached of.
  private func answer(
    _ query: SessionQuery, _ id: SessionID, _ principal: Principal, from sender: NodeIdentity,
    _ body: (SessionOutcome, SessionView?) -> Void
  ) {
    let now = ClusterNode.now()
    guard isInTime(now) else { return body(SessionOutcome(.notAccepting), nil) }
    let reading: SessionReading
    switch query {
    case .touch: return body(owner.touch(id, by: principal, now: now), nil)
    case .detach(let number):
      owner.detach(id, Self.connection(sender, number), now: now)
      return body(SessionOutcome(.done), nil)
    case .attach(let number):
      reading = owner.attach(id, by: principal, Self.connection(sender, number), now: now)
    case .read, .events: reading = owner.read(id, by: principal, now: now)
    }
    switch reading {
    case .refused(let outcome): body(outcome, nil)
    case .found(let ref):
      if case .events(let from, let countMax, let bytesMax) = query {
        events(ref, from, Int(countMax), Int(bytesMax), body)
      } else {
        view(ref, body)
      }
    }
  }

  private static func connection(_ sender: NodeIdentity, _ number: UInt64) -> SessionConnection {
    SessionConnection(node: sender.id, incarnation: sender.incarnation, number: number)
  }

  func view(_ ref: SessionRef, _ body: (SessionOutcome, SessionView?) -> Void) {
    let info = store.info(ref)
    unsafe store.withState(ref) { bytes in
      let view = unsafe SessionView(
        phase: info.phase, version: info.version, firstEvent: info.firstEvent,
        nextEvent: info.nextEvent, bytes: bytes)
      body(SessionOutcome(.done, version: info.version), view)
    }
  }

  private func events(
    _ ref: SessionRef, _ from: UInt64, _ countMax: Int, _ bytesMax: Int,
    _ body: (SessionOutcome, SessionView?) -> Void
  ) {
    let info = store.info(ref)
    let found = store.events(ref, from: from, countMax: countMax, bytesMax: bytesMax)
    var packed: [UInt8] = []
    for event in found.events {
      let length = UInt32(event.count)
      for shift in [0, 8, 16, 24] as [UInt32] {
        packed.append(UInt8(truncatingIfNeeded: length >> shift))
      }
      packed += event
    }
    unsafe packed.withUnsafeBytes { bytes in
      let view = unsafe SessionView(
        phase: info.phase, version: info.version, firstEvent: found.first,
        nextEvent: info.nextEvent, bytes: bytes)
      body(SessionOutcome(.done, version: info.version), view)
    }
  }

  // MARK: Who waits

  func wait(_ asker: Asker) -> UInt64 {
    if let free = freeAskers.popLast() {
      askers[free] = asker
      return UInt64(free)
    }
    askers.append(asker)
    return UInt64(askers.count - 1)
  }

  func forget(_ token: UInt64) {
    askers[Int(token)] = nil
    freeAskers.append(Int(token))
  }

  func tell(_ answer: SessionAnswer) {
    guard Int(answer.token) < askers.count, let asker = askers[Int(answer.token)] else { return }
    forget(answer.token)
    switch asker {
    case .local(let ask): came(answer.outcome, nil, ask)
    case .remote(let call): reply(call, answer.outcome, nil)
    }
  }
}
