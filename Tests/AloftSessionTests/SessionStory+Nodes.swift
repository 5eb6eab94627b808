import AloftMembership
import AloftSim

@testable import AloftSession

extension SessionStory {
  func announce(_ number: Int) {
    let node = world.nodes[number]
    for other in world.nodes where other !== node && world.random.chance(80) {
      other.owner.announced(
        by: node.owner.identity.id, node.owner.identity.incarnation, epoch: node.owner.epoch,
        now: world.now)
    }
  }

  func moveSlot() {
    let living = world.nodes.filter { world.cluster[$0.identity.id]?.isAlive == true }
    guard let heir = living.randomElement(using: &world.random) else { return }
    count("slot moved")
    world.give(Slot(rawValue: UInt16(world.random.below(5))), to: heir)
    catchUpPlain()
  }

  /// It's convicted though it lives, and comes back in another life.
  func newLife(_ number: Int) {
    let node = world.nodes[number]
    count("new life")
    world.propose(.convict(node.identity.incarnation))
    if world.random.chance(50) { world.spread() }
    catchUpPlain()
    if world.random.chance(60) { world.now += 300_000_000 }
    world.admit("n\(number)", former: node.identity)
    catchUpPlain()
    world.spread()
    catchUpPlain()
  }

  /// The process ends; another one comes with what the disk has, or with another node's snapshot.
  func restart(_ number: Int) {
    let old = world.nodes[number]
    count("restart")
    let former = old.identity
    for (token, was) in asked where was.answer == nil {
      let isIts = was.life == old.owner.identity.incarnation
      if isIts { asked[token]?.answer = SessionOutcome(.uncertain) }
    }
    if world.cluster[former.id]?.isAlive == true {
      world.propose(.convict(former.incarnation))
    }
    world.spread()
    catchUpPlain()
    (attached[number], held[number], snapshots[number]) = ([:], [:], nil)
    for node in world.nodes where node !== old {
      node.owner.isGone(former.id, former.incarnation, now: world.now)
    }
    let fresh = WorldNode(world, former)
    fresh.owner.isAccepting = true
    fresh.owner.voters = 3
    fresh.owner.tellsNews = true
    world.nodes[number] = fresh
    if world.random.chance(50) {
      let source = world.nodes[(number + 1) % world.nodes.count]
      source.store.beginSnapshot()
      snapshots[(number + 1) % world.nodes.count] = nil
      install(pieces(source.store), from: source, on: number)
    }
    world.admit("n\(number)", former: former)
    catchUpPlain()
    world.spread()
    catchUpPlain()
  }

  private func pieces(_ store: SessionStore) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    while let piece = store.nextPiece(bytesMax: 200) { pieces.append(piece) }
    return pieces
  }

  private func install(_ pieces: [[UInt8]], from source: WorldNode, on number: Int) {
    let node = world.nodes[number]
    guard let store = restored(pieces) else { return violate("a snapshot can't be read") }
    node.applied = source.applied
    node.cluster = source.cluster
    node.owner.restore(store, now: world.now)
    let member = node.cluster[node.identity.id]
    let identity =
      member?.isAlive == true
      ? NodeIdentity(
        cluster: node.cluster.cluster, id: node.identity.id,
        incarnation: member?.incarnation ?? node.identity.incarnation) : .none
    node.owner.clusterChanged(
      node.cluster, index: UInt64(node.applied), identity: identity, now: world.now)
  }

  private func restored(_ pieces: [[UInt8]]) -> SessionStore? {
    var restorer = SessionRestorer(limits: world.limits)
    for piece in pieces {
      guard (try? piece.withUnsafeBytes({ try restorer.take($0) })) != nil else { return nil }
    }
    return try? restorer.finish()
  }

  /// A snapshot goes on piece by piece while all else does; at its end it has to be what the store
  /// was at its beginning. Then a node that is behind may get it.
  func snapshot(_ number: Int) {
    let node = world.nodes[number]
    guard let (index, before, begun) = snapshots[number] else {
      node.store.beginSnapshot()
      snapshots[number] = (UInt64(node.applied), node.store.plain, [])
      return
    }
    var pieces = begun
    for _ in 0...world.random.below(6) {
      if let piece = node.store.nextPiece(bytesMax: 150) {
        pieces.append(piece)
        snapshots[number] = (index, before, pieces)
        continue
      }
      snapshots[number] = nil
      count("snapshot")
      guard let copy = restored(pieces) else { return violate("a snapshot can't be read") }
      if copy.plain != before { violate("a snapshot isn't what the store was") }
      if copy.appliedIndex > index { violate("a snapshot is of another index") }
      return giveSnapshot(number)
    }
  }

  private func giveSnapshot(_ source: Int) {
    let lagging = world.nodes.indices.filter {
      world.nodes[$0].applied < world.nodes[source].applied
    }
    guard world.random.chance(60), let number = lagging.randomElement(using: &world.random) else {
      return
    }
    count("snapshot installed")
    world.nodes[source].store.beginSnapshot()
    let pieces = pieces(world.nodes[source].store)
    snapshots[number] = nil
    install(pieces, from: world.nodes[source], on: number)
  }
}
