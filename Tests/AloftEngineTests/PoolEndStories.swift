import AloftAtomics
import AloftEngine
import AloftPool
import AloftSim
import Testing

/// A runtime's loops end one after the other, and a pool's home is one of them: wherever a resource
/// is just then, it is closed once, the handler hears of the end once, and nothing is left behind.
struct PoolEndStories {
  /// Opens at once unless told otherwise, and counts.
  final class Things: PoolHandler, @unchecked Sendable {
    // @unchecked: a simulated world has one thread.
    weak var home: PoolHome?
    var isHasty = true
    var opened = 0
    var closed: [Int] = []
    var drainedCount = 0

    override func open(_ slot: Int, upstream: Int) {
      opened += 1
      if isHasty { home?.opened(slot) }
    }
    override func close(_ slot: Int) {
      closed.append(slot)
      if isHasty { home?.closed(slot) }
    }
    override func check(_ slot: Int) { if isHasty { home?.checked(slot, isSound: true) } }
    override var hasCheck: Bool { true }
    override func drained() { drainedCount += 1 }
  }

  /// Where the one resource is when the first loop ends.
  enum Place: CaseIterable {
    case shelved, kept, opening, closing, checked
    case lent, lentByLoop, boundToLoop, returned, claimed
  }

  /// Has the resource where the story wants it, and answers what is done when all loops have ended.
  private func put(
    _ place: Place, _ scene: Scene, _ home: PoolHome, _ things: Things
  ) -> () -> Void {
    let core = home.table.core
    func lease() -> LeaseHandle {
      let taken = LeaseHandle(rawValue: core.takeShared(from: 0))
      return LeaseHandle(pool: home.number, slot: taken.slot, generation: taken.generation)
    }
    var lent = LeaseHandle(rawValue: 0)
    func lendOnLoop() {
      scene.on(scene.loops[1]) {
        #expect(home.giveBack(lease()))
        let taken = LeaseHandle(rawValue: core.takeKept(by: 1))
        lent = LeaseHandle(pool: home.number, slot: taken.slot, generation: taken.generation)
      }
    }
    switch place {
    case .shelved: return {}
    case .kept:
      scene.on(scene.loops[1]) { #expect(home.giveBack(lease())) }
      #expect(core.keptCount(by: 1) == 1)
      return {}
    case .opening:
      return { home.opened(0) }
    case .closing:
      things.isHasty = false
      scene.on(scene.loops[1]) { #expect(home.giveBack(lease(), .broken)) }
      return { home.closed(0) }
    case .checked:
      things.isHasty = false
      scene.on(scene.loops[1]) { #expect(home.giveBack(lease(), .doubtful)) }
      return {
        things.isHasty = true
        home.checked(0, isSound: true)
      }
    case .lent:
      lent = lease()
      return { #expect(home.giveBack(lent)) }
    case .lentByLoop:
      lendOnLoop()
      return { #expect(home.giveBack(lent)) }
    case .boundToLoop:
      lent = lease()
      scene.on(scene.loops[1]) { #expect(home.bind(lent, to: .loop(scene.loops[1]))) }
      return { #expect(!home.giveBack(lent)) }
    case .returned:
      // One that returns has the resource, and hasn't told home yet.
      lent = lease()
      let result = core.sendHome(lent)
      #expect(result == .mustSendHome)
      return { #expect(home.complete(result, lent)) }
    case .claimed:
      lendOnLoop()
      let result = core.sendHome(lent)
      return { #expect(home.complete(result, lent)) }
    }
  }

  @Test(
    "Whatever loop ends first, a resource is closed once and the pool is gone",
    arguments: Place.allCases, [[0, 1], [1, 0]])
  func ends(place: Place, order: [Int]) throws {
    let scene = try Scene(loops: 2)
    weak var gone: PoolHome?
    try {
      let things = Things()
      things.isHasty = place != .opening
      var limits = PoolLimits()
      (limits.sizeMin, limits.sizeMax) = (1, 1)
      let home = try PoolHome(on: scene.loop, limits: limits, slots: 1, share: 1, handler: things)
      things.home = home
      gone = home
      home.start()
      scene.run(1)
      #expect(things.opened == 1)
      let finish = put(place, scene, home, things)
      let closedBefore = things.closed.count
      for position in order {
        scene.loops[position].requestStop()
        scene.run(5)
        #expect(scene.world.driver(of: scene.loops[position]).hasEnded)
      }
      #expect(things.drainedCount == (things.closed.count > closedBefore ? 1 : 0))
      things.isHasty = true
      finish()
      // One that was taken back while the pool lived on was replaced.
      #expect(things.opened == (place == .boundToLoop && order == [1, 0] ? 2 : 1))
      #expect(things.closed.count == things.opened)
      #expect(things.drainedCount == 1)
    }()
    #expect(gone == nil)
    scene.end()
  }

  @Test("Who waits or comes is refused, before and after the loop's end", arguments: [false, true])
  func waiting(isLate: Bool) throws {
    final class Waiter: PoolWaiter, @unchecked Sendable {
      // @unchecked: a simulated world has one thread.
      var answers: [PoolRefused?] = []
      override func granted(_ lease: UInt64) { answers.append(nil) }
      override func refused(_ refusal: PoolRefused) { answers.append(refusal) }
    }
    let scene = try Scene(loops: 2)
    let things = Things()
    things.isHasty = false
    var limits = PoolLimits()
    (limits.sizeMin, limits.sizeMax) = (1, 1)
    let home = try PoolHome(on: scene.loop, limits: limits, slots: 1, share: 1, handler: things)
    things.home = home
    home.start()
    scene.run(1)
    let waiter = Waiter()
    if !isLate { home.wait(waiter, timeout: 0) }
    scene.loop.requestStop()
    scene.run(5)
    if isLate { home.wait(waiter, timeout: 0) }
    #expect(waiter.answers == [.closed])
    home.cancel(waiter)
    #expect(waiter.answers == [.closed])
    home.openFailed(0)
    #expect(things.drainedCount == 1)
  }

  @Test("A pool that was drained before its loop ends tells its handler once")
  func drainedBefore() throws {
    let scene = try Scene(loops: 2)
    let things = Things()
    let home = try PoolHome(
      on: scene.loop, limits: PoolLimits(), slots: PoolLimits().slots, share: 1, handler: things)
    things.home = home
    home.start()
    final class Count: @unchecked Sendable {
      // @unchecked: a simulated world has one thread.
      var value = 0
    }
    let told = Count()
    for _ in 0..<2 {
      home.drain(limit: 0) { told.value += 1 }
      scene.run(1)
    }
    #expect(told.value == 2)
    scene.loop.requestStop()
    scene.run(5)
    #expect(things.drainedCount == 1)
  }
}
