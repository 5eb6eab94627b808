import AloftEngine
package import AloftMembership
import AloftQueue

/// What goes out.
///
/// A small message's way: its record is written into the peer's staging block, which goes to the
/// connection when the turn ends or it is full, and from there to the socket as it lies. So a
/// message is copied once, in the process, and costs no allocation.
extension LinkTable {
  /// Records up to this many bytes are gathered in the staging block; larger ones are blocks of
  /// their own.
  static let gatheredMax = 16 << 10
  /// The staging block: what the pool's largest block has room for.
  static let stagingBytes = MessagePool.pooledBytesMax

  /// Sends a message. The bytes are the caller's again when this returns.
  package func send(
    to id: NodeID, stream: UInt16, kind: UInt8, _ bytes: UnsafeRawBufferPointer
  ) -> LinkSendResult {
    guard let state = unsafe byID[Int(id.rawValue)] else { return .noLink }
    return unsafe put(state, .message, stream, kind, (0, 0), bytes)
  }

  /// The same to a peer that need not have a number yet.
  package func send(
    to peer: LinkPeer, stream: UInt16, kind: UInt8, _ bytes: UnsafeRawBufferPointer
  ) -> LinkSendResult {
    unsafe put(peer.state, .message, stream, kind, (0, 0), bytes)
  }

  /// Sends to every peer with a link; answers how many took it.
  package func broadcast(
    stream: UInt16, kind: UInt8, _ bytes: UnsafeRawBufferPointer
  ) -> Int {
    var taken = 0
    for case let peer? in peers where peer.isUp {
      if unsafe put(peer.state, .message, stream, kind, (0, 0), bytes) == .accepted { taken += 1 }
    }
    return taken
  }

  /// Sends as much of a stream of bytes as there is credit for, as messages; answers how much that
  /// was. When it is less than all, `writable` follows. Nil without a link.
  package func write(
    to peer: LinkPeer, stream: UInt16, kind: UInt8, _ bytes: UnsafeRawBufferPointer
  ) -> Int? {
    guard peer.isUp else { return nil }
    var taken = 0
    while taken < bytes.count {
      let whole = unsafe peer.state.pointee.wholeMax - RecordHeader.bytes
      let part = min(bytes.count - taken, whole)
      let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[taken..<taken + part])
      guard unsafe put(peer.state, .message, stream, kind, (0, 0), piece) == .accepted else {
        break
      }
      taken += part
    }
    return taken
  }

  /// Sends a record of a stream: straight into the staging block if nothing is in its way.
  @inline(__always)
  func put(
    _ state: UnsafeMutablePointer<PeerState>, _ type: RecordType, _ number: UInt16, _ kind: UInt8,
    _ words: (UInt64, UInt64), _ bytes: UnsafeRawBufferPointer
  ) -> LinkSendResult {
    let length = type.extensionBytes &+ bytes.count
    let size = RecordHeader.bytes &+ length
    let stream = unsafe state.pointee.out.find(number)
    guard
      unsafe size <= state.pointee.wholeMax && stream.pointee.isClear
        && stream.pointee.credit >= size,
      !LinkStream.isAcknowledged(number),
      unsafe state.pointee.staged &+ size <= state.pointee.stagingMax || hasRoom(state, size)
    else { return unsafe putSlowly(state, type, number, kind, words, bytes) }
    let start =
      unsafe state.pointee.staging.unsafelyUnwrapped.header.pointee.bytes
      + state.pointee.staged
    unsafe RecordHeader(
      type, length: length, kind: kind, stream: number, word: stream.pointee.sequence
    ).store(to: start)
    if type != .message { unsafe Self.store(words, type, to: start + RecordHeader.bytes) }
    if let source = bytes.baseAddress {
      unsafe (start + (size &- bytes.count)).copyMemory(from: source, byteCount: bytes.count)
    }
    unsafe state.pointee.staged &+= size
    unsafe stream.pointee.sequence &+= 1
    unsafe stream.pointee.credit &-= size
    unsafe stream.pointee.sent &+= UInt64(size)
    unsafe counts.pointee.messagesSent &+= 1
    if unsafe !state.pointee.isDirty { unsafe makeDirty(state) }
    return .accepted
  }

  static func store(
    _ words: (UInt64, UInt64), _ type: RecordType, to memory: UnsafeMutableRawPointer
  ) {
    guard type.extensionBytes > 0 else { return }
    unsafe memory.storeBytes(of: words.0.littleEndian, as: UInt64.self)
    guard type.extensionBytes > 8 else { return }
    unsafe memory.storeBytes(of: words.1.littleEndian, toByteOffset: 8, as: UInt64.self)
  }

  /// Whether the staging block has, or has been given, room.
  @inline(never)
  func hasRoom(_ state: UnsafeMutablePointer<PeerState>, _ size: Int) -> Bool {
    guard unsafe state.pointee.isUp && !state.pointee.isBlocked else { return false }
    if unsafe state.pointee.staged > 0 {
      unsafe flushStaging(state)
      // Much has been gathered in one turn: the peer may begin with it.
      loop.flushWrites()
      if unsafe state.pointee.isBlocked || !state.pointee.isUp { return false }
    }
    if unsafe state.pointee.staging == nil {
      unsafe state.pointee.staging = MessageBlock.allocate(count: Self.stagingBytes)
    }
    unsafe state.pointee.stagingMax = Self.stagingBytes
    return true
  }

  /// A message that is large, acknowledged, or in whose way something is.
  @inline(never)
  private func putSlowly(
    _ state: UnsafeMutablePointer<PeerState>, _ type: RecordType, _ number: UInt16, _ kind: UInt8,
    _ words: (UInt64, UInt64), _ bytes: UnsafeRawBufferPointer
  ) -> LinkSendResult {
    let isAcknowledged = LinkStream.isAcknowledged(number)
    guard unsafe state.pointee.isUp || isAcknowledged else { return .noLink }
    let messageMax = unsafe state.pointee.isUp ? state.pointee.messageMax : options.messageMax
    guard bytes.count <= messageMax else { return .tooLarge }
    let stream = unsafe state.pointee.out.find(number)
    let length = type.extensionBytes + bytes.count
    guard unsafe mayWait(state, stream, type, length, isAcknowledged: isAcknowledged) else {
      return unsafe refuse(state, number, stream)
    }
    let block = MessageBlock.allocate(count: length)
    let memory = unsafe block.header.pointee.bytes
    unsafe Self.store(words, type, to: memory)
    if let source = bytes.baseAddress {
      unsafe (memory + type.extensionBytes).copyMemory(from: source, byteCount: bytes.count)
    }
    let waiting = Waiting(block)
    unsafe waiting.name(type, kind: kind, sequence: stream.pointee.sequence)
    unsafe stream.pointee.sequence &+= 1
    unsafe counts.pointee.messagesSent += 1
    unsafe stream.pointee.append(waiting)
    if unsafe state.pointee.isUp { unsafe activate(state, number, stream) }
    return .accepted
  }

  /// Whether a message may wait as a block: on an acknowledged stream up to a bound; behind others
  /// up to the credit; and alone if it is too large to be gathered. A small one for which there is
  /// no credit is refused. An answer waits, for who gives it may have nowhere to keep it.
  private func mayWait(
    _ state: UnsafeMutablePointer<PeerState>, _ stream: UnsafeMutablePointer<OutStream>,
    _ type: RecordType, _ length: Int, isAcknowledged: Bool
  ) -> Bool {
    let queued = unsafe Int(stream.pointee.queuedBytes)
    let bound =
      isAcknowledged
      ? options.unacknowledgedMax
      : type == .post ? options.postsWaitingMax : options.creditBytes
    if queued == 0 {
      let isAnswer = type == .reply || type == .failure
      return unsafe isAcknowledged || isAnswer
        || RecordHeader.bytes + length > state.pointee.wholeMax
    }
    return queued + length <= bound
  }
}
