internal import AloftEngine
internal import AloftSupervision

/// How a supervisor treats its children.
public struct SupervisorOptions: Sendable {
  /// Who else is restarted when a child has failed.
  public enum Strategy: Hashable, Sendable {
    /// Nobody.
    case oneForOne
    /// All of them: they are stopped, the last one first, and started, the first one first.
    case oneForAll
    /// Those that were started after it.
    case restForOne
  }

  /// How many restarts are too many: more than `max(minimum, fraction x children)` of them within
  /// `window`, both ends included. The supervisor then stops its children and has failed itself.
  ///
  /// It scales with the number of children, unlike in Erlang, where any accident that befalls a
  /// thousand of a hundred thousand children at a time ends the supervisor, or else the number is
  /// so high that nobody who fails for ever is ever noticed. Here such a one is slowed down by its
  /// back-off, and given up after `consecutiveMax` if that is set.
  public struct Intensity: Hashable, Sendable {
    public var minimum: Int
    public var fraction: Double
    public var window: Duration
    /// Most restarts of one child in a row, without its having run for `Backoff.stableAfter` in
    /// between. Nil for any number.
    public var consecutiveMax: Int?

    public init(
      minimum: Int = 3, fraction: Double = 0.25, window: Duration = .seconds(5),
      consecutiveMax: Int? = nil
    ) {
      self.minimum = minimum
      self.fraction = fraction
      self.window = window
      self.consecutiveMax = consecutiveMax
    }
  }

  /// How long a child that fails again waits: not at all the first time, then `base`, twice as long
  /// each time up to `most`, of which up to a half is taken off at random.
  public struct Backoff: Hashable, Sendable {
    public var base: Duration
    public var most: Duration
    /// Who has run for so long is taken to be well again.
    public var stableAfter: Duration

    public init(
      base: Duration = .milliseconds(10), most: Duration = .seconds(5),
      stableAfter: Duration = .seconds(10)
    ) {
      self.base = base
      self.most = most
      self.stableAfter = stableAfter
    }
  }

  public var strategy: Strategy
  public var intensity: Intensity
  public var backoff = Backoff()
  /// How many children may be on their way up, or down, at a time. With 1 the order is strict: the
  /// next one is told only when the one before has answered.
  public var inFlightMax = 1
  public var childrenMax = 1 << 20
  /// Told of what happens, on the supervisor's loop. See also `Supervisor.events`.
  public var onEvent: (@Sendable (SupervisorEvent) -> Void)?

  public init(strategy: Strategy = .oneForOne, intensity: Intensity = .init()) {
    self.strategy = strategy
    self.intensity = intensity
  }

  func engineOptions() throws(AloftError) -> AloftSupervision.SupervisorOptions {
    var options = AloftSupervision.SupervisorOptions()
    options.strategy =
      switch strategy {
      case .oneForOne: .oneForOne
      case .oneForAll: .oneForAll
      case .restForOne: .restForOne
      }
    guard 0...Int(Int32.max) ~= intensity.minimum, 0...1 ~= intensity.fraction,
      1...255 ~= (intensity.consecutiveMax ?? 1)
    else {
      throw AloftError(
        .invalidOption,
        "minimum \(intensity.minimum), fraction \(intensity.fraction), consecutiveMax "
          + "\(intensity.consecutiveMax ?? 0): up to \(Int32.max), 0 to 1 and 1 to 255 are possible"
      )
    }
    guard inFlightMax >= 1, 1...(1 << 24) ~= childrenMax else {
      throw AloftError(
        .invalidOption,
        "inFlightMax \(inFlightMax), childrenMax \(childrenMax): at least 1, and 1 to \(1 << 24) "
          + "are possible")
    }
    options.intensity = RestartIntensity(
      minimum: UInt32(intensity.minimum),
      millionths: UInt32((intensity.fraction * 1_000_000).rounded()),
      window: try limit(intensity.window, "window"),
      consecutiveMax: UInt8(intensity.consecutiveMax ?? 0))
    options.backoff = AloftSupervision.Backoff(
      base: try limit(backoff.base, "base"), most: try limit(backoff.most, "most"),
      stableAfter: try limit(backoff.stableAfter, "stableAfter"))
    options.inFlightMax = inFlightMax
    options.childrenMax = childrenMax
    return options
  }
}

/// Milliseconds of a duration that may be 0.
func limit(_ duration: Duration, _ name: String) throws(AloftError) -> UInt32 {
  let value = duration.milliseconds
  guard 0...Int64(Int32.max) ~= value else {
    throw AloftError(.invalidOption, "\(name) is \(duration); 0 to 24 days is possible")
  }
  return UInt32(value)
}

/// What becomes of a child that ends.
public enum RestartPolicy: Hashable, Sendable {
  /// It is started again, however it ended.
  case permanent
  /// It is started again if it failed, not when its work was done.
  case transient
  /// It is never started again; its end removes it.
  case temporary

  var engine: AloftSupervision.RestartPolicy {
    switch self {
    case .permanent: .permanent
    case .transient: .transient
    case .temporary: .temporary
    }
  }
}

/// What a supervisor has to tell.
public enum SupervisorEvent: Sendable {
  /// A child has failed, and is started again after a while, alone or with others.
  case restarting(child: String?, error: (any Error)?, after: Duration)
  /// A child has come up.
  case started(child: String?)
  /// The supervisor has ended; `error` says why, unless it was asked to.
  case ended(error: AloftError?)

  init(_ event: AloftEngine.SupervisorEvent) {
    switch event {
    case .restarting(let name, _, let error, let wait):
      self = .restarting(
        child: name, error: error.map(Self.outer), after: .milliseconds(Int64(clamping: wait)))
    case .started(let name, _): self = .started(child: name)
    case .ended(let end, let error): self = .ended(error: AloftError.supervisor(end, error))
    }
  }

  /// The engine's errors in the form that users know.
  private static func outer(_ error: any Error) -> any Error {
    switch error {
    case let error as EngineError: AloftError(error)
    case let error as AloftEngine.WorkerFailure: WorkerFailure(error)
    default: error
    }
  }
}

/// Why a worker has failed, when it wasn't an error that its handler threw.
public struct WorkerFailure: Error, Hashable, Sendable, CustomStringConvertible {
  let value: AloftEngine.WorkerFailure

  init(_ value: AloftEngine.WorkerFailure) { self.value = value }

  public var description: String { value.description }

  /// A message took longer than `WorkerOptions.messageLimit`.
  public var isMessageTooSlow: Bool {
    if case .messageTookTooLong = value { true } else { false }
  }
  /// It was silent for longer than `progressLimit`.
  public var isWithoutProgress: Bool { if case .noProgress = value { true } else { false } }
  /// One that it was linked to has ended.
  public var isLinkEnd: Bool { value == .linkEnded }
  /// The exit code of a process.
  public var exitCode: Int32? { if case .exited(let code) = value { code } else { nil } }
  /// The signal that ended a process.
  public var signal: Int32? { if case .signaled(let number) = value { number } else { nil } }
}

extension AloftError {
  /// Nil for an end that was asked for.
  static func supervisor(_ end: SupervisorEnd, _ error: (any Error)?) -> AloftError? {
    let text = describe(end, error)
    switch end {
    case .shutDown: return nil
    case .startFailed:
      let errno = (error as? EngineError)?.errno ?? 0
      return AloftError(.startFailed, errno: errno, text)
    case .intensityExceeded, .childKeptFailing: return AloftError(.tooManyRestarts, text)
    }
  }
}
