import AloftEngine
import AloftQueue
import AloftSim

/// What is put in that must be found.
enum MailFault: CaseIterable {
  case none
  /// Credits are given back that nobody had taken.
  case creditTwice
  /// Some wake-ups of a sleeping loop get lost.
  case lostWake
  /// Messages are released on their way, uncounted.
  case lostMessage
}

/// A short life of a few loops and their mailboxes, and all that may befall them. Every message has
/// a number: its sender, its mailbox, its class, and the how-manieth of these it is.
final class MailboxHistory {
  let world: SimWorld
  var random: SimRandom
  let loops: [EventLoop]
  let fault: MailFault
  var faults: [String] = []
  private var boxes: [Box] = []
  private var handler: HistoryHandler!
  private(set) var accepted = 0
  private(set) var handled = 0
  private var told = 0
  private var waiting = 0
  private var watched: Set<MailboxID> = []
  private var ends: [MailboxID: Int] = [:]

  /// A mailbox, as a plain model knows it.
  final class Box {
    let id: MailboxID
    let loop: EventLoop
    let options: MailboxOptions
    var suspended = false
    var closed = 0
    /// The next number to send and to receive, by sender and class.
    var sent = [Int](repeating: 0, count: 5 * 4)
    var seen = [Int](repeating: -1, count: 5 * 4)

    init(_ id: MailboxID, _ loop: EventLoop, _ options: MailboxOptions) {
      self.id = id
      self.loop = loop
      self.options = options
    }
  }

  init(seed: UInt64, fault: MailFault) throws {
    world = SimWorld(seed: seed, options: SimOptions())
    random = SimRandom(seed: ~seed)
    self.fault = fault
    loops = try world.makeLoops(random.in(1...3))
    handler = HistoryHandler(self)
    for loop in loops {
      if fault == .lostWake { world.driver(of: loop).losesWakes = 60 }
      loop.onMailboxFailed = { [unowned self, unowned loop] id, _ in
        if !handlesFailure(id, loop) { fail("a failure of \(id), which nobody knows") }
      }
      loop.addMailboxClosedHook { [unowned self] id, _ in ends[id, default: 0] += 1 }
    }
  }

  func fail(_ text: String) { if faults.count < 5 { faults.append(text) } }

  // MARK: What the handler is told

  func received(_ id: MailboxID, _ tag: UInt64) {
    handled += 1
    guard let box = boxes.first(where: { $0.id == id }) else {
      return fail("a message for \(id), which nobody knows")
    }
    if box.closed > 0 { fail("a message after closed") }
    if box.suspended { fail("a message while suspended") }
    let (stream, number) = (Int(tag >> 32), Int(tag & 0xFFFF_FFFF))
    // What waits for room may be overtaken; all else of one sender and class keeps its order.
    if stream != 4 * 4 + 1, box.options.overflow == .refuse, number <= box.seen[stream] {
      fail("number \(number) of stream \(stream) behind \(box.seen[stream])")
    }
    box.seen[stream] = max(box.seen[stream], number)
    if random.chance(4) { act(on: box.loop) }
  }

  func throwsNow(_ id: MailboxID) -> Bool { random.chance(1) }

  private func handlesFailure(_ id: MailboxID, _ loop: EventLoop) -> Bool {
    guard let box = boxes.first(where: { $0.id == id }) else { return false }
    box.suspended = true
    _ = loop.startTimer(afterMilliseconds: UInt64(random.below(5))) { [unowned self] in
      resume(box)
    }
    return true
  }

  func closed(_ id: MailboxID) {
    guard let box = boxes.first(where: { $0.id == id }) else { return fail("closed, unknown") }
    box.closed += 1
    if box.closed > 1 { fail("closed twice") }
  }

  // MARK: Deeds

  private func resume(_ box: Box) {
    box.suspended = false
    box.loop.resumeMailbox(box.id, handler: random.chance(20) ? handler : nil)
  }

  private func open(on loop: EventLoop) {
    guard boxes.count < 12 else { return }
    var options = MailboxOptions(capacity: [0, 1, 3, 20, 100][random.below(5)])
    options.overflow = random.chance(25) && options.capacity > 0 ? .dropOldest : .refuse
    if random.chance(30) { (options.highWater, options.lowWater) = (4, 1) }
    options.turnMax = UInt32(random.in(1...8))
    guard let id = try? loop.openMailbox(options, handler: handler, context: 5) else {
      return fail("no mailbox")
    }
    if boxes.contains(where: { $0.id == id }) { fail("an ID was used twice") }
    boxes.append(Box(id, loop, options))
    if random.chance(30) {
      watched.insert(id)
      if !EventLoop.watchMailbox(id) { fail("not watched though open") }
    }
  }

  /// Some deed of somebody on `loop`; nil for a thread that is no loop's.
  func act(on loop: EventLoop?) {
    let sender = loop.map { $0.position } ?? 3
    guard !boxes.isEmpty, random.below(100) < 92 else {
      if let loop { open(on: loop) }
      return
    }
    let box = boxes[random.below(boxes.count)]
    switch random.below(100) {
    case ..<70: for _ in 0...random.below(12) { send(box, sender) }
    case ..<80: sendWaiting(box)
    case ..<84:
      on(box) {
        box.suspended = true; box.loop.suspendMailbox(box.id)
      }
    case ..<93: on(box) { [unowned self] in resume(box) }
    case ..<94:
      let drain = random.chance(60)
      on(box) { box.loop.closeMailbox(box.id, drain: drain) }
    default: if fault == .creditTwice { for _ in 0..<3 { EventLoop.giveBackCredit(box.id) } }
    }
  }

  private func on(_ box: Box, _ body: @escaping () -> Void) {
    if box.loop.isCurrent { return body() }
    nonisolated(unsafe) let body = body
    box.loop.executeUnrefused { body() }
  }

  private func send(_ box: Box, _ sender: Int) {
    let rank = random.chance(70) ? 1 : random.below(4)
    let stream = sender * 4 + rank
    let message = Message.carrying(UInt64(stream) << 32 | UInt64(box.sent[stream]))
    let wasClosed = box.closed > 0
    if fault == .lostMessage, random.chance(5) {
      accepted += 1
      return
    }
    switch EventLoop.send(message, to: box.id, priority: UInt8(rank)) {
    case .accepted:
      accepted += 1
      box.sent[stream] += 1
      if wasClosed { fail("accepted after closed") }
      if box.loop.isCurrent { checkBound(box) }
    case .full: if box.options.capacity == 0 || box.options.overflow != .refuse { fail("full") }
    case .busy: if sender != 3 { fail("busy, from a loop that gathers") }
    case .closed: if EventLoop.isOpen(box.id) { fail("closed, though open") }
    }
  }

  private func sendWaiting(_ box: Box) {
    waiting += 1
    let stream = 4 * 4 + 1
    let number = box.sent[stream]
    box.sent[stream] += 1
    let message = Message.carrying(UInt64(stream) << 32 | UInt64(number))
    nonisolated(unsafe) let history = self
    nonisolated(unsafe) var isTold = false
    EventLoop.send(message, to: box.id, withinMilliseconds: UInt64(random.below(10))) { outcome in
      if isTold { history.fail("told twice") }
      isTold = true
      history.told += 1
      if outcome == .accepted { history.accepted += 1 }
    }
  }

  // MARK: The whole

  /// Between turns nothing is above its bound.
  private func checkBounds() {
    for box in boxes where box.closed == 0 && box.options.capacity > 0 {
      nonisolated(unsafe) let history = self
      nonisolated(unsafe) let box = box
      box.loop.executeUnrefused { history.checkBound(box) }
    }
  }

  private func checkBound(_ box: Box) {
    guard box.options.capacity > 0, let s = box.loop.mailboxStatistics(box.id) else { return }
    if s.depth > Int(box.options.capacity) {
      fail("\(s.depth) wait, of \(box.options.capacity)")
    }
  }

  /// Answers what did not hold.
  func run() -> [String] {
    for loop in loops { world.perform(on: loop) { [self] in open(on: loop) } }
    let life = random.in(2...40)
    for _ in 0..<random.in(20...120) {
      let loop = random.chance(85) ? loops[random.below(loops.count)] : nil
      world.after(nanoseconds: random.below(life * 1_000_000)) { [unowned self] in
        guard let loop else { return act(on: nil) }
        nonisolated(unsafe) let history = self
        loop.executeUnrefused { for _ in 0...history.random.below(3) { history.act(on: loop) } }
      }
    }
    for _ in 0..<10 {
      world.after(nanoseconds: random.below(life * 1_000_000)) { [unowned self] in checkBounds() }
    }
    world.run(milliseconds: life)
    settle()
    world.end()
    account()
    return faults + world.violations
  }

  /// All go on, and everybody is given the time to come to rest: nothing may be left waiting.
  private func settle() {
    for box in boxes { on(box) { [unowned self] in resume(box) } }
    world.run(milliseconds: 200)
    for box in boxes where box.closed == 0 && !box.suspended {
      let depth = depth(of: box)
      if depth > 0 { fail("\(depth) wait for ever") }
    }
    if told != waiting { fail("\(waiting - told) of \(waiting) waiting sends were never told") }
  }

  private func depth(of box: Box) -> Int {
    box.loop.enterThread()
    defer { box.loop.leaveThread() }
    return box.loop.mailboxStatistics(box.id)?.depth ?? 0
  }

  private func account() {
    var sum = MailSnapshot()
    for loop in loops { sum.add(loop.mailStatistics) }
    if Int(sum.handled) != handled { fail("\(sum.handled) counted, \(handled) handled") }
    let found = handled + Int(sum.dropped) + Int(sum.deadLetters)
    if accepted != found { fail("\(accepted) accepted, \(found) accounted for") }
    for box in boxes where box.closed != 1 { fail("\(box.id) was closed \(box.closed) times") }
    for id in watched where ends[id] != 1 { fail("the end was told \(ends[id] ?? 0) times") }
    for id in ends.keys where !watched.contains(id) { fail("an end told that nobody watched") }
    if loops.contains(where: { $0.mailboxCount != 0 }) { fail("mailboxes are left") }
  }
}

final class HistoryHandler: MailboxHandler, @unchecked Sendable {
  // @unchecked: a simulated world has one thread.
  unowned let history: MailboxHistory
  init(_ history: MailboxHistory) { self.history = history }

  override func received(_ mailbox: MailboxID, _ message: consuming Message) throws {
    history.received(mailbox, message.number)
    if history.throwsNow(mailbox) { throw Refusal() }
  }

  override func received(_ batch: inout MessageBatch) throws {
    if batch.context != 5 { history.fail("another context") }
    let mailbox = batch.mailbox
    while let message = batch.next() { try received(mailbox, message) }
  }

  override func closed(_ mailbox: MailboxID, _ reason: MailboxCloseReason) {
    history.closed(mailbox)
  }
}
