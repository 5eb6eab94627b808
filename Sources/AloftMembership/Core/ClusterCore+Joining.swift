extension ClusterCore {
  // MARK: Who wants to be let in

  /// A member, or one that is to be, which no leader has kept in touch with for long. Either there
  /// is none, or this one's life is over and nobody can tell it: so it asks like one who wants to
  /// be let in. If all is well no harm comes of that, and else it hears so.
  var isDeaf: Bool {
    guard phase == .member || phase == .arriving, !isAccepting else { return false }
    return now >= max(phaseAt, acceptedAt) + 4 * options.lease
  }

  /// Asks the next one, if it's time.
  mutating func askToJoin() {
    // Its own leader lets it in by itself.
    if isLeader { return }
    let wait = isDeaf ? options.lease : options.joinRetry
    if let askedAt = joining.askedAt, now < askedAt + wait { return }
    if let since = joining.takenSince, now >= since + options.joinPatience {
      return stop(.notAdmitted(.nameTaken))
    }
    let former = phase == .joining ? .none : formerLife
    // A founder whose log isn't ready is not somebody who comes back.
    if former.incarnation.rawValue == 0, phase == .returning { return }
    let request = envelope(.joinRequest(description, birth: birth, former: former))
    if let leader, leader != identity.id, links[leader] != nil, !joining.hasHint,
      !joining.hasAskedLeader
    {
      joining.askedAt = now
      joining.hasAskedLeader = true
      return act(.send(to: leader, request))
    }
    joining.hasAskedLeader = false
    let known = links.values.map(\.address).sorted()
    guard let address = joining.nextAddress(known) else { return }
    joining.askedAt = now
    act(.sendTo(address: address, request))
    // A link that the other side began has another address.
    for (id, contact) in links where contact.address == address { act(.send(to: id, request)) }
  }

  /// The last life that the data of this node tell of: what was kept, or what its own log says of
  /// its number, which nobody else can have come back under.
  var formerLife: NodeIdentity {
    guard let own = state[identity.id], own.name == description.name, own.status != .left,
      own.incarnation > identity.incarnation
    else { return identity }
    return NodeIdentity(cluster: identity.cluster, id: own.id, incarnation: own.incarnation)
  }

  mutating func admitted(_ identity: NodeIdentity, _ contacts: [Contact], _ birth: UInt64) {
    // Who has a log is told by it.
    guard phase == .joining, birth == self.birth else { return }
    self.identity = identity
    enter(.arriving)
    act(.keep(identity))
    act(.startLog(identity, isFounder: false))
    for contact in contacts where contact.id != identity.id {
      links[contact.id] = contact
      act(.connect(contact.id, contact.incarnation, address: contact.address))
    }
  }

  mutating func notAdmitted(_ refusal: CommandRefusal, _ birth: UInt64) {
    guard phase == .joining || phase == .returning, birth == self.birth else { return }
    switch refusal {
    case .nameTaken: joining.takenSince = joining.takenSince ?? now
    case .wrongStatus: self.birth = word()
    case .notFounded, .repeated, .staleProposer, .staleBase: break
    // It was away while its leaving went through, and nobody knows it any more.
    case .unknownFormer where joining.isLeaving: stop(.left)
    default: stop(.notAdmitted(refusal))
    }
  }

  // MARK: Who lets in

  mutating func joinRequested(
    _ description: MemberDescription, birth: UInt64, former: NodeIdentity,
    from source: MessageSource
  ) {
    guard isLeader, state.cluster != 0 else {
      let address = leader.flatMap { state[$0] }?.description.address
      // A leader that hasn't come to itself is nobody to be sent to.
      let isSelf = leader == identity.id
      return reply(.redirected(address: isSelf ? "" : address ?? ""), to: source)
    }
    if let same = state.member(named: description.name) {
      if same.birth == birth {
        return same.isAlive
          ? welcome(same, at: source) : reply(.notAdmitted(.wrongStatus, birth: birth), to: source)
      }
      if same.isAlive, former.incarnation != same.incarnation {
        return reply(.notAdmitted(.nameTaken, birth: birth), to: source)
      }
    }
    joining.waiting[birth] = source
    propose(.admit(description, birth: birth, former: former))
  }

  private mutating func welcome(_ member: Member, at source: MessageSource) {
    let contacts = state.living.map {
      Contact(id: $0.id, incarnation: $0.incarnation, address: $0.description.address)
    }
    let identity = NodeIdentity(
      cluster: state.cluster, id: member.id, incarnation: member.incarnation)
    reply(.admitted(identity, contacts, birth: member.birth), to: source)
  }

  /// An admission was applied: whoever waits for it here is told.
  mutating func answerJoiner(_ command: ClusterCommand, _ result: CommandResult) {
    guard case .admit(_, let birth, _) = command else { return }
    // A leader that lets itself in waits a while before it tries again.
    if birth == self.birth, phase == .returning {
      return duties.pause(until: now + options.joinRetry)
    }
    guard let source = joining.waiting.removeValue(forKey: birth)
    else { return }
    if case .refused(let refusal) = result {
      return reply(.notAdmitted(refusal, birth: birth), to: source)
    }
    if let member = state.members.last(where: { $0.birth == birth }) { welcome(member, at: source) }
  }
}
