package import AloftSession

/// How a simulated cluster is treated. Times in nanoseconds.
package struct ClusterSimOptions: Sendable {
  package var nodes = 5
  /// Happenings before everything is healed and must come to rest.
  package var events = 8_000
  package var faults: Set<SeededFault> = []
  /// Sessions that clients use all the while; 0 for none.
  package var sessions = 0
  /// Who use them, each one thing at a time.
  package var clients = 4
  package var sessionFaults: Set<SessionFault> = []
  /// Of a packet, in percent.
  package var loss = 1
  package var duplicates = 1
  package var delay = 20_000...2_000_000
  /// Between two misfortunes.
  package var misfortune = 20_000_000...400_000_000
  /// How long all may take to come to rest once nothing goes wrong any more.
  package var rest: UInt64 = 8_000_000_000
  /// Keep a line for each thing that happens.
  package var isTraced = false

  package init() {}
}

/// How a simulated cluster fared.
package struct ClusterSimResult: Sendable {
  package var seed: UInt64
  package var events = 0
  /// Messages that nodes took.
  package var taken = 0
  package var convictions = 0
  package var leaders = 0
  package var requests = 0
  /// Writes to sessions that were acknowledged, and reads of them.
  package var writes = 0
  package var reads = 0
  /// Nil when nothing was wrong.
  package var violation: String?
  package var trace: [String] = []

  package init(seed: UInt64) { self.seed = seed }
}
