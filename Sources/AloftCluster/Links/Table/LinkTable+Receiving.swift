import AloftEngine
import AloftMembership
import AloftQueue

/// What comes in: bytes, and the records in them.
extension LinkTable {
  func receivedBytes(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    guard let connection = connection(id) else { return }
    unsafe counts.pointee.bytesReceived += UInt64(bytes.count)
    guard let session = connection.session else {
      unsafe received(connection, bytes)
      return
    }
    guard unsafe session.receive(bytes) else {
      encryptionFailed(connection, "no memory for what came")
      return
    }
    if connection.phase == .encrypting { encrypt(connection) }
    guard connection.phase == .handshaking || connection.phase == .up else { return }
    let problem = unsafe session.read { plain in
      unsafe received(connection, plain)
      return connection.phase != .over
    }
    if let problem { encryptionFailed(connection, problem) }
  }

  private func encryptionFailed(_ connection: LinkConnection, _ problem: String) {
    if connection.isPending {
      fail(connection, .encryption)
    } else {
      end(connection, .encryption(problem))
    }
  }

  private func received(_ connection: LinkConnection, _ bytes: UnsafeRawBufferPointer) {
    var rest = unsafe bytes
    if connection.phase == .handshaking { unsafe shakeHands(connection, &rest) }
    guard connection.phase == .up, unsafe !rest.isEmpty, let peer = connection.peer else { return }
    if connection.channel == .heartbeat {
      unsafe heartbeats(connection, peer, rest)
    } else {
      // Nothing here holds on to the peer or the client for each message: once does.
      unsafe records(connection, peer, peer.state, client, rest)
    }
  }

  private func heartbeats(
    _ connection: LinkConnection, _ peer: LinkPeer, _ bytes: UnsafeRawBufferPointer
  ) {
    var rest = unsafe bytes
    while true {
      switch unsafe connection.parser.pointee.next(&rest) {
      case .needsMore: return
      case .fault(let fault):
        end(connection, .fault(fault))
        return
      case .record(let header, _):
        guard header.type == .heartbeat else {
          end(connection, .fault(.misplaced))
          return
        }
        unsafe counts.pointee.heartbeatsReceived += 1
        heard(peer)
      }
    }
  }

  /// The records of a link's data connection.
  private func records(
    _ connection: LinkConnection, _ peer: LinkPeer, _ state: UnsafeMutablePointer<PeerState>,
    _ client: any LinkClient, _ bytes: UnsafeRawBufferPointer
  ) {
    let now = loop.turnTime
    if unsafe now &- state.pointee.lastHeard >= UInt64(options.heartbeatInterval) * 1_000_000 {
      heard(peer)
    }
    var rest = unsafe bytes
    let parser = unsafe connection.parser
    let link = unsafe state.pointee.link
    while true {
      switch unsafe parser.pointee.next(&rest) {
      case .needsMore: return
      case .fault(let fault):
        end(connection, .fault(fault))
        return
      case .record(let header, let body):
        let fault: WireFault?
        if header.type == .message {
          fault = unsafe message(peer, state, client, header, body)
        } else {
          fault = unsafe other(connection, peer, state, header, body)
        }
        if let fault {
          end(connection, .fault(fault))
          return
        }
        // The client may have closed the link.
        guard unsafe state.pointee.isUp && state.pointee.link == link else { return }
      }
    }
  }

  /// A small message: told of where it lies.
  @inline(__always)
  private func message(
    _ peer: LinkPeer, _ state: UnsafeMutablePointer<PeerState>, _ client: any LinkClient,
    _ header: RecordHeader, _ body: UnsafeRawBufferPointer
  ) -> WireFault? {
    let stream = unsafe state.pointee.inward.find(header.stream)
    guard unsafe header.word == stream.pointee.expected && stream.pointee.assembly == nil,
      !LinkStream.isAcknowledged(header.stream)
    else {
      return unsafe streamRecord(peer, state, stream, header, body)
    }
    unsafe stream.pointee.expected &+= 1
    unsafe stream.pointee.hasBegun = true
    if let fault = unsafe charge(stream, body.count) { return fault }
    unsafe counts.pointee.messagesReceived &+= 1
    unsafe client.received(peer, stream: header.stream, kind: header.kind, message: body)
    unsafe settle(state, header.stream, stream, body.count)
    return nil
  }

  /// Counts a record's bytes against the credit that the peer was given.
  @inline(__always)
  func charge(_ stream: UnsafeMutablePointer<InStream>, _ length: Int) -> WireFault? {
    unsafe stream.pointee.received &+= UInt64(RecordHeader.bytes &+ length)
    let open = unsafe stream.pointee.received &- stream.pointee.granted
    return open > UInt64(options.creditBytes) ? .credit : nil
  }

  /// A record is done with: its bytes are credit again, unless the client holds it back.
  @inline(__always)
  func settle(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<InStream>, _ length: Int, isFragment: Bool = false
  ) {
    guard unsafe !stream.pointee.isHeld else { return }
    unsafe stream.pointee.consumed &+= UInt64(RecordHeader.bytes &+ length)
    let open = unsafe stream.pointee.consumed &- stream.pointee.granted
    if open >= UInt64(options.creditBytes / 4) || isFragment {
      unsafe makeDue(state, number, stream)
    }
  }

  func makeDue(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<InStream>
  ) {
    guard unsafe !stream.pointee.isDue && state.pointee.isUp else { return }
    unsafe stream.pointee.isDue = true
    unsafe state.pointee.due.append(number)
    unsafe makeDirty(state)
  }

  /// A record of a stream on any but the shortest way.
  func streamRecord(
    _ peer: LinkPeer, _ state: UnsafeMutablePointer<PeerState>,
    _ stream: UnsafeMutablePointer<InStream>, _ header: RecordHeader,
    _ body: UnsafeRawBufferPointer
  ) -> WireFault? {
    if let fault = unsafe charge(stream, body.count) { return fault }
    if header.type == .fragment {
      unsafe counts.pointee.fragmentsReceived &+= 1
      let fault = unsafe fragment(peer, state, stream, header, body)
      unsafe settle(state, header.stream, stream, body.count, isFragment: true)
      return fault
    }
    if unsafe stream.pointee.assembly != nil { return .fragmentOrder }
    let isAcknowledged = LinkStream.isAcknowledged(header.stream)
    switch unsafe stream.pointee.judge(header.word, isAcknowledged: isAcknowledged) {
    case .fault: return .sequenceGap
    case .duplicate:
      unsafe counts.pointee.duplicates += 1
    case .gap(let lost):
      unsafe counts.pointee.lost += lost
      unsafe deliver(peer, state, header, body)
    case .next:
      unsafe deliver(peer, state, header, body)
    }
    if isAcknowledged { unsafe oweAcknowledgement(state, header.stream, stream) }
    unsafe settle(state, header.stream, stream, body.count)
    return nil
  }

  func oweAcknowledgement(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<InStream>
  ) {
    unsafe stream.pointee.owesAcknowledgement = true
    unsafe makeDue(state, number, stream)
  }

  /// Tells of a whole message, of whatever type.
  func deliver(
    _ peer: LinkPeer, _ state: UnsafeMutablePointer<PeerState>, _ header: RecordHeader,
    _ body: UnsafeRawBufferPointer, holder: MessageBlock? = nil
  ) {
    unsafe counts.pointee.messagesReceived &+= 1
    switch header.type {
    case .call: unsafe called(peer, state, header, body)
    case .post: unsafe posted(peer, header, body, holder)
    case .reply, .failure: unsafe answered(state, header, body)
    default:
      unsafe client.received(peer, stream: header.stream, kind: header.kind, message: body)
    }
  }

  private func posted(
    _ peer: LinkPeer, _ header: RecordHeader, _ body: UnsafeRawBufferPointer,
    _ holder: MessageBlock?
  ) {
    let mailbox = unsafe UInt64(littleEndian: body.loadUnaligned(as: UInt64.self))
    let tag = unsafe UInt64(littleEndian: body.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: body[16...])
    var reader = unsafe PostReader(
      Post(mailbox: mailbox, tag: tag, priority: header.kind & 3, bytes, holder: holder))
    unsafe client.posted(peer, stream: header.stream, &reader)
  }

  /// Records other than messages.
  @inline(never)
  private func other(
    _ connection: LinkConnection, _ peer: LinkPeer, _ state: UnsafeMutablePointer<PeerState>,
    _ header: RecordHeader, _ body: UnsafeRawBufferPointer
  ) -> WireFault? {
    switch header.type {
    case .posts: return unsafe posts(peer, state, header, body)
    case .message, .call, .reply, .failure, .fragment, .post:
      let stream = unsafe state.pointee.inward.find(header.stream)
      return unsafe streamRecord(peer, state, stream, header, body)
    case .credit: return unsafe credited(state, header)
    case .acknowledgement: return unsafe acknowledged(state, header)
    case .cancel:
      let call = unsafe IncomingCall(
        peer: state.pointee.number, link: state.pointee.link, number: header.word,
        stream: header.stream, kind: header.kind, timeout: 0)
      unsafe client.cancelled(peer, call)
    case .identity:
      identify(
        peer, id: NodeID(rawValue: header.kind), incarnation: Incarnation(rawValue: header.word))
      unsafe client.identified(peer)
    case .epoch:
      unsafe state.pointee.epoch = Epoch(rawValue: header.word)
      unsafe client.identified(peer)
    case .goodbye: end(connection, .peer(header.kind))
    case .heartbeat: return .misplaced
    }
    return nil
  }
}
