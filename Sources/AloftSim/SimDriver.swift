package import AloftEngine
import Glibc

/// Drives an event loop in a simulated world: the C shim's contract, event for event and result
/// for result, with the world's sockets under it. Where the shim would leave a misuse unnoticed,
/// this one writes it down among the world's violations.
@safe
package final class SimDriver: Driver {
  package unowned let world: SimWorld
  package let process: SimProcess
  package let number: Int
  let connectionsMax: Int
  package private(set) var eventLoop: EventLoop?
  package var arena: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(arenaMemory) }
  private(set) var arenaMemory: UnsafeMutableRawBufferPointer
  /// The arena is the engine's.
  private var isArenaLent = false
  let readBytes: Int
  let eventsMax: Int
  let events: UnsafeMutablePointer<Event>
  var eventCount = 0
  var arenaUsed = 0

  /// By slot. A closed slot is used again after the turn, as libuv lets go of handles.
  var slots: [UInt32: SimSlot] = [:]
  var closing: [UInt32] = []
  var listeners: [UInt16: SimOwnListener] = [:]
  /// Slots that have failed or ended in the events under way.
  var failed: [UInt32] = []

  /// The operations carried out, while `logsOperations` is set: kind and bytes, segments included.
  package var operationLog: [(kind: OperationKind, bytes: Int)] = []
  package var logsOperations = false
  /// Percentage of wake-ups that get lost: a fault that is built in on purpose.
  package var losesWakes = 0

  private var token: UInt64 = 0
  private var turnAt: UInt64?
  private var isPolling = false
  /// Woken in the midst of a turn: the sleep that follows is none.
  private var wakePending = false
  private var stopAsked = false
  package private(set) var hasEnded = false

  init(world: SimWorld, process: SimProcess, number: Int, connectionsMax: Int) {
    self.world = world
    self.process = process
    self.number = number
    self.connectionsMax = connectionsMax
    let options = world.options
    readBytes = world.random.in(options.readBytes)
    eventsMax = world.random.in(options.eventsMax)
    let size = (readBytes + 15) / 16 * 16 * world.random.in(options.readsPerArena)
    unsafe arenaMemory = .allocate(byteCount: size, alignment: 16)
    unsafe events = .allocate(capacity: eventsMax)
  }

  deinit {
    if !isArenaLent { unsafe arenaMemory.deallocate() }
    unsafe events.deallocate()
  }

  package func exchangeArena(for memory: UnsafeMutableRawPointer) {
    if isArenaLent, world.options.fault == .keepArena { return }
    let count = unsafe arenaMemory.count
    if !isArenaLent { unsafe arenaMemory.deallocate() }
    isArenaLent = true
    unsafe arenaMemory = unsafe UnsafeMutableRawBufferPointer(start: memory, count: count)
  }

  func attach(_ loop: EventLoop) { eventLoop = loop }

  func forget() {
    for slot in slots.values { slot.socket.changed = nil }
    for own in listeners.values { own.listener.changed = nil }
    slots = [:]
    listeners = [:]
    eventLoop = nil
  }

  // MARK: The turn

  /// There is something to do: a turn comes when a processor is free.
  func poke() {
    guard !isPolling, !hasEnded else { return }
    schedule(at: world.now + UInt64(world.random.in(world.options.turnDelay)))
  }

  private func schedule(at time: UInt64) {
    if let turnAt, turnAt <= time { return }
    turnAt = time
    token += 1
    world.add(.turn(self, token: token), at: time)
  }

  func isDue(_ token: UInt64) -> Bool { token == self.token && turnAt != nil && !hasEnded }

  func turn() {
    guard let loop = eventLoop else { return }
    turnAt = nil
    isPolling = true
    loop.enterThread()
    poll()
    flush(final: true)
    for slot in closing { slots[slot] = nil }
    closing = []
    var sleep: Int64 = -1
    if stopAsked { end(loop) } else { sleep = loop.prepareToSleep() }
    loop.leaveThread()
    isPolling = false
    guard !hasEnded else { return }
    if sleep == 0 || wakePending || hasReadiness {
      wakePending = false
      poke()
    } else if sleep > 0 {
      // The loop's clock counts whole milliseconds, as libuv's does.
      let due = (world.now / 1_000_000 + UInt64(sleep)) * 1_000_000
      schedule(at: due + UInt64(world.random.in(world.options.turnDelay)))
    }
  }

  private func end(_ loop: EventLoop) {
    loop.end()
    hasEnded = true
    for (slot, entry) in slots where entry.state != .closing {
      violation("slot \(slot) was left open at the end")
    }
    if !listeners.isEmpty { violation("listeners were left open at the end") }
  }

  /// Hands over what has been gathered. Afterwards the arena's bytes are gone.
  func flush(final: Bool) {
    guard let loop = eventLoop else { return }
    unsafe loop.turn(events, count: eventCount, final: final)
    for slot in failed where slots[slot]?.state == .open || slots[slot]?.state == .connecting {
      violation("slot \(slot) has failed and was not closed")
    }
    failed = []
    eventCount = 0
    arenaUsed = 0
    _ = unsafe memset(arenaMemory.baseAddress!, 0xDD, arenaMemory.count)
  }

  func add(_ event: Event) {
    if eventCount == eventsMax { flush(final: false) }
    world.note(
      6, UInt64(number) << 40 | UInt64(event.kind) << 32 | UInt64(event.slot),
      UInt64(event.length) << 32 | UInt64(UInt32(bitPattern: event.status)))
    unsafe (events + eventCount).initialize(to: event)
    eventCount += 1
  }

  func violation(_ text: String) {
    world.violations.append("loop \(number) at \(world.now): \(text)")
  }

  // MARK: What any thread may ask

  package func now() -> UInt64 { world.now }

  package func wake() {
    if losesWakes > 0, world.random.chance(losesWakes) { return }
    if isPolling { wakePending = true } else { poke() }
  }

  package func stop() { stopAsked = true }

  package func allocatePages(bytes: Int) -> UnsafeMutableRawPointer? {
    let pages = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 4_096)
    _ = unsafe memset(pages.baseAddress!, 0, bytes)
    world.pagesHeld += bytes
    return pages.baseAddress
  }

  package func freePages(_ pages: UnsafeMutableRawPointer, bytes: Int) {
    _ = unsafe memset(pages, 0xDD, bytes)
    unsafe pages.deallocate()
  }
}
