internal import AloftMembership

/// What a new session is made of: a byte of shape, one of the name's length, what the shape says,
/// the name, the state.
@safe
struct CreateBody {
  var options: SessionOptions
  /// In milliseconds since 1970, or 0; in a request, what is left until then.
  var deadline: UInt64
  let name: UnsafeRawBufferPointer
  let state: UnsafeRawBufferPointer

  /// Of options that don't say otherwise. Written to disks: never to be changed.
  private static let limits = SessionOptions()

  init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
    var reader = unsafe RawReader(body)
    let shape = try reader.byte()
    let nameLength = Int(try reader.byte())
    var options = Self.limits
    guard let phase = SessionPhase(rawValue: shape & CreateShape.phase), phase != .closed,
      let durability = SessionDurability(rawValue: shape &>> CreateShape.durabilityShift & 3),
      shape & CreateShape.unused == 0
    else { throw MalformedBytes() }
    (options.phase, options.durability) = (phase, durability)
    options.idleTimeoutMs = shape & CreateShape.idle != 0 ? try reader.word() : 0
    deadline = shape & CreateShape.deadline != 0 ? try reader.long() : 0
    options.lifetimeMs = deadline
    if shape & CreateShape.limits != 0 {
      options.stateMax = try reader.word()
      options.outboxBytesMax = try reader.word()
      options.outboxEventsMax = try reader.short()
      options.keysMax = try reader.byte()
    }
    self.options = options
    unsafe name = try reader.raw(nameLength)
    unsafe state = try reader.raw(reader.remaining)
  }

  /// Where the deadline lies in a body that has one.
  @inline(__always)
  static func deadlineOffset(_ body: UnsafeRawBufferPointer) -> Int? {
    guard body.count >= 2, unsafe body[0] & CreateShape.deadline != 0 else { return nil }
    return unsafe body[0] & CreateShape.idle != 0 ? 6 : 2
  }

  static func write(
    _ options: SessionOptions, nameLength: Int, to writer: inout RawWriter
  ) {
    var shape = options.phase.rawValue
    shape |= options.durability.rawValue &<< CreateShape.durabilityShift
    if options.idleTimeoutMs != 0 { shape |= CreateShape.idle }
    if options.lifetimeMs != 0 { shape |= CreateShape.deadline }
    let hasLimits =
      options.stateMax != limits.stateMax || options.outboxBytesMax != limits.outboxBytesMax
      || options.outboxEventsMax != limits.outboxEventsMax || options.keysMax != limits.keysMax
    if hasLimits { shape |= CreateShape.limits }
    writer.put(shape)
    writer.put(UInt8(truncatingIfNeeded: nameLength))
    if options.idleTimeoutMs != 0 { writer.put(options.idleTimeoutMs) }
    if options.lifetimeMs != 0 { writer.put(options.lifetimeMs) }
    guard hasLimits else { return }
    writer.put(options.stateMax)
    writer.put(options.outboxBytesMax)
    writer.put(options.outboxEventsMax)
    writer.put(options.keysMax)
  }
}
