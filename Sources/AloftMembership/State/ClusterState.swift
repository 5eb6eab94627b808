/// What all nodes of a cluster know alike: its members and who owns which slot. The state after an
/// entry of the log depends on the state before and the entry, and on nothing else.
///
/// **Memory**: 16 KiB for the slots, some 200 bytes a member.
package struct ClusterState: Hashable, Sendable {
  /// The cluster's own number, chosen at random when it was founded; 0 before.
  package internal(set) var cluster: UInt64 = 0
  /// Log index of the last change of members or slots.
  package internal(set) var epoch = Epoch(rawValue: 0)
  /// Log index of the last change of slots.
  package internal(set) var slotsEpoch = Epoch(rawValue: 0)
  /// By number, ascending; those that are gone too, until their number is needed.
  package internal(set) var members: [Member] = []
  package internal(set) var slots = SlotTable()
  /// Entries that had no effect, and those of them that made no sense.
  package internal(set) var refusals: UInt64 = 0
  package internal(set) var malformed: UInt64 = 0
  /// The last entry of the cluster's own that was applied.
  package internal(set) var appliedIndex: UInt64 = 0

  /// The last number that was given to a member.
  var lastID: UInt8 = 0
  var windows: [Incarnation: ProposalWindow] = [:]

  package init() {}

  package subscript(id: NodeID) -> Member? { position(of: id).map { members[$0] } }

  package subscript(incarnation: Incarnation) -> Member? {
    members.first { $0.incarnation == incarnation }
  }

  /// The life of this name that is not over for good: one at most.
  package func member(named name: String) -> Member? {
    members.first { $0.name == name && $0.status != .left }
  }

  package var living: [Member] { members.filter(\.isAlive) }

  /// This life of this node is the current one, and not over.
  package func isCurrent(_ id: NodeID, _ incarnation: Incarnation) -> Bool {
    guard let member = self[id] else { return false }
    return member.isAlive && member.incarnation == incarnation
  }

  func position(of id: NodeID) -> Int? {
    var (low, high) = (0, members.count)
    while low < high {
      let middle = (low + high) / 2
      if members[middle].id == id { return middle }
      if members[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return nil
  }

  /// Applies an entry of the log that is the cluster's own.
  package mutating func apply(index: UInt64, entry: [UInt8]) -> AppliedCommand {
    appliedIndex = max(appliedIndex, index)
    let proposal: ClusterProposal
    do {
      proposal = try ClusterProposal(bytes: entry)
    } catch {
      malformed += 1
      refusals += 1
      return AppliedCommand(index: index, proposal: nil, result: .refused(.malformed))
    }
    let result: CommandResult
    do {
      try checkProposer(of: proposal)
      result = try perform(proposal.command, index: index) ? .done : .unchanged
    } catch {
      refusals += 1
      result = .refused(error)
    }
    if result == .done { epoch = Epoch(rawValue: index) }
    return AppliedCommand(index: index, proposal: proposal, result: result)
  }

  /// A living member's proposal counts once. Founding and admitting are recognised by the birth
  /// that they tell of, and need no proposer that is let in: nobody may be, after all were down.
  private mutating func checkProposer(of proposal: ClusterProposal) throws(CommandRefusal) {
    switch proposal.command {
    case .found, .admit: return
    default: break
    }
    guard let proposer = self[proposal.proposer], proposer.isAlive else { throw .staleProposer }
    guard windows[proposal.proposer, default: ProposalWindow()].insert(proposal.sequence) else {
      throw .repeated
    }
  }
}
