extension PoolBench {
  /// Answers the lines of standard input with nanoseconds a cycle, over 50 ms at least.
  static func serve(_ kind: Kind) throws {
    var cycles = 1 << 20
    var failure: (any Error)?
    MicroRound.serve(ready: nil) { _ in
      do {
        while true {
          let nanoseconds = try cycleNanoseconds(kind, cycles: cycles)
          if nanoseconds * Double(cycles) >= Double(MicroRound.nanoseconds) { return nanoseconds }
          cycles *= 2
        }
      } catch {
        failure = error
        return 0  // which the bench takes for no answer
      }
    }
    if let failure { throw failure }
  }
}
