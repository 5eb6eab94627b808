/// Where a session stands in its life.
public enum SessionPhase: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
  /// Begun, and not yet agreed on.
  case negotiating
  /// In use.
  case active
  /// Laid aside, to be taken up again.
  case suspended
  /// Over. Its state is gone; that it was there is remembered for a while.
  case closed

  /// Whether it may become `next`: negotiating goes on to active, active and suspended to each
  /// other, and all to closed.
  public func mayBecome(_ next: SessionPhase) -> Bool {
    switch (self, next) {
    case (.negotiating, .active), (.active, .suspended), (.suspended, .active): true
    case (.closed, _): false
    case (_, .closed): true
    default: self == next
    }
  }
}

/// What an acknowledged write of a session is sure to survive. It's the session's for its life: a
/// write that can't have it is refused.
public enum SessionDurability: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
  /// Nothing: it's in the memory of one node, and ends with it.
  case local
  /// The end of the process: it's on the disk of all nodes that count, which may be one.
  case durable
  /// The loss of any minority of nodes: it's on the disk of a majority of two nodes or more.
  case replicated
}

/// What a session is made with.
public struct SessionOptions: Hashable, Sendable {
  /// The phase that it begins in.
  public var phase: SessionPhase
  /// What its writes survive.
  public var durability: SessionDurability
  /// It ends when nobody has used it for so many milliseconds; 0 for never.
  public var idleTimeoutMs: UInt32
  /// It ends so many milliseconds after it was made, once nobody is attached; 0 for never.
  public var lifetimeMs: UInt64
  /// Bytes of state.
  public var stateMax: UInt32
  /// Events in its outbox that are not acknowledged, and their bytes.
  public var outboxEventsMax: UInt16
  public var outboxBytesMax: UInt32
  /// Keys of the last writes that are remembered, so that a write that is repeated is done once.
  public var keysMax: UInt8

  /// 64 KiB of state, 256 events of 64 KiB together, 8 keys; active, never idle for too long.
  public init(
    phase: SessionPhase = .active, durability: SessionDurability = .replicated,
    idleTimeoutMs: UInt32 = 0, lifetimeMs: UInt64 = 0, stateMax: UInt32 = 64 << 10,
    outboxEventsMax: UInt16 = 256, outboxBytesMax: UInt32 = 64 << 10, keysMax: UInt8 = 8
  ) {
    self.phase = phase
    self.durability = durability
    self.idleTimeoutMs = idleTimeoutMs
    self.lifetimeMs = lifetimeMs
    self.stateMax = stateMax
    self.outboxEventsMax = outboxEventsMax
    self.outboxBytesMax = outboxBytesMax
    self.keysMax = keysMax
  }
}

/// What a node holds its sessions to.
package struct SessionLimits: Hashable, Sendable {
  /// Sessions of the whole cluster, tombstones too, and those in this node's memory alone: at some
  /// 600 bytes each what 2.5 GB hold.
  package var sessionsMax = 4 << 20
  /// One principal's; for ``Principal/anyone`` there is no limit but the others.
  package var sessionsPerPrincipalMax = 1 << 20
  package var bytesPerPrincipalMax = 1 << 30
  /// What a session may ask for at most. It has to fit into an entry of the log.
  package var stateMax: UInt32 = 1 << 20
  package var outboxBytesMax: UInt32 = 1 << 20
  package var keysMax: UInt8 = 32
  /// An entry is closed once it has so many bytes; one operation may make it longer.
  package var entryBytesMax = 256 << 10
  /// Below 65,536: a version has 16 bits for the place in its entry.
  package var entryOperationsMax = 16_384
  /// Entries on their way. More hide the time that a majority takes.
  package var entriesInFlightMax = 8
  /// Operations that wait, in bytes: when the log falls behind so far, `busy` is the answer.
  package var queuedBytesMax = 8 << 20
  /// Connections of one session.
  package var attachmentsMax = 64
  /// For how long a closed session is remembered, so that a repeated write gets its answer.
  package var closedRetentionMs: UInt64 = 30_000
  /// Before an entry that wasn't taken is sent again.
  package var entryRetryNs: UInt64 = 20_000_000

  package init() {}
}
