/// A child of one supervisor, by value: its place in the supervisor's table, and a generation by
/// which a stale one is found out. Odd while the child is there; 0 names nobody.
package struct ChildID: Hashable, Sendable {
  package let index: UInt32
  package let generation: UInt32

  package init(index: UInt32, generation: UInt32) {
    self.index = index
    self.generation = generation
  }
}

/// What becomes of a child that ends.
package enum RestartPolicy: UInt8, Hashable, Sendable {
  /// It is started again, however it ended.
  case permanent
  /// It is started again unless it came to an end of its own accord.
  case transient
  /// It is never started again; its end removes it.
  case temporary
}

/// How a child, or an attempt to start it, came to an end.
package enum ChildEnd: UInt8, Hashable, Sendable {
  /// Of its own accord, its work done.
  case normal
  /// By a failure.
  case failure
  /// It did not come up.
  case startFailure
}

/// What all children of a kind have in common; supervisors have a few, of many children each.
package struct ChildKind: Hashable, Sendable {
  package var policy: RestartPolicy
  /// Milliseconds that a start may take before it counts as failed; 0 for no limit.
  package var startLimit: UInt32
  /// Milliseconds that an orderly stop may take before it is ended by force. 0 does so at once.
  package var stopLimit: UInt32

  /// A stop is waited for, however long it takes: for supervisors, who bound their own children.
  package static let unlimited = UInt32.max

  package init(
    policy: RestartPolicy = .permanent, startLimit: UInt32 = 0, stopLimit: UInt32 = 5_000
  ) {
    self.policy = policy
    self.startLimit = startLimit
    self.stopLimit = stopLimit
  }
}

/// What a supervisor keeps of a child: 32 bytes.
struct ChildRecord {
  enum State: UInt8 {
    /// Nobody's.
    case free
    /// Known, and not running.
    case idle
    /// Waits for its back-off to be over.
    case waiting
    case starting
    case running
    /// Asked to stop.
    case stopping
    /// Is being ended by force.
    case killing
  }

  struct Flags: OptionSet {
    let rawValue: UInt8
    /// A walk over the children waits for it.
    static let walking = Flags(rawValue: 1)
    /// Its end removes it.
    static let removed = Flags(rawValue: 2)
    /// Its end is followed by a start.
    static let restarted = Flags(rawValue: 4)
    /// The walk that starts the children passes it over.
    static let skipped = Flags(rawValue: 8)
    /// What it holds is kept for a start that follows.
    static let kept = Flags(rawValue: 16)
    /// It is being killed because it did not come up in time.
    static let tooSlow = Flags(rawValue: 32)
    /// A deadline runs for it.
    static let armed = Flags(rawValue: 64)
  }

  /// Odd while the record is in use.
  var generation: UInt32 = 0
  /// Neighbours in the order of starting; a free record's `next` is the next free one.
  var previous = ChildRecord.none
  var next = ChildRecord.none
  /// Grows along the order of starting.
  var rank: UInt32 = 0
  /// Low bits of the tick at which it last came up.
  var since: UInt32 = 0
  /// One up at each change of state that a deadline may be about.
  var epoch: UInt32 = 0
  var kind: UInt16 = 0
  var state = State.free
  /// Restarts since it last ran for long enough.
  var attempts: UInt8 = 0
  var flags = Flags()

  static let none = UInt32.max
}
