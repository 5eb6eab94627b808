import AloftEngine

/// Readiness in: what a poll reports, in the order that the seed chooses.
extension SimDriver {
  private static let noSlot = UInt32.max
  private static let acceptsPerTurn = 64

  var hasReadiness: Bool {
    slots.values.contains { $0.isReady } || listeners.values.contains { $0.isReady }
  }

  func poll() {
    var ready = slots.filter { $0.value.isReady }.keys.sorted()
    world.random.shuffle(&ready)
    if ready.count > 1, world.random.chance(world.options.partialPolls) {
      ready.removeLast(world.random.below(ready.count))
    }
    let arrivals = listeners.filter { $0.value.isReady }.keys.sorted()
    let acceptFirst = world.random.chance(50)
    if acceptFirst { for index in arrivals { accept(index) } }
    for slot in ready { onReady(slot) }
    if !acceptFirst { for index in arrivals { accept(index) } }
  }

  private func onReady(_ number: UInt32) {
    // Room for all that this can add, so that no flush happens halfway.
    if unsafe eventCount + 4 > eventsMax || arenaUsed + readBytes > arenaMemory.count {
      flush(final: false)
    }
    // A flush may have closed or paused it; whoever waits no longer is not reported.
    guard let slot = slots[number], slot.isReady else { return }
    if slot.state == .connecting {
      connected(number, slot)
    } else if slot.socket.error != 0 {
      // What had arrived before can still be read.
      if slot.reading, !slot.ended, (slot.socket.incoming?.readable ?? 0) > 0 {
        readable(number, slot)
      }
      failed(number, slot, slot.socket.error)
    } else {
      if slot.queued > 0, slot.socket.canWrite { writable(number, slot) }
      if slot.reading, !slot.ended, !slot.broken { readable(number, slot) }
    }
  }

  private func failed(_ number: UInt32, _ slot: SimSlot, _ status: Int32) {
    slot.broken = true
    unsafe add(Event(.failed, slot: number, status: status))
    failed.append(number)
  }

  private func connected(_ number: UInt32, _ slot: SimSlot) {
    if slot.socket.error != 0 {
      failed(number, slot, slot.socket.error)
      return
    }
    slot.state = .open
    slot.socket.state = .open
    slot.reading = true
    unsafe add(Event(.connected, slot: number))
  }

  private func writable(_ number: UInt32, _ slot: SimSlot) {
    let before = slot.queued
    while slot.queued > 0 {
      let wanted = slot.queued
      let sent = unsafe slot.withQueued { unsafe world.send(slot.socket, $0) }
      if sent < 0 {
        failed(number, slot, Int32(sent))
        return
      }
      slot.advance(sent)
      if sent < wanted { break }
    }
    if slot.queued == before { return }
    if world.options.fault == .dropProgress, world.random.chance(50) { return }
    unsafe add(Event(.progress, slot: number, length: UInt32(before - slot.queued)))
  }

  private func readable(_ number: UInt32, _ slot: SimSlot) {
    let target = unsafe UnsafeMutableRawBufferPointer(
      rebasing: arenaMemory[arenaUsed..<arenaUsed + readBytes])
    guard let got = unsafe world.receive(slot.socket, into: target) else { return }
    if got > 0 {
      let data = unsafe UnsafePointer(target.baseAddress!.assumingMemoryBound(to: UInt8.self))
      unsafe add(Event(.data, slot: number, data: data, length: UInt32(got)))
      arenaUsed += (got + 15) / 16 * 16
      if world.options.fault == .duplicateBytes, world.random.chance(20) {
        unsafe add(Event(.data, slot: number, data: data, length: UInt32((got + 1) / 2)))
      }
    } else if got == 0 {
      slot.ended = true
      unsafe add(Event(.end, slot: number))
      if world.options.fault == .endTwice { unsafe add(Event(.end, slot: number)) }
      if world.options.fault == .dataAfterEnd {
        unsafe target[0] = 0
        let data = unsafe UnsafePointer(target.baseAddress!.assumingMemoryBound(to: UInt8.self))
        unsafe add(Event(.data, slot: number, data: data, length: 1))
      }
    } else {
      failed(number, slot, Int32(got))
    }
  }

  // MARK: Arrivals

  private func accept(_ index: UInt16) {
    for _ in 0..<Self.acceptsPerTurn {
      // A flush on the way may have closed it.
      guard let own = listeners[index], own.isReady else { return }
      guard process.descriptorsUsed < process.descriptorsMax else {
        refuseForWantOfDescriptors(index, own)
        if own.isPaused { return }
        continue
      }
      let socket = own.listener.queue.removeFirst()
      if own.handsOver {
        handOver(socket, index)
        continue
      }
      process.descriptorsUsed += 1
      guard let slot = open(socket, .open) else {
        process.descriptorsUsed -= 1
        world.close(socket, reset: true)
        unsafe add(Event(.refused, tag: index, status: -28))
        continue
      }
      unsafe add(Event(.accepted, slot: slot, tag: index))
    }
  }

  private func refuseForWantOfDescriptors(_ index: UInt16, _ own: SimOwnListener) {
    if process.hasSpare {
      world.close(own.listener.queue.removeFirst(), reset: true)
      unsafe add(Event(.refused, tag: index, status: -24))
    } else {
      own.isPaused = true
      unsafe add(Event(.refused, tag: index, status: -24, flags: Event.listenerPaused))
    }
  }

  private func handOver(_ socket: SimSocket, _ index: UInt16) {
    process.descriptorsUsed += 1
    let descriptor = world.nextDescriptor
    world.nextDescriptor += 1
    world.handedOver[descriptor] = socket
    unsafe add(Event(.handed, tag: index, length: UInt32(bitPattern: descriptor)))
  }

  /// Takes a free slot for the socket; nil when there is none.
  func open(_ socket: SimSocket, _ state: SimSlot.State) -> UInt32? {
    guard slots.count < connectionsMax else { return nil }
    // The lowest free one of a chunk, and chunks by chance: the table's come and go with it.
    let perChunk = UInt32(1_024)
    let chunks = max(1, min(world.options.slotChunks, (connectionsMax + 1_023) / 1_024))
    var slot = UInt32(world.random.below(chunks)) * perChunk
    while slots[slot] != nil { slot = (slot + 1) % UInt32(connectionsMax) }
    let entry = SimSlot(socket: socket, state: state)
    slots[slot] = entry
    socket.changed = { [unowned self, unowned entry] in if entry.isReady { poke() } }
    return slot
  }
}
