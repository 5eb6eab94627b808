public import AloftNode
public import Distributed
import Synchronization

/// Where distributed actors live: on nodes of a cluster.
///
/// ```swift
/// distributed actor Counter {
///   typealias ActorSystem = AloftActorSystem
///   private var total = 0
///   distributed func add(_ amount: Int) -> Int {
///     total += amount
///     return total
///   }
/// }
///
/// let system = try await AloftActorSystem(on: node)
/// let counter = Counter(actorSystem: system)
/// try await system.checkIn(counter, as: "counter")
/// // on another node:
/// if let counter = try await system.lookUp(Counter.self, "counter", within: .seconds(5)) {
///   print(try await counter.add(1))
/// }
/// ```
/// **Calls** of an actor of another node are carried out there, and answered. They are given up
/// when the caller's task is cancelled, after a limit (`Options.callLimit`, ``withCallLimit``), and
/// at once when the link to the node ends: when its process dies, or the cluster takes it for dead.
/// Whatever is in the way is an ``AloftActorError``; an error that the actor throws arrives as
/// itself if it is `Codable`. A call is carried out at most once.
///
/// **Arguments and results** are `Codable`, and so is a distributed actor: what arrives stands for
/// the same actor.
///
/// **Lives**: the system doesn't keep its actors, but for those that are checked in. One that is
/// gone answers `noSuchActor`, as do those of a process that has ended, also when its node is back.
///
/// **Who may call**: whoever is in the cluster. Types that a call names are looked up among those
/// of this process, so have none there whose `init(from:)` does more than to read.
///
/// **Threads**: any.
public final class AloftActorSystem: DistributedActorSystem {
  public typealias ActorID = AloftActorID
  public typealias InvocationEncoder = AloftInvocationEncoder
  public typealias InvocationDecoder = AloftInvocationDecoder
  public typealias ResultHandler = AloftResultHandler
  public typealias SerializationRequirement = any Codable

  /// What a system allows.
  public struct Options: Sendable {
    /// For how long a call waits for its answer.
    public var callLimit: Duration = .seconds(5)
    /// Calls of other nodes that are under way here at a time: as many as one node may have made.
    /// Beyond that callers are told `busy`.
    public var servedMax = 65_536

    public init() {}
  }

  /// The node that its actors live on.
  public let node: Node
  public let options: Options
  let number: Int
  let incarnation: UInt64
  private let actors = Mutex(Actors())
  let names = Mutex(ActorNames())
  let served = Mutex(ServedCalls())

  /// Actors by number. They are not kept.
  private struct Actors: Sendable {
    struct Entry: Sendable {
      weak var actor: (any DistributedActor)?
    }

    var made: UInt64 = 0
    var byNumber: [UInt64: Entry] = [:]
  }

  /// Makes the node's actor system. A node has one: a second one takes its calls over.
  /// - Throws: `stopped` when the node is no member.
  public init(on node: Node, _ options: Options = .init()) async throws {
    guard let status = await node.status(), status.isMember else {
      throw AloftActorError(.stopped, "the node is no member of its cluster")
    }
    self.node = node
    self.options = options
    number = status.node
    incarnation = status.incarnation
    serve()
  }

  // MARK: The lives of actors

  public func resolve<Act: DistributedActor>(
    id: ActorID, as actorType: Act.Type
  ) throws -> Act? where Act.ID == ActorID {
    guard id.node == number, id.incarnation == incarnation else { return nil }
    guard let actor = find(id.number) else { throw Self.noSuchActor(id) }
    guard let typed = actor as? Act else {
      throw AloftActorError(.incompatible, "\(id) is a \(type(of: actor)), and no \(Act.self)")
    }
    return typed
  }

  public func assignID<Act: DistributedActor>(
    _ actorType: Act.Type
  ) -> ActorID where Act.ID == ActorID {
    let number = actors.withLock { actors in
      actors.made += 1
      return actors.made
    }
    return ActorID(node: self.number, incarnation: incarnation, number: number)
  }

  public func actorReady<Act: DistributedActor>(_ actor: Act) where Act.ID == ActorID {
    actors.withLock { $0.byNumber[actor.id.number] = Actors.Entry(actor: actor) }
  }

  public func resignID(_ id: ActorID) {
    actors.withLock { _ = $0.byNumber.removeValue(forKey: id.number) }
  }

  func find(_ number: UInt64) -> (any DistributedActor)? {
    actors.withLock { $0.byNumber[number]?.actor }
  }

  static func noSuchActor(_ id: ActorID) -> AloftActorError {
    AloftActorError(.noSuchActor, "the actor \(id) has ended, or never was")
  }

  // MARK: Limits

  @TaskLocal static var callLimit: Duration?

  /// Calls within `body` wait no longer than `limit` each for their answers.
  public static func withCallLimit<Value>(
    _ limit: Duration, isolation: isolated (any Actor)? = #isolation,
    _ body: () async throws -> Value
  ) async rethrows -> Value {
    try await $callLimit.withValue(limit, operation: body, isolation: isolation)
  }

  // MARK: Calls

  public func makeInvocationEncoder() -> InvocationEncoder { InvocationEncoder() }

  public func remoteCall<Act: DistributedActor, Err: Error, Res: Codable>(
    on actor: Act, target: RemoteCallTarget, invocation: inout InvocationEncoder,
    throwing: Err.Type, returning: Res.Type
  ) async throws -> Res where Act.ID == ActorID {
    var reply = try await call(actor, target, invocation)
    guard try kind(of: &reply, target) == .value else { throw Self.strangeReply(target) }
    return try decode(Res.self, &reply, target)
  }

  public func remoteCallVoid<Act: DistributedActor, Err: Error>(
    on actor: Act, target: RemoteCallTarget, invocation: inout InvocationEncoder,
    throwing: Err.Type
  ) async throws where Act.ID == ActorID {
    var reply = try await call(actor, target, invocation)
    guard try kind(of: &reply, target) == .done else { throw Self.strangeReply(target) }
  }

  private func call<Act: DistributedActor>(
    _ actor: Act, _ target: RemoteCallTarget, _ invocation: InvocationEncoder
  ) async throws -> CompactReader where Act.ID == ActorID {
    let request = Request.invoke(
      actor.id, type: _mangledTypeName(Act.self) ?? "", target: target.identifier, invocation)
    return try await ask(
      actor.id.node, request, within: Self.callLimit ?? options.callLimit, "\(actor.id)")
  }

  func ask(
    _ node: Int, _ request: [UInt8], within limit: Duration, _ what: String
  ) async throws -> CompactReader {
    do {
      return CompactReader(
        try await self.node.call(node, kind: CallKind.actor, request, within: limit))
    } catch let error as NodeCallError {
      throw AloftActorError(failed: error, what)
    }
  }

  /// What kind of reply it is, unless it says why there is none.
  func kind(of reply: inout CompactReader, _ target: RemoteCallTarget) throws -> ReplyKind {
    guard let byte = try? reply.byte(), let kind = ReplyKind(rawValue: byte) else {
      throw Self.strangeReply(target)
    }
    switch kind {
    case .value, .done: return kind
    case .error: throw try thrown(&reply, target)
    case .text: throw AloftActorError(.thrown, try sentence(&reply, target))
    case .noSuchActor: throw AloftActorError(.noSuchActor, try sentence(&reply, target))
    case .incompatible: throw AloftActorError(.incompatible, try sentence(&reply, target))
    }
  }

  private func thrown(
    _ reply: inout CompactReader, _ target: RemoteCallTarget
  ) throws -> any Error {
    let name = try sentence(&reply, target)
    guard let type = _typeByName(name) as? any (Error & Codable).Type else {
      return AloftActorError(.thrown, "\(target) threw a \(name), which is not known here")
    }
    return try decode(type, &reply, target)
  }

  private func sentence(
    _ reply: inout CompactReader, _ target: RemoteCallTarget
  ) throws -> String {
    guard let text = try? reply.text() else { throw Self.strangeReply(target) }
    return text
  }

  func decode<Value: Codable>(
    _ type: Value.Type, _ reply: inout CompactReader, _ target: RemoteCallTarget
  ) throws -> Value {
    do {
      return try CompactDecoder.next(type, from: &reply, userInfo: [.actorSystemKey: self])
    } catch {
      throw AloftActorError(.incompatible, "what \(target) answered is no \(type): \(error)")
    }
  }

  static func strangeReply(_ target: RemoteCallTarget) -> AloftActorError {
    AloftActorError(.incompatible, "what \(target) answered can't be read")
  }
}
