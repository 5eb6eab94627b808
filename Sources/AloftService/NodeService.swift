public import Aloft
public import AloftNode
public import Logging
public import ServiceLifecycle

/// A cluster's node in a service group. It logs what happens to the cluster. At a graceful shutdown
/// its part of the work moves to the others before it stops. When the node ends by itself (a disk
/// that fails), the service ends with that error, so that the group can be started elsewhere.
///
/// ```swift
/// let cluster = try await NodeService(joining: options, on: runtime, logger: logger)
/// let group = ServiceGroup(
///   services: [RuntimeService(runtime), cluster, api], gracefulShutdownSignals: [.sigterm],
///   logger: logger)
/// ```
public struct NodeService: Service {
  /// What a graceful shutdown does to the node's place in the cluster.
  public enum Ending: Sendable, Hashable {
    /// Stops at once: the others take it for dead until it is back.
    case stop
    /// Hands its work to the others, for as long as that may take, and stops. It stays a member,
    /// and takes its share again when it is back. For a restart.
    case drain(within: Duration)
    /// Leaves for good. For a smaller cluster.
    case leave(within: Duration)
  }

  public let node: Node
  private let ending: Ending
  private let logger: Logger
  private let stopped: AsyncStream<String>

  /// Joins the cluster.
  /// - Parameter onEvent: as in `Runtime.join`: on the node's event loop, must not block.
  /// - Throws: `NodeFailure`, as `Runtime.join` does.
  public init(
    joining options: NodeOptions, on runtime: Runtime, within limit: Duration = .seconds(30),
    ending: Ending = .drain(within: .seconds(20)), logger: Logger,
    onEvent: @escaping @Sendable (Node.Event) -> Void = { _ in }
  ) async throws {
    var named = logger
    named[metadataKey: "node"] = .string(options.name)
    self.logger = named
    self.ending = ending
    let (stream, stops) = AsyncStream.makeStream(of: String.self)
    stopped = stream
    node = try await runtime.join(options, within: limit) { [named] event in
      named.log(event)
      if case .stopped(let reason) = event {
        stops.yield(reason)
        stops.finish()
      }
      onEvent(event)
    }
  }

  public func run() async throws {
    // It may have been drained when it stopped last.
    if case .drain = ending, await own?.isDraining == true {
      try await node.setDraining(node.name, false)
    }
    let reason: String?
    do {
      reason = try await endOfItself()
    } catch {
      await node.shutdown()
      throw error
    }
    if let reason {
      await node.shutdown()
      throw NodeStopped(reason: reason)
    }
    await end()
  }

  /// Why the node has ended; nil once a graceful shutdown began.
  private func endOfItself() async throws -> String? {
    try await withThrowingTaskGroup(of: String?.self) { tasks in
      defer { tasks.cancelAll() }
      tasks.addTask {
        try await gracefulShutdown()
        return nil
      }
      tasks.addTask { [stopped] in
        for await reason in stopped { return reason }
        throw CancellationError()
      }
      return try await tasks.next() ?? nil
    }
  }

  private func end() async {
    switch ending {
    case .stop: break
    case .drain(let limit): await drain(within: limit)
    case .leave(let limit):
      do {
        try await node.leave(within: limit)
      } catch {
        logger.warning(
          "not left: the others take this node for dead", metadata: ["why": "\(error)"])
      }
    }
    await node.shutdown()
  }

  private func drain(within limit: Duration) async {
    let deadline = ContinuousClock.now + limit
    do {
      guard let others = await node.status()?.members, others.contains(where: takesOver) else {
        return logger.notice("not drained: nobody is there to take this node's work")
      }
      try await node.setDraining(node.name, true)
      while let own = await own, own.slots > 0 {
        guard ContinuousClock.now < deadline else {
          return logger.warning(
            "not drained in time", metadata: ["slots": "\(own.slots)", "limit": "\(limit)"])
        }
        try await Task.sleep(for: .milliseconds(10))
      }
      logger.info("drained")
    } catch {
      logger.warning("not drained", metadata: ["why": "\(error)"])
    }
  }

  private func takesOver(_ member: Node.Member) -> Bool {
    member.name != node.name && member.state == .up && !member.isDraining && member.weight > 0
  }

  private var own: Node.Member? {
    get async {
      guard let status = await node.status() else { return nil }
      return status.members.first { $0.node == status.node }
    }
  }
}

/// A node has ended by itself.
public struct NodeStopped: Error, Hashable, Sendable, CustomStringConvertible {
  public let reason: String
  public var description: String { "the node has stopped: \(reason)" }
}

extension Logger {
  /// An event of a cluster, its particulars as metadata.
  func log(_ event: Node.Event) {
    switch event {
    case .joined: info("joined the cluster")
    case .up(let peer): info("a node is up", metadata: .init(peer))
    case .suspected(let peer): notice("a node is silent", metadata: .init(peer))
    case .cleared(let peer): notice("a silent node is heard again", metadata: .init(peer))
    case .dead(let peer): warning("a node is dead", metadata: .init(peer))
    case .down(let peer): warning("the cluster holds a node to be down", metadata: .init(peer))
    case .left(let peer): notice("a node has left", metadata: .init(peer))
    case .slotsChanged: debug("slots have changed owners")
    case .accepting(true): notice("accepting: a majority is in reach")
    case .accepting(false): error("not accepting: no majority is in reach")
    case .refused(let address, let reason):
      warning("a link was refused", metadata: ["address": "\(address)", "why": "\(reason)"])
    case .stopped(let reason): critical("the node has stopped", metadata: ["why": "\(reason)"])
    }
  }
}

extension Logger.Metadata {
  init(_ peer: Node.Peer) {
    self = ["peer": "\(peer.node)", "incarnation": "\(peer.incarnation)"]
  }
}
