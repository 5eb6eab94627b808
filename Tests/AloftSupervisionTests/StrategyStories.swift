import AloftSupervision
import Testing

/// What OTP's reference manual says of supervisors, told in virtual time: who is started, stopped
/// and given up, and in which order. `stop a` keeps a's mailbox, `stop a!` does not.
@Suite struct StrategyStories {
  static func options(
    _ strategy: RestartStrategy, base: UInt32 = 0, minimum: UInt32 = 3
  ) -> SupervisorOptions {
    var options = SupervisorOptions()
    options.strategy = strategy
    options.intensity = RestartIntensity(minimum: minimum, millionths: 0, window: 5_000)
    options.backoff = Backoff(base: base, most: 100, stableAfter: 10_000)
    return options
  }

  static func troupe(
    _ strategy: RestartStrategy, _ policies: [(String, RestartPolicy)] = [], base: UInt32 = 0,
    minimum: UInt32 = 3
  ) -> Troupe {
    let troupe = Troupe(options(strategy, base: base, minimum: minimum))
    for (name, policy) in policies { troupe.add(name, ChildKind(policy: policy)) }
    troupe.begin()
    return troupe
  }

  static let abc: [(String, RestartPolicy)] = [
    ("a", .permanent), ("b", .permanent), ("c", .permanent),
  ]

  struct Row: Sendable, CustomTestStringConvertible {
    var strategy: RestartStrategy
    var policies: [(String, RestartPolicy)]
    var failing: String
    var how: ChildEnd
    var told: String
    var testDescription: String { "\(strategy) \(policies) \(failing) \(how)" }
  }

  static let rows: [Row] = [
    .init(strategy: .oneForOne, policies: abc, failing: "b", how: .failure, told: "start b"),
    .init(strategy: .oneForOne, policies: abc, failing: "b", how: .normal, told: "start b"),
    .init(
      strategy: .oneForAll, policies: abc, failing: "b", how: .failure,
      told: "stop c, stop a, start a, start b, start c"),
    .init(
      strategy: .restForOne, policies: abc, failing: "b", how: .failure,
      told: "stop c, start b, start c"),
    .init(strategy: .restForOne, policies: abc, failing: "c", how: .failure, told: "start c"),
    .init(
      strategy: .restForOne, policies: abc, failing: "a", how: .failure,
      told: "stop c, stop b, start a, start b, start c"),
    // A transient child's own end is not a failure; it stays known, and stays down.
    .init(
      strategy: .oneForOne, policies: [("a", .permanent), ("b", .transient)], failing: "b",
      how: .normal, told: "release b"),
    .init(
      strategy: .oneForOne, policies: [("a", .permanent), ("b", .transient)], failing: "b",
      how: .failure, told: "start b"),
    // A temporary one is never started again and takes nobody with it, whatever the strategy.
    .init(
      strategy: .oneForAll, policies: [("a", .permanent), ("b", .temporary)], failing: "b",
      how: .failure, told: "remove b"),
    .init(
      strategy: .restForOne, policies: [("a", .temporary), ("b", .permanent)], failing: "a",
      how: .normal, told: "remove a"),
    // It goes down with the group, and does not come back with it.
    .init(
      strategy: .oneForAll,
      policies: [("a", .permanent), ("b", .temporary), ("c", .transient)], failing: "a",
      how: .failure, told: "stop c, stop b!, remove b, start a, start c"),
  ]

  @Test(arguments: rows) func restarts(_ row: Row) {
    let troupe = Self.troupe(row.strategy, row.policies)
    _ = troupe.story()
    troupe.fail(row.failing, row.how)
    let told = troupe.story()
    #expect(told == row.told)
    #expect(troupe.violations == [])
  }

  /// Children are started first to last, one being up before the next begins; stopped last to
  /// first, one being down before the next is asked.
  @Test func orderOfStartAndStop() {
    let troupe = Troupe(Self.options(.oneForOne))
    for name in ["a", "b", "c"] {
      troupe.add(name)
      troupe.starts[name] = [.after(10)]
      troupe.stops[name] = .after(10)
    }
    troupe.begin()
    var told = troupe.story()
    #expect(told == "start a")
    troupe.advance(10)
    told = troupe.story()
    #expect(told == "start b")
    troupe.advance(20)
    told = troupe.story()
    #expect(told == "start c, up")
    troupe.shutDown()
    troupe.advance(19)
    told = troupe.story()
    #expect(told == "stop c!, release c, stop b!")
    troupe.advance(20)
    told = troupe.story()
    #expect(told == "release b, stop a!, release a, ended")
    #expect(troupe.violations == [])
  }

  /// With room for several on their way, the order is that of the orders alone.
  @Test func severalInFlight() {
    var options = Self.options(.oneForOne)
    options.inFlightMax = 2
    let troupe = Troupe(options)
    for name in ["a", "b", "c"] {
      troupe.add(name)
      troupe.starts[name] = [.after(10)]
    }
    troupe.begin()
    var told = troupe.story()
    #expect(told == "start a, start b")
    troupe.advance(10)
    told = troupe.story()
    #expect(told == "start c")
  }

  /// A child that does not come up at the start takes back those that have.
  @Test func startFails() {
    let troupe = Troupe(Self.options(.oneForOne))
    for name in ["a", "b", "c"] { troupe.add(name) }
    troupe.starts["b"] = [.fails]
    troupe.begin()
    let told = troupe.story()
    #expect(told == "start a, start b, stop a, ended: b did not start")
    #expect(troupe.hasEnded)
  }

  /// Later on, a start that fails is one more restart, until they are too many.
  @Test func restartFails() {
    let troupe = Self.troupe(.oneForOne, [("a", .permanent)], minimum: 3)
    _ = troupe.story()
    troupe.starts["a"] = [.fails, .fails]
    troupe.fail("a")
    var told = troupe.story()
    #expect(told == "start a, start a, start a")
    troupe.fail("a")
    told = troupe.story()
    #expect(told == "ended: a 4/3")
  }

  /// Stopped by order: down, and known; started by order, or with its group.
  @Test func orders() {
    let troupe = Self.troupe(.oneForAll, Self.abc)
    _ = troupe.story()
    #expect(troupe.stop("b"))
    #expect(!troupe.stop("b"))
    var told = troupe.story()
    #expect(told == "stop b!, release b")
    #expect(troupe.start("b"))
    #expect(!troupe.start("b"))
    told = troupe.story()
    #expect(told == "start b")
    #expect(troupe.stop("b"))
    _ = troupe.story()
    troupe.fail("a")
    told = troupe.story()
    #expect(told == "stop c, start a, start b, start c")
    #expect(troupe.restart("b"))
    told = troupe.story()
    #expect(told == "stop b, start b")
    #expect(troupe.remove("c"))
    #expect(!troupe.remove("c"))
    told = troupe.story()
    #expect(told == "stop c!, remove c")
    troupe.shutDown()
    troupe.shutDown()
    told = troupe.story()
    #expect(told == "stop b!, release b, stop a!, release a, ended")
    troupe.add("d")
    #expect(!troupe.start("a") && !troupe.stop("a") && !troupe.remove("a"))
    told = troupe.story()
    #expect(told == "refused d")
  }

  /// A child that failed while it was being stopped with its group counts once, with the group.
  @Test func failsWhileGroupStops() {
    let troupe = Self.troupe(.oneForAll, Self.abc, minimum: 1)
    for name in ["a", "b", "c"] { troupe.stops[name] = .after(10) }
    _ = troupe.story()
    troupe.fail("b")
    troupe.fail("a")
    troupe.fail("c")
    let told = troupe.story()
    #expect(told == "stop c, start a, start b, start c")
    #expect(troupe.restarts == 1)
  }

  /// An earlier child fails while the rest is being restarted: the group begins with it.
  @Test func earlierOneFailsWhileRestStops() {
    let troupe = Self.troupe(.restForOne, Self.abc)
    troupe.stops["c"] = .after(10)
    _ = troupe.story()
    troupe.fail("b")
    troupe.fail("a")
    troupe.advance(10)
    let told = troupe.story()
    #expect(told == "stop c, start a, start b, start c")
    #expect(troupe.restarts == 2)
  }

  /// And while the rest waits for its back-off to be over, or is being started.
  @Test func earlierOneFailsWhileRestStarts() {
    let troupe = Self.troupe(.restForOne, Self.abc, minimum: 9)
    _ = troupe.story()
    troupe.starts["b"] = [.after(10)]
    troupe.fail("b")
    troupe.fail("a")
    var told = troupe.story()
    #expect(told == "stop c, start b, stop b, start a, start b, start c")
    troupe.starts["a"] = [.after(10)]
    troupe.fail("a")
    _ = troupe.story()
    troupe.advance(10)
    told = troupe.story()
    #expect(told.hasSuffix("start b") || told.hasSuffix("start c"))
    #expect(troupe.violations == [])
  }
}
