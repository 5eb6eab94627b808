import AloftEngine
import AloftQueue
import CAloft

/// The callbacks of a worker child, and its context.
@safe
final class WorkerCallbacks: @unchecked Sendable {
  // @unchecked: immutable; the callbacks and their context are the application's to keep safe.
  let callbacks: aloft_worker_callbacks
  let context: UnsafeMutableRawPointer?

  init(
    _ source: UnsafePointer<aloft_worker_callbacks>?, _ context: UnsafeMutableRawPointer?
  ) throws(Failure) {
    guard let source = unsafe source else { throw .null("callbacks") }
    var callbacks = aloft_worker_callbacks()
    try unsafe read(source, into: &callbacks, "aloft_worker_callbacks")
    self.callbacks = callbacks
    unsafe self.context = unsafe context
  }
}

/// What an `aloft_worker` points to: one state of a worker, from its start to its end.
@safe
final class CallbackWorker: WorkerBehavior {
  private let shared: WorkerCallbacks
  private var state: UnsafeMutableRawPointer?
  private var hasStarted = false
  /// While this is its worker's behaviour.
  private(set) weak var worker: MailboxWorker?

  init(_ shared: WorkerCallbacks) { self.shared = shared }

  deinit {
    if hasStarted { unsafe shared.callbacks.on_free?(state, shared.context) }
  }

  static func of(_ pointer: OpaquePointer?) throws(Failure) -> CallbackWorker {
    guard let pointer = unsafe pointer else { throw .null("worker") }
    return unsafe Unmanaged<CallbackWorker>.fromOpaque(UnsafeRawPointer(pointer))
      .takeUnretainedValue()
  }

  private var pointer: OpaquePointer {
    unsafe OpaquePointer(Unmanaged.passUnretained(self).toOpaque())
  }

  func started(_ worker: MailboxWorker) throws {
    self.worker = worker
    hasStarted = true
    let code = unsafe shared.callbacks.on_start?(pointer, &state, shared.context) ?? 0
    if code < 0 { throw CallbackFailure(code: code) }
  }

  func received(_ worker: MailboxWorker, _ message: consuming Message) throws {
    let code =
      unsafe shared.callbacks.on_message?(pointer, message.block.pointer, state, shared.context)
      ?? 0
    if code < 0 { throw CallbackFailure(code: code) }
  }

  func stopping(_ worker: MailboxWorker) {
    unsafe shared.callbacks.on_stop?(pointer, state, shared.context)
  }

  func linkEnded(_ worker: MailboxWorker, _ id: MailboxID) -> Bool {
    guard let callback = unsafe shared.callbacks.on_link_end else { return false }
    return unsafe callback(pointer, aloft_mailbox(id: id.rawValue), state, shared.context) >= 0
  }
}

/// Tells C callbacks of a process worker.
@safe
final class CallbackProcess: ProcessBehavior, @unchecked Sendable {
  // @unchecked: immutable; the callbacks and their context are the application's to keep safe.
  private let callbacks: aloft_process_callbacks
  private let context: UnsafeMutableRawPointer?

  init(
    _ source: UnsafePointer<aloft_process_callbacks>?, _ context: UnsafeMutableRawPointer?
  ) throws(Failure) {
    guard let source = unsafe source else { throw .null("callbacks") }
    var callbacks = aloft_process_callbacks()
    try unsafe read(source, into: &callbacks, "aloft_process_callbacks")
    self.callbacks = callbacks
    unsafe self.context = unsafe context
  }

  func started(_ worker: ProcessWorker, pid: Int32) {
    unsafe callbacks.on_start?(pid, context)
  }

  func received(_ worker: ProcessWorker, _ bytes: UnsafeRawBufferPointer) {
    unsafe callbacks.on_data?(bytes.baseAddress, bytes.count, context)
  }

  func ended(_ worker: ProcessWorker, _ end: ProcessEnd) {
    switch end {
    case .exited(let code): unsafe callbacks.on_end?(code, 0, context)
    case .signaled(let number): unsafe callbacks.on_end?(0, number, context)
    case .unknown: unsafe callbacks.on_end?(-1, 0, context)
    }
  }
}
