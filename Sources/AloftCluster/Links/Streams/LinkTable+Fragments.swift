import AloftQueue

/// Large messages that come in parts.
extension LinkTable {
  /// What stands before a fragment's part of the message: 4 bytes each of whole length, offset,
  /// and what the whole is (type, kind, zero).
  struct FragmentHeader {
    static let bytes = 16
    var total: UInt32
    var offset: UInt32
    var type: UInt8

    init(total: Int, offset: UInt32, type: RecordType) {
      self.total = UInt32(truncatingIfNeeded: total)
      self.offset = offset
      self.type = type.rawValue
    }

    init(_ memory: UnsafeRawPointer) {
      total = unsafe UInt32(littleEndian: memory.loadUnaligned(as: UInt32.self))
      offset = unsafe UInt32(
        littleEndian: memory.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
      type = unsafe memory.load(fromByteOffset: 8, as: UInt8.self)
    }

    func store(to memory: UnsafeMutableRawPointer) {
      unsafe memory.storeBytes(of: total.littleEndian, as: UInt32.self)
      unsafe memory.storeBytes(of: offset.littleEndian, toByteOffset: 4, as: UInt32.self)
      unsafe memory.storeBytes(of: UInt64(type).littleEndian, toByteOffset: 8, as: UInt64.self)
    }
  }

  /// Takes a part. The message's number counts as had when all of it is there.
  func fragment(
    _ peer: LinkPeer, _ state: UnsafeMutablePointer<PeerState>,
    _ stream: UnsafeMutablePointer<InStream>, _ header: RecordHeader,
    _ body: UnsafeRawBufferPointer
  ) -> WireFault? {
    let part = unsafe FragmentHeader(body.baseAddress!)
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: body.dropFirst(FragmentHeader.bytes))
    guard let type = RecordType(rawValue: part.type), type.maySplit,
      bytes.count > 0, Int(part.total) >= type.extensionBytes,
      Int(part.total) - type.extensionBytes <= options.messageMax,
      Int(part.offset) + bytes.count <= Int(part.total)
    else { return .length }
    if header.word < (unsafe stream.pointee.expected) {
      if unsafe stream.pointee.assembly != nil { return .fragmentOrder }
      return unsafe duplicatePart(state, stream, header, part)
    }
    if part.offset == 0 {
      if let fault = unsafe beginAssembly(state, stream, header, part, type) { return fault }
    }
    guard let assembly = unsafe stream.pointee.assembly,
      unsafe header.word == stream.pointee.expected,
      unsafe part.offset == stream.pointee.filled,
      unsafe part.total == assembly.header.pointee.count,
      unsafe stream.pointee.type == type && stream.pointee.kind == header.kind
    else { return .fragmentOrder }
    unsafe (assembly.header.pointee.bytes + Int(part.offset)).copyMemory(
      from: bytes.baseAddress!, byteCount: bytes.count)
    unsafe stream.pointee.filled += UInt32(bytes.count)
    if unsafe stream.pointee.filled == part.total {
      unsafe finishAssembly(peer, state, stream, header, assembly)
    }
    return nil
  }

  /// A part of a message that was had before: it is dropped, and nothing taken for it.
  private func duplicatePart(
    _ state: UnsafeMutablePointer<PeerState>, _ stream: UnsafeMutablePointer<InStream>,
    _ header: RecordHeader, _ part: FragmentHeader
  ) -> WireFault? {
    if part.offset == 0 { unsafe counts.pointee.duplicates += 1 }
    if LinkStream.isAcknowledged(header.stream) {
      unsafe oweAcknowledgement(state, header.stream, stream)
    }
    return nil
  }

  private func beginAssembly(
    _ state: UnsafeMutablePointer<PeerState>, _ stream: UnsafeMutablePointer<InStream>,
    _ header: RecordHeader, _ part: FragmentHeader, _ type: RecordType
  ) -> WireFault? {
    if unsafe stream.pointee.assembly != nil { return .fragmentOrder }
    if unsafe header.word > stream.pointee.expected {
      if unsafe stream.pointee.hasBegun || LinkStream.isAcknowledged(header.stream) {
        return .sequenceGap
      }
      unsafe counts.pointee.lost += header.word - stream.pointee.expected
      unsafe stream.pointee.expected = header.word
    }
    // The peer knows how much it may have under way; more is no honest peer's.
    guard unsafe state.pointee.assembling + Int(part.total) <= options.reassemblyMax else {
      return .reassembly
    }
    unsafe stream.pointee.hasBegun = true
    unsafe stream.pointee.assembly = MessageBlock.allocate(count: Int(part.total))
    unsafe state.pointee.assembling += Int(part.total)
    unsafe stream.pointee.filled = 0
    unsafe stream.pointee.type = type
    unsafe stream.pointee.kind = header.kind
    return nil
  }

  private func finishAssembly(
    _ peer: LinkPeer, _ state: UnsafeMutablePointer<PeerState>,
    _ stream: UnsafeMutablePointer<InStream>, _ header: RecordHeader, _ assembly: MessageBlock
  ) {
    let count = unsafe Int(assembly.header.pointee.count)
    unsafe stream.pointee.assembly = nil
    unsafe stream.pointee.filled = 0
    unsafe stream.pointee.expected &+= 1
    unsafe state.pointee.assembling -= count
    if LinkStream.isAcknowledged(header.stream) {
      unsafe oweAcknowledgement(state, header.stream, stream)
    }
    let whole = unsafe RecordHeader(
      stream.pointee.type, length: count, kind: header.kind, stream: header.stream,
      word: header.word)
    let bytes = unsafe UnsafeRawBufferPointer(
      start: assembly.header.pointee.bytes, count: count)
    unsafe deliver(peer, state, whole, bytes, holder: assembly)
    MessageBlock.release(assembly)
  }
}
