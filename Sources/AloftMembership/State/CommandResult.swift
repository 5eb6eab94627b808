/// Why a command in the log had no effect: the same on every node.
package enum CommandRefusal: UInt8, Hashable, Sendable, Error {
  /// Not as we write them: ignored.
  case malformed
  /// This number of this proposer has been seen.
  case repeated
  /// The proposer's life is over, as far as the log knows.
  case staleProposer
  /// A living member has this name.
  case nameTaken
  /// The cluster has been founded already; or hasn't been, and should be.
  case alreadyFounded, notFounded
  /// 255 members are alive or may come back.
  case full
  /// No member of this incarnation, or of that number, is known.
  case unknownMember
  /// What its former life shows is not what the cluster knows.
  case unknownFormer
  /// It's down, or up, or gone: not what the command is for.
  case wrongStatus
  /// It still owns slots.
  case ownsSlots
  /// The state has changed since.
  case staleBase
  /// Slots for somebody who may not have any.
  case wrongOwner
  /// A name, an address or a zone that is too long, or none.
  case badDescription
}

/// What became of a command when it was applied.
package enum CommandResult: Hashable, Sendable {
  case done
  /// Already so: nothing has changed.
  case unchanged
  case refused(CommandRefusal)
}

/// An entry as it was applied.
package struct AppliedCommand: Hashable, Sendable {
  package var index: UInt64
  /// Nil for an entry that was malformed.
  package var proposal: ClusterProposal?
  package var result: CommandResult
}
