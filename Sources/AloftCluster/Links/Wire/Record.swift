/// What a record on a link is. The numbers are on the wire and are never given another meaning.
enum RecordType: UInt8 {
  /// A message of a stream; the first five and the last two take sequence numbers and credit.
  case message = 1
  /// 16 bytes more of header: the call's number, and milliseconds until nobody waits any more.
  case call = 2
  /// 8 bytes more of header: the call's number.
  case reply = 3
  /// The same; the kind is the code of the failure.
  case failure = 4
  /// 16 bytes more of header: the whole length, where this part begins, and what the whole is.
  case fragment = 5
  /// `word`: a call whose answer nobody waits for any more.
  case cancel = 6
  /// `word`: bytes of the stream's records that were consumed since the link came up.
  case credit = 7
  /// `word`: the number of the acknowledged stream's next message, as the receiver expects it.
  case acknowledgement = 8
  /// `word`: a count. On heartbeat connections alone.
  case heartbeat = 9
  /// `word`: the sender's incarnation; `kind`: its number.
  case identity = 10
  /// `word`: the epoch that the sender is in from here on.
  case epoch = 11
  /// `kind`: why the sender closes.
  case goodbye = 12
  /// A message for a mailbox; 16 bytes more of header: the mailbox and the message's tag. The kind
  /// is its priority.
  case post = 13
  /// Many such, small ones, one behind the other (`PostHeader`). The sequence number is the
  /// first's, and each has the next.
  case posts = 14

  /// Bytes between the header and the payload.
  var extensionBytes: Int {
    switch self {
    case .call, .fragment, .post: 16
    case .reply, .failure: 8
    default: 0
    }
  }

  /// Whether it is of a stream: it has a sequence number and costs credit.
  var isOfStream: Bool {
    rawValue <= RecordType.fragment.rawValue || rawValue >= RecordType.post.rawValue
  }

  /// Whether a large one of it travels in fragments.
  var maySplit: Bool { isOfStream && self != .fragment && self != .posts }
}

/// The first 16 bytes of a record, little-endian like all of a link:
///
///     0         4      5      6         8
///     [ length ][ type ][ kind ][ stream ][ word: a sequence number, or what the type says ]
///
/// `length` counts what follows: the extension that the type asks for, and the payload.
struct RecordHeader: Equatable {
  static let bytes = 16

  var length: UInt32
  var type: RecordType
  var kind: UInt8 = 0
  var stream: UInt16 = 0
  var word: UInt64 = 0

  @inline(__always)
  var first: UInt64 {
    UInt64(length) | UInt64(type.rawValue) << 32 | UInt64(kind) << 40 | UInt64(stream) << 48
  }

  @inline(__always)
  func store(to memory: UnsafeMutableRawPointer) {
    unsafe memory.storeBytes(of: first.littleEndian, as: UInt64.self)
    unsafe memory.storeBytes(of: word.littleEndian, toByteOffset: 8, as: UInt64.self)
  }

  /// Nil when it is none.
  @inline(__always)
  init?(_ memory: UnsafeRawPointer) {
    let first = unsafe UInt64(littleEndian: memory.loadUnaligned(as: UInt64.self))
    guard let type = RecordType(rawValue: UInt8(truncatingIfNeeded: first >> 32)) else {
      return nil
    }
    length = UInt32(truncatingIfNeeded: first)
    self.type = type
    kind = UInt8(truncatingIfNeeded: first >> 40)
    stream = UInt16(truncatingIfNeeded: first >> 48)
    word = unsafe UInt64(littleEndian: memory.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
  }

  init(
    _ type: RecordType, length: Int = 0, kind: UInt8 = 0, stream: UInt16 = 0, word: UInt64 = 0
  ) {
    self.length = UInt32(truncatingIfNeeded: length)
    self.type = type
    self.kind = kind
    self.stream = stream
    self.word = word
  }
}

/// What is wrong with the bytes of a link, which ends for it.
package enum WireFault: UInt8, Error, Hashable, Sendable {
  /// A record of a type that there is not.
  case unknownType = 1
  /// A record longer than was agreed, or one that must have another length.
  case length
  /// A message of the stream is missing.
  case sequenceGap
  /// A part of a large message that does not follow the one before.
  case fragmentOrder
  /// More to put together than was agreed.
  case reassembly
  /// A record that has no place on this connection.
  case misplaced
  /// More than the stream's credit, or credit for more than was sent.
  case credit
}
