import AloftEngine
import AloftMembership
import AloftQueue

/// The turn's end: credit and acknowledgements, what was gathered, and then what waits, stream by
/// stream in turn, so that none waits for another's large message.
extension LinkTable {
  @inline(__always)
  func makeDirty(_ state: UnsafeMutablePointer<PeerState>) {
    if unsafe !state.pointee.isDirty { unsafe makeDirtyNow(state) }
  }

  @inline(never)
  private func makeDirtyNow(_ state: UnsafeMutablePointer<PeerState>) {
    guard let peer = unsafe state.pointee.peer?.takeUnretainedValue() else { return }
    unsafe state.pointee.isDirty = true
    if dirty.isEmpty { loop.whenTurnEnds(self) }
    dirty.append(peer)
  }

  func flushDirty() {
    let peers = dirty
    dirty.removeAll(keepingCapacity: true)
    for peer in peers {
      let state = unsafe peer.state
      unsafe state.pointee.isDirty = false
      guard unsafe state.pointee.isUp && !state.pointee.isBlocked else { continue }
      unsafe flush(state)
    }
  }

  private func flush(_ state: UnsafeMutablePointer<PeerState>) {
    unsafe tellDue(state)
    unsafe flushStaging(state)
    unsafe pump(state)
    unsafe flushStaging(state)
    // What waited has gone, and nothing else may tell of the room that it leaves: the peer gives
    // credit by the quarter only.
    if unsafe !state.pointee.isBlocked { unsafe tellAwaited(state) }
  }

  // MARK: Control

  func owe(_ state: UnsafeMutablePointer<PeerState>, _ mark: (inout PeerState) -> Void) {
    unsafe mark(&state.pointee)
    unsafe makeDirty(state)
  }

  /// Puts a record without a body in line; if it can't be, has it remembered.
  func writeControl(
    _ state: UnsafeMutablePointer<PeerState>, _ header: RecordHeader,
    orElse mark: (inout PeerState) -> Void
  ) {
    if unsafe !writeControl(state, header) { unsafe mark(&state.pointee) }
    unsafe makeDirty(state)
  }

  private func writeControl(
    _ state: UnsafeMutablePointer<PeerState>, _ header: RecordHeader
  ) -> Bool {
    guard
      unsafe state.pointee.staged + RecordHeader.bytes <= state.pointee.stagingMax
        || hasRoom(state, RecordHeader.bytes)
    else { return false }
    let start = unsafe state.pointee.staging.unsafelyUnwrapped.header.pointee.bytes
    unsafe header.store(to: start + state.pointee.staged)
    unsafe state.pointee.staged += RecordHeader.bytes
    return true
  }

  /// A last word: sent if there is room for it.
  func sayLast(_ state: UnsafeMutablePointer<PeerState>, _ header: RecordHeader) {
    guard unsafe state.pointee.isUp, unsafe writeControl(state, header) else { return }
    unsafe flushStaging(state)
  }

  /// Tells what the peer should know: credit, acknowledgements, who this is.
  private func tellDue(_ state: UnsafeMutablePointer<PeerState>) {
    if unsafe state.pointee.owesIdentity {
      unsafe state.pointee.owesIdentity = unsafe !writeControl(
        state, RecordHeader(.identity, kind: id.rawValue, word: incarnation.rawValue))
    }
    if unsafe state.pointee.owesEpoch {
      unsafe state.pointee.owesEpoch = unsafe !writeControl(
        state, RecordHeader(.epoch, word: epoch.rawValue))
    }
    guard unsafe !state.pointee.due.isEmpty else { return }
    var told = 0
    for number in unsafe state.pointee.due {
      let stream = unsafe state.pointee.inward.find(number)
      guard unsafe tellDue(state, number, stream) else { break }
      unsafe stream.pointee.isDue = false
      told += 1
    }
    unsafe state.pointee.due.removeFirst(told)
  }

  private func tellDue(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<InStream>
  ) -> Bool {
    if unsafe stream.pointee.consumed > stream.pointee.granted {
      let header = unsafe RecordHeader(.credit, stream: number, word: stream.pointee.consumed)
      guard unsafe writeControl(state, header) else { return false }
      unsafe stream.pointee.granted = unsafe stream.pointee.consumed
    }
    if unsafe stream.pointee.owesAcknowledgement {
      let header = unsafe RecordHeader(
        .acknowledgement, stream: number, word: stream.pointee.expected)
      guard unsafe writeControl(state, header) else { return false }
      unsafe stream.pointee.owesAcknowledgement = false
    }
    return true
  }

  // MARK: Blocks to the connection

  /// Hands what was gathered to the connection. A little is copied there, for that costs less than
  /// a block of its own.
  func flushStaging(_ state: UnsafeMutablePointer<PeerState>) {
    let count = unsafe state.pointee.staged
    guard count > 0, let block = unsafe state.pointee.staging else { return }
    if count <= 1_024, unsafe isPlain(state) && state.pointee.outbox.isEmpty {
      let bytes = unsafe UnsafeRawBufferPointer(start: block.header.pointee.bytes, count: count)
      if unsafe loop.write(state.pointee.connection, bytes) == .accepted {
        unsafe counts.pointee.bytesSent += UInt64(count)
        unsafe state.pointee.staged = 0
        unsafe state.pointee.openMax = 0
        return
      }
    }
    unsafe block.header.pointee.count = UInt32(count)
    unsafe state.pointee.staging = nil
    unsafe state.pointee.staged = 0
    unsafe state.pointee.stagingMax = 0
    unsafe state.pointee.openMax = 0
    unsafe transmit(state, block)
  }

  private func isPlain(_ state: UnsafeMutablePointer<PeerState>) -> Bool {
    unsafe state.pointee.carrier?._withUnsafeGuaranteedRef { $0.session == nil } ?? true
  }

  /// Hands a block to the connection, or keeps it until there is room. Takes the reference over.
  private func transmit(_ state: UnsafeMutablePointer<PeerState>, _ block: MessageBlock) {
    var block = block
    if let session = unsafe state.pointee.carrier?._withUnsafeGuaranteedRef({ $0.session }) {
      let plain = unsafe UnsafeRawBufferPointer(
        start: block.header.pointee.bytes, count: Int(block.header.pointee.count))
      let isWritten = unsafe session.write(plain)
      MessageBlock.release(block)
      guard isWritten, let sealed = session.takeBlock() else {
        unsafe breakOff(state)
        return
      }
      block = sealed
    }
    unsafe counts.pointee.bytesSent += UInt64(block.header.pointee.count)
    if unsafe state.pointee.outbox.isEmpty {
      switch unsafe loop.write(state.pointee.connection, adopting: block) {
      case .accepted: return
      case .closed:
        MessageBlock.release(block)
        return
      case .wouldBlock: break
      }
    }
    unsafe state.pointee.outbox.append(block)
    unsafe state.pointee.isBlocked = true
    unsafe state.pointee.stagingMax = 0
  }

  /// The encryption can't go on; the socket's end tells the rest.
  private func breakOff(_ state: UnsafeMutablePointer<PeerState>) {
    unsafe loop.reset(state.pointee.connection)
  }

  /// The connection has room again.
  func connectionWritable(_ id: ConnectionID) {
    guard let connection = connection(id), connection.phase == .up, connection.channel == .data,
      let peer = connection.peer
    else { return }
    let state = unsafe peer.state
    while let block = unsafe state.pointee.outbox.first {
      guard loop.write(id, adopting: block) == .accepted else { return }
      unsafe state.pointee.outbox.removeFirst()
    }
    unsafe state.pointee.isBlocked = false
    unsafe flush(state)
  }

  // MARK: What waits

  /// Has a stream send what waits on it, in its turn.
  func activate(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<OutStream>
  ) {
    guard unsafe !stream.pointee.isActive && stream.pointee.next != 0 else { return }
    unsafe stream.pointee.isActive = true
    unsafe state.pointee.active.append(number)
    unsafe makeDirty(state)
  }

  /// Sends what waits, a record or fragment of each stream in turn, until the connection is full or
  /// nobody has credit.
  private func pump(_ state: UnsafeMutablePointer<PeerState>) {
    while unsafe state.pointee.activeHead < state.pointee.active.count
      && !state.pointee.isBlocked
    {
      let number = unsafe state.pointee.active[state.pointee.activeHead]
      unsafe state.pointee.activeHead += 1
      let stream = unsafe state.pointee.out.find(number)
      if unsafe sendNext(state, number, stream) && stream.pointee.next != 0 {
        unsafe state.pointee.active.append(number)
      } else {
        unsafe stream.pointee.isActive = false
      }
    }
    // What the head has passed is given up in one go.
    let passed = unsafe state.pointee.activeHead
    unsafe state.pointee.active.removeFirst(passed)
    unsafe state.pointee.activeHead = 0
  }

  /// Sends the next record of what waits on a stream; false when it must wait for credit.
  private func sendNext(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<OutStream>
  ) -> Bool {
    guard let waiting = unsafe Waiting(address: stream.pointee.next) else { return false }
    let payload = waiting.count - waiting.type.extensionBytes
    guard unsafe payload <= state.pointee.frameMax else {
      return unsafe sendFragment(state, number, stream, waiting)
    }
    let size = RecordHeader.bytes + waiting.count
    guard unsafe stream.pointee.credit >= size else { return false }
    let header = RecordHeader(
      waiting.type, length: waiting.count, kind: waiting.kind, stream: number,
      word: waiting.sequence)
    guard unsafe write(state, header, nil, waiting, from: 0, count: waiting.count) else {
      return false
    }
    unsafe spend(stream, size)
    unsafe advance(state, number, stream, waiting)
    return true
  }

  private func spend(_ stream: UnsafeMutablePointer<OutStream>, _ size: Int) {
    unsafe stream.pointee.credit -= size
    unsafe stream.pointee.sent += UInt64(size)
  }

  /// A message is on its way whole. At most once, that is the end of it.
  private func advance(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<OutStream>, _ waiting: Waiting
  ) {
    if unsafe state.pointee.waitingPosts?.address == waiting.address {
      unsafe state.pointee.waitingPosts = nil
    }
    unsafe stream.pointee.next = waiting.next
    unsafe stream.pointee.offset = 0
    guard !LinkStream.isAcknowledged(number) else { return }
    _ = unsafe stream.pointee.removeFirst()
    MessageBlock.release(waiting.block)
  }

  private func sendFragment(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<OutStream>, _ waiting: Waiting
  ) -> Bool {
    let offset = unsafe Int(stream.pointee.offset)
    let part = unsafe min(state.pointee.frameMax, waiting.count - offset)
    let size = RecordHeader.bytes + FragmentHeader.bytes + part
    guard unsafe stream.pointee.credit >= size else { return false }
    let isCharged = unsafe stream.pointee.isCharged
    let isFull =
      unsafe state.pointee.fragmentBytes > 0
      && state.pointee.fragmentBytes + size > options.fragmentBytesMax
    guard !isFull, unsafe isCharged || state.pointee.assemblyRoom >= waiting.count else {
      unsafe state.pointee.starved.append(number)
      return false
    }
    if !isCharged {
      unsafe state.pointee.assemblyRoom -= waiting.count
      unsafe stream.pointee.isCharged = true
    }
    let header = RecordHeader(
      .fragment, length: FragmentHeader.bytes + part, kind: waiting.kind, stream: number,
      word: waiting.sequence)
    let fragment = FragmentHeader(
      total: waiting.count, offset: UInt32(offset), type: waiting.type)
    guard unsafe write(state, header, fragment, waiting, from: offset, count: part) else {
      return false
    }
    unsafe counts.pointee.fragmentsSent += 1
    unsafe spend(stream, size)
    unsafe stream.pointee.fragmentBytes += UInt32(size)
    unsafe state.pointee.fragmentBytes += size
    unsafe stream.pointee.offset += UInt32(part)
    if unsafe Int(stream.pointee.offset) == waiting.count {
      unsafe stream.pointee.isCharged = false
      unsafe state.pointee.assemblyRoom += waiting.count
      unsafe feedStarved(state)
      unsafe advance(state, number, stream, waiting)
    }
    return true
  }

  func feedStarved(_ state: UnsafeMutablePointer<PeerState>) {
    guard unsafe !state.pointee.starved.isEmpty else { return }
    let streams = unsafe state.pointee.starved
    unsafe state.pointee.starved.removeAll(keepingCapacity: true)
    for number in streams {
      let stream = unsafe state.pointee.out.find(number)
      unsafe activate(state, number, stream)
    }
  }

  /// Writes a record whose body lies in a block: a small one is gathered, a large one sent from
  /// where it lies.
  private func write(
    _ state: UnsafeMutablePointer<PeerState>, _ header: RecordHeader, _ fragment: FragmentHeader?,
    _ waiting: Waiting, from offset: Int, count: Int
  ) -> Bool {
    // What stands before goes with the first part.
    let lead = offset == 0 ? waiting.leadBytes : 0
    let count = count - lead
    let offset = offset == 0 ? 0 : offset - waiting.leadBytes
    let isGathered = count <= Self.gatheredMax
    let recordBytes = RecordHeader.bytes + (fragment == nil ? 0 : FragmentHeader.bytes)
    let headerBytes = recordBytes + lead
    let size = headerBytes + (isGathered ? count : 0)
    guard
      unsafe state.pointee.staged + size <= state.pointee.stagingMax || hasRoom(state, size)
    else { return false }
    let start =
      unsafe state.pointee.staging.unsafelyUnwrapped.header.pointee.bytes
      + state.pointee.staged
    unsafe header.store(to: start)
    if let fragment { unsafe fragment.store(to: start + RecordHeader.bytes) }
    unsafe (start + recordBytes).copyMemory(from: waiting.lead, byteCount: lead)
    unsafe state.pointee.staged += size
    let body = unsafe UnsafeRawBufferPointer(
      start: waiting.block.header.pointee.bytes + offset, count: count)
    if isGathered {
      if count > 0 {
        unsafe (start + headerBytes).copyMemory(from: body.baseAddress!, byteCount: count)
      }
      return true
    }
    unsafe flushStaging(state)
    let holder = waiting.holder
    MessageBlock.retain(holder)
    unsafe transmit(state, loop.messages.allocate(slice: body, of: holder))
    return true
  }

  // MARK: What the peer says of what it got

  /// The peer has consumed so many bytes of a stream.
  func credited(_ state: UnsafeMutablePointer<PeerState>, _ header: RecordHeader) -> WireFault? {
    let stream = unsafe state.pointee.out.find(header.stream)
    let sent = unsafe stream.pointee.sent
    let window = unsafe state.pointee.windowOut
    let outstanding = unsafe UInt64(max(0, window - stream.pointee.credit))
    // Never more than was sent, and never less than before.
    guard header.word <= sent, sent - header.word <= outstanding else { return .credit }
    let credit = window - Int(sent - header.word)
    let more = unsafe credit - stream.pointee.credit
    unsafe stream.pointee.credit = credit
    let fragments = unsafe min(Int(stream.pointee.fragmentBytes), more)
    if fragments > 0 {
      unsafe stream.pointee.fragmentBytes -= UInt32(fragments)
      unsafe state.pointee.fragmentBytes -= fragments
      unsafe feedStarved(state)
    }
    unsafe activate(state, header.stream, stream)
    if unsafe stream.pointee.isAwaited { unsafe tellAwaited(state) }
    return nil
  }

  /// The peer has all of an acknowledged stream before this number.
  func acknowledged(
    _ state: UnsafeMutablePointer<PeerState>, _ header: RecordHeader
  ) -> WireFault? {
    let stream = unsafe state.pointee.out.find(header.stream)
    guard LinkStream.isAcknowledged(header.stream), header.word <= (unsafe stream.pointee.sequence)
    else { return .sequenceGap }
    while let waiting = unsafe Waiting(address: stream.pointee.first),
      waiting.sequence < header.word,
      // One that is on its way again in fragments is finished first.
      unsafe stream.pointee.next != waiting.address || stream.pointee.offset == 0
    {
      _ = unsafe stream.pointee.removeFirst()
      MessageBlock.release(waiting.block)
    }
    if unsafe stream.pointee.isAwaited { unsafe tellAwaited(state) }
    return nil
  }

  /// Tells the client of streams that have room again after a `wouldBlock`.
  func tellAwaited(_ state: UnsafeMutablePointer<PeerState>) {
    guard unsafe !state.pointee.awaited.isEmpty && state.pointee.isUp,
      let peer = unsafe state.pointee.peer?.takeUnretainedValue()
    else { return }
    let numbers = unsafe state.pointee.awaited
    unsafe state.pointee.awaited.removeAll(keepingCapacity: true)
    var ready: [UInt16] = []
    for number in numbers {
      let stream = unsafe state.pointee.out.find(number)
      if unsafe hasRoomAgain(state, number, stream) {
        unsafe stream.pointee.isAwaited = false
        ready.append(number)
      } else {
        unsafe state.pointee.awaited.append(number)
      }
    }
    for number in ready { unsafe client.writable(peer, stream: number) }
  }

  /// Half the room there can be: to be told of less would be to be told too often.
  private func hasRoomAgain(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<OutStream>
  ) -> Bool {
    let queued = unsafe Int(stream.pointee.queuedBytes)
    if LinkStream.isAcknowledged(number) { return queued <= options.unacknowledgedMax / 2 }
    // What waits is many small messages: the rest of them keeps the link busy meanwhile.
    if unsafe state.pointee.waitingPosts?.address == stream.pointee.last, queued > 0 {
      return queued <= options.postsWaitingMax / 2
    }
    return unsafe !state.pointee.isBlocked && queued == 0
      && stream.pointee.credit >= state.pointee.windowOut / 2
  }
}
