internal import AloftEngine

/// What a pool refuses, with the numbers that matter in its text.
public struct PoolError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of refusal. More may come, so switch with a `default`.
  public struct Code: Hashable, Sendable {
    let value: UInt8

    /// As many wait for a lease as may.
    public static let queueFull = Code(value: 1)
    /// No resource was free within the time.
    public static let timedOut = Code(value: 2)
    /// The upstream has failed so often that it is left alone for a while, and nothing is open.
    public static let upstreamDown = Code(value: 3)
    /// The pool drains or has been drained, or the runtime has ended.
    public static let closed = Code(value: 4)
    /// There is no such lease: it was returned before, taken back, or never given.
    public static let staleLease = Code(value: 5)
    /// An option outside its range.
    public static let invalidOption = Code(value: 6)
    /// 4,095 pools live in this process.
    public static let poolLimit = Code(value: 7)
  }

  public let code: Code
  /// One sentence for a person.
  public let message: String

  public var description: String { message }

  init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  init(_ refusal: PoolRefused) {
    switch refusal {
    case .queueFull(let waiting, let max):
      self.init(.queueFull, "\(waiting) wait for a lease of this pool, and \(max) may")
    case .timedOut(let waited):
      self.init(.timedOut, "no resource of the pool was free for \(waited / 1_000) us")
    case .upstreamDown(let failures, let retryIn):
      self.init(
        .upstreamDown,
        """
        the pool has nothing open: \(failures) attempts in a row have failed, the next one is due \
        in \(retryIn / 1_000_000) ms
        """)
    case .closed, .cancelled: self.init(.closed, "the pool is closed")
    }
  }

  static func stale(_ lease: UInt64) -> PoolError {
    PoolError(
      .staleLease,
      "lease \(String(lease, radix: 16)) is none of this pool, or no longer: it was returned before"
    )
  }
}
