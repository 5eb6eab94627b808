package import AloftEngine

/// A simulated world: a clock, a network and the event loops that live on them, all on one thread
/// and all chance from one seed. The same seed, set up the same way, gives the same history.
///
/// ```swift
/// let world = SimWorld(seed: 1)
/// let loops = try world.makeLoops(2)
/// world.perform(on: loops[0]) { try! loops[0].listen(...) }
/// world.run(milliseconds: 100)
/// ```
package final class SimWorld {
  package let options: SimOptions
  package let seed: UInt64
  package var random: SimRandom
  /// Virtual nanoseconds; no world begins at 0, as no machine does.
  package private(set) var now: UInt64 = 3_600_000_000_000
  package internal(set) var digest = SimDigest()
  /// What a loop did that its contract forbids.
  package internal(set) var violations: [String] = []
  package private(set) var steps = 0
  /// How many of them at this very nanosecond.
  private var stepsNow = 0

  var agenda = SimAgenda()
  package internal(set) var drivers: [SimDriver] = []
  var listeners: [SocketAddress: [SimListener]] = [:]
  var blackHoles: Set<SocketAddress> = []
  package internal(set) var links: [SimLink] = []
  var nextPort: UInt16 = 20_000
  /// Accepted sockets on their way from loop to loop, by descriptor.
  var handedOver: [Int32: SimSocket] = [:]
  var nextDescriptor: Int32 = 100
  /// Bytes of pages that loops hold.
  package internal(set) var pagesHeld = 0
  /// Called when the world is forgotten: whoever refers to it in a circle lets go.
  package var atForget: [() -> Void] = []

  package init(seed: UInt64, options: SimOptions = SimOptions()) {
    self.seed = seed
    self.options = options
    random = SimRandom(seed: seed)
    let phase = random.below(1_000_000)
    if options.delay.count > 1 { now += UInt64(phase) }
  }

  /// Event loops of one process, siblings of one another.
  package func makeLoops(
    _ count: Int, process: SimProcess = SimProcess(), options: EventLoopOptions? = nil
  ) throws(EngineError) -> [EventLoop] {
    var small = EventLoopOptions()
    (small.timersMax, small.connectionsMax) = (256, 4_096)
    (small.laneCapacity, small.inboxCapacity) = (64, 64)
    var loops: [EventLoop] = []
    for position in 0..<count {
      let driver = SimDriver(
        world: self, process: process, number: drivers.count,
        connectionsMax: (options ?? small).connectionsMax)
      let loop = try EventLoop(
        position: position, loops: count, options: options ?? small, driver: driver)
      driver.attach(loop)
      drivers.append(driver)
      loops.append(loop)
    }
    for loop in loops {
      loop.setSiblings(loops)
      driver(of: loop).poke()
    }
    return loops
  }

  package func driver(of loop: EventLoop) -> SimDriver {
    guard let driver = loop.driver as? SimDriver else {
      preconditionFailure("a loop of another world")
    }
    return driver
  }

  private struct Carried: @unchecked Sendable {
    // @unchecked: a world has one thread.
    let body: () -> Void
  }

  /// Has `body` run on the loop, in a turn of its own choosing.
  package func perform(on loop: EventLoop, _ body: @escaping () -> Void) {
    let carried = Carried(body: body)
    do {
      try loop.execute { carried.body() }
    } catch {
      violations.append("perform: \(error)")
    }
  }

  /// Calls `body`, off all loops, when so much time has passed.
  package func after(nanoseconds: Int, _ body: @escaping () -> Void) {
    add(.call(body), at: now + UInt64(nanoseconds))
  }

  // MARK: The course of things

  func add(_ happening: SimAgenda.Happening, at time: UInt64) {
    agenda.add(happening, at: time, lot: random.word())
  }

  /// The next thing happens; false when nothing is left, or nothing before `limit`.
  package func step(until limit: UInt64 = .max) -> Bool {
    guard let next = agenda.nextTime, next <= limit, let first = agenda.popFirst() else {
      return false
    }
    stepsNow = first.time > now ? 0 : stepsNow + 1
    precondition(stepsNow < 100_000, "seed \(seed): the world stands still, busy for ever")
    now = max(now, first.time)
    steps += 1
    happen(first.happening)
    return true
  }

  package func run(milliseconds: Int) {
    let end = now + UInt64(milliseconds) * 1_000_000
    while step(until: end) {}
    now = end
  }

  /// Runs until `condition` holds; false when it does not in that time.
  @discardableResult
  package func run(milliseconds: Int, until condition: () -> Bool) -> Bool {
    let end = now + UInt64(milliseconds) * 1_000_000
    while !condition() {
      guard step(until: end) else {
        now = end
        return condition()
      }
    }
    return true
  }

  /// Ends every loop, and lets go of all.
  package func end() {
    for driver in drivers { driver.eventLoop?.requestStop() }
    run(milliseconds: 10_000) { drivers.allSatisfy(\.hasEnded) }
    for driver in drivers where !driver.hasEnded {
      violations.append("loop \(driver.number) did not end")
    }
    forget()
  }

  /// Breaks the circles of references, whatever state the world is in.
  package func forget() {
    for driver in drivers {
      driver.eventLoop?.forgetSiblings()
      driver.forget()
    }
    if !handedOver.isEmpty { violations.append("descriptors \(handedOver.keys) were leaked") }
    agenda.clear()
    for link in links { link.forget() }
    links = []
    listeners = [:]
    let last = atForget
    atForget = []
    for body in last { body() }
  }

  private func happen(_ happening: SimAgenda.Happening) {
    switch happening {
    case .turn(let driver, let token):
      guard driver.isDue(token) else { return }
      note(1, UInt64(driver.number))
      driver.turn()
    case .arrive(let pipe, let bytes):
      if !defer_(happening, pipe.link) { arrive(pipe, bytes) }
    case .end(let pipe):
      if !defer_(happening, pipe.link) { end(pipe) }
    case .reset(let socket):
      if let link = socket.link, defer_(happening, link) { return }
      resetArrives(socket)
    case .connectArrives(let connect): connectArrives(connect)
    case .connectAnswered(let socket, let status): connectAnswered(socket, status)
    case .heal(let link): heal(link)
    case .call(let body): body()
    }
  }

  /// Whether the link stalls, and the happening waits for its end.
  private func defer_(_ happening: SimAgenda.Happening, _ link: SimLink) -> Bool {
    if link.isStalled { link.stalled.append(happening) }
    return link.isStalled
  }

  func note(_ kind: UInt64, _ a: UInt64, _ b: UInt64 = 0) {
    digest.mix(now)
    digest.mix(kind << 56 ^ a)
    digest.mix(b)
  }
}
