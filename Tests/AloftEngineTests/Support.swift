import AloftEngine
import AloftSim
import Testing

/// A handler made of closures, which writes down all that it is told.
final class Script: ConnectionHandler, @unchecked Sendable {
  // @unchecked: a simulated world has one thread.
  enum Told: Hashable {
    case opened, received(Int), ended, writable, draining
    case closed(CloseReason)
  }

  let loop: EventLoop
  var log: [ConnectionID: [Told]] = [:]
  var ids: [ConnectionID] = []
  var bytes: [ConnectionID: [UInt8]] = [:]
  var refusals: [Int32] = []
  var onOpened: (ConnectionID) -> Void = { _ in }
  var onReceived: (ConnectionID, UnsafeRawBufferPointer) -> Void = { _, _ in }
  var onEnded: (ConnectionID) -> Void = { _ in }
  var onWritable: (ConnectionID) -> Void = { _ in }
  var onDraining: (ConnectionID) -> Void = { _ in }
  var onClosed: (ConnectionID, CloseReason) -> Void = { _, _ in }

  init(_ loop: EventLoop, _ change: (inout ConnectionSettings) -> Void = { _ in }) {
    self.loop = loop
    var settings = ConnectionSettings()
    change(&settings)
    super.init(settings: settings)
    // The closures refer to scenes and to scripts, this one included.
    (loop.driver as? SimDriver)?.world.atForget.append { [weak self] in self?.forget() }
  }

  private func forget() {
    onOpened = { _ in }
    onReceived = { _, _ in }
    onEnded = { _ in }
    onWritable = { _ in }
    onDraining = { _ in }
    onClosed = { _, _ in }
  }

  private func note(_ id: ConnectionID, _ told: Told) {
    if log[id] == nil { ids.append(id) }
    log[id, default: []].append(told)
  }

  override func opened(_ id: ConnectionID) {
    note(id, .opened)
    onOpened(id)
  }
  override func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    note(id, .received(bytes.count))
    self.bytes[id, default: []] += bytes
    onReceived(id, bytes)
  }
  override func ended(_ id: ConnectionID) {
    note(id, .ended)
    onEnded(id)
  }
  override func writable(_ id: ConnectionID) {
    note(id, .writable)
    onWritable(id)
  }
  override func draining(_ id: ConnectionID) {
    note(id, .draining)
    onDraining(id)
  }
  override func closed(_ id: ConnectionID, _ reason: CloseReason) {
    note(id, .closed(reason))
    onClosed(id, reason)
  }
  override func refused(_ errno: Int32) { refusals.append(errno) }

  /// What the n-th connection was told.
  func told(_ index: Int = 0) -> [Told] { index < ids.count ? log[ids[index]]! : [] }
  func received(_ index: Int = 0) -> [UInt8] { index < ids.count ? bytes[ids[index]] ?? [] : [] }
  func reason(_ index: Int = 0) -> CloseReason? {
    guard case .closed(let reason)? = told(index).last else { return nil }
    return reason
  }

  @discardableResult
  func write(_ id: ConnectionID, _ bytes: [UInt8]) -> WriteResult {
    bytes.withUnsafeBytes { loop.write(id, $0) }
  }

  @discardableResult
  func writeFrame(_ id: ConnectionID, _ bytes: [UInt8]) -> WriteResult {
    bytes.withUnsafeBytes { loop.writeFrame(id, $0) }
  }

  /// Writes back what comes.
  func echo() { onReceived = { [unowned self] id, bytes in _ = loop.write(id, bytes) } }
}

/// A world with one process of loops, and a place to listen.
final class Scene {
  let world: SimWorld
  let loops: [EventLoop]
  let process = SimProcess()
  var loop: EventLoop { loops[0] }
  let address = SocketAddress.ip(host: "10.0.0.1", port: 7_000)

  init(
    seed: UInt64 = 1, _ options: SimOptions = .exact, loops count: Int = 1,
    connectionsMax: Int = 4_096, timersMax: Int = 256
  ) throws {
    world = SimWorld(seed: seed, options: options)
    var options = EventLoopOptions()
    (options.connectionsMax, options.timersMax) = (connectionsMax, timersMax)
    (options.laneCapacity, options.inboxCapacity) = (64, 64)
    loops = try world.makeLoops(count, process: process, options: options)
  }

  deinit {
    for driver in world.drivers where !driver.hasEnded { driver.eventLoop?.requestStop() }
    world.run(milliseconds: 1_000)
    world.forget()
  }

  func run(_ milliseconds: Int) { world.run(milliseconds: milliseconds) }

  /// Runs `body` on the loop and lets the world go on for as long.
  func on(_ loop: EventLoop, run milliseconds: Int = 1, _ body: @escaping () -> Void) {
    world.perform(on: loop, body)
    run(milliseconds)
  }

  func listen(
    _ handler: ConnectionHandler, on loop: EventLoop? = nil, index: UInt16 = 0, first: Bool = true,
    backlog: Int32 = 128, handOver: Bool = false, at address: SocketAddress? = nil
  ) {
    let request = ListenRequest(
      index: index, address: address ?? self.address, backlog: backlog, first: first,
      handOver: handOver)
    on(loop ?? self.loop) {
      #expect(throws: Never.self) { try (loop ?? self.loop).listen(request, handler: handler) }
    }
  }

  /// Ends everything; the table must be empty, and nothing may have gone against the contract.
  func end(_ location: SourceLocation = #_sourceLocation) {
    world.end()
    #expect(world.violations == [], sourceLocation: location)
    for loop in loops { #expect(loop.connectionCount == 0, sourceLocation: location) }
    #expect(process.descriptorsUsed == 0, sourceLocation: location)
  }
}

func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
  (start..<start + count).map(patternByte)
}

/// No block of the stream repeats within its first 16 MiB at any distance that buffers have.
func patternByte(_ index: Int) -> UInt8 {
  let word = UInt64(bitPattern: Int64(index)) &* 0x9E37_79B9_7F4A_7C15
  return UInt8(truncatingIfNeeded: word &>> 40)
}

extension SimWorld {
  var milliseconds: Double { Double(now) / 1e6 }
}

/// Says where the two part; the testing library's own comparison takes minutes for long ones.
func expectSame(
  _ got: [UInt8], _ wanted: [UInt8], _ location: SourceLocation = #_sourceLocation
) {
  if got == wanted { return }
  let place = zip(got, wanted).prefix { $0 == $1 }.count
  Issue.record(
    "\(got.count) bytes of \(wanted.count); the first wrong one is \(place)",
    sourceLocation: location)
}
