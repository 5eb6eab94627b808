import AloftQueue

/// Takes the bytes of a connection apart into records. A record that arrived whole is told of where
/// it lies; one that spans pieces is put together in memory of its own size, which is taken once
/// its length is known and within the limit.
///
/// Pure: bytes in, records out. One for each connection, on one thread.
@safe
struct RecordParser: ~Copyable {
  @safe
  enum Step {
    /// A record. Its body, of `header.length` bytes, is good until the next call.
    case record(RecordHeader, UnsafeRawBufferPointer)
    /// All bytes have been taken.
    case needsMore
    case fault(WireFault)
  }

  /// Most bytes of a record behind its header.
  let lengthMax: UInt32
  /// The header of a record that spans pieces, as far as it has come.
  private var header: (UInt64, UInt64) = (0, 0)
  private var headerBytes = 0
  private var body: MessageBlock?
  private var filled = 0
  /// The body has been told of, and goes with the next call.
  private var isTold = false

  init(lengthMax: UInt32) { self.lengthMax = lengthMax }

  deinit { if let body { MessageBlock.release(body) } }

  /// Whether nothing of a record has come that is not whole.
  var isBetweenRecords: Bool { headerBytes == 0 }

  /// The next record of `bytes`, which it leaves behind.
  @inline(__always)
  mutating func next(_ bytes: inout UnsafeRawBufferPointer) -> Step {
    guard headerBytes == 0, bytes.count >= RecordHeader.bytes else {
      return unsafe nextSlowly(&bytes)
    }
    let start = unsafe bytes.baseAddress.unsafelyUnwrapped
    guard let header = unsafe RecordHeader(start) else { return .fault(.unknownType) }
    guard isPossible(header) else { return .fault(.length) }
    let end = RecordHeader.bytes &+ Int(header.length)
    guard bytes.count >= end else { return unsafe nextSlowly(&bytes) }
    let body = unsafe UnsafeRawBufferPointer(
      start: start + RecordHeader.bytes, count: Int(header.length))
    unsafe bytes = UnsafeRawBufferPointer(start: start + end, count: bytes.count &- end)
    return unsafe .record(header, body)
  }

  /// Whether a record of this type may have this length.
  @inline(__always)
  private func isPossible(_ header: RecordHeader) -> Bool {
    if header.type == .message { return header.length <= lengthMax }
    return header.type.isOfStream
      ? header.length <= lengthMax && header.length >= header.type.extensionBytes
      : header.length == 0
  }

  @inline(never)
  private mutating func nextSlowly(_ bytes: inout UnsafeRawBufferPointer) -> Step {
    if isTold {
      forgetTold()
      // What follows a record that came in parts may be whole, and is told of where it lies.
      return unsafe next(&bytes)
    }
    if headerBytes == 0, unsafe bytes.isEmpty { return .needsMore }
    guard unsafe takeHeader(&bytes) else { return .needsMore }
    let known = unsafe withUnsafeBytes(of: &header) { unsafe RecordHeader($0.baseAddress!) }
    guard let known else { return .fault(.unknownType) }
    guard isPossible(known) else { return .fault(.length) }
    let length = Int(known.length)
    let body = self.body ?? MessageBlock.allocate(count: length)
    self.body = body
    let part = min(bytes.count, length - filled)
    if part > 0 {
      unsafe (body.header.pointee.bytes + filled).copyMemory(
        from: bytes.baseAddress!, byteCount: part)
      unsafe bytes = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(part))
      filled += part
    }
    guard filled == length else { return .needsMore }
    isTold = true
    return unsafe .record(
      known, UnsafeRawBufferPointer(start: body.header.pointee.bytes, count: length))
  }

  private mutating func forgetTold() {
    guard isTold else { return }
    if let body { MessageBlock.release(body) }
    body = nil
    filled = 0
    headerBytes = 0
    isTold = false
  }

  /// Whether the header is complete.
  private mutating func takeHeader(_ bytes: inout UnsafeRawBufferPointer) -> Bool {
    let part = min(bytes.count, RecordHeader.bytes - headerBytes)
    if part > 0 {
      unsafe withUnsafeMutableBytes(of: &header) { [headerBytes] in
        unsafe ($0.baseAddress! + headerBytes).copyMemory(
          from: bytes.baseAddress!, byteCount: part)
      }
      unsafe bytes = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(part))
      headerBytes += part
    }
    return headerBytes == RecordHeader.bytes
  }
}
