package import AloftQueue

/// Back-pressure: the connections that feed a mailbox pause while too much waits in it.
extension EventLoop {
  /// Has the connection's reads pause while the mailbox, of this loop, is above its high-water
  /// mark. The connection may be any loop's. False when the mailbox has ended.
  @discardableResult
  package func attachFeeder(_ connection: ConnectionID, to id: MailboxID) -> Bool {
    preconditionOnLoop()
    guard let state = unsafe findMailbox(id) else { return false }
    let extras = unsafe extras(id.slot, state)
    guard !extras.feeders.contains(connection) else { return true }
    // Those of this loop that are gone; of others' nothing is known here.
    extras.feeders.removeAll { $0.loop == number && !exists($0) }
    extras.feeders.append(connection)
    if unsafe state.pointee.flags.contains(.aboveHigh) { press(connection, isHigh: true) }
    return true
  }

  package func detachFeeder(_ connection: ConnectionID, from id: MailboxID) {
    preconditionOnLoop()
    guard let state = unsafe findMailbox(id), let extras = unsafe hot.pointee.mail.extras[id.slot],
      let index = extras.feeders.firstIndex(of: connection)
    else { return }
    extras.feeders.remove(at: index)
    if unsafe state.pointee.flags.contains(.aboveHigh) { press(connection, isHigh: false) }
  }

  func extras(_ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>) -> MailboxExtras {
    if let extras = unsafe hot.pointee.mail.extras[slot] { return extras }
    let extras = MailboxExtras()
    unsafe hot.pointee.mail.extras[slot] = extras
    unsafe state.pointee.flags.insert(.extras)
    return extras
  }

  /// The number that waits has risen to the high-water mark, or fallen to the low one.
  func pressureChanged(
    _ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>, isHigh: Bool
  ) {
    if isHigh {
      unsafe state.pointee.flags.insert(.aboveHigh)
    } else {
      unsafe state.pointee.flags.remove(.aboveHigh)
    }
    // Not told at once: the sender may be in the midst of a handler's call.
    unsafe hot.pointee.mail.pressed.append((mailboxID(slot, state), isHigh))
    guard let extras = unsafe hot.pointee.mail.extras[slot] else { return }
    for connection in extras.feeders { press(connection, isHigh: isHigh) }
  }

  func forgetFeeders(_ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>) {
    guard let extras = unsafe hot.pointee.mail.extras.removeValue(forKey: slot) else { return }
    guard unsafe state.pointee.flags.contains(.aboveHigh) else { return }
    for connection in extras.feeders { press(connection, isHigh: false) }
  }

  /// Tells handlers of marks that were crossed.
  func deliverPressure() {
    while unsafe !hot.pointee.mail.pressed.isEmpty {
      let changes = unsafe hot.pointee.mail.pressed
      unsafe hot.pointee.mail.pressed.removeAll(keepingCapacity: true)
      for (id, isHigh) in changes {
        // One whose end has come in the same turn is told, too: `closed` is the last call.
        guard let state = unsafe hot.pointee.mail.table.find(id),
          let handler = unsafe state.pointee.handler
        else { continue }
        unsafe handler._withUnsafeGuaranteedRef { $0.pressed(id, isHigh: isHigh) }
      }
    }
  }

  /// On the connection's loop: now, or in the order of this one's messages to it.
  private func press(_ connection: ConnectionID, isHigh: Bool) {
    if connection.loop == number {
      pressHere(connection, isHigh: isHigh)
    } else if let loop = siblings.first(where: { $0.number == connection.loop }) {
      loop.executeUnrefused { loop.pressHere(connection, isHigh: isHigh) }
    }
  }

  /// Reads go on when the last mailbox lets them.
  private func pressHere(_ id: ConnectionID, isHigh: Bool) {
    guard let state = unsafe find(id), unsafe state.pointee.phase != .free else { return }
    let count = unsafe hot.pointee.mail.pauses[id.rawValue] ?? 0
    if isHigh {
      unsafe hot.pointee.mail.pauses[id.rawValue] = count + 1
      guard unsafe !state.pointee.flags.contains(.pausedByMailbox) else { return }
      if unsafe state.pointee.phase == .open && !state.pointee.isPaused {
        unsafe enqueue(Operation(.pause, slot: id.slot))
      }
      unsafe state.pointee.flags.insert(.pausedByMailbox)
    } else if count > 1 {
      unsafe hot.pointee.mail.pauses[id.rawValue] = count - 1
    } else if count == 1 {
      unsafe hot.pointee.mail.pauses.removeValue(forKey: id.rawValue)
      unsafe state.pointee.flags.remove(.pausedByMailbox)
      if unsafe state.pointee.phase == .open && !state.pointee.isPaused {
        unsafe enqueue(Operation(.resume, slot: id.slot))
      }
    }
  }
}
