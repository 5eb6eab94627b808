package import AloftAtomics
package import AloftPool
import Synchronization

/// A pool that a loop is the home of. The loop holds it until it is drained, and knows it for as
/// long as anybody else does: those who ask too late have to be told when the loop has ended.
struct PoolEntry {
  private var held: PoolHome?
  /// Set no sooner than it has to be: to count references to what has weak ones takes longer.
  private weak var known: PoolHome?

  init(_ home: PoolHome) { held = home }

  var home: PoolHome? { held ?? known }

  mutating func letGo() {
    known = held
    held = nil
  }
}

/// A pool at home: the loop on which its logic runs, and the ways there.
///
/// Leases that need nobody's help are taken from `table` and returned to it by whoever they are
/// for. This is for all others. Who waits, and what is returned while somebody waits, is sent to
/// the home in a mailbox of intrusive nodes, so that nothing is allocated or refused; on the
/// home's own thread it is served at once.
@safe
package final class PoolHome: @unchecked Sendable {
  // @unchecked: `table` and the mailboxes are atomic, the nodes are theirs who send them; all that
  // is `var` is touched on the home's thread alone, and after its end by one thread at a time
  // (`EventLoop.executeSurely`).

  package let number: Int
  let slots: Int
  package let loop: EventLoop
  package let table: LeaseTable
  package let loops: [EventLoop]
  /// Where they lie in memory, to be compared and no more.
  let addresses: UnsafeMutablePointer<UInt>
  let handler: PoolHandler
  let desk: UnsafeMutablePointer<PoolDesk>
  let logic: UnsafeMutablePointer<PoolState>
  var timer: TimerID?
  var randomState: UInt64
  var whenDrained: [() -> Void] = []
  /// A word for the home's mailbox, then one for each loop's, a line each.
  private let mailboxes: WordBlock
  /// For each slot one to the home and one to a loop; then one for the poke; then one for each
  /// loop's answer.
  let nodes: UnsafeMutablePointer<PoolNode>

  /// `slots`: as many as live resizing may ask for. `share`: idle ones that each loop keeps.
  package init(
    on loop: EventLoop, limits: PoolLimits, slots: Int, share: Int, handler: PoolHandler
  ) throws(EngineError) {
    guard let number = PoolNumbers.claim() else {
      throw EngineError(
        .loopLimit, "no more pools: \(LeaseHandle.poolsMax - 1) live in this process")
    }
    self.number = number
    self.slots = slots
    self.loop = loop
    self.handler = handler
    loops = loop.siblings.isEmpty ? [loop] : loop.siblings
    unsafe addresses = .allocate(capacity: loops.count)
    for index in loops.indices {
      let loop = unsafe Unmanaged.passUnretained(loops[index])
      unsafe (addresses + index).initialize(to: UInt(bitPattern: loop.toOpaque()))
    }
    table = LeaseTable(slots: slots, loops: loops.count, share: share)
    unsafe desk = .allocate(capacity: 1)
    unsafe desk.initialize(to: PoolDesk(loops: loops.count))
    unsafe logic = .allocate(capacity: 1)
    unsafe logic.initialize(to: PoolState(limits: limits, slots: slots, now: loop.driver.now()))
    randomState = UInt64(number) &* 0x9E37_79B9_7F4A_7C15 &+ loop.driver.now()
    mailboxes = WordBlock(words: (1 + loops.count) * MemoryLine.words)
    let count = 2 * slots + 1 + loops.count
    unsafe nodes = .allocate(capacity: count)
    unsafe nodes.initialize(repeating: PoolNode(), count: count)
  }

  deinit {
    unsafe desk.deinitialize(count: 1)
    unsafe desk.deallocate()
    unsafe logic.deinitialize(count: 1)
    unsafe logic.deallocate()
    unsafe nodes.deallocate()
    unsafe addresses.deallocate()
    PoolNumbers.release(number)
  }

  /// Once, from any thread: opens the resources that are kept, and begins to keep time.
  package func start() {
    onHome { home, now in
      unsafe home.loop.hot.pointee.pools.removeAll { $0.home == nil }
      unsafe home.loop.hot.pointee.pools.append(PoolEntry(home))
      home.state.start(now: now, into: &home.actions)
    }
  }

  var pokeNode: UnsafeMutablePointer<PoolNode> { unsafe nodes + 2 * slots }
  func answerNode(_ position: Int) -> UnsafeMutablePointer<PoolNode> {
    unsafe nodes + 2 * slots + 1 + position
  }

  // MARK: Ways home

  private var mailbox: MailboxWord { mailbox(0) }
  private func mailbox(_ index: Int) -> MailboxWord {
    unsafe MailboxWord(
      at: mailboxes.memory.address(ofWord: index * MemoryLine.words))
  }

  /// Any thread.
  func post(_ node: UnsafeMutablePointer<PoolNode>) {
    let wasEmpty = unsafe mailbox.push(UnsafeMutableRawPointer(node))
    if isHere {
      if !isServing { serve(loop.driver.now()) }
      return
    }
    if wasEmpty { callHome() }
  }

  /// Any thread: has the mailbox served, by the home's thread, or if that has ended by this one.
  private func callHome() {
    // Served late, the last lease may take the home along.
    let hold = unsafe Unmanaged.passRetained(self)
    loop.executeSurely { self.serve(self.loop.driver.now()) }
    unsafe hold.release()
  }

  /// Any thread: has `body` run at home, with the time; not at all when the home has ended.
  package func onHome(_ body: sending @escaping (PoolHome, UInt64) -> Void) {
    if isHere, !isServing { return serve(loop.driver.now(), body) }
    loop.executeUnrefused { self.serve(self.loop.driver.now(), body) }
  }

  /// On the home's thread, while the loop lives.
  var isHere: Bool { loop.isCurrent && !loop.ended.load(ordering: .relaxed) }

  /// At home, outside of any other: all that is done there is done by this, at one moment.
  @inline(__always)
  private func serve(_ now: UInt64, _ body: (PoolHome, UInt64) -> Void) {
    precondition(!isServing)
    isServing = true
    body(self, now)
    perform(now)
    drainMailbox(now)
    isServing = false
    if !hasEnded { keepTime(now) }
  }

  private func serve(_ now: UInt64) {
    if isServing { return }
    serve(now) { _, _ in }
  }

  /// At home, outside of any other: admits one who waits without a message, but behind those whose
  /// messages are there.
  func admitHere(_ waiter: PoolWaiter, _ now: UInt64) {
    serve(now) { home, now in
      if !home.isMailboxEmpty { home.drainMailbox(now) }
      home.admit(waiter, now)
    }
  }

  /// At home, outside of any other: a resource came back there, behind what came by message.
  func cameBackHere(_ slot: Int, _ kind: PoolNode.Kind, _ now: UInt64) {
    serve(now) { home, now in
      if !home.isMailboxEmpty { home.drainMailbox(now) }
      home.handle(slot, kind, now)
    }
  }

  private func drainMailbox(_ now: UInt64) {
    while var node = unsafe mailbox.drain() {
      while true {
        let next = unsafe MailboxWord.next(after: node)
        unsafe handle(node.assumingMemoryBound(to: PoolNode.self), now)
        perform(now)
        guard let following = unsafe next else { break }
        unsafe node = unsafe following
      }
    }
  }

  private func handle(_ node: UnsafeMutablePointer<PoolNode>, _ now: UInt64) {
    switch unsafe node.pointee.kind {
    case .poke:
      table.core.endPoke()
      isShelfBare = false
      lookAtShelf(now)
    case .waiter: unsafe admit(waiter(of: node), now)
    case .cancel:
      let waiter = unsafe waiter(of: node)
      let id = WaiterID(index: waiter.index, generation: waiter.generation)
      state.leaseCancelled(id, now: now, into: &actions)
    case .flushed: unsafe loopAnswered(Int(node.pointee.number), now)
    default: unsafe handle(Int(node.pointee.number), node.pointee.kind, now)
    }
  }

  /// What became of a slot.
  private func handle(_ slot: Int, _ kind: PoolNode.Kind, _ now: UInt64) {
    switch kind {
    case .returned: state.cameBack(slot, .sound, now: now, into: &actions)
    case .broken: state.cameBack(slot, .broken, now: now, into: &actions)
    case .reclaimed: state.cameBack(slot, .reclaimed, now: now, into: &actions)
    case .doubtful:
      state.cameBack(
        slot, handler.hasCheck ? .doubtful : .broken, now: now, into: &actions)
    case .opened: state.opened(slot, now: now, random: random(), into: &actions)
    case .openFailed: state.openFailed(slot, now: now, random: random(), into: &actions)
    case .closed: state.closed(slot, now: now, into: &actions)
    case .sound: state.checked(slot, isSound: true, now: now, into: &actions)
    case .unsound: state.checked(slot, isSound: false, now: now, into: &actions)
    case .poke, .waiter, .cancel, .flushed: preconditionFailure("none of a slot's")
    }
  }

  private func waiter(of node: UnsafeMutablePointer<PoolNode>) -> PoolWaiter {
    let pointer = unsafe UnsafeRawPointer(bitPattern: node.pointee.word)!
    return unsafe Unmanaged<PoolWaiter>.fromOpaque(pointer).takeRetainedValue()
  }

  // MARK: The end

  /// The runtime begins to end.
  func drainAtShutdown() {
    onHome { home, now in home.state.drain(deadline: 0, now: now, into: &home.actions) }
  }

  /// On the loop's thread, after its last turn: refuses those who wait, and has all that is open
  /// come home to be closed. What comes later is closed by whoever brings it (`callHome`).
  func loopEnded() {
    serve(loop.driver.now()) { home, now in
      home.hasEnded = true
      if home.state.isDrained { return }
      home.state.drain(deadline: 0, now: now, into: &home.actions)
    }
  }

  private var isMailboxEmpty: Bool { mailboxes.memory.loadSequential(0) == 0 }

  // MARK: Ways to a loop that keeps some

  /// Any thread: sends a claimed return to the loop whose lease it is.
  func forward(_ node: UnsafeMutablePointer<PoolNode>, to position: Int) {
    if unsafe mailbox(1 + position).push(UnsafeMutableRawPointer(node)) {
      loops[position].executeSurely { self.serveForwarded(position) }
    }
  }

  private func serveForwarded(_ position: Int) {
    while var node = unsafe mailbox(1 + position).drain() {
      while true {
        let next = unsafe MailboxWord.next(after: node)
        let sent = unsafe node.assumingMemoryBound(to: PoolNode.self)
        let lease = unsafe LeaseHandle(rawValue: UInt64(sent.pointee.word))
        let kind = unsafe sent.pointee.kind
        let result = table.core.returnClaimed(lease, on: position, toHome: kind != .returned)
        _ = complete(result, lease, kind)
        guard let following = unsafe next else { break }
        unsafe node = unsafe following
      }
    }
  }
}
