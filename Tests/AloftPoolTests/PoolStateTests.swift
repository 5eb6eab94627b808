import AloftPool
import Foundation
import Testing

/// The pool's logic in virtual time: told stories, and thousands of random lives from seeds, all
/// held against a plain model. A failing life names its seed.
@Suite struct PoolStateTests {
  static let second: UInt64 = 1_000_000_000
  static let millisecond: UInt64 = 1_000_000

  private static func limits(_ change: (inout PoolLimits) -> Void = { _ in }) -> PoolLimits {
    var limits = PoolLimits()
    limits.sizeMax = 3
    limits.lifetimeJitter = 0
    change(&limits)
    return limits
  }

  /// One random life; the answer is what it broke.
  static func live(seed: UInt64, fault: PoolWorld.Fault = .none) -> [String] {
    var random = StoryRandom(state: seed)
    let limits = limits {
      $0.sizeMax = .random(in: 1...5, using: &random)
      $0.sizeMin = .random(in: 0...$0.sizeMax, using: &random)
      $0.overflowMax = .random(in: 0...2, using: &random)
      $0.waitersMax = .random(in: 1...12, using: &random)
      if Bool.random(using: &random) { $0.idleMax = 50 * millisecond }
      if Bool.random(using: &random) { $0.leaseMax = 80 * millisecond }
      if Bool.random(using: &random) { $0.lifetimeMax = 200 * millisecond }
      if Bool.random(using: &random) { $0.checkEvery = 30 * millisecond }
      $0.checksReturns = Int.random(in: 0..<4, using: &random) == 0
      $0.upstreams = .random(in: 1...2, using: &random)
      $0.breaker.failuresMax = .random(in: 0...3, using: &random)
      $0.breaker.pause = 20 * millisecond
    }
    var world = PoolWorld(limits, slots: 8, fault: fault)
    for caller in 0..<120 {
      // What is wrong already would only trap.
      if !world.complaints.isEmpty { return world.complaints }
      let slot = Int.random(in: 0..<8, using: &random)
      switch Int.random(in: 0..<12, using: &random) {
      case 0...3:
        let timeout = Bool.random(using: &random) ? 0 : 10 * millisecond
        world.ask(caller, timeout: timeout)
      case 4, 5: world.giveBack(slot)
      case 6:
        let why: [PoolReturn] = [.sound, .broken, .doubtful]
        world.giveBack(slot, why.randomElement(using: &random)!)
      case 7:
        let succeeds = Int.random(in: 0..<3, using: &random) > 0
        world.finishOpening(slot, succeeds: succeeds, random: random.next())
      case 8: world.finishClosing(slot)
      case 9: world.finishCheck(slot, isSound: Bool.random(using: &random))
      case 10:
        if let index = world.waiting.indices.randomElement(using: &random),
          Bool.random(using: &random)
        {
          world.cancel(index)
        } else if Int.random(in: 0..<4, using: &random) == 0 {
          let size = Int.random(in: 1...6, using: &random)
          world.resize(min: size / 2, max: size, overflow: 8 - size > 1 ? 1 : 0)
        }
      default: world.pass(.random(in: 0..<20, using: &random) * millisecond)
      }
    }
    // Everything goes back, and then nobody may be left waiting, nor anything open.
    world.drain()
    for _ in 0..<4 where world.complaints.isEmpty {
      for slot in 0..<8 { world.giveBack(slot) }
      world.settle()
    }
    var complaints = world.complaints
    if !world.waiting.isEmpty { complaints.append("\(world.waiting.count) were forgotten") }
    if !world.isDrained { complaints.append("not drained: \(world.places)") }
    return complaints
  }

  @Test("Random lives keep every promise")
  func randomLives() {
    let asked = ProcessInfo.processInfo.environment["ALOFT_SEEDS"].flatMap { UInt64($0) }
    for seed in 1...(asked ?? 1_000) {
      let complaints = Self.live(seed: seed)
      #expect(complaints.isEmpty, "seed \(seed): \(complaints)")
      if !complaints.isEmpty { return }
    }
  }

  @Test(
    "An engine that is wrong in one way is found out",
    arguments: PoolWorld.Fault.allCases.filter { $0 != .none })
  func seededFaults(fault: PoolWorld.Fault) {
    let found = (1...UInt64(60)).contains { !Self.live(seed: $0, fault: fault).isEmpty }
    #expect(found)
  }

  @Test("Those who wait are served in the order in which they came, each handed one directly")
  func fifo() {
    var world = PoolWorld(Self.limits { $0.sizeMax = 2 })
    for caller in 0..<5_000 { world.ask(caller) }
    world.settle()
    var order: [Int] = []
    while !world.granted.isEmpty {
      let now = world.granted.sorted { $0.key < $1.key }
      for (caller, slot) in now {
        order.append(caller)
        world.giveBack(slot)
      }
    }
    #expect(order == Array(0..<5_000))
    #expect(world.complaints.isEmpty, "\(world.complaints)")
  }

  @Test("Who waits is refused at its deadline, and the next one when too many wait")
  func refusals() {
    var world = PoolWorld(Self.limits { ($0.sizeMax, $0.waitersMax) = (1, 2) })
    world.ask(0)
    world.settle()
    world.ask(1, timeout: 20 * Self.millisecond)
    world.ask(2)
    world.ask(3)
    #expect(world.refused[3] == .queueFull(waiting: 2, max: 2))
    world.pass(19 * Self.millisecond)
    #expect(world.refused[1] == nil)
    world.pass(2 * Self.millisecond)
    #expect(world.refused[1] == .timedOut(waited: 20 * Self.millisecond))
    world.cancel(0)
    #expect(world.refused[2] == .cancelled)
    #expect(world.complaints.isEmpty, "\(world.complaints)")
  }

  @Test("Overflow is opened while somebody waits, and closed when nobody does")
  func overflow() {
    var world = PoolWorld(Self.limits { ($0.sizeMax, $0.overflowMax) = (2, 2) })
    for caller in 0..<4 { world.ask(caller) }
    world.settle()
    #expect(world.lentCount == 4 && world.state.counts.overflowed == 2)
    for slot in 0..<4 { world.giveBack(slot) }
    world.settle()
    #expect(world.count(.idle) == 2 && world.count(.vacant) == 2)
  }

  @Test("Idle ones are closed down to the least, and those too old are replaced")
  func shrinks() {
    var world = PoolWorld(
      Self.limits { ($0.sizeMin, $0.idleMax, $0.lifetimeMax) = (1, Self.second, 10 * Self.second) })
    for caller in 0..<3 { world.ask(caller) }
    world.settle()
    for slot in 0..<3 { world.giveBack(slot) }
    #expect(world.count(.idle) == 3)
    world.pass(2 * Self.second)
    world.settle()
    #expect(world.count(.idle) == 1)
    world.pass(12 * Self.second)
    world.settle()
    #expect(world.count(.idle) == 1 && world.state.counts.opened >= 4)
  }

  @Test("A borrower that holds one for too long loses it, and only that one")
  func reclaims() {
    var world = PoolWorld(Self.limits { $0.leaseMax = Self.second })
    world.ask(0)
    world.settle()
    for _ in 0..<20 {
      world.ask(1)
      world.settle()
      world.pass(Self.second / 10)
      if let slot = world.granted[1] { world.giveBack(slot) }
    }
    #expect(world.state.counts.reclaimed == 1 && world.granted[0] == nil)
  }

  @Test("After failures in a row the upstream is left alone; one probe at a time finds it back")
  func breaker() {
    var world = PoolWorld(
      Self.limits { ($0.breaker.failuresMax, $0.breaker.pause) = (3, Self.second) })
    world.ask(0)
    for _ in 0..<3 { world.finishOpening(0, succeeds: false) }
    #expect(world.refused[0] == .upstreamDown(failures: 3, retryIn: Self.second))
    world.ask(1)
    #expect(world.refused[1] == .upstreamDown(failures: 3, retryIn: Self.second))
    world.pass(Self.second)
    world.ask(2)
    world.ask(3)
    #expect(world.count(.opening) == 1)
    world.finishOpening(0, succeeds: false)
    #expect(world.refused[3] == .upstreamDown(failures: 4, retryIn: 2 * Self.second))
    world.pass(2 * Self.second)
    world.ask(4)
    world.settle()
    #expect(world.granted[4] != nil)
    #expect(world.state.breakers[0].state == .closed(failures: 0))
  }

  @Test("Of two upstreams the one that fails is left out")
  func upstreams() {
    var world = PoolWorld(
      Self.limits { ($0.upstreams, $0.sizeMax, $0.breaker.failuresMax) = (2, 4, 1) })
    world.ask(0)
    world.finishOpening(0, succeeds: false)
    for caller in 1..<4 { world.ask(caller) }
    world.settle()
    #expect(world.lentCount == 4 && world.refused.isEmpty)
  }

  @Test("A pool that is made smaller closes what is too much as it comes back")
  func resizes() {
    var world = PoolWorld(Self.limits { $0.sizeMax = 4 })
    for caller in 0..<4 { world.ask(caller) }
    world.settle()
    world.resize(max: 2)
    for slot in 0..<4 { world.giveBack(slot) }
    world.settle()
    #expect(world.count(.idle) == 2)
    world.resize(max: 4)
    for caller in 10..<14 { world.ask(caller) }
    world.settle()
    #expect(world.lentCount == 4)
    #expect(world.complaints.isEmpty, "\(world.complaints)")
  }

  @Test("Draining takes what is lent back at its deadline")
  func drains() {
    var world = PoolWorld(Self.limits())
    for caller in 0..<4 { world.ask(caller) }
    world.settle()
    world.drain(within: Self.second)
    #expect(world.refused[3] == .closed && !world.isDrained)
    world.giveBack(0)
    world.settle()
    world.pass(2 * Self.second)
    world.settle()
    #expect(world.isDrained && world.count(.vacant) == 3)
  }

  @Test("A wait's time is found in the histogram, to a quarter")
  func histogram() {
    var waits = WaitHistogram()
    for value in 1...UInt64(100_000) { waits.record(value * 10) }
    for percent in [1.0, 50, 99] {
      let exact = percent * 10_000
      let read = Double(waits.percentile(percent))
      #expect(read >= exact && read <= exact * 1.25, "\(percent): \(read) for \(exact)")
    }
    #expect(waits.percentile(100) == 1_000_000)
  }
}
