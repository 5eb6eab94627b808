public import Aloft
internal import AloftCluster
internal import AloftEngine
internal import AloftMembership
import Synchronization

extension Runtime {
  /// Joins a cluster, or founds one: answers when the node is a member.
  ///
  /// ```swift
  /// var options = NodeOptions(name: "b", keys: [key], data: "/var/lib/service/aloft")
  /// options.seeds = [SocketAddress("127.0.0.1", 7000)]
  /// let node = try await runtime.join(options)
  /// runtime.registry.send(message, to: "orders")   // wherever that name is registered
  /// ```
  /// Any thread. `shutdown` the node before the runtime.
  /// - Parameters:
  ///   - limit: after so long it is given up, and whatever was begun is ended.
  ///   - onEvent: told of what happens to the cluster, on the node's event loop; must not block.
  /// - Throws: ``NodeFailure``, with a sentence that says what to do.
  public func join(
    _ options: NodeOptions, within limit: Duration = .seconds(30),
    onEvent: @escaping @Sendable (Node.Event) -> Void = { _ in }
  ) async throws -> Node {
    let node = try Node(self, options, onEvent)
    try await node.start(within: limit)
    return node
  }
}

/// This process's part in a cluster of nodes: who the others are, and the way to them.
///
/// Members agree on who is in the cluster, who owns what, and who leads, through a log that a
/// majority of them keeps on disk. A node that dies is found out (a closed socket within
/// milliseconds, silence by heartbeats) and its part goes to the others. Who is cut off from the
/// majority stops accepting (`Event.accepting`), and goes on by itself when it is back.
///
/// **Names**: what is registered in the runtime's registry on any node can be sent to from all; the
/// message takes one hop, in order for each sender, at most once. **Threads**: any, unless said
/// otherwise.
public final class Node: Sendable {
  /// The loop that the node's links and callbacks live on.
  public let eventLoop: Aloft.EventLoop
  public let name: String
  /// Which node owns what, for any thread: as of this node's last ``Event/slotsChanged``.
  public let owners = SlotOwners()
  package let runtime: Runtime
  private let options: NodeOptions
  private let listener: Int
  private let doorListener: Int?
  private let onEvent: @Sendable (Event) -> Void
  let box = Mutex<Box>(Box())
  let calls = NodeCalls()
  let channels = NodeChannels()
  private let joining = Waiter()
  private let leaving = Waiter()

  /// The node, which is its loop's alone: it is only passed on here.
  struct Box: @unchecked Sendable {
    // @unchecked: see above.
    var node: ClusterNode?
  }

  init(
    _ runtime: Runtime, _ options: NodeOptions, _ onEvent: @escaping @Sendable (Event) -> Void
  ) throws {
    self.runtime = runtime
    self.options = options
    self.onEvent = onEvent
    name = options.name
    eventLoop = runtime.eventLoops[0]
    listener = try runtime.claimListener()
    doorListener = options.sessionListen == nil ? nil : try runtime.claimListener()
  }

  // MARK: The beginning and the end

  func start(within limit: Duration) async throws {
    let inner = options.inner()
    do {
      try await eventLoop.run { [self] in
        let core = eventLoop.engineLoop
        let node = try ClusterNode(
          inner, on: core, names: runtime.engineNames, listener: UInt16(listener),
          doorListener: doorListener.map { UInt16($0) })
        node.onEvent = { [weak self] in self?.happened($0) }
        node.onCancelled = { [calls] call in calls.cancelled(call) }
        node.callTaker = calls
        calls.set(node)
        channels.set(node)
        box.withLock { $0.node = node }
        // What happened before anybody could be told.
        owners.table.set(node.core.state.slots)
        if let end = node.endReason { joining.end(end.text) }
        if node.core.status.isMember { joining.end(nil) }
      }
    } catch {
      await closeListeners()
      throw (error as? NodeError).map { NodeFailure($0.description) } ?? error
    }
    let failure = await joining.wait(
      "it was not let in within \(limit): is a seed's address right, and a majority up?",
      within: limit, on: eventLoop)
    guard let failure else { return }
    await shutdown()
    throw NodeFailure(failure)
  }

  /// Stops taking part, without leaving: the cluster takes it for dead until it comes back, with
  /// its data directory, under the same name. Idempotent; answers when the directory is free.
  public func shutdown() async {
    let node = box.withLock { box in
      let node = box.node
      box.node = nil
      return Carried(node)
    }
    guard node.value != nil else { return }
    unsafe await withUnsafeContinuation { continuation in
      eventLoop.engineLoop.executeUnrefused { [calls, channels] in
        guard let inner = node.value else { return unsafe continuation.resume() }
        channels.set(nil)
        inner.stop { [calls] in
          calls.set(nil)
          unsafe continuation.resume()
        }
      }
    }
    await closeListeners()
  }

  private func closeListeners() async {
    await runtime.closeListener(listener)
    if let doorListener { await runtime.closeListener(doorListener) }
  }

  /// Leaves the cluster for good: what it owns moves to the others first. Then it shuts down.
  /// - Throws: ``NodeFailure`` when the others could not agree in time; it goes on then.
  public func leave(within limit: Duration = .seconds(30)) async throws {
    try await request(.leave)
    let end = await leaving.wait(
      "its part has not moved to the others within \(limit)", within: limit, on: eventLoop)
    if let end { throw NodeFailure(end) }
    await shutdown()
  }

  struct Carried: @unchecked Sendable {
    // @unchecked: passed on to the loop that the node lives on.
    let value: ClusterNode?
    init(_ value: ClusterNode?) { self.value = value }
  }

  /// Runs `body` with the node on its loop; nil after the end.
  func onLoop<Value: Sendable>(
    _ body: @escaping @Sendable (ClusterNode) -> Value
  ) async -> Value? {
    let node = box.withLock { Carried($0.node) }
    return unsafe await withUnsafeContinuation { continuation in
      eventLoop.engineLoop.executeUnrefused {
        unsafe continuation.resume(returning: node.value.map(body))
      }
    }
  }

  // MARK: The cluster

  /// Where it listens for other nodes.
  public var address: Aloft.SocketAddress {
    get async {
      await onLoop { Aloft.SocketAddress(engineAddress: $0.address) } ?? options.listen
    }
  }

  /// Where it listens for clients of sessions, if it does.
  public var sessionAddress: Aloft.SocketAddress? {
    get async {
      await onLoop { $0.doorAddress.map { Aloft.SocketAddress(engineAddress: $0) } } ?? nil
    }
  }

  /// The cluster as this node knows it.
  public func status() async -> Status? { await onLoop { Status($0.core.status) } }

  /// A node's part of the work moves to others, or comes back.
  public func setDraining(_ name: String, _ isDraining: Bool) async throws {
    try await request(.setDraining(name: name, isDraining))
  }

  /// A node's share of the work, against the others'.
  public func setWeight(_ name: String, _ weight: UInt16) async throws {
    try await request(.setWeight(name: name, weight))
  }

  /// A node that is down won't come back: the others no longer wait for it.
  public func forget(_ name: String) async throws { try await request(.forget(name: name)) }

  private func request(_ request: ClusterRequest) async throws {
    let node = box.withLock { Carried($0.node) }
    let outcome: RequestOutcome = unsafe await withUnsafeContinuation { continuation in
      eventLoop.engineLoop.executeUnrefused {
        guard let inner = node.value else {
          return unsafe continuation.resume(returning: .unknown)
        }
        inner.request(request) { unsafe continuation.resume(returning: $0) }
      }
    }
    if let text = outcome.text { throw NodeFailure(text) }
  }

  // MARK: Events

  /// What happens to the cluster, as this node comes to know of it.
  public enum Event: Sendable, Hashable {
    case joined
    case up(Peer)
    case suspected(Peer)
    case cleared(Peer)
    /// Found out here; the others agree in a moment (`down`).
    case dead(Peer)
    case down(Peer)
    case left(Peer)
    /// Who owns what has changed.
    case slotsChanged
    /// Whether this node accepts: false while no majority is in reach.
    case accepting(Bool)
    /// A connection between nodes did not come about: told once for an address and reason.
    case refused(address: String, reason: String)
    /// It has ended by itself, with the reason.
    case stopped(String)
  }

  /// One life of a node.
  public struct Peer: Sendable, Hashable {
    /// 1 to 255.
    public let node: Int
    public let incarnation: UInt64
  }

  private func happened(_ event: NodeEvent) {
    switch event {
    case .joined: joining.end(nil)
    case .stopped(let end):
      joining.end(end.text)
      leaving.end(end == .left ? nil : end.text)
    case .slotsChanged:
      // Told on the node's loop.
      if let inner = box.withLock({ Carried($0.node) }).value {
        owners.table.set(inner.core.state.slots)
      }
    default: break
    }
    onEvent(Event(event))
  }
}
