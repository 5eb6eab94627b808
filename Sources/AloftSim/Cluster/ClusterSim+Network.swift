internal import AloftMembership

extension ClusterSim {
  func passes(_ from: Int, _ to: Int) -> Bool { !cuts.contains(from << 8 | to) }

  func send(_ packet: SimPacket, _ from: Int, _ to: Int) {
    guard to >= 0, to < nodes.count, passes(from, to) else { return }
    if !isHealed, random.chance(options.loss) { return }
    later(.arrive(to, packet), options.delay)
    if !isHealed, random.chance(options.duplicates) { later(.arrive(to, packet), options.delay) }
  }

  func arrive(_ node: SimNode, _ packet: SimPacket) {
    guard node.isUp, let core = node.core else { return }
    switch packet {
    case .cluster(let envelope, let from, let id):
      if case .over = envelope.message, options.faults.contains(.overUntold) { return }
      // A node without a number is answered where it dialled from.
      let source: MessageSource =
        id.rawValue == 0 || node.wanted[id] == nil
        ? .stranger(link: UInt64(from)) : .node(id)
      handle(node, .received(from: source, envelope))
    case .log(let message, let from, let at, let to, let cluster):
      guard to == core.identity.id, cluster == core.identity.cluster else { return }
      node.origins[from] = at
      node.raft?.received(message, from: from, now: now)
      drain(node)
    case .heartbeat(let id, let incarnation): handle(node, .heard(id, incarnation))
    case .data(let number, let slot, let sender, let epoch, let to, let incarnation):
      guard core.identity.id == to, core.identity.incarnation == incarnation else { return }
      take(node, core, number, slot, sender, epoch)
    case .dataTaken(let number): node.waitsForData[number] = nil
    case .session(let packet): arrive(node, core, packet)
    }
  }

  func dial(_ node: SimNode, _ life: Int, _ id: NodeID) {
    guard node.life == life, let contact = node.wanted[id], node.linked[id] == nil else { return }
    let peer = nodes[Int(contact.address) ?? 0]
    guard let identity = peer.core?.identity, identity.id == id,
      identity.incarnation >= contact.incarnation, passes(node.number, peer.number),
      passes(peer.number, node.number), peer.pausedUntil <= now
    else { return later(.dial(node.number, life: life, id), 20_000_000...60_000_000) }
    node.linked[id] = (identity.incarnation, peer.number, peer.life)
    handle(node, .linkUp(id, identity.incarnation))
  }

  // MARK: Misfortunes

  func misfortune() {
    guard !isHealed else { return }
    later(.misfortune, options.misfortune)
    let node = nodes[random.below(nodes.count)]
    switch random.below(14) {
    case 0, 1, 2:
      kill(node, "killed")
      later(.restart(node.number), 1_000_000...900_000_000)
    case 3, 4:
      // Never shorter than before: what waits keeps its order.
      let end = now + UInt64(random.in(10_000_000...800_000_000))
      node.pausedUntil = max(node.pausedUntil, end)
      trace("n\(node.number) is stopped")
    case 5: cutOff(random.in(1...max(1, nodes.count / 2)), isOneWay: false)
    case 6: cutOff(1, isOneWay: true)
    case 7:
      let pair = (random.below(nodes.count), node.number)
      cuts.insert(pair.0 << 8 | pair.1)
      cuts.insert(pair.1 << 8 | pair.0)
      trace("n\(pair.0) and n\(pair.1) are cut")
    case 8, 9:
      cuts = []
      trace("the network heals")
    case 10: node.disk.isFull.toggle()
    case 11, 12: replace(node)
    default: node.disk.delay = random.chance(50) ? 20_000...400_000 : 1_000_000...60_000_000
    }
  }

  private func cutOff(_ count: Int, isOneWay: Bool) {
    var order = Array(nodes.indices)
    random.shuffle(&order)
    for inside in order.prefix(count) {
      for outside in order.dropFirst(count) {
        cuts.insert(inside << 8 | outside)
        if !isOneWay { cuts.insert(outside << 8 | inside) }
      }
    }
    trace("\(order.prefix(count)) cut off\(isOneWay ? " one way" : "")")
  }

  func heal() {
    isHealed = true
    cuts = []
    trace("all is healed")
    for node in nodes {
      node.disk.isFull = false
      node.disk.delay = 20_000...400_000
      if !node.isUp { later(.restart(node.number), 0...100_000_000) }
    }
  }
}
