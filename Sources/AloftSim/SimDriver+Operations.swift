package import AloftEngine

/// Operations out.
extension SimDriver {
  package func submit(_ operations: UnsafeMutablePointer<Operation>, count: Int) -> Int {
    var results = 0
    for index in 0..<count {
      let operation = unsafe operations[index]
      guard let kind = OperationKind(rawValue: operation.kind) else {
        violation("operation of unknown kind \(operation.kind)")
        continue
      }
      if logsOperations { operationLog.append((kind, Int(operation.length))) }
      if kind == .segment { continue }
      var result: Int64 = 0
      if let slot = slots[operation.slot] {
        unsafe result = carryOut(kind, slot, operations, index, count)
      } else {
        violation("operation \(kind) on slot \(operation.slot), which is free")
      }
      world.note(
        7, UInt64(number) << 40 | UInt64(operation.kind) << 32 | UInt64(operation.slot),
        UInt64(bitPattern: result))
      unsafe operations[index].result = result
      if result != 0 { results += 1 }
    }
    return results
  }

  private func carryOut(
    _ kind: OperationKind, _ slot: SimSlot, _ operations: UnsafeMutablePointer<Operation>,
    _ index: Int, _ count: Int
  ) -> Int64 {
    switch kind {
    case .write: return unsafe write(slot, operations, index, count)
    case .segment: return 0
    case .end:
      guard slot.state == .open else { return -107 }
      if slot.queued > 0 { violation("the sending side is shut down with bytes queued") }
      return Int64(world.finish(slot.socket))
    case .close, .drop, .reset:
      if kind == .close, slot.queued > 0 { return Int64(slot.queued) }
      if slot.state != .closing { close(slot, unsafe operations[index].slot, kind == .reset) }
      return 0
    case .pause, .resume:
      if slot.state == .open { slot.reading = kind == .resume }
      return 0
    }
  }

  private func close(_ slot: SimSlot, _ number: UInt32, _ reset: Bool) {
    slot.state = .closing
    let cutOff = slot.queued > 0
    slot.loseQueue()
    closing.append(number)
    process.descriptorsUsed -= 1
    world.close(slot.socket, reset: reset || cutOff)
  }

  /// Try first, queue what is left.
  private func write(
    _ slot: SimSlot, _ operations: UnsafeMutablePointer<Operation>, _ first: Int, _ count: Int
  ) -> Int64 {
    guard slot.state == .open else { return -107 }
    var queued: Int64 = 0
    var index = first
    while true {
      let operation = unsafe operations[index]
      var piece = unsafe UnsafeRawBufferPointer(
        start: operation.data, count: Int(operation.length))
      while slot.queued == 0, unsafe !piece.isEmpty {
        let sent = unsafe world.send(slot.socket, piece)
        if sent < 0 { return Int64(sent) }
        if sent == 0 { break }
        unsafe piece = UnsafeRawBufferPointer(rebasing: piece[sent...])
        if world.random.chance(world.options.shortCalls) { break }
      }
      queued += Int64(piece.count)
      if world.options.fault == .loseBytes, piece.count > 1, world.random.chance(30) {
        unsafe piece = UnsafeRawBufferPointer(rebasing: piece.dropFirst())
      }
      if unsafe !piece.isEmpty { unsafe slot.queue(piece) }
      guard operation.next != Operation.noSegment else { return queued }
      index = Int(operation.next)
      guard index < count, unsafe operations[index].kind == OperationKind.segment.rawValue else {
        violation("a write is chained to what is no segment")
        return queued
      }
    }
  }

  // MARK: Beginnings

  package func connect(
    to address: SocketAddress, from local: SocketAddress?
  ) -> DriverResult<UInt32> {
    guard process.descriptorsUsed < process.descriptorsMax else { return .failure(-24) }
    guard slots.count < connectionsMax else { return .failure(-28) }
    let socket = world.startConnect(from: local, to: address)
    guard let slot = open(socket, .connecting) else { return .failure(-28) }
    process.descriptorsUsed += 1
    return .success(slot)
  }

  package func adopt(descriptor: Int32) -> DriverResult<UInt32> {
    guard let socket = world.handedOver[descriptor] else { return .failure(-9) }
    guard let slot = open(socket, .open) else { return .failure(-28) }
    world.handedOver[descriptor] = nil
    if slots[slot]!.isReady { poke() }
    return .success(slot)
  }

  package func discard(descriptor: Int32) {
    guard let socket = world.handedOver.removeValue(forKey: descriptor) else {
      violation("descriptor \(descriptor) is discarded, which nobody holds")
      return
    }
    process.descriptorsUsed -= 1
    world.close(socket, reset: false)
  }

  package func listen(_ request: ListenRequest) -> DriverResult<SocketAddress> {
    // Nobody hands sockets to a simulated process.
    guard listeners[request.index] == nil, request.inherited == nil else { return .failure(-22) }
    switch world.bind(request, process: process) {
    case .failure(let status), .invalidAddress(let status): return .failure(status)
    case .success(let listener):
      let own = SimOwnListener(listener, handsOver: request.handOver)
      listeners[request.index] = own
      listener.changed = { [unowned self, unowned own] in if own.isReady { poke() } }
      return .success(listener.address)
    }
  }

  package func resumeListener(_ index: UInt16) {
    guard let own = listeners[index] else { return }
    process.hasSpare = process.hasSpare || process.descriptorsUsed < process.descriptorsMax
    own.isPaused = false
    if own.isReady { poke() }
  }

  package func closeListener(_ index: UInt16) {
    guard let own = listeners.removeValue(forKey: index) else { return }
    own.listener.changed = nil
    world.close(own.listener)
  }

  package func name(of slot: UInt32, peer: Bool) -> SocketAddress? {
    guard let entry = slots[slot], entry.state != .closing else { return nil }
    return peer ? entry.socket.remote : entry.socket.local
  }

  /// The link of a connection's slot, for faults and bookkeeping; nil before it is connected.
  package func link(of slot: UInt32) -> (link: SimLink, side: Int)? {
    guard let socket = slots[slot]?.socket, let link = socket.link else { return nil }
    return (link, socket.side)
  }

  /// Bytes in the driver's queue of a slot.
  package func queuedBytes(of slot: UInt32) -> Int { slots[slot]?.queued ?? 0 }
}
