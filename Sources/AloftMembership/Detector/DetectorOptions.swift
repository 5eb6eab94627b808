/// How long silence may last, in nanoseconds.
package struct DetectorOptions: Hashable, Sendable {
  /// Between two heartbeats of a peer.
  package var interval: UInt64
  /// A peer that was not heard of for so long is suspected.
  package var suspectAfter: UInt64
  /// How long the others are waited for when asked about a suspect.
  package var opinionWait: UInt64
  /// A suspect whom others still hear is convicted after so long all the same: it can't be reached
  /// from here, and what it owns doesn't work.
  package var hearsayMax: UInt64
  /// How long a peer that was just let in may take to be heard of first.
  package var arrivalMax: UInt64

  private static let ms: UInt64 = 1_000_000

  package init(
    interval: UInt64, suspectAfter: UInt64, opinionWait: UInt64, hearsayMax: UInt64,
    arrivalMax: UInt64
  ) {
    self.interval = interval
    self.suspectAfter = suspectAfter
    self.opinionWait = opinionWait
    self.hearsayMax = hearsayMax
    self.arrivalMax = arrivalMax
  }

  /// Convicts after 55 to 95 ms.
  package static let fast = DetectorOptions(
    interval: 10 * ms, suspectAfter: 55 * ms, opinionWait: 30 * ms, hearsayMax: 1_000 * ms,
    arrivalMax: 2_000 * ms)
  /// Convicts after 120 to 200 ms.
  package static let `default` = DetectorOptions(
    interval: 25 * ms, suspectAfter: 120 * ms, opinionWait: 60 * ms, hearsayMax: 2_000 * ms,
    arrivalMax: 3_000 * ms)
  /// Convicts after 1 to 1.4 s.
  package static let relaxed = DetectorOptions(
    interval: 100 * ms, suspectAfter: 1_000 * ms, opinionWait: 300 * ms, hearsayMax: 6_000 * ms,
    arrivalMax: 10_000 * ms)
}
