import AloftEngine

/// One connection between a client and a node, on either side: frames, encrypted if there are
/// certificates.
@safe
final class DoorChannel {
  let loop: EventLoop
  let id: ConnectionID
  let parser: FrameParser
  private let session: TLSSession?
  private var isReady = false

  init(_ loop: EventLoop, _ id: ConnectionID, session: TLSSession?, lengthMax: Int) {
    self.loop = loop
    self.id = id
    self.session = session
    parser = FrameParser(lengthMax: lengthMax)
  }

  /// In plain text there is nothing that the connection alone has.
  private static let unbound = [UInt8](repeating: 0, count: 32)

  /// The connection is there. `ready` is told, now or later, what only this connection has, once
  /// frames may be sent. Answers what is wrong, if anything is.
  func begin(_ ready: ([UInt8]) -> Void) -> DoorRefusal? {
    if session != nil { return encrypt(ready) }
    isReady = true
    ready(Self.unbound)
    return nil
  }

  private func encrypt(_ ready: ([UInt8]) -> Void) -> DoorRefusal? {
    guard let session else { return nil }
    let step = session.shakeHands()
    sendEncrypted()
    switch step {
    case .needsMore: return nil
    case .failed: return .encryption
    case .done(let binding):
      isReady = true
      ready(binding)
      return nil
    }
  }

  private func sendEncrypted() {
    unsafe session?.takeOutput { _ = unsafe loop.write(id, $0) }
  }

  /// Bytes have come; `frame` is told of each frame while it says so. Answers what is wrong, if
  /// anything is.
  func received(
    _ bytes: UnsafeRawBufferPointer, ready: ([UInt8]) -> Void,
    _ frame: (UnsafeRawBufferPointer) -> Bool
  ) -> DoorRefusal? {
    guard let session else {
      return unsafe parser.take(bytes, frame) ? nil : .malformed
    }
    guard unsafe session.receive(bytes) else { return .encryption }
    if !isReady, let problem = encrypt(ready) { return problem }
    guard isReady else { return nil }
    var isWellFormed = true
    let problem = unsafe session.read { plain in
      isWellFormed = unsafe parser.take(plain, frame)
      return isWellFormed
    }
    if problem != nil { return .encryption }
    return isWellFormed ? nil : .malformed
  }

  /// Sends a frame, or takes nothing.
  func send(_ frame: [UInt8]) -> WriteResult {
    unsafe frame.withUnsafeBytes { bytes in
      guard let session else { return unsafe loop.write(id, bytes) }
      guard unsafe session.write(bytes) else { return .closed }
      var result = WriteResult.accepted
      unsafe session.takeOutput { result = unsafe loop.write(id, $0) }
      // What was encrypted can't be taken back: the connection is of no use without it.
      return result == .wouldBlock ? .closed : result
    }
  }

  /// Bytes that the peer hasn't taken.
  var queuedBytes: Int { loop.queuedBytes(id) }
}
