package import AloftAtomics
package import AloftQueue

/// What any thread asks of a pool.
extension PoolHome {
  /// Any thread. The calling thread's loop among the pool's, by position; -1 elsewhere.
  package var position: Int {
    let current = EventLoop.currentAddress
    if current == 0 { return -1 }
    for index in 0..<loops.count where unsafe addresses[index] == current { return index }
    return -1
  }

  /// Any thread: waits for a lease. `timeout` is nanoseconds, 0 for none. The waiter is answered
  /// once, at home.
  package func wait(_ waiter: PoolWaiter, timeout: UInt64) {
    let now = loop.driver.now()
    waiter.since = now
    waiter.deadline = timeout == 0 ? 0 : now &+ timeout
    table.core.beginWaiting()
    if isHere, !isServing { return admitHere(waiter, now) }
    unsafe waiter.nodes.pointee.kind = .waiter
    unsafe waiter.nodes.pointee.word = unsafe UInt(
      bitPattern: Unmanaged.passRetained(waiter).toOpaque())
    unsafe post(waiter.nodes)
  }

  /// Any thread, once, and after `wait`: it is refused, unless it has been answered.
  package func cancel(_ waiter: PoolWaiter) {
    let node = unsafe waiter.nodes + 1
    unsafe node.pointee.kind = .cancel
    unsafe node.pointee.word = unsafe UInt(
      bitPattern: Unmanaged.passRetained(waiter).toOpaque())
    unsafe post(node)
  }

  /// Why a lease ends.
  package enum Ending { case sound, broken, doubtful }

  /// Any thread: returns a lease; false when there is none such.
  package func giveBack(_ lease: LeaseHandle, _ ending: Ending = .sound) -> Bool {
    guard lease.pool == number else { return false }
    let position = position
    switch ending {
    case .sound:
      let result =
        position < 0 ? table.core.giveBack(lease) : table.core.giveBack(lease, on: position)
      return complete(result, lease, .returned)
    case .broken, .doubtful:
      let result =
        position < 0 ? table.core.sendHome(lease) : table.core.sendHome(lease, on: position)
      return complete(result, lease, ending == .broken ? .broken : .doubtful)
    }
  }

  /// Who has borrowed, and takes a lease along at its end.
  package enum Borrower {
    case mailbox(MailboxID)
    case connection(ConnectionID)
    case loop(EventLoop)
  }

  /// Any thread: has the lease taken back when `borrower` ends, or at once when it has ended.
  /// False when there is no such lease. It is forgotten with the lease.
  package func bind(_ lease: LeaseHandle, to borrower: Borrower) -> Bool {
    guard isLent(lease) else { return false }
    let watch = EndWatch(isMoot: { [weak self] in self.map { !$0.isLent(lease) } ?? true }) {
      [weak self] _ in self?.takeBack(lease)
    }
    switch borrower {
    case .mailbox(let id): EventLoop.monitor(id, watch)
    case .connection(let id): EventLoop.monitor(id, watch)
    case .loop(let loop): loop.monitorEnd(watch)
    }
    return true
  }

  /// Any thread, a moment ago.
  private func isLent(_ lease: LeaseHandle) -> Bool {
    guard lease.pool == number, lease.slot < slots else { return false }
    let seen = table.core.observe(lease.slot)
    return seen.isLent && seen.generation == lease.generation
  }

  /// Any thread: ends a lease whose borrower has ended. What it left behind is closed.
  private func takeBack(_ lease: LeaseHandle) {
    guard lease.pool == number, lease.slot < slots else { return }
    let position = position
    let result =
      position < 0 ? table.core.sendHome(lease) : table.core.sendHome(lease, on: position)
    _ = complete(result, lease, .reclaimed)
  }

  /// Any thread: the second half of a return.
  package func complete(_ result: LeaseReturn, _ lease: LeaseHandle) -> Bool {
    complete(result, lease, .returned)
  }

  func complete(_ result: LeaseReturn, _ lease: LeaseHandle, _ kind: PoolNode.Kind) -> Bool {
    switch result {
    case .idle: return true
    case .mustPoke:
      if table.core.claimPoke() { unsafe post(pokeNode) }
      return true
    case .mustSendHome:
      send(home: lease.slot, kind)
      return true
    case .mustForward(let position):
      guard table.core.claimReturn(lease) else { return false }
      let node = unsafe nodes + 2 * lease.slot + 1
      unsafe node.pointee.kind = kind
      unsafe node.pointee.word = UInt(lease.rawValue)
      unsafe forward(node, to: position)
      return true
    case .stale: return false
    }
  }

  func send(home slot: Int, _ kind: PoolNode.Kind) {
    if isHere, !isServing { return cameBackHere(slot, kind, loop.driver.now()) }
    let node = unsafe nodes + 2 * slot
    unsafe node.pointee.kind = kind
    unsafe node.pointee.number = UInt32(slot)
    unsafe post(node)
  }
}
