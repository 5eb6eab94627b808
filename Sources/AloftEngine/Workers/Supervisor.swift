import AloftAtomics
package import AloftSupervision

/// Carries out on an event loop what `SupervisorCore` decides. Everything belongs to that loop.
@safe
package final class Supervisor: SupervisedChild, @unchecked Sendable {
  // @unchecked: all that changes is touched on the loop's thread only, which entries check.
  package let loop: EventLoop
  package let name: String?
  package let options: SupervisorOptions
  private let seed: UInt64
  private var core: SupervisorCore
  /// By the index of their IDs.
  private var children: [(any SupervisedChild)?] = []
  private var names: [String: ChildID] = [:]
  /// Those that come back when the supervisor itself is restarted.
  private var lasting: [(child: any SupervisedChild, kind: ChildKind)] = []
  private var isPerforming = false
  private var timer: TimerID?
  private var timerDue: UInt64 = .max
  /// Why the child just told of has failed.
  private var lastError: (any Error)?
  package var observer: ((SupervisorEvent) -> Void)?
  /// Called once when all children have come up, or with the end when that came first.
  private var onUp: ((SupervisorEnd?, (any Error)?) -> Void)?
  private var onEnded: [() -> Void] = []

  // As a child itself.
  private weak var parent: Supervisor?
  private var idAsChild: ChildID?

  package init(
    on loop: EventLoop, name: String? = nil, options: SupervisorOptions, seed: UInt64
  ) {
    self.loop = loop
    self.name = name
    self.options = options
    self.seed = seed
    core = SupervisorCore(options, seed: seed)
  }

  private var now: UInt64 { loop.driver.now() / nanosecondsPerTick }

  package var childCount: Int { core.count }
  package var restarts: UInt64 { core.restarts }
  package var isEnding: Bool { core.isEnding }

  // MARK: Children

  /// Takes in a child, and starts it if the supervisor runs.
  /// - Throws: `nameTaken`, `closed` when the supervisor ends or has, `childLimit`.
  @discardableResult
  package func add(
    _ child: any SupervisedChild, _ kind: ChildKind, lasts: Bool = false
  ) throws(EngineError) -> ChildID {
    loop.preconditionOnLoop()
    if let name = child.name, names[name] != nil {
      throw EngineError(.nameTaken, "a child named \"\(name)\" is there already")
    }
    if core.isEnding { throw EngineError(.closed, "the supervisor has ended") }
    guard let id = core.add(kind, now: now) else {
      throw EngineError(
        .childLimit, "the supervisor has \(core.count) children, of \(options.childrenMax)")
    }
    enter(child, id)
    if lasts { lasting.append((child, kind)) }
    perform()
    return id
  }

  private func enter(_ child: any SupervisedChild, _ id: ChildID) {
    let index = Int(id.index)
    while children.count <= index { children.append(nil) }
    children[index] = child
    if let name = child.name { names[name] = id }
    child.adopted(by: self, as: id)
  }

  package func find(_ name: String) -> ChildID? {
    loop.preconditionOnLoop()
    return names[name]
  }

  package func child(_ id: ChildID) -> (any SupervisedChild)? {
    loop.preconditionOnLoop()
    // Stale IDs are found out by the logic; here an index out of range would be a trap.
    guard core.knows(id) else { return nil }
    return children[Int(id.index)]
  }

  package func child(named name: String) -> (any SupervisedChild)? {
    find(name).flatMap { child($0) }
  }

  package func forEachChild(_ body: (any SupervisedChild) -> Void) {
    core.forEach { id in
      if let child = children[Int(id.index)] { body(child) }
    }
  }

  package func startChild(_ id: ChildID) -> Bool {
    let done = core.startChild(id, now: now)
    perform()
    return done
  }

  package func stopChild(_ id: ChildID) -> Bool {
    let done = core.stopChild(id, now: now)
    perform()
    return done
  }

  package func restartChild(_ id: ChildID) -> Bool {
    let done = core.restartChild(id, now: now)
    perform()
    return done
  }

  package func removeChild(_ id: ChildID) -> Bool {
    let done = core.removeChild(id, now: now)
    perform()
    return done
  }

  // MARK: Its own life

  /// Starts all children in order. `whenUp` is told when all are up, or that it has ended.
  package func begin(whenUp: ((SupervisorEnd?, (any Error)?) -> Void)? = nil) {
    loop.preconditionOnLoop()
    onUp = whenUp
    if parent == nil { loop.workers.supervisors[ObjectIdentifier(self)] = self }
    core.begin(now: now)
    perform()
  }

  /// Stops all children in order, then calls `action`; at once when it has ended before.
  package func shutDown(keep: Bool = false, then action: (() -> Void)? = nil) {
    loop.preconditionOnLoop()
    if core.hasEnded {
      action?()
      return
    }
    if let action { onEnded.append(action) }
    core.shutDown(keep: keep, now: now)
    perform()
  }

  // MARK: What children answer

  package func childStarted(_ id: ChildID) {
    guard core.started(id, now: now) else { return }
    if let observer, let child = children[Int(id.index)] {
      observer(.started(name: child.name, id))
    }
    perform()
  }

  package func childEnded(_ id: ChildID, _ how: ChildEnd, _ error: (any Error)? = nil) {
    // A loop that ends takes all its workers with it; nobody is to be restarted.
    guard loop.isRunning else { return }
    if let error { lastError = error }
    guard core.ended(id, how, now: now) else { return }
    perform()
  }

  /// Carries out what is to be done. A child's answer may come from within, and then the outermost
  /// call goes on.
  private func perform() {
    guard !isPerforming else { return }
    isPerforming = true
    while let action = core.nextAction() { perform(action) }
    isPerforming = false
    setTimer()
  }

  private func perform(_ action: SupervisorAction) {
    switch action {
    case .start(let id): children[Int(id.index)]?.start()
    case .stop(let id, let keep): children[Int(id.index)]?.stop(keep: keep)
    case .kill(let id, let keep): children[Int(id.index)]?.kill(keep: keep)
    case .release(let id): children[Int(id.index)]?.release()
    case .remove(let id): forget(id)
    case .restarting(let id, let wait):
      let error = lastError
      lastError = nil
      observer?(
        .restarting(name: children[Int(id.index)]?.name, id, error, afterMilliseconds: wait))
    case .up:
      let told = onUp
      onUp = nil
      told?(nil, nil)
      if let idAsChild { parent?.childStarted(idAsChild) }
    case .ended(let end): ended(end)
    }
  }

  private func forget(_ id: ChildID) {
    guard let child = children[Int(id.index)] else { return }
    children[Int(id.index)] = nil
    if let name = child.name { names[name] = nil }
    child.remove()
  }

  private func ended(_ end: SupervisorEnd) {
    observer?(.ended(end, lastError))
    let told = onUp
    onUp = nil
    told?(end, lastError)
    loop.workers.supervisors[ObjectIdentifier(self)] = nil
    guard let parent, let idAsChild else {
      removeAll()
      tellEnded()
      return
    }
    tellEnded()
    if end == .shutDown {
      parent.childEnded(idAsChild, .normal)
    } else {
      parent.childEnded(
        idAsChild, .failure, WorkerFailure.supervisorEnded(describe(end, lastError)))
    }
  }

  /// The loop has ended before it has: nothing is carried out any more, and nobody waits on.
  func loopEnded() {
    let told = onUp
    onUp = nil
    told?(.shutDown, lastError)
    tellEnded()
  }

  private func tellEnded() {
    let told = onEnded
    onEnded = []
    for action in told { action() }
  }

  private func removeAll() {
    let all = children
    children = []
    names = [:]
    lasting = []
    for child in all { child?.remove() }
  }

  private func setTimer() {
    let due = core.nextDeadline() ?? .max
    guard due != timerDue else { return }
    timerDue = due
    if let timer { loop.cancelTimer(timer) }
    timer = nil
    guard due != .max else { return }
    let current = now
    timer = loop.startTimer(
      afterMilliseconds: due > current ? due - current : 0, period: 0, beyondLimit: true
    ) { [weak self] in self?.timerFired() }
  }

  private func timerFired() {
    timer = nil
    timerDue = .max
    core.timer(now)
    perform()
  }
}

/// A supervisor below another, on the same loop.
extension Supervisor {
  package var place: (supervisor: Supervisor, id: ChildID)? {
    guard let parent, let idAsChild else { return nil }
    return (parent, idAsChild)
  }

  package func adopted(by supervisor: Supervisor, as id: ChildID) {
    precondition(supervisor.loop === loop, "a supervisor lives on the loop of the one above")
    parent = supervisor
    idAsChild = id
  }

  /// For the first time, or once more: those that were there from the beginning come back, with
  /// the mailboxes that they have; those that were added later are gone.
  package func start() {
    if core.hasEnded { startAnew() }
    begin()
  }

  private func startAnew() {
    let before = children
    children = []
    names = [:]
    core = SupervisorCore(options, seed: seed &+ 1)
    for (child, kind) in lasting {
      guard let id = core.add(kind, now: now) else { continue }
      enter(child, id)
    }
    let staying = Set(lasting.map { ObjectIdentifier($0.child) })
    for case let child? in before where !staying.contains(ObjectIdentifier(child)) {
      child.remove()
    }
  }

  package func stop(keep: Bool) { shutDown(keep: keep) }

  /// It can't be given up: its children are told, and end within their own limits.
  package func kill(keep: Bool) { shutDown() }

  package func release() {
    for case let child? in children { child.release() }
  }

  package func remove() {
    removeAll()
    observer = nil
  }
}

/// Why a supervisor has ended, in words.
package func describe(_ end: SupervisorEnd, _ error: (any Error)?) -> String {
  let cause = error.map { ": \($0)" } ?? ""
  switch end {
  case .shutDown:
    return "the supervisor was shut down"
  case .startFailed(let id):
    return "child \(id.index) did not start\(cause)"
  case .intensityExceeded(let id, let restarts, let allowed):
    return
      "\(restarts) restarts within the window, and \(allowed) are allowed; the last was of child "
      + "\(id.index)\(cause)"
  case .childKeptFailing(let id, let attempts):
    return "child \(id.index) failed after \(attempts) restarts in a row\(cause)"
  }
}
