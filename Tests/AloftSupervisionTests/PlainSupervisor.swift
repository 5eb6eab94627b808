import AloftSupervision

/// A supervisor as one would write it down at first: an array of children, everything done at once
/// by looping over them, and a list of the restarts. Children answer at once, and don't wait.
final class PlainSupervisor {
  struct Child {
    var name: String
    var policy: RestartPolicy
    var isRunning = false
    /// Down, and holding on to its mailbox.
    var isKept = false
  }

  enum State { case new, running, ended }

  let options: SupervisorOptions
  var children: [Child] = []
  var times: [UInt64] = []
  var state = State.new
  var isInitial = true
  var now: UInt64 = 0
  var log: [String] = []
  var failingStarts: [String: Int] = [:]

  init(_ options: SupervisorOptions) { self.options = options }

  private func at(_ name: String) -> Int? { children.firstIndex { $0.name == name } }

  func add(_ name: String, _ policy: RestartPolicy) {
    guard state != .ended else { return log.append("refused \(name)") }
    children.append(Child(name: name, policy: policy))
    if state == .running { start(name, walking: false) }
  }

  func begin() {
    state = .running
    startFrom(0)
    if state == .running { log.append("up") }
    isInitial = false
  }

  /// Whether it came up, and nothing else happened.
  @discardableResult
  private func start(_ name: String, walking: Bool) -> Bool {
    guard let index = at(name) else { return false }
    log.append("start \(name)")
    children[index].isKept = false
    if let left = failingStarts[name], left > 0 {
      failingStarts[name] = left - 1
      if walking && isInitial {
        if children[index].policy == .temporary { remove(index) }
        end("ended: \(name) did not start", kept: true)
      } else {
        failed(name, .startFailure)
      }
      return false
    }
    children[index].isRunning = true
    return true
  }

  private func startFrom(_ first: Int) {
    for name in children.dropFirst(first).filter({ !$0.isRunning }).map(\.name) {
      if !start(name, walking: true) { return }
    }
  }

  func fail(_ name: String, _ how: ChildEnd) {
    guard let index = at(name), children[index].isRunning else { return }
    children[index].isRunning = false
    failed(name, how)
  }

  private func failed(_ name: String, _ how: ChildEnd) {
    guard let index = at(name) else { return }
    switch children[index].policy {
    case .temporary: return remove(index)
    case .transient where how == .normal: return log.append("release \(name)")
    default: break
    }
    times = times.filter { now - $0 <= options.intensity.window } + [now]
    let scaled = Int(Double(children.count) * Double(options.intensity.millionths) / 1e6)
    let allowed = max(Int(options.intensity.minimum), scaled)
    if times.count > allowed {
      children[index].isKept = true
      return end("ended: \(name) \(times.count)/\(allowed)", kept: true)
    }
    switch options.strategy {
    case .oneForOne:
      start(name, walking: false)
    case .oneForAll:
      stopDown(to: 0)
      startFrom(0)
    case .restForOne:
      stopDown(to: index)
      startFrom(at(name)!)
    }
  }

  private func stopDown(to first: Int) {
    for child in children.dropFirst(first).reversed() where child.isRunning {
      stopOne(child.name, keep: child.policy != .temporary)
    }
  }

  private func stopOne(_ name: String, keep: Bool) {
    let index = at(name)!
    log.append("stop \(name)\(keep ? "" : "!")")
    children[index].isRunning = false
    children[index].isKept = keep
    if children[index].policy == .temporary { return remove(index) }
    if !keep { log.append("release \(name)") }
  }

  private func remove(_ index: Int) { log.append("remove \(children.remove(at: index).name)") }

  private func end(_ text: String, kept: Bool) {
    guard state != .ended else { return }
    state = .ended
    for child in children.reversed() {
      if child.isRunning {
        stopOne(child.name, keep: kept && child.policy != .temporary)
      } else if child.isKept, !kept {
        log.append("release \(child.name)")
      }
    }
    log.append(text)
  }

  func shutDown() { end("ended", kept: false) }

  func stop(_ name: String) {
    guard state == .running, let index = at(name), children[index].isRunning else { return }
    stopOne(name, keep: false)
  }

  func start(_ name: String) {
    guard state == .running, let index = at(name), !children[index].isRunning else { return }
    start(name, walking: false)
  }

  func restart(_ name: String) {
    guard state == .running, let index = at(name) else { return }
    if children[index].isRunning {
      log.append("stop \(name)")
      children[index].isRunning = false
    }
    start(name, walking: false)
  }

  func remove(_ name: String) {
    guard state == .running, let index = at(name) else { return }
    if children[index].isRunning {
      log.append("stop \(name)!")
      children[index].isRunning = false
    }
    remove(index)
  }
}
