import AloftQueue

/// Length-prefixed frames. A frame that arrives whole is handed on where it lies; one that arrives
/// in parts is put together in memory of its own size.
extension EventLoop {
  func receivedFramed(
    _ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>, _ bytes: UnsafeRawBufferPointer
  ) {
    var rest = unsafe bytes[...]
    // A handler may close the connection or set another handler in the midst of this.
    while unsafe !rest.isEmpty && state.pointee.phase == .open {
      guard let current = unsafe state.pointee.handler else { return }
      unsafe current._withUnsafeGuaranteedRef {
        unsafe receivedFramed(slot, state, $0, &rest)
      }
    }
  }

  /// As long as the handler stays the connection's.
  private func receivedFramed(
    _ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>, _ handler: ConnectionHandler,
    _ rest: inout Slice<UnsafeRawBufferPointer>
  ) {
    guard case .lengthPrefixed(let limit) = handler.settings.framing else {
      let bytes = unsafe UnsafeRawBufferPointer(rebasing: rest)
      unsafe rest = rest[rest.endIndex...]
      unsafe handler.received(id(slot, state.pointee.generation), bytes)
      return
    }
    let this = unsafe state.pointee.handler?.toOpaque()
    while unsafe !rest.isEmpty && state.pointee.phase == .open
      && state.pointee.handler?.toOpaque() == this
    {
      if unsafe state.pointee.frame != nil || rest.count < 4 {
        unsafe fill(slot, state, handler, &rest, limit)
        continue
      }
      let length = unsafe rest.loadUnaligned(as: UInt32.self).bigEndian
      guard length <= limit else {
        unsafe drop(slot, state, .frameTooLarge(length), .reset)
        return
      }
      if unsafe rest.count - 4 >= Int(length) {
        let start = unsafe rest.startIndex + 4
        let payload = unsafe UnsafeRawBufferPointer(rebasing: rest[start..<start + Int(length)])
        unsafe rest = unsafe rest.dropFirst(4 + Int(length))
        unsafe handler.received(id(slot, state.pointee.generation), payload)
      } else {
        unsafe fill(slot, state, handler, &rest, limit)
      }
    }
  }

  /// Takes from `rest` what the frame under way still lacks, and delivers it when it is whole.
  private func fill(
    _ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>, _ handler: ConnectionHandler,
    _ rest: inout Slice<UnsafeRawBufferPointer>, _ limit: UInt32
  ) {
    let frame = unsafe state.pointee.frame ?? hot.pointee.frames.take()
    unsafe state.pointee.frame = unsafe frame
    while unsafe frame.pointee.headerBytes < 4 {
      guard let byte = unsafe rest.popFirst() else { return }
      unsafe frame.pointee.header = unsafe frame.pointee.header << 8 | UInt32(byte)
      unsafe frame.pointee.headerBytes += 1
    }
    let length = unsafe frame.pointee.header
    guard length <= limit else {
      unsafe drop(slot, state, .frameTooLarge(length), .reset)
      return
    }
    let payload = unsafe frame.pointee.payload ?? messages.allocate(count: Int(length))
    unsafe frame.pointee.payload = payload
    let part = unsafe min(rest.count, Int(length - frame.pointee.filled))
    if part > 0 {
      unsafe UnsafeMutableRawBufferPointer(
        start: payload.header.pointee.bytes + Int(frame.pointee.filled), count: part
      ).copyMemory(from: UnsafeRawBufferPointer(rebasing: rest.prefix(part)))
      unsafe rest = unsafe rest.dropFirst(part)
      unsafe frame.pointee.filled += UInt32(part)
    }
    guard unsafe frame.pointee.filled == length else { return }
    unsafe state.pointee.frame = nil
    unsafe hot.pointee.frameTold = payload
    unsafe handler.received(
      id(slot, state.pointee.generation),
      UnsafeRawBufferPointer(start: payload.header.pointee.bytes, count: Int(length)))
    unsafe hot.pointee.frameTold = nil
    unsafe hot.pointee.frames.give(frame)
  }
}
