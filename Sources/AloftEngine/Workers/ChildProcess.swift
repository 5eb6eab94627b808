import Glibc

/// What a process's owner is told, on the loop.
package protocol ChildProcessOwner: AnyObject {
  /// A message from the process: one frame of its channel. Valid until the call returns.
  func received(_ process: ChildProcess, _ bytes: UnsafeRawBufferPointer)
  /// There is room again after a `wouldBlock`.
  func writable(_ process: ChildProcess)
  /// The last call.
  func ended(_ process: ChildProcess, _ end: ProcessEnd)
}

/// A running process of one loop, and the channel to it: frames of four bytes of length,
/// big-endian, and as many bytes, both ways.
@safe
package final class ChildProcess: ConnectionHandler, @unchecked Sendable {
  // @unchecked: touched on its loop's thread only.
  package let pid: Int32
  private unowned let loop: EventLoop
  private let handle: UInt
  private let tag: UInt64
  private var connection: ConnectionID?
  private var isRunning = true
  package weak var owner: (any ChildProcessOwner)?

  /// Most bytes of a frame in either direction.
  package static let frameMax: UInt32 = 16 << 20

  /// Starts it.
  /// - Throws: `system` with the errno value of what failed, `execve` included.
  package static func start(_ spawn: ProcessSpawn, on loop: EventLoop) throws(EngineError)
    -> ChildProcess
  {
    loop.preconditionOnLoop()
    guard let driver = loop.driver as? any ProcessDriver else {
      throw EngineError(.system, errno: ENOSYS, "this event loop's driver starts no processes")
    }
    if unsafe loop.hot.pointee.stopped {
      throw EngineError(.closed, "the event loop has ended")
    }
    loop.workers.lastProcess += 1
    let tag = loop.workers.lastProcess
    switch driver.startProcess(spawn, tag: tag) {
    case .success(let started):
      let process = ChildProcess(started, tag: tag, on: loop)
      loop.workers.processes[tag] = process
      guard process.openChannel(started.channel) else {
        process.end()
        throw EngineError(
          .connectionLimit, errno: ENOSPC,
          "process \(spawn.path): the event loop's \(loop.options.connectionsMax) connections are "
            + "all in use")
      }
      return process
    case .failure(let status), .invalidAddress(let status):
      throw EngineError(
        .system, errno: -status, "process \(spawn.path): \(describeErrno(-status))")
    }
  }

  private init(_ started: StartedProcess, tag: UInt64, on loop: EventLoop) {
    pid = started.pid
    handle = started.handle
    self.tag = tag
    self.loop = loop
    var settings = ConnectionSettings()
    settings.framing = .lengthPrefixed(max: Self.frameMax)
    settings.queuedMax = Self.frameMax + 4
    settings.stallTimeout = 0
    super.init(settings: settings)
  }

  private func openChannel(_ descriptor: Int32) -> Bool {
    switch loop.driver.adopt(descriptor: descriptor) {
    case .success(let slot):
      guard let state = unsafe loop.enter(slot, self, phase: .open) else { return false }
      connection = unsafe loop.id(slot, state.pointee.generation)
      return true
    case .failure, .invalidAddress:
      loop.driver.discard(descriptor: descriptor)
      return false
    }
  }

  private var driver: (any ProcessDriver)? { loop.driver as? any ProcessDriver }

  /// False when it has ended.
  @discardableResult
  package func signal(_ number: Int32) -> Bool {
    guard isRunning, let driver else { return false }
    return driver.signalProcess(handle, number) == 0
  }

  /// All of it, as one frame, or nothing.
  package func write(_ bytes: UnsafeRawBufferPointer) -> WriteResult {
    guard isRunning, let connection else { return .closed }
    return unsafe loop.writeFrame(connection, bytes)
  }

  /// Ends it by force and tells nobody.
  package func end() {
    owner = nil
    if signal(SIGKILL) { return }
    exited(.unknown)
  }

  /// Its end has been seen.
  func exited(_ end: ProcessEnd) {
    guard isRunning else { return }
    isRunning = false
    loop.workers.processes[tag] = nil
    driver?.freeProcess(handle)
    if let connection { loop.reset(connection) }
    connection = nil
    owner?.ended(self, end)
  }

  override package func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    unsafe owner?.received(self, bytes)
  }

  override package func writable(_ id: ConnectionID) { owner?.writable(self) }

  /// It has closed its end; it may live on.
  override package func ended(_ id: ConnectionID) { loop.reset(id) }

  /// One that has broken the framing can't be understood any more, and is ended.
  override package func closed(_ id: ConnectionID, _ reason: CloseReason) {
    connection = nil
    if reason != .local { signal(SIGKILL) }
  }
}

extension EventLoop {
  /// A process's end has come up from the driver.
  func exited(_ event: Event) {
    let tag = UInt64(event.slot) << 32 | UInt64(event.length)
    let end: ProcessEnd =
      event.flags & Event.processExited != 0
      ? .exited(code: event.status)
      : event.flags & Event.processSignaled != 0 ? .signaled(-event.status) : .unknown
    workers.processes[tag]?.exited(end)
  }
}
