internal import AloftNode
import Distributed
import Synchronization

/// Calls of other nodes that are under way here.
struct ServedCalls: Sendable {
  var tasks: [Node.IncomingCall.Key: Task<Void, Never>] = [:]
}

extension AloftActorSystem {
  /// Takes calls from here on. The node keeps what it tells, so that must not keep the system.
  func serve() {
    node.onActorCall { [weak self] call, bytes in
      guard let self else { return call.refuse(code: 1) }
      serve(call, unsafe bytes.withUnsafeBytes { unsafe Array($0) })
    } cancelled: { [weak self] key in
      self?.served.withLock { $0.tasks[key] }?.cancel()
    }
  }

  /// On the node's loop.
  private func serve(_ call: Node.IncomingCall, _ bytes: [UInt8]) {
    let request: Request
    do throws(CompactDamage) {
      request = try Request(bytes)
    } catch {
      let handler = AloftResultHandler()
      handler.fail(.incompatible, "the call can't be read")
      return node.answer(call, handler.reply)
    }
    switch request {
    case .lookUp(let name): node.answer(call, answer(toLookUp: name))
    case .invoke(let invocation):
      let isTaken = served.withLock { served in
        guard served.tasks.count < options.servedMax else { return false }
        // It can't come to its end before it stands here: that takes the lock.
        served.tasks[call.key] = Task { [self] in
          let reply = await carryOut(invocation)
          self.served.withLock { _ = $0.tasks.removeValue(forKey: call.key) }
          node.answer(call, reply)
        }
        return true
      }
      if !isTaken { call.refuse(code: Refusal.busy) }
    }
  }

  private func carryOut(_ invocation: Request.Invocation) async -> [UInt8] {
    let handler = AloftResultHandler()
    let id = AloftActorID(
      node: number, incarnation: invocation.incarnation, number: invocation.number)
    guard id.incarnation == incarnation, let actor = find(id.number) else {
      handler.fail(.noSuchActor, Self.noSuchActor(id).message)
      return handler.reply
    }
    // A target is a function of one type, and trusts that it is given an actor of that.
    guard _mangledTypeName(type(of: actor)) == invocation.type else {
      handler.fail(
        .incompatible, "\(id) is a \(type(of: actor)), and not what the caller took it for")
      return handler.reply
    }
    do {
      try await carryOut(invocation, actor, handler)
    } catch {
      handler.fail(.incompatible, "\(invocation.target) can't be called on \(id): \(error)")
    }
    return handler.reply
  }

  private func carryOut(
    _ invocation: Request.Invocation, _ actor: some DistributedActor, _ handler: AloftResultHandler
  ) async throws {
    var decoder = AloftInvocationDecoder(invocation, self)
    try await executeDistributedTarget(
      on: actor, target: RemoteCallTarget(invocation.target), invocationDecoder: &decoder,
      handler: handler)
  }
}
