import ModelFibers

/// Runs a few threads through every execution that the memory model allows, and stops at the
/// first that goes wrong: in the spirit of loom and CDSChecker (Norris, Demsky, 2013).
///
/// It is stateless: an execution is run from its start, following a trail of choices (which
/// thread steps, which store it finds), and the next one differs in the last choice that has an
/// alternative left. Executions that come to a state seen before, in another order of steps,
/// are cut short there. A run without a fault and without `preemptionsMax` has seen every
/// behaviour of the case; with it, every behaviour with that many preemptions.
///
/// Nothing is random: the same case gives the same executions, and a fault comes with the trace
/// that led to it.
///
/// A thread's body must depend on nothing but what it reads from the model, and hold no object
/// of its own across an operation: executions that are cut short are forgotten, not unwound.
final class Model {
  struct Result: CustomStringConvertible {
    var executions = 0
    var cutShort = 0
    var states = 0
    var fault: Fault?
    /// The steps that led to the fault.
    var trace: [String] = []

    var description: String {
      var text = "\(executions) executions, \(cutShort) cut short, \(states) states"
      if let fault { text += "\n\(fault)\n" + trace.joined(separator: "\n") }
      return text
    }
  }

  private final class Thread {
    let name: String
    let mayRest: Bool
    let body: () -> Void
    let fiber: OpaquePointer
    var pending: Operation?
    var found: UInt = 0
    var records: [UInt] = []

    init(_ name: String, mayRest: Bool, _ body: @escaping () -> Void) {
      self.name = name
      self.mayRest = mayRest
      self.body = body
      fiber = model_fiber_new()
      records.reserveCapacity(64)
    }

    deinit { model_fiber_free(fiber) }
  }

  /// One point of the trail: the choices not yet followed, the last of which is being followed.
  private struct Choice {
    var open: [(thread: Int, place: Int)]
  }

  /// Larger cases: a bound on how often a thread that could go on is interrupted.
  var preemptionsMax = Int.max
  /// A case that isn't done by then is too large, which is a fault of the case.
  var executionsMax = 2_000_000
  var stepsMax = 400
  /// How many failed attempts of each thread are really made again.
  var retriesMax = 0
  /// Attempts read words again to see whether they have changed: such a one may go otherwise the
  /// next time, though what it read last was the newest.
  var looksTwice = false
  var weakening: Weakening?

  /// What words hold before the first step, where that isn't 0.
  var initial: [Int: UInt] = [:]
  /// Words that nobody writes in this case: to read one is no step. To write one is a fault of the
  /// case.
  var constants: Range<Int> = 0..<0

  private let words: Int
  private var threads: [Thread] = []
  private var finally: (([[UInt]]) -> String?) = { _ in nil }
  private var state: ModelState
  private var current = 0
  private var fault: Fault?
  private var trail: [Choice] = []
  private var steps: [(thread: Int, operation: Operation, place: Int, found: UInt)] = []

  /// A model of `words` zeroed words.
  init(words: Int) {
    self.words = words
    state = ModelState(words: words, threads: 0, retriesMax: 0)
  }

  // MARK: The case

  var memory: ModelMemory { ModelMemory(model: self, origin: 0) }

  /// `mayRest`: it serves the others for ever, so that it is no fault if it sleeps in the end.
  func thread(_ name: String, mayRest: Bool = false, _ body: @escaping () -> Void) {
    precondition(threads.count < Clock.threadsMax)
    threads.append(Thread(name, mayRest: mayRest, body))
  }

  /// Judges an execution that came to its end by what its threads recorded; a text is a fault.
  func finally(_ judge: @escaping ([[UInt]]) -> String?) { finally = judge }

  /// What a word ends with, for the judge.
  func newest(_ word: Int) -> UInt { state.newest(word) }

  // MARK: What a thread of the case may call

  func record(_ value: UInt) { threads[current].records.append(value) }

  /// Tries something until it succeeds, with other threads' help.
  ///
  /// One attempt stands for all: an execution in which it fails because it read an old value ends
  /// there, for there is another one in which it reads the new value straight away. One in which
  /// it fails although it read the newest of all when nobody else can go on is a fault: it would
  /// spin for ever. (A failed attempt must leave nothing behind that a second one reads; what it
  /// leaves to other threads is explored.) With `retriesMax`, that many second attempts of each
  /// thread are really made.
  func attempt<Value>(_ body: () -> Value?) -> Value {
    while true {
      state.beginAttempt(current)
      if let value = body() { return value }
      _ = step(Operation(kind: .giveUp, order: .relaxed, word: 0))
    }
  }

  /// The kernel's part of waking a loop. It orders nothing, so no brick can lean on it.
  func wake(_ word: Int) { _ = step(Operation(kind: .wake, order: .relaxed, word: word)) }
  func sleep(_ word: Int) { _ = step(Operation(kind: .sleep, order: .relaxed, word: word)) }

  /// A way for messages that is known to be sound, in a step each: `post` adds to the word, with
  /// release; `receive` waits until it isn't 0, and takes it, with acquire.
  func post(_ word: Int, _ value: UInt) {
    _ = step(Operation(kind: .wake, order: .release, word: word, value: value))
  }
  func receive(_ word: Int) -> UInt {
    step(Operation(kind: .sleep, order: .acquire, word: word))
  }

  func fence(_ order: Operation.Order) {
    _ = step(Operation(kind: .fence, order: order, word: 0))
  }

  func fail(_ message: String) { stop(.failure(message)) }

  // MARK: What the memory calls for the running thread

  func step(_ operation: Operation) -> UInt {
    var operation = operation
    if operation.kind != .fence, constants.contains(operation.word) {
      if operation.kind == .load { return initial[operation.word] ?? 0 }
      stop(.failure("word \(operation.word) is a constant of this case"))
    }
    if let weakening { operation.order = weakening.order(for: operation) }
    let thread = threads[current]
    thread.pending = operation
    model_fiber_park(thread.fiber)
    return thread.found
  }

  func plainRead(_ word: Int) -> UInt {
    if let value = state.plainRead(word, by: current) { return value }
    stop(.race("\(threads[current].name) reads word \(word) while another writes it"))
    return 0
  }

  func plainWrite(_ word: Int, _ value: UInt) {
    if state.plainWrite(word, value, by: current) { return }
    stop(.race("\(threads[current].name) writes word \(word) while another uses it"))
  }

  func loadOwn(_ word: Int) -> UInt {
    if let value = state.loadOwn(word, by: current) { return value }
    stop(.failure("word \(word) is not \(threads[current].name)'s own"))
    return 0
  }

  /// Ends the execution here: the running thread never goes on.
  private func stop(_ found: Fault) {
    if fault == nil { fault = found }
    while true { model_fiber_park(threads[current].fiber) }
  }

  // MARK: All executions

  func explore() -> Result {
    state = ModelState(
      words: words, threads: threads.count, retriesMax: retriesMax, initial: initial,
      looksTwice: looksTwice)
    trail.removeAll()
    let visited = VisitedStates()
    var result = Result()
    repeat {
      let ended = runOnce(visited)
      if ended { result.executions += 1 } else { result.cutShort += 1 }
      if fault == nil && result.executions + result.cutShort >= executionsMax {
        fault = .limit("more than \(executionsMax) executions")
      }
      if let fault {
        result.fault = fault
        result.trace = steps.map(line)
        break
      }
    } while backtrack()
    result.states = visited.count
    return result
  }

  private func backtrack() -> Bool {
    while let last = trail.indices.last {
      trail[last].open.removeLast()
      if !trail[last].open.isEmpty { return true }
      trail.removeLast()
    }
    return false
  }

  private func start() {
    fault = nil
    state.reset()
    steps.removeAll(keepingCapacity: true)
    for (index, thread) in threads.enumerated() {
      thread.pending = nil
      thread.records.removeAll(keepingCapacity: true)
      model_fiber_reset(
        thread.fiber,
        { context in
          Unmanaged<Thread>.fromOpaque(context!).takeUnretainedValue().body()
        }, Unmanaged.passUnretained(thread).toOpaque())
      resume(index)
    }
  }

  private func resume(_ index: Int) {
    current = index
    threads[index].pending = nil
    model_fiber_resume(threads[index].fiber)
  }

  /// `false` when it came to a state that has been explored.
  private func runOnce(_ visited: VisitedStates) -> Bool {
    start()
    var depth = 0
    var last = -1
    var preemptions = 0
    while fault == nil {
      if depth == trail.count {
        var fingerprint = state.fingerprint
        if preemptionsMax != Int.max {
          fingerprint = stirred(fingerprint, UInt64((last + 1) << 8 | preemptions))
        }
        if !visited.insert(fingerprint) { return false }
        var open = choices(last, mayPreempt: preemptions < preemptionsMax)
        if open.isEmpty { return judge() }
        if preemptionsMax == Int.max {
          // Most steps lead to a state that is known: no need to run there to find out.
          open.removeAll { thread, place in
            visited.contains(
              state.fingerprint(after: threads[thread].pending!, thread: thread, place))
          }
          if open.isEmpty { return false }
        }
        trail.append(Choice(open: open))
      }
      let (thread, place) = trail[depth].open[trail[depth].open.count - 1]
      if last >= 0 && thread != last && canGoOn(last) { preemptions += 1 }
      depth += 1
      if depth > stepsMax {
        fault = .limit("more than \(stepsMax) steps")
        break
      }
      let operation = threads[thread].pending!
      let found = state.perform(operation, thread: thread, place)
      steps.append((thread, operation, place, found))
      threads[thread].found = found
      last = thread
      resume(thread)
    }
    return true
  }

  private func canGoOn(_ thread: Int) -> Bool {
    guard let pending = threads[thread].pending else { return false }
    return state.isEnabled(pending, thread: thread)
  }

  private func choices(_ last: Int, mayPreempt: Bool) -> [(thread: Int, place: Int)] {
    var choices: [(thread: Int, place: Int)] = []
    var places: [Int] = []
    let bound = !mayPreempt && last >= 0 && canGoOn(last)
    for index in 0..<threads.count {
      if bound && index != last { continue }
      guard let pending = threads[index].pending, state.isEnabled(pending, thread: index)
      else { continue }
      places.removeAll(keepingCapacity: true)
      state.places(pending, thread: index, &places)
      for place in places { choices.append((index, place)) }
    }
    return choices
  }

  /// At the end of an execution: nobody can go on. `false` when a thread would go on if it tried
  /// once more, so that this is no end.
  private func judge() -> Bool {
    for (index, thread) in threads.enumerated()
    where thread.pending?.kind == .giveUp && state.missedSomething(index) {
      return false
    }
    let stuck =
      threads
      .filter { $0.pending != nil && !($0.mayRest && $0.pending!.kind == .sleep) }
      .map { "\($0.name) waits in \($0.pending!.kind)" }
    if !stuck.isEmpty {
      fault = .deadlock(stuck.joined(separator: ", "))
    } else if let message = finally(threads.map(\.records)) {
      fault = .failure(message)
    }
    return true
  }

  private func line(
    _ step: (thread: Int, operation: Operation, place: Int, found: UInt)
  ) -> String {
    let operation = step.operation
    var text = "\(threads[step.thread].name): \(operation.kind).\(operation.order)"
    switch operation.kind {
    case .fence, .giveUp: return text
    case .load, .sleep: text += " [\(operation.word)]"
    case .store, .exchange, .wake: text += " [\(operation.word)] = \(operation.value)"
    case .compareExchange:
      text += " [\(operation.word)] \(operation.expected) -> \(operation.value)"
    }
    return operation.kind == .store
      ? text + " behind place \(step.place)" : text + ", found \(step.found)"
  }
}
