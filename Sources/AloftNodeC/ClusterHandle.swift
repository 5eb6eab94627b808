import AloftC
import AloftCluster
import AloftEngine
import AloftMembership
import Synchronization

/// What an `aloft_node` points to.
@safe
final class ClusterHandle: @unchecked Sendable {
  // @unchecked: what may change is touched on the node's loop alone, or is atomic. `runtime` is the
  // application's to keep, until it has destroyed the node.
  let loop: EventLoop
  private unowned let runtime: Runtime
  private var listener = 0
  private var doorListener: Int?
  let callbacks: NodeCallbacks
  let owners = SlotOwners()
  /// Written before the application has the pointer.
  private(set) var address = ""
  /// Nil before the beginning and after the end.
  private(set) var node: ClusterNode?
  /// Calls that may be given up, by the number that the application has.
  var calls: [UInt64: (call: CallID, answer: OwedAnswer)] = [:]
  let callsNamed = Atomic<UInt64>(0)
  private var leaving: [OwedCode] = []
  /// Why it ends, unless it was asked to.
  private var end: Failure?
  private let hasStopped = Atomic<Bool>(false)
  private let stopped = Gate()

  init(_ runtime: Runtime, _ loop: EventLoop, _ callbacks: NodeCallbacks) {
    self.runtime = runtime
    self.loop = loop
    self.callbacks = callbacks
  }

  // MARK: The application's pointer

  static func of(_ pointer: OpaquePointer?) throws(Failure) -> ClusterHandle {
    guard let pointer = unsafe pointer else { throw .null("node") }
    return unsafe Unmanaged<ClusterHandle>.fromOpaque(UnsafeRawPointer(pointer))
      .takeUnretainedValue()
  }

  func handOut() -> OpaquePointer {
    unsafe OpaquePointer(Unmanaged.passRetained(self).toOpaque())
  }

  var pointer: OpaquePointer {
    unsafe OpaquePointer(Unmanaged.passUnretained(self).toOpaque())
  }

  // MARK: The beginning

  /// On the loop.
  func begin(_ options: NodeOptions) throws(Failure) {
    guard !runtime.isEnding else { throw .shutDown }
    listener = try runtime.listeners.claim()
    if options.cluster.sessionListen != nil {
      do throws(Failure) {
        doorListener = try runtime.listeners.claim()
      } catch {
        runtime.listeners.free(listener)
        throw error
      }
    }
    let node: ClusterNode
    do throws(NodeError) {
      node = try ClusterNode(
        options.cluster, on: loop, names: runtime.names, listener: UInt16(listener),
        doorListener: doorListener.map { UInt16($0) })
    } catch {
      closeListeners()
      throw Failure(Code.node, error.description)
    }
    self.node = node
    address = node.address.description
    owners.set(node.core.state.slots)
    node.onEvent = { [self] event in happened(event) }
    node.channelTaker = self
    if callbacks.servesCalls {
      unsafe node.onCall = { [self] call, bytes in
        // Other kinds are for what a Swift node has beyond this one.
        if call.kind == 0 { return unsafe callbacks.call(pointer, call, bytes) }
        _ = unsafe self.node?.refuse(
          call, code: 1, UnsafeRawBufferPointer(start: nil, count: 0))
      }
      node.onCancelled = { [self] call in unsafe callbacks.cancelled(pointer, call) }
    }
    // What happened before anybody could be told.
    if let reason = node.endReason { return happened(.stopped(reason)) }
    if node.core.status.isMember { return happened(.joined(node.core.identity)) }
    _ = loop.startTimer(
      afterMilliseconds: options.joinLimit, period: 0, beyondLimit: true
    ) { [self] in
      guard let node = self.node, !node.core.status.isMember else { return }
      end = Failure(
        Code.timedOut,
        "it was not let in in time: is a seed's address right, and a majority up?")
      stop()
    }
  }

  private func happened(_ event: NodeEvent) {
    switch event {
    case .slotsChanged, .joined:
      if let node { owners.set(node.core.state.slots) }
    case .stopped(let reason):
      if reason == .left {
        for done in leaving { done.tell(nil) }
        leaving = []
      } else {
        end = Failure(Code.node, reason.text)
      }
      return stop()
    default: break
    }
    unsafe callbacks.event(pointer, event)
  }

  // MARK: The end

  /// On the loop; `on_stopped` follows when the directory is free.
  func stop() {
    node?.stop { [self] in
      guard node != nil else { return }
      // Not from within the call that stops it, nor while a call of the application's is under way.
      loop.executeUnrefused { [self] in didStop() }
    }
  }

  private func closeListeners() {
    for number in [listener, doorListener] {
      guard let number else { continue }
      loop.closeListener(UInt16(number))
      runtime.listeners.free(number)
    }
  }

  private func didStop() {
    guard node != nil else { return }
    node?.channelTaker = nil
    node = nil
    let (left, called) = (leaving, calls)
    leaving = []
    calls = [:]
    for done in left { done.tell(.stopped) }
    for (_, call) in called { call.answer.tell(.stopped) }
    closeListeners()
    hasStopped.store(true, ordering: .releasing)
    unsafe callbacks.stopped(pointer, end)
    stopped.open()
  }

  /// Leaves, and tells `done` when it has, or why it hasn't.
  func leave(within milliseconds: UInt64, _ done: OwedCode) {
    guard let node else { return done.tell(.stopped) }
    leaving.append(done)
    node.request(.leave) { [self] outcome in
      guard let failure = Failure(outcome) else { return }
      giveUp(done, failure)
    }
    _ = loop.startTimer(
      afterMilliseconds: milliseconds, period: 0, beyondLimit: true
    ) { [self] in
      giveUp(done, Failure(Code.timedOut, "its part has not moved to the others in time"))
    }
  }

  private func giveUp(_ done: OwedCode, _ failure: Failure) {
    leaving.removeAll { $0 === done }
    done.tell(failure)
  }

  func destroy() throws(Failure) {
    if EventLoop.current != nil {
      guard hasStopped.load(ordering: .acquiring) else {
        throw Failure(
          Code.busy, "the node has not stopped: aloft_node_stop, and destroy it from on_stopped on")
      }
    } else {
      if !hasStopped.load(ordering: .acquiring) {
        try loop.ask { [self] () throws(Failure) in stop() }
      }
      stopped.wait()
    }
    unsafe Unmanaged.passUnretained(self).release()
  }
}

extension Failure {
  static let stopped = Failure(Code.closed, "the node has stopped")

  /// Nil for what was done.
  init?(_ outcome: RequestOutcome) {
    guard let text = outcome.text else { return nil }
    let code =
      switch outcome {
      case .done: Code.success
      case .refused: Code.refused
      case .unknownName: Code.noName
      case .busy: Code.wouldBlock
      case .unknown: Code.undecided
      }
    self.init(code, text)
  }
}
