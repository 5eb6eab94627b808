extension ClusterState {
  /// Where a slot's data should lie beside its owner: so many nodes, in zones that are different
  /// from the owner's and from each other's as long as there are any. For each slot in an order of
  /// its own (rendezvous hashing; Thaler and Ravishankar, 1998), so that a node's slots have their
  /// replicas spread over all others, and few change when a member comes or goes.
  package func replicas(of slot: Slot, count: Int) -> [NodeID] {
    let owner = slots[slot]
    var zones: Set<String> = []
    if let zone = self[owner]?.description.zone { zones.insert(zone) }
    var candidates = members.filter { $0.takesSlots && $0.id != owner }
      .map { (member: $0, lot: Self.lot(slot, $0.id)) }
    candidates.sort { ($0.lot, $0.member.id) < ($1.lot, $1.member.id) }
    var replicas: [NodeID] = []
    while replicas.count < count, !candidates.isEmpty {
      let far = candidates.firstIndex { !zones.contains($0.member.description.zone) }
      if far == nil { zones = [] }
      let next = candidates.remove(at: far ?? 0).member
      zones.insert(next.description.zone)
      replicas.append(next.id)
    }
    return replicas
  }

  /// SplitMix64's mixer (Steele, Lea and Flood, 2014) over both numbers.
  private static func lot(_ slot: Slot, _ node: NodeID) -> UInt64 {
    var z = UInt64(slot.rawValue) << 8 | UInt64(node.rawValue)
    z = (z &+ 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z &>> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z &>> 31
  }
}
