import AloftEngine
import AloftQueue
import AloftSupervision
import CAloft

/// The options of supervisors and their children, read and checked.
func readSupervisorOptions(
  _ source: UnsafePointer<aloft_supervisor_options>?
) throws(Failure) -> SupervisorOptions {
  var given = aloft_supervisor_options()
  if let source = unsafe source {
    try unsafe read(source, into: &given, "aloft_supervisor_options")
  }
  var options = SupervisorOptions()
  switch Int(given.strategy) {
  case ALOFT_ONE_FOR_ONE: options.strategy = .oneForOne
  case ALOFT_ONE_FOR_ALL: options.strategy = .oneForAll
  case ALOFT_REST_FOR_ONE: options.strategy = .restForOne
  default: throw Failure(Code.invalid, "strategy is \(given.strategy); 0 to 2 are known")
  }
  guard given.restarts_percent <= 100, given.in_a_row_max <= 255,
    given.children_max <= 1 << 24, given.in_flight_max <= 1 << 24
  else {
    throw Failure(
      Code.invalid,
      """
      restarts_percent \(given.restarts_percent), in_a_row_max \(given.in_a_row_max), \
      in_flight_max \(given.in_flight_max), children_max \(given.children_max): up to 100, 255, \
      and \(1 << 24) are possible
      """)
  }
  func value(_ given: UInt32, _ usual: UInt32) -> UInt32 { given == 0 ? usual : given }
  options.intensity = RestartIntensity(
    minimum: value(given.restarts_min, 3), millionths: value(given.restarts_percent, 25) * 10_000,
    window: value(given.window_ms, 5_000), consecutiveMax: UInt8(given.in_a_row_max))
  options.backoff = Backoff(
    base: value(given.backoff_ms, 10), most: value(given.backoff_ms_max, 5_000),
    stableAfter: value(given.stable_ms, 10_000))
  options.inFlightMax = Int(value(given.in_flight_max, 1))
  options.childrenMax = Int(value(given.children_max, 1 << 20))
  return options
}

private func readPolicy(_ given: UInt32) throws(Failure) -> RestartPolicy {
  switch Int(given) {
  case ALOFT_PERMANENT: return .permanent
  case ALOFT_TRANSIENT: return .transient
  case ALOFT_TEMPORARY: return .temporary
  default: throw Failure(Code.invalid, "restart is \(given); 0 to 2 are known")
  }
}

private func readKind(_ restart: UInt32, _ stop: UInt32) throws(Failure) -> ChildKind {
  ChildKind(
    policy: try readPolicy(restart), stopLimit: stop == 0 ? 5_000 : stop == .max ? 0 : stop)
}

/// Of a time of which 0 and ALOFT_NEVER mean that there is none.
private func readLimit(_ given: UInt32) -> UInt32 { given == .max ? 0 : given }

func readWorkerOptions(
  _ source: UnsafePointer<aloft_worker_options>?
) throws(Failure) -> (WorkerOptions, ChildKind) {
  var given = unsafe aloft_worker_options()
  if let source = unsafe source { try unsafe read(source, into: &given, "aloft_worker_options") }
  let redeliveries = unsafe given.redeliveries_max
  guard redeliveries <= 254 else {
    throw Failure(
      Code.invalid, "redeliveries_max is \(redeliveries); up to 254 is possible")
  }
  var options = WorkerOptions()
  options.mailbox = unsafe try readMailboxOptions(given.mailbox)
  options.messageLimit = unsafe readLimit(given.message_ms_max)
  options.progressLimit = unsafe readLimit(given.progress_ms)
  options.redeliveriesMax = UInt8(redeliveries)
  return (options, unsafe try readKind(given.restart, given.stop_ms))
}

/// What a process worker is made of.
struct ProcessPlan {
  var spawn: ProcessSpawn
  var spares: Int
  var options = ProcessWorkerOptions()
  var kind: ChildKind

  init(_ source: UnsafePointer<aloft_process_options>?) throws(Failure) {
    guard let source = unsafe source else { throw .null("options") }
    var given = unsafe aloft_process_options()
    try unsafe read(source, into: &given, "aloft_process_options")
    guard let path = unsafe given.path else { throw .null("options.path") }
    spawn = unsafe ProcessSpawn(path: String(cString: path))
    spawn.arguments = unsafe Self.list(given.arguments)
    spawn.environment = unsafe Self.list(given.environment)
    spawn.directory = unsafe given.directory.map { unsafe String(cString: $0) }
    spares = unsafe Int(given.spares)
    let (waits, signal) = unsafe (given.waits_for_message, given.stop_signal)
    guard spares <= 1_024, waits <= 1, signal <= 64 else {
      throw Failure(
        Code.invalid,
        """
        spares \(spares), waits_for_message \(waits), stop_signal \(signal): up to 1024, 1 and \
        64 are possible
        """)
    }
    kind = unsafe try readKind(given.restart, given.stop_ms)
    options.readiness = waits == 1 ? .firstMessage : .started
    if signal != 0 { options.stopSignal = Int32(signal) }
    options.progressLimit = unsafe readLimit(given.progress_ms)
    if let bytes = unsafe given.assignment {
      let count = unsafe given.assignment_length
      guard 0...Int(ChildProcess.frameMax) ~= count else {
        throw Failure(
          Code.messageSize,
          "assignment_length \(UInt(bitPattern: count)) is above \(ChildProcess.frameMax)")
      }
      options.assignment = unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count))
    }
  }

  private static func list(
    _ words: UnsafePointer<UnsafePointer<CChar>?>?
  ) -> [String] {
    guard let words = unsafe words else { return [] }
    var list: [String] = []
    while let word = unsafe words[list.count] { list.append(unsafe String(cString: word)) }
    return list
  }
}

extension Failure {
  /// The code of whatever a child has failed with.
  static func code(of error: (any Error)?) -> Int32 {
    switch error {
    case nil: Code.success
    case let failure as CallbackFailure: failure.code
    case let failure as EngineError: Failure(failure).code
    case let failure as WorkerFailure:
      switch failure {
      case .messageTookTooLong, .noProgress: Code.timedOut
      case .linkEnded: Code.closed
      case .told, .exited, .signaled, .endedUnseen, .supervisorEnded: Code.failed
      }
    default: Code.failed
    }
  }
}
