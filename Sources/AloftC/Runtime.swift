package import AloftEngine
import AloftUV
import CAloft
import CUV
import Glibc
import Synchronization

/// What an `aloft_runtime` points to.
@safe
package final class Runtime: @unchecked Sendable {
  // @unchecked: `onEnded` is written before the loops hear of the end, which alone read it.
  package let loops: [EventLoop]
  let options: LoopGroupOptions
  package let listeners: ListenerTable
  package let names: Names
  /// Nil for an attached runtime.
  private let group: LoopGroup?
  private let isShutDown = Atomic<Bool>(false)
  private let hasEnded = Atomic<Bool>(false)
  private let draining: Atomic<Int>
  private let ended = Gate()
  private var onEnded: (task: aloft_task, context: UnsafeMutableRawPointer?)?
  /// The thread that is calling `onEnded`, which is no loop's any more.
  private let notifier = Atomic<UInt>(0)

  init(_ options: LoopGroupOptions) throws(Failure) {
    guard !Fork.isChild else { throw .forked }
    let group = try translating { () throws(EngineError) in try LoopGroup(options) }
    self.options = options
    self.group = group
    loops = group.loops
    names = group.names
    listeners = ListenerTable()
    draining = Atomic(loops.count)
    unsafe onEnded = nil
    // The threads are joined before the runtime is freed, so neither this nor the closures below
    // are called later. Holding it would make a circle through the loops.
    group.whenEnded { [unowned self] in didEnd() }
  }

  init(host: UnsafeMutablePointer<uv_loop_s>, _ options: LoopGroupOptions) throws(Failure) {
    guard !Fork.isChild else { throw .forked }
    guard EventLoop.current == nil else {
      throw Failure(Code.wrongThread, "the thread is an event loop's already")
    }
    let hosted = try translating { () throws(EngineError) in
      unsafe try HostedLoop(host: host, options)
    }
    self.options = options
    group = nil
    loops = [hosted.loop]
    names = hosted.names
    listeners = ListenerTable()
    draining = Atomic(1)
    unsafe onEnded = nil
    hosted.whenEnded { [unowned self] in didEnd() }
  }

  /// The runtime behind a pointer of the application's.
  package static func of(_ pointer: OpaquePointer?) throws(Failure) -> Runtime {
    guard let pointer = unsafe pointer else { throw .null("runtime") }
    guard !Fork.isChild else { throw .forked }
    return unsafe Unmanaged<Runtime>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }

  /// Hands it to the application, until `destroy`.
  func handOut() -> OpaquePointer {
    unsafe OpaquePointer(Unmanaged.passRetained(self).toOpaque())
  }

  // MARK: Threads

  /// The loop whose thread this is, if it is one of ours.
  var here: EventLoop? {
    guard let current = EventLoop.current, current.position < loops.count,
      loops[current.position] === current
    else { return nil }
    return current
  }

  func onLoop() throws(Failure) -> EventLoop {
    guard let loop = here else {
      throw Failure(Code.wrongThread, "the thread is none of the runtime's event loops'")
    }
    return loop
  }

  package func loop(at index: UInt32) throws(Failure) -> EventLoop {
    guard index < loops.count else {
      throw Failure(Code.noEntry, "there is no loop \(index); the runtime has \(loops.count)")
    }
    return loops[Int(index)]
  }

  // MARK: The end

  func shutDown(
    drainMax: UInt32, _ task: aloft_task?, _ context: UnsafeMutableRawPointer?
  ) throws(Failure) {
    guard !isShutDown.exchange(true, ordering: .acquiringAndReleasing) else { throw .shutDown }
    if let task = unsafe task { unsafe onEnded = unsafe (task, context) }
    if drainMax == 0 {
      stop()
      return
    }
    for loop in loops { loop.executeUnrefused { [unowned self] in drain(loop, drainMax) } }
  }

  private func drain(_ loop: EventLoop, _ most: UInt32) {
    loop.whenEmpty { [unowned self] in
      let left = draining.subtract(1, ordering: .acquiringAndReleasing).newValue
      if left == 0 { stop() }
    }
    let timer = loop.startTimer(afterMilliseconds: UInt64(most)) { [unowned self] in stop() }
    // Without a timer there would be no deadline.
    if timer == nil { stop() }
    loop.drain()
  }

  private func stop() {
    for loop in loops { loop.requestStop() }
  }

  private func didEnd() {
    hasEnded.store(true, ordering: .releasing)
    if let end = unsafe onEnded {
      notifier.store(UInt(pthread_self()), ordering: .relaxed)
      unsafe end.task(Code.success, end.context)
      // An attached runtime may have been destroyed by the call, but is held by the caller.
      notifier.store(0, ordering: .relaxed)
    }
    ended.open()
  }

  func wait() throws(Failure) {
    guard group != nil else {
      throw Failure(Code.unsupported, "an attached runtime ends in the application's own uv_run")
    }
    guard EventLoop.current == nil, notifier.load(ordering: .relaxed) != UInt(pthread_self()) else {
      throw Failure(Code.wrongThread, "an event loop's thread can't wait for an end")
    }
    ended.wait()
  }

  /// Ends what still runs; the last reference of the application's goes.
  func destroy() throws(Failure) {
    if let group {
      guard here == nil, notifier.load(ordering: .relaxed) != UInt(pthread_self()) else {
        throw Failure(Code.wrongThread, "the thread is one of the runtime's own")
      }
      isShutDown.store(true, ordering: .releasing)
      group.stopAndJoin()
    } else if !hasEnded.load(ordering: .acquiring) {
      throw Failure(
        Code.busy, "the attached runtime has not ended: shut it down and go on with uv_run")
    }
    unsafe Unmanaged.passUnretained(self).release()
  }

  package var isEnding: Bool { isShutDown.load(ordering: .acquiring) }
}

/// Something that the application wants done, told exactly once: that it is time, or that it will
/// never be.
@safe
final class TaskCall: @unchecked Sendable {
  // @unchecked: the thread that sends it, then the one that runs or discards it.
  private let task: aloft_task
  private let context: UnsafeMutableRawPointer?
  private var isOwed = true

  init(_ task: aloft_task, _ context: UnsafeMutableRawPointer?) {
    unsafe self.task = unsafe task
    unsafe self.context = unsafe context
  }

  deinit { if isOwed { unsafe task(Code.shutDown, context) } }

  func run() {
    isOwed = false
    unsafe task(Code.success, context)
  }

  /// It was not sent: nobody is owed a call.
  func forget() { isOwed = false }
}
