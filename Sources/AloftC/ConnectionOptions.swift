import AloftEngine
import CAloft

/// A connection's options, read and checked.
struct ConnectionOptions {
  var settings = ConnectionSettings()
  var backlog: Int32 = 4_096

  init(_ source: UnsafePointer<aloft_connection_options>?) throws(Failure) {
    var given = aloft_connection_options()
    if let source = unsafe source {
      try unsafe read(source, into: &given, "aloft_connection_options")
    }
    guard given.flags == 0 else {
      throw Failure(Code.invalid, "flags is \(given.flags); none are known")
    }
    try setFraming(given)
    try setMarks(given)
    settings.idleTimeout = try timeout(given.idle_timeout_ms, "idle_timeout_ms", 0)
    settings.connectTimeout = try timeout(
      given.connect_timeout_ms, "connect_timeout_ms", settings.connectTimeout)
    settings.stallTimeout = try timeout(
      given.stall_timeout_ms, "stall_timeout_ms", settings.stallTimeout)
    if given.backlog != 0 { backlog = Int32(clamping: given.backlog) }
  }

  private mutating func setFraming(_ given: aloft_connection_options) throws(Failure) {
    switch Int(given.framing) {
    case ALOFT_FRAMING_NONE: settings.framing = .none
    case ALOFT_FRAMING_LENGTH_PREFIXED:
      let max = given.frame_bytes_max
      settings.framing = .lengthPrefixed(max: max == 0 ? 1 << 20 : max)
    default: throw Failure(Code.invalid, "framing is \(given.framing); 0 and 1 are known")
    }
  }

  /// What isn't set gives way to what is.
  private mutating func setMarks(_ given: aloft_connection_options) throws(Failure) {
    let most = given.queued_bytes_max
    let high =
      given.high_water_bytes != 0
      ? given.high_water_bytes : min(settings.highWater, most == 0 ? .max : most)
    let low = given.low_water_bytes != 0 ? given.low_water_bytes : min(settings.lowWater, high)
    let max = most != 0 ? most : Swift.max(settings.queuedMax, high)
    guard low <= high, high <= max, max <= 1 << 30 else {
      throw Failure(
        Code.invalid,
        """
        low_water_bytes \(low), high_water_bytes \(high), queued_bytes_max \(max): they must not \
        fall, and the last is at most \(1 << 30)
        """)
    }
    settings.lowWater = low
    settings.highWater = high
    settings.queuedMax = max
  }

  private func timeout(
    _ value: UInt32, _ name: StaticString, _ usual: UInt32
  ) throws(Failure) -> UInt32 {
    if value == 0 { return usual }
    if value == .max { return 0 }
    guard value <= UInt32(Int32.max) else {
      throw Failure(
        Code.invalid, "\(name) is \(value); up to \(Int32.max) or ALOFT_NEVER is possible")
    }
    return value
  }
}
