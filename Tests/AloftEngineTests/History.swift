import AloftEngine
import AloftQueue
import AloftSim

/// A handler that does, at each call, something by chance, and holds what it is told against what
/// it knows. What doesn't hold is written down.
final class Wanderer: ConnectionHandler, @unchecked Sendable {
  // @unchecked: a simulated world has one thread.
  struct Track {
    var opened = 0
    var closed: CloseReason?
    var ended = false
    var wasReset = false
    var sent = 0
    var received = 0
    var link: SimLink?
    var side = 0
  }

  unowned let history: History
  let loop: EventLoop
  var tracks: [ConnectionID: Track] = [:]

  init(_ history: History, _ loop: EventLoop, _ settings: ConnectionSettings) {
    self.history = history
    self.loop = loop
    super.init(settings: settings)
  }

  private func told(_ id: ConnectionID, _ what: String) {
    guard let track = tracks[id] else {
      history.fault("\(what) on \(id), which nobody knows")
      return
    }
    if track.closed != nil { history.fault("\(what) after closed") }
    if what != "closed", track.opened == 0 { history.fault("\(what) before opened") }
  }

  override func opened(_ id: ConnectionID) {
    if tracks[id, default: Track()].opened > 0 { history.fault("opened twice") }
    tracks[id, default: Track()].opened += 1
    if let (link, side) = history.world.driver(of: loop).link(of: id.slot) {
      tracks[id]!.link = link
      tracks[id]!.side = side
    } else {
      history.fault("opened without a link")
    }
    told(id, "opened")
    act(id)
  }

  /// Messages made of what was received, with where in the stream it begins.
  private var kept: [(block: MessageBlock, at: Int)] = []

  deinit { for (block, _) in kept { MessageBlock.release(block) } }

  /// Keeps a part of what is being received as a message, and lets go of others.
  private func keep(_ bytes: UnsafeRawBufferPointer, _ at: Int) {
    let from = history.random.below(bytes.count)
    let part = UnsafeRawBufferPointer(rebasing: bytes[from...])
    kept.append((loop.takeReceived(part), at + from))
    while !kept.isEmpty, history.random.chance(40) {
      letGo(kept.remove(at: history.random.below(kept.count)))
    }
  }

  private func letGo(_ message: (block: MessageBlock, at: Int)) {
    for (place, byte) in message.block.bytes.enumerated()
    where byte != history.stream[message.at + place] {
      history.fault("byte \(message.at + place) of the stream is wrong in a message")
      break
    }
    MessageBlock.release(message.block)
  }

  func letGoOfAll() {
    for message in kept { letGo(message) }
    kept = []
  }

  override func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    told(id, "received")
    let at = tracks[id]?.received ?? 0
    if history.random.chance(50) { keep(bytes, at) }
    if tracks[id]?.ended == true { history.fault("received after ended") }
    for (place, byte) in bytes.enumerated() where byte != history.stream[at + place] {
      history.fault("byte \(at + place) of the stream is wrong")
      break
    }
    tracks[id]?.received += bytes.count
    act(id)
  }

  override func ended(_ id: ConnectionID) {
    told(id, "ended")
    if tracks[id]?.ended == true { history.fault("ended twice") }
    tracks[id]?.ended = true
    act(id)
  }

  override func writable(_ id: ConnectionID) {
    told(id, "writable")
    act(id)
  }

  override func closed(_ id: ConnectionID, _ reason: CloseReason) {
    told(id, "closed")
    tracks[id]?.closed = reason
    if loop.isOpen(id) { history.fault("open at its closed") }
    actOnAny()
  }

  /// Something by chance, to this connection or another of the loop's.
  private func act(_ id: ConnectionID) {
    for _ in 0...history.random.below(3) { actOnce(id) }
    if history.random.chance(10) { actOnAny() }
  }

  func actOnAny() {
    let open = tracks.filter { $0.value.closed == nil }.keys.sorted { $0.rawValue < $1.rawValue }
    if !open.isEmpty { actOnce(open[history.random.below(open.count)]) }
  }

  private func actOnce(_ id: ConnectionID) {
    switch history.random.below(100) {
    case ..<60: write(id)
    case ..<64: loop.close(id)
    case ..<67:
      loop.reset(id)
      tracks[id]?.wasReset = true
    case ..<72: loop.finishWriting(id)
    case ..<78:
      loop.pauseReading(id)
      if history.random.chance(80) {
        _ = loop.startTimer(afterMilliseconds: UInt64(history.random.below(20))) {
          [unowned self] in loop.resumeReading(id)
        }
      }
    case ..<84: loop.resumeReading(id)
    case ..<88: loop.setHandler(id, self)
    case ..<92: history.connect(from: loop)
    case ..<96:
      _ = loop.startTimer(afterMilliseconds: UInt64(history.random.below(30))) { [unowned self] in
        actOnAny()
      }
    default: _ = loop.name(of: id, peer: true)
    }
  }

  private func write(_ id: ConnectionID) {
    guard let track = tracks[id] else { return }
    var count = history.random.below(200)
    if history.random.chance(10) { count *= 20 }
    guard track.sent + count <= history.stream.count else { return }
    let asMessage = history.random.chance(30)
    let result = history.stream[track.sent..<track.sent + count].withUnsafeBytes { bytes in
      guard asMessage else { return loop.write(id, bytes) }
      let block = EventLoop.newMessage(copying: bytes)
      let result = loop.write(id, adopting: block)
      if result != .accepted { MessageBlock.release(block) }
      return result
    }
    if result == .accepted {
      tracks[id]!.sent += count
      if track.closed != nil || track.opened == 0 { history.fault("a write on a closed one") }
    }
    if result == .wouldBlock, loop.queuedBytes(id) + count <= settings.queuedMax {
      history.fault("a write is refused, and there is room")
    }
  }
}

/// A short life of a few loops, their connections, and all that may befall them.
final class History {
  let world: SimWorld
  var random: SimRandom
  var faults: [String] = []
  let stream: [UInt8]
  private(set) var loops: [EventLoop] = []
  private var handlers: [Wanderer] = []
  private let address = SocketAddress.ip(host: "10.0.0.1", port: 7_000)
  private var connects = 0

  static let streamBytes = 40_000

  init(seed: UInt64, fault: SimFault, stream: [UInt8]) throws {
    var random = SimRandom(seed: ~seed)
    var options = SimOptions()
    options.fault = fault
    options.streamBytes = 64...[200, 4_096, 65_536][random.below(3)]
    options.fragmentBytes = 1...[8, 300, 4_096][random.below(3)]
    world = SimWorld(seed: seed, options: options)
    self.random = random
    self.stream = stream
    var settings = ConnectionSettings()
    settings.queuedMax = UInt32([300, 5_000, 100_000][self.random.below(3)])
    settings.highWater = settings.queuedMax / 2
    settings.lowWater = settings.queuedMax / 4
    settings.idleTimeout = [0, 40, 1_000][self.random.below(3)]
    settings.stallTimeout = [0, 60, 2_000][self.random.below(3)]
    settings.connectTimeout = 100
    loops = try world.makeLoops(self.random.in(1...3))
    handlers = loops.map { Wanderer(self, $0, settings) }
  }

  func fault(_ text: String) { if faults.count < 5 { faults.append(text) } }

  func connect(from loop: EventLoop) {
    guard connects < 12, let handler = handlers.first(where: { $0.loop === loop }) else { return }
    connects += 1
    if let id = try? loop.connect(to: address, handler: handler) {
      if handler.tracks[id] != nil { fault("an ID was used twice") }
      handler.tracks[id] = Wanderer.Track()
    }
  }

  /// Answers what did not hold.
  func run() -> [String] {
    let shared = random.chance(70)
    for (place, loop) in loops.enumerated() where place == 0 || shared {
      world.perform(on: loop) { [self] in
        let request = ListenRequest(
          index: 0, address: address, backlog: 4, first: place == 0, handOver: !shared)
        _ = try? loop.listen(request, handler: handlers[place])
      }
      while world.step(until: world.now + 2_000_000), loops[0].connectionCount == 0 {}
    }
    if !shared {
      for (place, loop) in loops.enumerated().dropFirst() {
        world.perform(on: loop) { [self] in loop.setListenerHandler(0, handlers[place]) }
      }
    }
    for _ in 0..<4 {
      let loop = loops[random.below(loops.count)]
      world.perform(on: loop) { [self] in connect(from: loop) }
    }
    var steps = 0
    let end = world.now + UInt64(random.in(20...400)) * 1_000_000
    while steps < 4_000, world.step(until: end) {
      steps += 1
      if steps % 8 == 0 { compareQueues() }
      if random.below(400) == 0, let link = world.links.last {
        world.stall(link, nanoseconds: random.in(1...100_000_000))
      }
    }
    world.end()
    for handler in handlers { handler.letGoOfAll() }
    checkEnds()
    return faults + world.violations
  }

  /// Between turns the engine's count of queued bytes is the driver's.
  private func compareQueues() {
    for handler in handlers {
      let driver = world.driver(of: handler.loop)
      for (id, track) in handler.tracks where track.closed == nil && track.opened > 0 {
        let (engine, own) = (handler.loop.queuedBytes(id), driver.queuedBytes(of: id.slot))
        if engine != own { fault("\(engine) bytes queued, and \(own) in the driver") }
      }
    }
  }

  private func checkEnds() {
    var ends: [Int: [Int: Wanderer.Track]] = [:]
    for handler in handlers {
      if handler.loop.connectionCount != 0 { fault("\(handler.loop.connectionCount) are left") }
      for (id, track) in handler.tracks {
        if track.closed == nil { fault("\(id) was never closed") }
        if let link = track.link { ends[link.number, default: [:]][track.side] = track }
      }
    }
    for (number, sides) in ends {
      for side in 0...1 {
        guard let reader = sides[side] else { continue }
        let sent = sides[1 - side]?.sent ?? 0
        if reader.received > sent { fault("link \(number): \(reader.received) of \(sent) came") }
        guard reader.ended, let writer = sides[1 - side], !writer.wasReset,
          writer.closed == .local || writer.closed == .peer
        else { continue }
        if reader.received != sent {
          fault("link \(number) ended after \(reader.received) of \(sent) bytes")
        }
      }
    }
  }
}
