import AloftQueue
import COpenSSL

/// One encrypted connection: OpenSSL between two memory BIOs, so that it sees no socket.
@safe
final class TLSSession {
  enum Step: Equatable {
    case needsMore
    /// Encrypted. The bytes are the connection's own: nobody between the two has the same.
    case done(binding: [UInt8])
    case failed(String)
  }

  private let ssl: OpaquePointer
  private let incoming: OpaquePointer
  private let outgoing: OpaquePointer
  private let plain: UnsafeMutableRawBufferPointer

  /// Plain text taken out at a time: four of TLS's records.
  private static let plainBytes = 64 << 10

  init?(_ context: OpaquePointer, isServer: Bool) {
    guard let ssl = unsafe SSL_new(context) else { return nil }
    guard let incoming = unsafe BIO_new(BIO_s_mem()), let outgoing = unsafe BIO_new(BIO_s_mem())
    else {
      unsafe SSL_free(ssl)
      return nil
    }
    unsafe SSL_set_bio(ssl, incoming, outgoing)
    if isServer { unsafe SSL_set_accept_state(ssl) } else { unsafe SSL_set_connect_state(ssl) }
    unsafe self.ssl = unsafe ssl
    unsafe self.incoming = unsafe incoming
    unsafe self.outgoing = unsafe outgoing
    unsafe plain = .allocate(byteCount: Self.plainBytes, alignment: 16)
  }

  deinit {
    unsafe SSL_free(ssl)  // With both BIOs.
    unsafe plain.deallocate()
  }

  static func lastProblem() -> String {
    var text = [CChar](repeating: 0, count: 256)
    let code = ERR_peek_last_error()
    guard code != 0 else { return "the connection was closed" }
    unsafe ERR_error_string_n(code, &text, text.count)
    let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Takes what came from the peer; false without memory.
  func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
    unsafe BIO_write(incoming, bytes.baseAddress, Int32(bytes.count)) == Int32(bytes.count)
  }

  func shakeHands() -> Step {
    ERR_clear_error()
    let status = unsafe SSL_do_handshake(ssl)
    if status == 1 { return finish() }
    let problem = unsafe SSL_get_error(ssl, status)
    if problem == SSL_ERROR_WANT_READ || problem == SSL_ERROR_WANT_WRITE { return .needsMore }
    return .failed(Self.lastProblem())
  }

  private func finish() -> Step {
    var chosen: UnsafePointer<UInt8>?
    var length: UInt32 = 0
    unsafe SSL_get0_alpn_selected(ssl, &chosen, &length)
    let name = unsafe UnsafeBufferPointer(start: chosen, count: Int(length))
    guard unsafe name.elementsEqual(TLSContext.protocolName) else {
      return .failed("the peer does not speak aloft/1")
    }
    var binding = [UInt8](repeating: 0, count: 32)
    let made = unsafe SSL_export_keying_material(
      ssl, &binding, binding.count, TLSContext.label, TLSContext.label.utf8.count, nil, 0, 0)
    return made == 1 ? .done(binding: binding) : .failed("no key material")
  }

  /// Hands out the plain text that has come, until there is no more or `body` says no; answers what
  /// is wrong, if anything is.
  func read(_ body: (UnsafeRawBufferPointer) -> Bool) -> String? {
    while true {
      var filled = 0
      var problem: String?
      var isDrained = false
      // Records of TLS are gathered, for ours span them.
      while filled < Self.plainBytes {
        ERR_clear_error()
        let count = unsafe SSL_read(
          ssl, plain.baseAddress! + filled, Int32(Self.plainBytes - filled))
        if count > 0 {
          filled += Int(count)
          continue
        }
        isDrained = true
        let error = unsafe SSL_get_error(ssl, count)
        if error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN {
          problem = Self.lastProblem()
        }
        break
      }
      if filled > 0, unsafe !body(UnsafeRawBufferPointer(rebasing: plain[..<filled])) {
        return nil
      }
      if isDrained { return problem }
    }
  }

  /// Encrypts; `takeOutput` or `takeBlock` has what comes of it.
  func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var rest = unsafe bytes
    while unsafe !rest.isEmpty {
      ERR_clear_error()
      let count = unsafe SSL_write(ssl, rest.baseAddress, Int32(rest.count))
      guard count > 0 else { return false }
      unsafe rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(Int(count)))
    }
    return true
  }

  /// What is to be sent, if anything is.
  func takeOutput(_ body: (UnsafeRawBufferPointer) -> Void) {
    var start: UnsafeMutablePointer<CChar>?
    let count = unsafe aloft__bio_contents(outgoing, &start)
    guard count > 0 else { return }
    unsafe body(UnsafeRawBufferPointer(start: start, count: count))
    _ = unsafe aloft__bio_reset(outgoing)
  }

  /// The same as a block.
  func takeBlock() -> MessageBlock? {
    var block: MessageBlock?
    unsafe takeOutput { bytes in
      let made = MessageBlock.allocate(count: bytes.count)
      unsafe made.header.pointee.bytes.copyMemory(
        from: bytes.baseAddress!, byteCount: bytes.count)
      block = made
    }
    return block
  }
}
