import AloftSupervision
import Testing

/// Deadlines, back-off and intensity, to the millisecond.
@Suite struct DeadlineStories {
  /// Who does not stop in time is ended by force, and the others' turn comes after that.
  @Test func stopDeadline() {
    let troupe = Troupe(StrategyStories.options(.oneForOne))
    for name in ["a", "b"] { troupe.add(name, ChildKind(stopLimit: 100)) }
    troupe.stops["b"] = .never
    troupe.begin()
    troupe.shutDown()
    troupe.advance(99)
    var told = troupe.story()
    #expect(told == "start a, start b, up, stop b!")
    troupe.advance(1)
    told = troupe.story()
    #expect(told == "kill b, release b, stop a!, release a, ended")
  }

  /// A limit of 0 ends it by force at once; without a limit it is waited for.
  @Test func noDeadline() {
    let troupe = Troupe(StrategyStories.options(.oneForOne))
    troupe.add("a", ChildKind(stopLimit: ChildKind.unlimited))
    troupe.add("b", ChildKind(stopLimit: 0))
    troupe.stops["a"] = .never
    troupe.begin()
    _ = troupe.story()
    troupe.shutDown()
    let told = troupe.story()
    #expect(told == "kill b, release b, stop a!")
    #expect(troupe.nextDeadline == nil)
  }

  /// Who does not come up in time has failed to start.
  @Test func startDeadline() {
    let troupe = Troupe(StrategyStories.options(.oneForOne))
    troupe.add("a", ChildKind(startLimit: 50))
    troupe.begin()
    troupe.starts["a"] = [.never, .after(49)]
    troupe.fail("a")
    troupe.advance(50)
    var told = troupe.story()
    #expect(told == "start a, up, start a, kill a, start a")
    troupe.advance(49)
    troupe.advance(100)
    told = troupe.story()
    #expect(told == "" && troupe.violations == [])
    #expect(troupe.restarts == 2)
  }

  /// The first restart is at once; each further one waits twice as long, less up to a half.
  @Test(arguments: [1, 2, 3] as [UInt64]) func backoff(seed: UInt64) {
    var options = StrategyStories.options(.oneForOne, base: 16, minimum: 100)
    options.backoff.most = 100
    let troupe = Troupe(options, seed: seed)
    troupe.add("a")
    troupe.begin()
    for most in [0, 16, 32, 64, 100, 100] as [UInt64] {
      _ = troupe.story()
      troupe.fail("a")
      let due = troupe.nextDeadline
      if most == 0 {
        #expect(due == nil)
        continue
      }
      let wait = due! - troupe.now
      #expect((most / 2...most).contains(wait), "\(wait) of \(most)")
      troupe.advance(wait - 1)
      #expect(troupe.story() == "a waits")
      troupe.advance(1)
      #expect(troupe.story() == "start a")
    }
    // It has run well for long enough: it counts from the beginning.
    troupe.advance(10_000)
    _ = troupe.story()
    troupe.fail("a")
    #expect(troupe.story() == "start a")
  }

  /// A group waits as its failing child would, with all of it down.
  @Test func groupBackoff() {
    let troupe = StrategyStories.troupe(.oneForAll, StrategyStories.abc, base: 10, minimum: 9)
    troupe.fail("b")
    _ = troupe.story()
    troupe.fail("b")
    #expect(troupe.story() == "b waits, stop c, stop a")
    troupe.advance(10)
    #expect(troupe.story() == "start a, start b, start c")
  }

  /// With `minimum` n, n restarts within the window are allowed, and one more ends it all. Those of
  /// exactly a window ago count, one millisecond older ones don't.
  @Test(arguments: [0, 1, 2, 3, 5, 10] as [UInt32], [5_000, 5_001] as [UInt64])
  func intensityAtTheEdge(minimum: UInt32, wait: UInt64) {
    let troupe = Troupe(StrategyStories.options(.oneForOne, minimum: minimum))
    troupe.add("a")
    troupe.begin()
    for _ in 0..<minimum { troupe.fail("a") }
    #expect(!troupe.isEnding)
    troupe.advance(wait)
    _ = troupe.story()
    troupe.fail("a")
    let ends = wait == 5_000 || minimum == 0
    #expect(troupe.hasEnded == ends)
    #expect(troupe.story() == (ends ? "ended: a \(minimum + 1)/\(minimum)" : "start a"))
  }

  /// The bound grows with the children: a tenth of a thousand may fail at once, and not one more.
  @Test(arguments: [100, 101]) func intensityScales(failing: Int) {
    var options = SupervisorOptions()
    options.intensity = RestartIntensity(minimum: 3, millionths: 100_000, window: 5_000)
    options.inFlightMax = 1_000
    let troupe = Troupe(options)
    for index in 0..<1_000 { troupe.add("\(index)") }
    troupe.begin()
    troupe.fail((0..<failing).map { "\($0 * 7)" })
    #expect(troupe.hasEnded == (failing > 100))
    #expect(troupe.violations == [])
  }

  /// One that fails without end is given up, in however large a company.
  @Test func keptFailing() {
    var options = StrategyStories.options(.oneForOne, minimum: 100)
    options.intensity.consecutiveMax = 2
    let troupe = Troupe(options)
    for name in ["a", "b"] { troupe.add(name) }
    troupe.begin()
    troupe.fail("a")
    troupe.fail("a")
    _ = troupe.story()
    troupe.fail("a")
    #expect(troupe.story() == "stop b, ended: a failed 2 times")
  }

  /// A hundred thousand children cost 32 bytes each, and a failure among them a few steps.
  @Test func manyChildren() {
    var options = SupervisorOptions()
    options.inFlightMax = .max
    var core = SupervisorCore(options, seed: 1)
    let ids = (0..<100_000).compactMap { _ in core.add(ChildKind(), now: 0) }
    core.begin(now: 0)
    var started = 0
    while let action = core.nextAction() {
      guard case .start(let id) = action else { continue }
      core.started(id, now: 0)
      started += 1
    }
    #expect(started == 100_000)
    var restarted: [ChildID] = []
    for index in stride(from: 0, to: 100_000, by: 10) {
      core.ended(ids[index], .failure, now: 1)
      while let action = core.nextAction() {
        guard case .start(let id) = action else { continue }
        restarted.append(id)
        core.started(id, now: 1)
      }
    }
    #expect(restarted == stride(from: 0, to: 100_000, by: 10).map { ids[$0] })
    #expect(SupervisorCore.bytesPerChild == 32)
  }
}
