/// Events: what each does to its connection, and whom it is told to.
extension EventLoop {
  @inline(__always)
  func id(_ slot: UInt32, _ generation: UInt32) -> ConnectionID {
    ConnectionID(loop: number, slot: slot, generation: generation)
  }

  @inline(__always)
  func dispatch(_ event: UnsafePointer<Event>) {
    if unsafe event.pointee.kind == EventKind.data.rawValue {
      unsafe received(event.pointee)
    } else {
      unsafe dispatchRare(event.pointee)
    }
  }

  @inline(__always)
  private func received(_ event: Event) {
    guard let state = unsafe hot.pointee.table.find(event.slot),
      unsafe state.pointee.phase == .open, let handler = unsafe state.pointee.handler
    else { return }
    unsafe state.pointee.activity = UInt32(truncatingIfNeeded: hot.pointee.tick)
    statistics.receives.add(1)
    statistics.bytesReceived.add(UInt64(event.length))
    let bytes = unsafe UnsafeRawBufferPointer(start: event.data, count: Int(event.length))
    unsafe handler._withUnsafeGuaranteedRef {
      if case .none = $0.settings.framing {
        unsafe $0.received(id(event.slot, state.pointee.generation), bytes)
      } else {
        unsafe receivedFramed(event.slot, state, bytes)
      }
    }
  }

  @inline(never)
  private func dispatchRare(_ event: Event) {
    switch EventKind(rawValue: event.kind) {
    case .accepted: accepted(event.slot, listener: event.tag)
    case .handed: handed(descriptor: Int32(bitPattern: event.length), listener: event.tag)
    case .refused: refused(event)
    case .exited: exited(event)
    case .connected: connected(event.slot)
    case .end: ended(event.slot)
    case .progress: progressed(event.slot, sent: event.length)
    case .failed: failed(event.slot, errno: -event.status)
    case .data, nil: preconditionFailure("event of unknown kind \(event.kind)")
    }
  }

  // MARK: Beginnings

  private func nextGeneration() -> UInt32 {
    let next = unsafe (hot.pointee.lastGeneration &+ 1) & 0xFFF_FFFF
    unsafe hot.pointee.lastGeneration = max(next, 1)
    return max(next, 1)
  }

  /// Enters a connection that the driver has; nil, and the driver told to drop it, without memory.
  func enter(
    _ slot: UInt32, _ handler: ConnectionHandler, phase: ConnectionState.Phase
  ) -> UnsafeMutablePointer<ConnectionState>? {
    let state = unsafe ConnectionState(
      generation: nextGeneration(), phase: phase, handler: .passRetained(handler),
      tick: UInt32(truncatingIfNeeded: hot.pointee.tick))
    guard unsafe hot.pointee.table.insert(slot, state) else {
      unsafe Unmanaged.passUnretained(handler).release()
      unsafe enqueue(Operation(.drop, slot: slot))
      return nil
    }
    statistics.began.add(1)
    return unsafe hot.pointee.table.find(slot)
  }

  func accepted(_ slot: UInt32, listener: UInt16) {
    // The listener may have been closed with arrivals still on their way up.
    guard let handler = unsafe hot.pointee.listeners[Int(listener)] else {
      unsafe enqueue(Operation(.drop, slot: slot))
      return
    }
    unsafe hot.pointee.toldRefused[Int(listener)] = false
    statistics.accepted.add(1)
    guard let state = unsafe enter(slot, handler, phase: .open) else { return }
    unsafe watchTime(slot, state)
    unsafe handler.opened(id(slot, state.pointee.generation))
  }

  private func connected(_ slot: UInt32) {
    guard let state = unsafe hot.pointee.table.find(slot),
      unsafe state.pointee.phase == .connecting, let handler = unsafe state.pointee.handler
    else { return }
    statistics.connected.add(1)
    unsafe state.pointee.phase = .open
    unsafe state.pointee.activity = UInt32(truncatingIfNeeded: hot.pointee.tick)
    unsafe watchTime(slot, state)
    unsafe handler._withUnsafeGuaranteedRef {
      unsafe $0.opened(id(slot, state.pointee.generation))
    }
    // Who was still connecting when `drain` was called is asked now.
    guard unsafe hot.pointee.draining && state.pointee.phase == .open,
      let present = unsafe state.pointee.handler
    else { return }
    unsafe present._withUnsafeGuaranteedRef {
      unsafe $0.draining(id(slot, state.pointee.generation))
    }
  }

  func refused(_ event: Event) {
    statistics.refused.add(1)
    let listener = Int(event.tag)
    if event.flags & Event.listenerPaused != 0 {
      _ = startTimer(afterMilliseconds: Self.listenerPause, period: 0, beyondLimit: true) {
        [unowned self] in
        driver.resumeListener(event.tag)
      }
    }
    guard let handler = unsafe hot.pointee.listeners[listener],
      unsafe !hot.pointee.toldRefused[listener]
    else { return }
    unsafe hot.pointee.toldRefused[listener] = true
    handler.refused(-event.status)
  }

  /// When nothing can be accepted at all, trying again at once would only burn the processor.
  private static let listenerPause: UInt64 = 100

  // MARK: Ends

  private func ended(_ slot: UInt32) {
    guard let state = unsafe hot.pointee.table.find(slot), unsafe state.pointee.phase == .open,
      let handler = unsafe state.pointee.handler
    else { return }
    unsafe state.pointee.flags.insert(.peerEnded)
    let name = unsafe id(slot, state.pointee.generation)
    if unsafe state.pointee.flags.contains(.ending) {
      // Both sides have said all they had to say.
      unsafe beginClose(slot, state, .peer)
    } else {
      unsafe handler._withUnsafeGuaranteedRef { $0.ended(name) }
    }
  }

  private func failed(_ slot: UInt32, errno: Int32) {
    guard let state = unsafe hot.pointee.table.find(slot) else { return }
    unsafe drop(slot, state, .system(errno))
  }

  private func progressed(_ slot: UInt32, sent: UInt32) {
    guard let state = unsafe hot.pointee.table.find(slot),
      let handler = unsafe state.pointee.handler
    else { return }
    guard unsafe state.pointee.phase == .open || state.pointee.phase == .closing else { return }
    let tick = unsafe UInt32(truncatingIfNeeded: hot.pointee.tick)
    let queued = unsafe state.pointee.queued - sent
    unsafe state.pointee.queued = queued
    unsafe state.pointee.progress = tick
    unsafe state.pointee.activity = tick
    switch unsafe state.pointee.phase {
    case .open:
      let low = unsafe handler._withUnsafeGuaranteedRef { $0.settings.lowWater }
      if queued <= low { unsafe hasRoom(slot, state) }
      if unsafe queued == 0 && state.pointee.flags.contains(.ending) {
        unsafe enqueue(Operation(.end, slot: slot))
      }
    case .closing:
      if queued == 0 { unsafe enqueueClose(Operation(.close, slot: slot)) }
    case .free, .connecting, .dead:
      break
    }
  }

  private func hasRoom(_ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>) {
    if unsafe state.pointee.flags.contains(.pausedByOutput) {
      unsafe state.pointee.flags.remove(.pausedByOutput)
      if unsafe !state.pointee.isPaused { unsafe enqueue(Operation(.resume, slot: slot)) }
    }
    if unsafe state.pointee.flags.contains(.blocked) {
      unsafe state.pointee.flags.remove(.blocked)
      unsafe hot.pointee.writable.append(slot)
    }
  }

  /// Tells `writable` to those who were refused and for whom there is room now.
  func deliverWritable() {
    guard unsafe !hot.pointee.writable.isEmpty else { return }
    let slots = unsafe hot.pointee.writable
    unsafe hot.pointee.writable.removeAll(keepingCapacity: true)
    for slot in slots {
      guard let state = unsafe hot.pointee.table.find(slot),
        unsafe state.pointee.phase == .open, let handler = unsafe state.pointee.handler
      else { continue }
      unsafe handler._withUnsafeGuaranteedRef {
        unsafe $0.writable(id(slot, state.pointee.generation))
      }
    }
  }
}
