import AloftSupervision
import Testing

/// Plays the children of a supervisor in virtual time, writes down what it orders, and objects to
/// whatever no order of events can justify.
final class Troupe {
  enum Act: Equatable {
    /// Answers at once.
    case well
    /// Answers after so many milliseconds.
    case after(UInt64)
    case fails
    case never
  }

  /// Wrong ways to carry orders out, which the checks must see.
  enum Fault: CaseIterable {
    case startsTwice, stopsOutOfOrder, losesRelease, forgetsKill, restartsTemporary
    case windowShorter, windowLonger, oneMoreAllowed, oneLessAllowed, lateTimers, keepsNothing
  }

  var core: SupervisorCore
  var now: UInt64 = 0
  var log: [String] = []
  var names: [ChildID: String] = [:]
  var ids: [String: ChildID] = [:]
  /// How the next starts and stops of a child go; `.well` when none is left.
  var starts: [String: [Act]] = [:]
  var stops: [String: Act] = [:]
  private(set) var alive: Set<String> = []
  private(set) var comingUp: Set<String> = []
  var violations: [String] = []
  private var agenda: [(due: UInt64, order: Int, id: ChildID, isStart: Bool)] = []
  private var ordered = 0
  let fault: Fault?
  /// Nothing is waited for, so no order can come too late.
  var isStrict = false

  init(
    _ options: SupervisorOptions = .init(), seed: UInt64 = 1, fault: Fault? = nil
  ) {
    var options = options
    switch fault {
    case .windowShorter: options.intensity.window -= 1
    case .windowLonger: options.intensity.window += 1
    case .oneMoreAllowed: options.intensity.minimum += 1
    case .oneLessAllowed: options.intensity.minimum -= 1
    default: break
    }
    self.fault = fault
    core = SupervisorCore(options, seed: seed)
  }

  func add(_ name: String, _ kind: ChildKind = .init()) {
    var kind = kind
    if fault == .restartsTemporary, kind.policy == .temporary { kind.policy = .transient }
    // Its first orders come from `add` itself only when the supervisor runs: the name is known by
    // then, for they are read afterwards.
    guard let id = core.add(kind, now: now) else {
      log.append("refused \(name)")
      return
    }
    names[id] = name
    ids[name] = id
    perform()
  }

  func begin() {
    core.begin(now: now)
    perform()
  }

  func shutDown() {
    core.shutDown(now: now)
    perform()
  }

  func fail(_ name: String, _ how: ChildEnd = .failure) {
    guard let id = ids[name] else { return }
    dies(id)
    core.ended(id, how, now: now)
    perform()
  }

  /// Nothing for one that does not run, or is being stopped at once.
  func failIfAlive(_ name: String, _ how: ChildEnd) {
    if alive.contains(name) { fail(name, how) }
  }

  /// Several at the same instant.
  func fail(_ names: [String]) { for name in names { fail(name) } }

  @discardableResult
  func order(
    _ name: String, _ body: (inout SupervisorCore, ChildID, UInt64) -> Bool
  ) -> Bool {
    guard let id = ids[name] else { return false }
    let done = body(&core, id, now)
    perform()
    return done
  }

  func stop(_ name: String) -> Bool { order(name) { $0.stopChild($1, now: $2) } }
  func start(_ name: String) -> Bool { order(name) { $0.startChild($1, now: $2) } }
  func restart(_ name: String) -> Bool { order(name) { $0.restartChild($1, now: $2) } }
  func remove(_ name: String) -> Bool { order(name) { $0.removeChild($1, now: $2) } }

  /// Lets time pass.
  func advance(_ milliseconds: UInt64) {
    let end = now + milliseconds
    while true {
      agenda.sort { ($0.due, $0.order) < ($1.due, $1.order) }
      let late: UInt64 = fault == .lateTimers ? 1 : 0
      let timer = core.nextDeadline().map { max($0 + late, now) }
      let next = min(agenda.first?.due ?? .max, timer ?? .max)
      guard next <= end else { break }
      now = max(now, next)
      if let first = agenda.first, first.due == next {
        agenda.removeFirst()
        answer(first.id, isStart: first.isStart)
      } else {
        core.timer(now)
      }
      perform()
    }
    now = end
  }

  /// What happened since the last time, in a line.
  func story() -> String {
    defer { log = [] }
    return log.joined(separator: ", ")
  }

  private func answer(_ id: ChildID, isStart: Bool) {
    guard let name = names[id] else { return }
    if isStart {
      guard comingUp.remove(name) != nil else { return }
      alive.insert(name)
      core.started(id, now: now)
    } else {
      guard alive.contains(name) || comingUp.contains(name) else { return }
      dies(id)
      core.ended(id, .normal, now: now)
    }
  }

  // MARK: Orders

  func perform() {
    while let action = core.nextAction() {
      switch action {
      case .start(let id): start(id)
      case .stop(let id, let keep): stop(id, keep)
      case .kill(let id, _): kill(id)
      case .release(let id):
        if fault != .losesRelease { note("release", id) }
        if alive.contains(names[id]!) { violations.append("release of \(names[id]!), alive") }
      case .remove(let id):
        note("remove", id)
        if alive.contains(names[id]!) { violations.append("removal of \(names[id]!), alive") }
        ids[names[id]!] = nil
      case .restarting(let id, let wait):
        if wait > 0 { log.append("\(names[id]!) waits") }
      case .up: log.append("up")
      case .ended(let end):
        if !alive.isEmpty { violations.append("ended with \(alive.sorted()) alive") }
        log.append(describe(end))
      }
    }
  }

  private func describe(_ end: SupervisorEnd) -> String {
    switch end {
    case .shutDown: "ended"
    case .startFailed(let id): "ended: \(names[id]!) did not start"
    case .intensityExceeded(let id, let restarts, let allowed):
      "ended: \(names[id]!) \(restarts)/\(allowed)"
    case .childKeptFailing(let id, let attempts): "ended: \(names[id]!) failed \(attempts) times"
    }
  }

  private func note(_ word: String, _ id: ChildID) { log.append("\(word) \(names[id]!)") }

  private func start(_ id: ChildID) {
    let name = names[id] ?? "?"
    note("start", id)
    if fault == .startsTwice { alive.insert(name) }
    if alive.contains(name) || comingUp.contains(name) { violations.append("\(name) runs twice") }
    comingUp.insert(name)
    let act = starts[name]?.isEmpty == false ? starts[name]!.removeFirst() : .well
    switch act {
    case .well:
      comingUp.remove(name)
      alive.insert(name)
      core.started(id, now: now)
    case .after(let wait): later(wait, id, isStart: true)
    case .fails:
      dies(id)
      core.ended(id, .startFailure, now: now)
    case .never: break
    }
  }

  private func stop(_ id: ChildID, _ keep: Bool) {
    let name = names[id]!
    log.append("stop \(name)\(keep && fault != .keepsNothing ? "" : "!")")
    if fault == .stopsOutOfOrder, log.count > 1, log[log.count - 2].hasPrefix("stop") {
      log.swapAt(log.count - 1, log.count - 2)
    }
    guard runs(name, "stop") else { return }
    switch stops[name] ?? .well {
    case .well, .fails:
      dies(id)
      core.ended(id, .normal, now: now)
    case .after(let wait): later(wait, id, isStart: false)
    case .never: break
    }
  }

  private func kill(_ id: ChildID) {
    let name = names[id]!
    note("kill", id)
    guard runs(name, "kill") else { return }
    if fault == .forgetsKill { return }
    dies(id)
    core.ended(id, .failure, now: now)
  }

  /// Of several on their way, one may have ended between an order and its turn.
  private func runs(_ name: String, _ order: String) -> Bool {
    if alive.contains(name) || comingUp.contains(name) { return true }
    if isStrict { violations.append("\(order) \(name), which does not run") }
    return false
  }

  /// What it was about to answer dies with it.
  private func dies(_ id: ChildID) {
    alive.remove(names[id]!)
    comingUp.remove(names[id]!)
    agenda.removeAll { $0.id == id }
  }

  private func later(_ wait: UInt64, _ id: ChildID, isStart: Bool) {
    ordered += 1
    agenda.append((now + wait, ordered, id, isStart))
  }

  var restarts: UInt64 { core.restarts }
  var hasEnded: Bool { core.hasEnded }
  var isEnding: Bool { core.isEnding }
  var nextDeadline: UInt64? { core.nextDeadline() }
  var isQuiet: Bool { agenda.isEmpty && comingUp.isEmpty }
}
