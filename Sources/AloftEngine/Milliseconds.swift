// The one conversion of time limits: the engine's timers count milliseconds.
extension Duration {
  /// In milliseconds, rounded up: what is waited for so long doesn't end early.
  package var milliseconds: Int64 {
    let (seconds, attoseconds) = components
    let (part, rest) = attoseconds.quotientAndRemainder(dividingBy: 1_000_000_000_000_000)
    let (whole, isTooLarge) = seconds.multipliedReportingOverflow(by: 1_000)
    let (sum, isTooMuch) = whole.addingReportingOverflow(part + (rest > 0 ? 1 : 0))
    return isTooLarge || isTooMuch ? (seconds < 0 ? .min : .max) : sum
  }

  /// A limit for something to be done within: a millisecond at least, 46 days at most.
  package var limitMilliseconds: UInt32 { UInt32(min(max(1, milliseconds), 4_000_000_000)) }
}
