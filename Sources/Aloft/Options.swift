internal import AloftEngine
internal import AloftUV

/// Limits and time-outs of one kind of connection: a listener's, or one that is opened.
public struct ConnectionOptions: Sendable {
  /// How bytes become messages.
  public enum Framing: Hashable, Sendable {
    /// Messages are whatever arrived.
    case none
    /// A message is four bytes of length, big-endian, and as many bytes. A peer that announces more
    /// than `max` is reset before any memory is taken for it.
    case lengthPrefixed(max: Int)
  }

  public var framing = Framing.none
  /// Queued output above which the connection's own reads pause, in bytes. Two ends that both send
  /// more than that before they read wait for each other until the stall time-out; an end that must
  /// not be held up so sets this to `writeQueueMax`, and reads on while its peer is slow.
  public var writeHighWater = 64 << 10
  /// Queued output at which they go on and `writable` is told, in bytes.
  public var writeLowWater = 16 << 10
  /// Most output that may be queued, in bytes; a write beyond it answers `wouldBlock`. A single
  /// larger message passes while nothing waits before it.
  public var writeQueueMax = 1 << 20
  /// Without a byte in either direction for so long, the connection is closed. Nil for never.
  public var idleTimeout: Duration?
  /// For so long at most an attempt to connect may take. Nil for as long as the system tries.
  public var connectTimeout: Duration? = .seconds(10)
  /// A peer that takes none of what is queued for it for so long is reset. Nil for never.
  public var writeStallTimeout: Duration? = .seconds(30)

  public init() {}

  func settings() throws(AloftError) -> ConnectionSettings {
    var settings = ConnectionSettings()
    if case .lengthPrefixed(let max) = framing {
      guard max >= 0, let limit = UInt32(exactly: max) else {
        throw AloftError(.invalidOption, "frame limit \(max); 0 to \(UInt32.max) are possible")
      }
      settings.framing = .lengthPrefixed(max: limit)
    }
    guard 0 <= writeLowWater, writeLowWater <= writeHighWater, writeHighWater <= writeQueueMax,
      writeQueueMax <= 1 << 30
    else {
      throw AloftError(
        .invalidOption,
        """
        write marks low \(writeLowWater), high \(writeHighWater), max \(writeQueueMax): they must \
        not fall, and the last is at most \(1 << 30)
        """)
    }
    settings.lowWater = UInt32(writeLowWater)
    settings.highWater = UInt32(writeHighWater)
    settings.queuedMax = UInt32(writeQueueMax)
    settings.idleTimeout = try idleTimeout.milliseconds("idleTimeout")
    settings.connectTimeout = try connectTimeout.milliseconds("connectTimeout")
    settings.stallTimeout = try writeStallTimeout.milliseconds("writeStallTimeout")
    return settings
  }
}

extension Duration? {
  /// Milliseconds for the engine, where 0 means none.
  func milliseconds(_ name: String) throws(AloftError) -> UInt32 {
    guard let self else { return 0 }
    let value = self.milliseconds
    guard value > 0, value <= Int64(Int32.max) else {
      throw AloftError(
        .invalidOption, "\(name) is \(self); more than 0 and up to 24 days is possible")
    }
    return UInt32(value)
  }
}

extension Runtime {
  /// How a runtime is made.
  public struct Options: Sendable {
    /// Event loops, each on a thread of its own; 1 to 256 in a process.
    public var eventLoops = 1
    /// Connections of all loops together. Checked against the descriptor limit at start, and kept:
    /// a connection that arrives beyond it is refused.
    public var connectionsMax = 16_384
    /// Timers that may run at a time on one loop, beside those of connections.
    public var timersMax = 1 << 20
    /// Jobs that may wait for a loop from all foreign threads together.
    public var inboxCapacity = 4_096
    /// For how long at most a loop polls before it sleeps; nil sleeps at once. A message that comes
    /// while it polls is answered some 40-80 us sooner; the price is a processor that is busy all
    /// that time. The loop polls no longer than has paid lately.
    public var busyPoll: Duration?
    /// Gives each loop's thread a descriptor table of its own, so that the descriptor limit counts
    /// per loop. The price: the tables are copies, so what the process had open when the runtime
    /// started stays open in each until the runtime ends, and descriptors can't be passed to or
    /// from a loop by their numbers.
    public var privateDescriptors = false
    /// Processors to pin the loops to, in their order. Empty for none.
    public var processors: [Int] = []

    public init() {}

    public init(eventLoops: Int, connectionsMax: Int = 16_384) {
      self.eventLoops = eventLoops
      self.connectionsMax = connectionsMax
    }

    func groupOptions() throws(AloftError) -> LoopGroupOptions {
      var options = LoopGroupOptions()
      options.eventLoops = eventLoops
      options.connectionsMax = connectionsMax
      options.privateDescriptors = privateDescriptors
      options.processors = processors
      guard 0...(1 << 24) ~= timersMax, 1...(1 << 24) ~= inboxCapacity else {
        throw AloftError(
          .invalidOption,
          "timersMax \(timersMax), inboxCapacity \(inboxCapacity): up to \(1 << 24) are possible")
      }
      options.loop.timersMax = timersMax
      options.loop.inboxCapacity = inboxCapacity
      if let busyPoll {
        let (seconds, attoseconds) = busyPoll.components
        guard seconds == 0, attoseconds >= 0 else {
          throw AloftError(.invalidOption, "busyPoll is \(busyPoll); up to 1 s is possible")
        }
        options.loop.busyPollMax = UInt64(attoseconds / 1_000_000_000)
      }
      return options
    }
  }
}
