extension ClusterCore {
  /// The detector's findings: news for whoever is above, questions to the others. On a leader
  /// convictions are a duty.
  mutating func actOnVerdicts() {
    for verdict in detector.takeVerdicts() {
      switch verdict {
      case .probe(let id):
        guard let member = state[id] else { continue }
        act(.probe(id, member.incarnation, address: member.description.address))
      case .suspect(let id):
        if let member = state[id] { act(.memberSuspected(id, member.incarnation)) }
      case .ask(let id): askOthers(about: id)
      case .clear(let id):
        if let member = state[id] { act(.memberCleared(id, member.incarnation)) }
      case .convict(let id):
        if let member = state[id] { act(.memberDead(id, member.incarnation)) }
        duties.isDue = true
      }
    }
  }

  private mutating func askOthers(about id: NodeID) {
    guard let suspect = state[id] else { return }
    let others = state.living.filter { other in
      other.id != id && other.id != identity.id && !detector.isSuspected(other.id)
    }
    detector.asked(others.count, about: id)
    for other in others { send(.opinionRequest(about: suspect.incarnation), to: other.id) }
  }
}
