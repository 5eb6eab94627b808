import AloftAtomics
import Glibc

/// What the user asks of a connection, other than to write.
extension EventLoop {
  /// Starts to connect; `handler.opened` or `handler.closed` follows, in a later turn.
  package func connect(
    to address: SocketAddress, from local: SocketAddress? = nil, handler: ConnectionHandler
  ) throws(EngineError) -> ConnectionID {
    try checkRunning()
    readClockBetweenTurns()
    switch driver.connect(to: address, from: local) {
    case .success(let slot):
      guard let state = unsafe enter(slot, handler, phase: .connecting) else {
        throw EngineError(.system, errno: 12, "connect to \(address): no memory")
      }
      unsafe watchTime(slot, state)
      return unsafe id(slot, state.pointee.generation)
    case .failure(let status):
      throw systemError("connect to \(address)", status)
    case .invalidAddress(let status):
      throw invalidAddress("connect to \(address)", status)
    }
  }

  private func checkRunning() throws(EngineError) {
    preconditionOnLoop()
    if unsafe hot.pointee.stopped { throw EngineError(.closed, "the event loop has ended") }
  }

  func systemError(_ what: String, _ status: Int32) -> EngineError {
    if status == -ENOSPC {
      return EngineError(
        .connectionLimit, errno: -status,
        "\(what): the event loop's \(options.connectionsMax) connections are all in use")
    }
    return EngineError(.system, errno: -status, "\(what): \(describeErrno(-status))")
  }

  private func invalidAddress(_ what: String, _ status: Int32) -> EngineError {
    EngineError(
      .invalidAddress, errno: -status,
      "\(what): hosts are IPv4 or IPv6 literals, paths have 1 to 107 bytes")
  }

  package func listen(
    _ request: ListenRequest, handler: ConnectionHandler
  ) throws(EngineError) -> SocketAddress {
    try checkRunning()
    switch driver.listen(request) {
    case .success(let bound):
      setListenerHandler(request.index, handler)
      return bound
    case .failure(let status):
      throw systemError("listen on \(request.address)", status)
    case .invalidAddress(let status):
      throw invalidAddress("listen on \(request.address)", status)
    }
  }

  /// Names the handler of connections that a sibling's listener hands over.
  package func setListenerHandler(_ index: UInt16, _ handler: ConnectionHandler) {
    preconditionOnLoop()
    while unsafe hot.pointee.listeners.count <= Int(index) {
      unsafe hot.pointee.listeners.append(nil)
      unsafe hot.pointee.toldRefused.append(false)
    }
    unsafe hot.pointee.listeners[Int(index)] = handler
    unsafe hot.pointee.toldRefused[Int(index)] = false
  }

  package func closeListener(_ index: UInt16) {
    guard unsafe Int(index) < hot.pointee.listeners.count,
      unsafe hot.pointee.listeners[Int(index)] != nil
    else { return }
    driver.closeListener(index)
    unsafe hot.pointee.listeners[Int(index)] = nil
  }

  /// Sends what is queued, then closes. No more is read.
  package func close(_ id: ConnectionID) {
    guard let state = unsafe find(id) else { return }
    unsafe beginClose(id.slot, state, .local)
  }

  func beginClose(
    _ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>, _ reason: CloseReason
  ) {
    switch unsafe state.pointee.phase {
    case .connecting:
      unsafe drop(slot, state, reason)
    case .open:
      if unsafe !state.pointee.isPaused && !state.pointee.flags.contains(.peerEnded) {
        unsafe enqueue(Operation(.pause, slot: slot))
      }
      unsafe state.pointee.phase = .closing
      unsafe state.pointee.setReason(reason)
      unsafe enqueueClose(Operation(.close, slot: slot))
    case .free, .closing, .dead:
      break
    }
  }

  /// Closes at once with RST; what is queued is lost.
  package func reset(_ id: ConnectionID) {
    guard let state = unsafe find(id) else { return }
    unsafe drop(id.slot, state, .local, .reset)
  }

  func drop(
    _ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>, _ reason: CloseReason,
    _ kind: OperationKind = .drop
  ) {
    guard unsafe state.pointee.phase != .free && state.pointee.phase != .dead else { return }
    unsafe state.pointee.phase = .dead
    unsafe state.pointee.setReason(reason)
    unsafe hot.pointee.finished.append(slot)
    unsafe enqueue(Operation(kind, slot: slot))
  }

  /// Sends what is queued, then shuts the sending side down; what the peer sends is still read.
  package func finishWriting(_ id: ConnectionID) {
    guard let state = unsafe find(id), unsafe state.pointee.phase == .open,
      unsafe !state.pointee.flags.contains(.ending)
    else { return }
    if unsafe state.pointee.flags.contains(.peerEnded) {
      unsafe beginClose(id.slot, state, .peer)
      return
    }
    // The outcome of this turn's writes must be known: only an empty queue can be followed.
    if unsafe state.pointee.batch == hot.pointee.batchNumber { submit() }
    unsafe state.pointee.flags.insert(.ending)
    if unsafe state.pointee.queued == 0 { unsafe enqueue(Operation(.end, slot: id.slot)) }
  }

  package func pauseReading(_ id: ConnectionID) {
    guard let state = unsafe find(id), unsafe state.pointee.phase == .open,
      unsafe !state.pointee.flags.contains(.pausedByUser)
    else { return }
    if unsafe !state.pointee.isPaused { unsafe enqueue(Operation(.pause, slot: id.slot)) }
    unsafe state.pointee.flags.insert(.pausedByUser)
  }

  package func resumeReading(_ id: ConnectionID) {
    guard let state = unsafe find(id), unsafe state.pointee.flags.contains(.pausedByUser) else {
      return
    }
    unsafe state.pointee.flags.remove(.pausedByUser)
    if unsafe state.pointee.phase == .open && !state.pointee.isPaused {
      unsafe enqueue(Operation(.resume, slot: id.slot))
    }
  }

  /// Has another handler told of the connection from now on, from within `received` beginning with
  /// the bytes behind those just told. To one of another framing only between frames: from within
  /// `received` or `opened`.
  package func setHandler(_ id: ConnectionID, _ handler: ConnectionHandler) {
    guard let state = unsafe find(id), let old = unsafe state.pointee.handler else { return }
    unsafe state.pointee.handler = .passRetained(handler)
    unsafe hot.pointee.retired.append(old)
    unsafe watchTime(id.slot, state)
  }

  /// A word of the user's, kept with the connection.
  package func context(_ id: ConnectionID) -> UInt {
    unsafe find(id)?.pointee.context ?? 0
  }

  package func setContext(_ id: ConnectionID, _ context: UInt) {
    unsafe find(id)?.pointee.context = context
  }

  package func isOpen(_ id: ConnectionID) -> Bool {
    unsafe find(id)?.pointee.phase == .open
  }

  /// Bytes accepted and not yet taken by the system.
  package func queuedBytes(_ id: ConnectionID) -> Int {
    guard let state = unsafe find(id) else { return 0 }
    let pending = unsafe state.pointee.batch == hot.pointee.batchNumber ? state.pointee.pending : 0
    return unsafe Int(state.pointee.queued) + Int(pending)
  }

  package func name(of id: ConnectionID, peer: Bool) -> SocketAddress? {
    guard let state = unsafe find(id), unsafe state.pointee.phase != .free else { return nil }
    return driver.name(of: id.slot, peer: peer)
  }

  /// Closes the listeners and asks every connection's handler to come to an end.
  package func drain() {
    preconditionOnLoop()
    unsafe hot.pointee.draining = true
    for pool in unsafe hot.pointee.pools { pool.home?.drainAtShutdown() }
    for index in unsafe hot.pointee.listeners.indices { closeListener(UInt16(index)) }
    unsafe hot.pointee.table.forEach { slot, state in
      guard unsafe state.pointee.phase == .open, let handler = unsafe state.pointee.handler else {
        return
      }
      unsafe handler._withUnsafeGuaranteedRef {
        unsafe $0.draining(id(slot, state.pointee.generation))
      }
    }
  }

  /// Tells `closed` to those whose end has come, and forgets them.
  func deliverFinished() {
    while unsafe !hot.pointee.finished.isEmpty {
      let slots = unsafe hot.pointee.finished
      unsafe hot.pointee.finished.removeAll(keepingCapacity: true)
      for slot in slots { finish(slot) }
    }
  }

  private func finish(_ slot: UInt32) {
    guard let state = unsafe hot.pointee.table.find(slot), unsafe state.pointee.phase == .dead,
      let handler = unsafe state.pointee.handler
    else { return }
    statistics.closed.add(1)
    let name = unsafe id(slot, state.pointee.generation)
    let reason = unsafe state.pointee.closeReason
    unsafe handler._withUnsafeGuaranteedRef { $0.closed(name, reason) }
    if unsafe state.pointee.isWatched { workers.ends.ended(name, reason) }
    // A handler set during `closed` is the one to release.
    let last = unsafe state.pointee.handler
    if unsafe state.pointee.timer != 0 {
      unsafe hot.pointee.wheel.cancel(.init(rawValue: state.pointee.timer), payload: slot)
    }
    if let frame = unsafe state.pointee.frame { unsafe hot.pointee.frames.give(frame) }
    unsafe state.pointee.frame = nil
    if unsafe state.pointee.flags.contains(.pausedByMailbox) {
      unsafe hot.pointee.mail.pauses.removeValue(forKey: name.rawValue)
    }
    unsafe state.pointee.handler = nil
    let isNamed = unsafe state.pointee.flags.contains(.named)
    unsafe hot.pointee.table.remove(slot)
    unsafe last?.release()
    if isNamed { for hook in unsafe hot.pointee.connectionClosedHooks { hook(name) } }
  }
}
