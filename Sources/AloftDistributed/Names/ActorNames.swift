internal import Aloft
internal import AloftNode
public import Distributed
import Synchronization

/// Actors that are checked in under a name: kept, until they are checked out.
struct ActorNames: Sendable {
  struct Entry: Sendable {
    let actor: any DistributedActor
    let id: AloftActorID
    /// Stands in the registry for the name, on all nodes.
    let mailbox: Mailbox
  }

  var byName: [String: Entry] = [:]
}

/// What comes to a name's mailbox is nobody's.
private final class Nobody: MailboxHandler {
  func received(_ mailbox: Mailbox, _ message: consuming Message) {}
}

extension AloftActorSystem {
  /// How an actor's name stands in the registry.
  private static func key(_ name: String) -> String { "actor:\(name)" }

  /// Gives an actor of this node a name, under which all nodes find it, and keeps it. The name goes
  /// with the node, or with ``checkOut(_:)``. Of two nodes that give the same name at the same
  /// time, each has its own.
  /// - Parameter name: 1 to 249 bytes. It stands in the registry with `actor:` before it.
  /// - Throws: `nameTaken`, `noSuchActor` for an actor of another node.
  public func checkIn<Act: DistributedActor>(
    _ actor: Act, as name: String
  ) async throws where Act.ID == ActorID {
    guard actor.id.node == number, actor.id.incarnation == incarnation else {
      throw AloftActorError(.noSuchActor, "\(actor.id) is no actor of this node")
    }
    let mailbox = try await node.runtime.mailbox(on: node.eventLoop, handler: Nobody())
    // Whoever is told of the name may ask for it at once.
    let isFree = names.withLock { names in
      guard names.byName[name] == nil else { return false }
      names.byName[name] = ActorNames.Entry(actor: actor, id: actor.id, mailbox: mailbox)
      return true
    }
    do {
      guard isFree else { throw AloftActorError(.nameTaken, "\"\(name)\" is another actor's") }
      try node.runtime.registry.register(Self.key(name), mailbox)
    } catch {
      if isFree { names.withLock { _ = $0.byName.removeValue(forKey: name) } }
      mailbox.close()
      guard let error = error as? AloftError, error.code == .nameTaken else { throw error }
      throw AloftActorError(.nameTaken, "\"\(name)\" is another actor's")
    }
  }

  /// Takes a name of this node away; its actor is no longer kept. False when no actor here has it.
  @discardableResult
  public func checkOut(_ name: String) -> Bool {
    guard let entry = names.withLock({ $0.byName.removeValue(forKey: name) }) else { return false }
    entry.mailbox.close()
    return true
  }

  /// The actor with a name, wherever it lives; nil when nobody has it within `limit`.
  /// - Throws: ``AloftActorError`` when its node can't be asked, or it is of another type.
  public func lookUp<Act: DistributedActor>(
    _ type: Act.Type, _ name: String, within limit: Duration = .zero
  ) async throws -> Act? where Act.ID == ActorID, Act.ActorSystem == AloftActorSystem {
    let start = ContinuousClock.now
    while true {
      if let node = whereabouts(name), let id = try await ask(node, for: name, Act.self) {
        return try Act.resolve(id: id, using: self)
      }
      // Names come with links, which take a while after a start: nobody is in a hurry.
      if ContinuousClock.now - start >= limit { return nil }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// The number of the node that has a name.
  private func whereabouts(_ name: String) -> Int? {
    guard case .mailbox(let mailbox) = node.runtime.registry.lookUp(Self.key(name)) else {
      return nil
    }
    let node = Int(mailbox.rawValue >> 56)
    return node == 0 ? number : node
  }

  /// Nil when the name has gone meanwhile.
  private func ask<Act: DistributedActor>(
    _ node: Int, for name: String, _ type: Act.Type
  ) async throws -> AloftActorID? {
    if node == number { return names.withLock { $0.byName[name]?.id } }
    let target = RemoteCallTarget("the look-up of \"\(name)\"")
    var reply: CompactReader
    do {
      reply = try await ask(
        node, Request.lookUp(name), within: Self.callLimit ?? options.callLimit, "\"\(name)\"")
    } catch let error as AloftActorError where error.code == .linkDown {
      // The name goes with the node.
      return nil
    }
    switch try kind(of: &reply, target) {
    case .value:
      let found = try decode(FoundActor.self, &reply, target)
      guard found.type == _mangledTypeName(type) else {
        throw AloftActorError(.incompatible, "\"\(name)\" is no \(type): \(found.type)")
      }
      return found.id
    case .done: return nil
    default: throw Self.strangeReply(target)
    }
  }

  func answer(toLookUp name: String) -> [UInt8] {
    guard let entry = names.withLock({ $0.byName[name] }) else { return [ReplyKind.done.rawValue] }
    var reply = [ReplyKind.value.rawValue]
    let found = FoundActor(id: entry.id, type: _mangledTypeName(type(of: entry.actor)) ?? "")
    guard (try? CompactEncoder.append(found, to: &reply)) != nil else {
      return [ReplyKind.done.rawValue]
    }
    return reply
  }
}

private struct FoundActor: Codable {
  var id: AloftActorID
  var type: String
}
