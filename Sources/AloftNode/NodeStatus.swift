internal import AloftCluster
internal import AloftMembership

/// What a node can't do, as a sentence that says what to do.
public struct NodeFailure: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

extension Node {
  /// A cluster as one of its nodes knows it.
  public struct Status: Sendable, Hashable {
    /// This node's number, 1 to 255; 0 before it is let in.
    public var node: Int
    public var incarnation: UInt64
    public var isMember: Bool
    /// Whether a majority is in reach.
    public var isAccepting: Bool
    /// The number of the node that leads, as far as is known.
    public var leader: Int?
    public var term: UInt64
    /// One up with every change of members or of who owns what.
    public var epoch: UInt64
    public var members: [Member]

    init(_ status: ClusterStatus) {
      node = Int(status.identity.id.rawValue)
      incarnation = status.identity.incarnation.rawValue
      isMember = status.isMember
      isAccepting = status.isAccepting
      leader = status.leader.map { Int($0.rawValue) }
      term = status.term.rawValue
      epoch = status.epoch.rawValue
      members = status.members.map { member in
        Member(
          member, slots: status.slotCounts[Int(member.id.rawValue)],
          isVoter: status.roles[member.id] == .voter,
          isSuspected: status.suspects.contains(member.id))
      }
    }
  }

  public struct Member: Sendable, Hashable {
    public enum State: String, Sendable, Hashable {
      case up, leaving, down, left
    }

    public var node: Int
    public var incarnation: UInt64
    public var name: String
    public var address: String
    public var zone: String
    public var weight: Int
    public var state: State
    public var isDraining: Bool
    /// Has a vote in the log at present.
    public var isVoter: Bool
    /// Not heard of for too long, by the node that was asked.
    public var isSuspected: Bool
    /// Of 16,384 slots, those that it owns.
    public var slots: Int

    init(_ member: AloftMembership.Member, slots: Int, isVoter: Bool, isSuspected: Bool) {
      node = Int(member.id.rawValue)
      incarnation = member.incarnation.rawValue
      name = member.name
      address = member.description.address
      zone = member.description.zone
      weight = Int(member.description.weight)
      state =
        switch member.status {
        case .up: .up
        case .leaving: .leaving
        case .down: .down
        case .left: .left
        }
      isDraining = member.isDraining
      self.isVoter = isVoter
      self.isSuspected = isSuspected
      self.slots = slots
    }
  }
}

extension Node.Peer {
  init(_ id: NodeID, _ incarnation: Incarnation) {
    node = Int(id.rawValue)
    self.incarnation = incarnation.rawValue
  }
}

extension Node.Event {
  init(_ event: NodeEvent) {
    self =
      switch event {
      case .joined: .joined
      case .up(let id, let incarnation): .up(.init(id, incarnation))
      case .suspected(let id, let incarnation): .suspected(.init(id, incarnation))
      case .cleared(let id, let incarnation): .cleared(.init(id, incarnation))
      case .dead(let id, let incarnation): .dead(.init(id, incarnation))
      case .down(let id, let incarnation): .down(.init(id, incarnation))
      case .left(let id, let incarnation): .left(.init(id, incarnation))
      case .slotsChanged: .slotsChanged
      case .accepting(let isAccepting): .accepting(isAccepting)
      case .refused(let address, let reason):
        .refused(address: address, reason: reason.description)
      case .stopped(let end): .stopped(end.text)
      }
  }
}
