import Aloft
import CallCounters
import Synchronization

/// The ways of a message through the public API.
enum MessagePath: String, CaseIterable, Sendable {
  /// Bytes as they come, answered with what was received, or with bytes of the handler's own.
  case rawReceived = "raw-received"
  case rawOwnArray = "raw-own-array"
  case rawOwnSpan = "raw-own-span"
  case rawOwnText = "raw-own-text"
  /// Whole frames: one at a time, 16 at a time, and each in two parts with a read between them.
  case frameReceived = "frame-received"
  case frameOwn = "frame-own"
  case framePipelined = "frame-pipelined"
  case frameSplit = "frame-split"
  case rawPipelined = "raw-pipelined"
  /// Beside the answer, with each message: a timer is put off; all that can be asked of a
  /// connection is asked; reading pauses and goes on; time-outs are being watched.
  case timerRearmed = "timer-rearmed"
  case properties = "properties"
  case pauseAndResume = "pause-and-resume"
  case timeouts = "timeouts"
  /// What was received as a message, written again: few bytes and many, as they come and framed;
  /// and by way of a mailbox.
  case messageSmall = "message-small"
  case messageFrame = "message-frame"
  case messageSplit = "message-split"
  case messageRelay = "message-relay"
  /// The same, where the mailbox is found by its name: a string, a hashed name and a number in turn.
  case messageRouted = "message-routed"
  /// Seeded: a reference is counted, an array made, a closure boxed, once a message.
  case offendRetain = "offend-retain"
  case offendAllocate = "offend-allocate"
  case offendBox = "offend-box"

  var isOffender: Bool {
    switch self {
    case .offendRetain, .offendAllocate, .offendBox: true
    default: false
    }
  }

  var isFramed: Bool {
    switch self {
    case .frameReceived, .frameOwn, .framePipelined, .frameSplit: true
    case .messageFrame, .messageSplit, .messageRelay, .messageRouted: true
    default: false
    }
  }

  /// Also the payload of a frame.
  var bytes: Int {
    switch self {
    case .messageFrame, .messageSplit, .messageRelay, .messageRouted: 2_048
    default: messageBytes
    }
  }

  /// What is sent ends in the midst of a frame.
  var isSplit: Bool { self == .frameSplit || self == .messageSplit }

  /// Messages that a client sends before it waits for the answers.
  var pipeline: Int { self == .framePipelined || self == .rawPipelined ? 16 : 1 }
}

/// What one server notes. Its loop's thread writes, the main thread reads `isDone` and then the
/// rest.
@safe
struct Notes: ~Copyable {
  var messages = 0
  var countFrom = 0
  var countTo = 0
  var before = call_counts()
  var after = call_counts()
  let isDone = Atomic<Bool>(false)
  var timer: Timer?
  var kept: AnyObject?
  var boxed: (() -> Int)?
  var mailbox: Mailbox?
  /// By the tags of their messages.
  var connections: [Connection] = []
}

final class Object: Sendable {}

/// Echoes, the way that is asked for.
final class ProbeHandler: ConnectionHandler, @unchecked Sendable {
  // @unchecked: one loop alone calls; the notes are its own until it says that it is done.
  let path: MessagePath
  let notes: UnsafeMutablePointer<Notes>
  let own = [UInt8](repeating: 7, count: messageBytes)
  /// Memory that is never given back, so that a span of it needs nobody to hold it.
  let lasting: UnsafeRawBufferPointer
  let text = String(repeating: "x", count: messageBytes)
  let objects = (Object(), Object())

  let registry: Registry
  let name: Registry.Name

  init(
    _ path: MessagePath, _ notes: UnsafeMutablePointer<Notes>, _ registry: Registry
  ) throws(AloftError) {
    self.path = path
    self.notes = notes
    self.registry = registry
    name = try Registry.Name("the mailbox that relays")
    lasting = UnsafeRawBufferPointer(
      UnsafeMutableRawBufferPointer.allocate(byteCount: messageBytes, alignment: 16))
  }

  func opened(_ connection: Connection) {
    connection.context = UInt(notes.pointee.connections.count)
    notes.pointee.connections.append(connection)
    if path == .messageRelay || path == .messageRouted, notes.pointee.mailbox == nil {
      notes.pointee.mailbox = try? EventLoop.current?.openMailbox(handler: RelayHandler(notes))
      if let mailbox = notes.pointee.mailbox {
        try? registry.register(name, mailbox)
        try? registry.register(UInt64(7), mailbox)
      }
    }
    guard path == .timerRearmed, notes.pointee.timer == nil else { return }
    notes.pointee.timer = try? EventLoop.current?.schedule(after: .seconds(60)) {}
  }

  func received(_ connection: Connection, _ bytes: RawSpan) {
    let arrived = path.isFramed ? 1 : bytes.byteCount / path.bytes
    for _ in 0..<arrived { countMessage() }
    switch path {
    case .rawReceived, .rawPipelined, .timeouts: connection.write(bytes)
    case .rawOwnArray: connection.write(own)
    case .rawOwnSpan: connection.write(lasting.bytes)
    case .rawOwnText: connection.write(text)
    case .frameReceived, .framePipelined, .frameSplit: connection.writeFrame(bytes)
    case .frameOwn: connection.writeFrame(lasting.bytes)
    case .timerRearmed:
      _ = notes.pointee.timer?.rearm(after: .seconds(60))
      connection.write(bytes)
    case .properties:
      connection.context += UInt(connection.queuedBytes)
      if connection.isOpen { connection.write(bytes) }
    case .pauseAndResume:
      connection.pauseReading()
      connection.write(bytes)
      connection.resumeReading()
    case .messageSmall: connection.write(connection.takeReceived(bytes))
    case .messageFrame, .messageSplit: connection.writeFrame(connection.takeReceived(bytes))
    case .messageRelay:
      var message = connection.takeReceived(bytes)
      message.tag = UInt64(connection.context)
      _ = notes.pointee.mailbox?.send(message)
    case .messageRouted:
      var message = connection.takeReceived(bytes)
      message.tag = UInt64(connection.context)
      switch notes.pointee.messages % 3 {
      case 0: registry.send(message, to: name)
      case 1: registry.send(message, to: "the mailbox that relays")
      default: registry.send(message, to: UInt64(7))
      }
    case .offendRetain:
      notes.pointee.kept = notes.pointee.messages & 1 == 0 ? objects.0 : objects.1
      connection.write(bytes)
    case .offendAllocate:
      connection.write([UInt8](repeating: UInt8(truncatingIfNeeded: arrived), count: messageBytes))
    case .offendBox:
      let count = notes.pointee.messages
      notes.pointee.boxed = { count }
      connection.write(bytes)
    }
  }

  @inline(__always)
  private func countMessage() {
    notes.pointee.messages += 1
    if notes.pointee.messages == notes.pointee.countFrom {
      notes.pointee.before = call_counters_read()
    } else if notes.pointee.messages == notes.pointee.countTo {
      notes.pointee.after = call_counters_read()
      notes.pointee.isDone.store(true, ordering: .releasing)
    }
  }
}

let messageBytes = 64

/// Writes each message to the connection that its tag names.
final class RelayHandler: MailboxHandler, @unchecked Sendable {
  // @unchecked: on one loop alone, whose the notes are.
  let notes: UnsafeMutablePointer<Notes>

  init(_ notes: UnsafeMutablePointer<Notes>) { self.notes = notes }

  func received(_ mailbox: Mailbox, _ message: consuming Message) {
    let connection = notes.pointee.connections[Int(message.tag)]
    connection.writeFrame(message)
  }
}
