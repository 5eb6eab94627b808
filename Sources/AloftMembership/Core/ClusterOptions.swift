/// How a node keeps time with the others. All in nanoseconds; the presets belong to those of the
/// log's elections.
package struct ClusterOptions: Hashable, Sendable {
  /// How often the core wants to be told the time.
  package var tick: UInt64
  /// How often a leader asks its members whether they still follow.
  package var beatInterval: UInt64
  /// How long a node goes on accepting after a majority was last known to follow the leader.
  package var lease: UInt64
  package var detector: DetectorOptions
  /// How often one who wants to be let in asks again, and after how long it gives up when its name
  /// is taken all the while.
  package var joinRetry: UInt64
  package var joinPatience: UInt64
  /// How long a proposal is waited for before it is sent again, and before nobody knows.
  package var proposalRetry: UInt64
  package var requestTimeout: UInt64
  /// Slots are spread anew when nobody has come or gone for so long, unless some have no living
  /// owner.
  package var rebalanceDelay: UInt64
  /// Members that vote; odd. More make each entry dearer and lose fewer.
  package var votersMax: Int
  /// Requests of this node that may be under way.
  package var requestsMax: Int { 32 }

  private static let ms: UInt64 = 1_000_000

  private init(beat: UInt64, lease: UInt64, detector: DetectorOptions) {
    tick = min(beat, 10 * Self.ms)
    beatInterval = beat
    self.lease = lease
    self.detector = detector
    joinRetry = 2 * beat
    joinPatience = 30_000 * Self.ms
    proposalRetry = 8 * beat
    requestTimeout = 10_000 * Self.ms
    rebalanceDelay = beat
    votersMax = 5
  }

  /// For a machine's own loopback, or a quiet rack: elections after 50 ms.
  package static let fast = ClusterOptions(beat: 10 * ms, lease: 100 * ms, detector: .fast)
  /// Elections after 150 ms.
  package static let `default` = ClusterOptions(beat: 25 * ms, lease: 250 * ms, detector: .default)
  /// For links that are slow or machines that are busy: elections after 1 s.
  package static let relaxed = ClusterOptions(
    beat: 100 * ms, lease: 1_500 * ms, detector: .relaxed)
}
