import AloftEngine
import AloftQueue
import AloftSupervision
public import CAloft

// `aloft/supervision.h` is the manual of all of these.

/// What an `aloft_supervisor` points to.
@safe
private final class SupervisorBox: @unchecked Sendable {
  // @unchecked: `stocks` is touched on the loop's thread alone; all else is immutable.
  let supervisor: Supervisor
  let loops: [EventLoop]
  var stocks: [Program: ProcessStock] = [:]

  struct Program: Hashable {
    var spawn: ProcessSpawn
    var spares: Int
  }

  init(_ supervisor: Supervisor, _ loops: [EventLoop]) {
    self.supervisor = supervisor
    self.loops = loops
  }

  static func of(_ pointer: OpaquePointer?) throws(Failure) -> SupervisorBox {
    guard let pointer = unsafe pointer else { throw .null("supervisor") }
    return unsafe Unmanaged<SupervisorBox>.fromOpaque(UnsafeRawPointer(pointer))
      .takeUnretainedValue()
  }

  func stock(_ plan: ProcessPlan) -> ProcessStock {
    let program = Program(spawn: plan.spawn, spares: plan.spares)
    if let known = stocks[program] { return known }
    let stock = ProcessStock(plan.spawn, spares: plan.spares, on: supervisor.loop)
    stocks[program] = stock
    stock.refill()
    return stock
  }

  func closeStocks() {
    for stock in stocks.values { stock.close() }
    stocks = [:]
  }

  /// Has `body` work on the supervisor's loop, and on the child of that name.
  func withChild(
    _ name: UnsafePointer<CChar>?,
    _ body: @escaping @Sendable (Supervisor, ChildID) throws(Failure) -> Int32
  ) throws(Failure) -> Int32 {
    let name = unsafe try readChildName(name)
    return try supervisor.loop.done { [supervisor] (_) throws(Failure) in
      guard let id = supervisor.find(name) else {
        throw Failure(Code.noName, "the supervisor has no child \"\(name)\"")
      }
      return try body(supervisor, id)
    }
  }

  /// An order that may have nothing to do.
  func order(
    _ name: UnsafePointer<CChar>?, _ body: @escaping @Sendable (Supervisor, ChildID) -> Bool
  ) throws(Failure) -> Int32 {
    unsafe try withChild(name) { (supervisor, id) throws(Failure) in
      guard body(supervisor, id) else {
        throw Failure(Code.busy, "the child is not in the state for that, or its supervisor ends")
      }
      return Code.success
    }
  }

  func add(
    _ child: any SupervisedChild, _ kind: ChildKind
  ) throws(Failure) {
    do throws(EngineError) {
      try supervisor.add(child, kind)
    } catch {
      throw Failure(error)
    }
  }
}

private func readChildName(_ name: UnsafePointer<CChar>?) throws(Failure) -> String {
  guard let name = unsafe name else { throw .null("name") }
  let text = unsafe String(cString: name)
  guard 1...Int(ALOFT_NAME_BYTES_MAX) ~= text.utf8.count else {
    throw Failure(
      text.isEmpty ? Code.invalid : Code.nameTooLong,
      "a name has 1 to \(ALOFT_NAME_BYTES_MAX) bytes; this one has \(text.utf8.count)")
  }
  return text
}

/// A C function that hears what happens.
@safe
private final class EventCall: @unchecked Sendable {
  // @unchecked: immutable; the function and its context are the application's to keep safe.
  private let function: aloft_supervisor_event
  private let context: UnsafeMutableRawPointer?

  init(_ function: aloft_supervisor_event, _ context: UnsafeMutableRawPointer?) {
    unsafe self.function = unsafe function
    unsafe self.context = unsafe context
  }

  func tell(_ event: SupervisorEvent) {
    switch event {
    case .started(let name, _):
      tell(ALOFT_CHILD_STARTED, name ?? "", Code.success, 0)
    case .restarting(let name, _, let error, let wait):
      tell(ALOFT_CHILD_RESTARTING, name ?? "", Failure.code(of: error), wait)
    case .ended(let end, let error):
      if case .shutDown = end { return tell(ALOFT_SUPERVISOR_ENDED, nil, Code.success, 0) }
      LastError.set(describe(end, error))
      tell(ALOFT_SUPERVISOR_ENDED, nil, Code.failed, 0)
    }
  }

  private func tell(_ event: Int, _ name: String?, _ code: Int32, _ wait: UInt64) {
    guard let name else { return unsafe function(Int32(event), nil, code, wait, context) }
    unsafe name.withCString { unsafe function(Int32(event), $0, code, wait, context) }
  }
}

@c @implementation
public func aloft_supervisor_create(
  _ runtime: OpaquePointer!, _ loop: UInt32, _ options: UnsafePointer<aloft_supervisor_options>!,
  _ on_event: aloft_supervisor_event!, _ context: UnsafeMutableRawPointer!,
  _ supervisor: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    let target = try runtime.loop(at: loop)
    let options = unsafe try readSupervisorOptions(options)
    guard let supervisor = unsafe supervisor else { throw .null("supervisor") }
    let call = unsafe on_event.map { unsafe EventCall($0, context) }
    let made = Supervisor(on: target, options: options, seed: .random(in: 0 ... .max))
    let box = SupervisorBox(made, runtime.loops)
    try target.done { (_) throws(Failure) in
      made.observer = { [weak box] event in
        if case .ended = event { box?.closeStocks() }
        call?.tell(event)
      }
      made.begin()
    }
    unsafe supervisor.pointee = unsafe OpaquePointer(Unmanaged.passRetained(box).toOpaque())
    return Code.success
  }
}

@c @implementation
public func aloft_supervisor_destroy(
  _ supervisor: OpaquePointer!, _ done: aloft_task!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try SupervisorBox.of(supervisor)
    let call = unsafe done.map { unsafe TaskCall($0, context) }
    box.supervisor.loop.executeUnrefused {
      box.supervisor.shutDown {
        box.closeStocks()
        call?.run()
      }
    }
    unsafe Unmanaged.passUnretained(box).release()
    return Code.success
  }
}

// MARK: Children

@c @implementation
public func aloft_supervisor_add_worker(
  _ supervisor: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ loop: UInt32,
  _ options: UnsafePointer<aloft_worker_options>!,
  _ callbacks: UnsafePointer<aloft_worker_callbacks>!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try SupervisorBox.of(supervisor)
    let name = unsafe try readChildName(name)
    guard loop < box.loops.count else {
      throw Failure(Code.noEntry, "there is no loop \(loop); the runtime has \(box.loops.count)")
    }
    let (options, kind) = unsafe try readWorkerOptions(options)
    do throws(EngineError) {
      try options.mailbox.check()
    } catch {
      throw Failure(error)
    }
    let shared = unsafe try WorkerCallbacks(callbacks, context)
    try box.supervisor.loop.done { (_) throws(Failure) in
      let worker = MailboxWorker(
        name: name, on: box.loops[Int(loop)], options: options,
        make: { CallbackWorker(shared) })
      try box.add(worker, kind)
    }
    return Code.success
  }
}

@c @implementation
public func aloft_supervisor_add_process(
  _ supervisor: OpaquePointer!, _ name: UnsafePointer<CChar>!,
  _ options: UnsafePointer<aloft_process_options>!,
  _ callbacks: UnsafePointer<aloft_process_callbacks>!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try SupervisorBox.of(supervisor)
    let name = unsafe try readChildName(name)
    let plan = unsafe try ProcessPlan(options)
    let behavior = unsafe try CallbackProcess(callbacks, context)
    try box.supervisor.loop.done { (loop) throws(Failure) in
      let worker = ProcessWorker(
        name: name, stock: box.stock(plan), options: plan.options, behavior: behavior, on: loop)
      try box.add(worker, plan.kind)
    }
    return Code.success
  }
}

@c @implementation
public func aloft_supervisor_mailbox(
  _ supervisor: OpaquePointer!, _ name: UnsafePointer<CChar>!,
  _ mailbox: UnsafeMutablePointer<aloft_mailbox>!
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try SupervisorBox.of(supervisor)
    guard let mailbox = unsafe mailbox else { throw .null("mailbox") }
    let found = unsafe UncheckedTarget(mailbox)
    return unsafe try box.withChild(name) { (supervisor, id) throws(Failure) in
      let child = supervisor.child(id)
      let word = (child as? MailboxWorker)?.mailbox ?? (child as? ProcessWorker)?.mailbox
      guard let word else {
        throw Failure(Code.closed, "the child has not been started yet, or is down")
      }
      found.set(aloft_mailbox(id: word.rawValue))
      return Code.success
    }
  }
}

/// Where an answer goes: the caller waits meanwhile.
@safe
private struct UncheckedTarget<Value>: @unchecked Sendable {
  // @unchecked: the caller's memory, which it doesn't touch while it waits.
  private let pointer: UnsafeMutablePointer<Value>
  init(_ pointer: UnsafeMutablePointer<Value>) { unsafe self.pointer = unsafe pointer }
  func set(_ value: Value) { unsafe pointer.pointee = value }
}

@c @implementation
public func aloft_supervisor_pid(
  _ supervisor: OpaquePointer!, _ name: UnsafePointer<CChar>!
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try SupervisorBox.of(supervisor)
    return unsafe try box.withChild(name) { (supervisor, id) throws(Failure) in
      (supervisor.child(id) as? ProcessWorker)?.pid ?? 0
    }
  }
}

@c @implementation
public func aloft_supervisor_stop(
  _ supervisor: OpaquePointer!, _ name: UnsafePointer<CChar>!
) -> Int32 {
  reporting { () throws(Failure) in
    unsafe try SupervisorBox.of(supervisor).order(name) { $0.stopChild($1) }
  }
}

@c @implementation
public func aloft_supervisor_start(
  _ supervisor: OpaquePointer!, _ name: UnsafePointer<CChar>!
) -> Int32 {
  reporting { () throws(Failure) in
    unsafe try SupervisorBox.of(supervisor).order(name) { $0.startChild($1) }
  }
}

@c @implementation
public func aloft_supervisor_restart(
  _ supervisor: OpaquePointer!, _ name: UnsafePointer<CChar>!
) -> Int32 {
  reporting { () throws(Failure) in
    unsafe try SupervisorBox.of(supervisor).order(name) { $0.restartChild($1) }
  }
}

@c @implementation
public func aloft_supervisor_remove(
  _ supervisor: OpaquePointer!, _ name: UnsafePointer<CChar>!
) -> Int32 {
  reporting { () throws(Failure) in
    unsafe try SupervisorBox.of(supervisor).order(name) { $0.removeChild($1) }
  }
}

@c @implementation
public func aloft_supervisor_statistics_get(
  _ supervisor: OpaquePointer!, _ statistics: UnsafeMutablePointer<aloft_supervisor_statistics>!
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try SupervisorBox.of(supervisor)
    guard let statistics = unsafe statistics else { throw .null("statistics") }
    let sum = try box.supervisor.loop.done { (_) throws(Failure) in
      var sum = aloft_supervisor_statistics()
      sum.children = UInt64(box.supervisor.childCount)
      sum.restarts = box.supervisor.restarts
      sum.spares = UInt64(box.stocks.values.reduce(0) { $0 + $1.spareCount })
      return sum
    }
    try unsafe write(sum, to: statistics, "aloft_supervisor_statistics")
    return Code.success
  }
}
