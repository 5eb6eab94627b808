import COpenSSL

/// Certificates and rules for encrypted connections: TLS 1.3 alone, both sides with a certificate
/// that one of the given authorities vouches for, and the protocol "aloft/1".
///
/// Hosts' names are not compared: nodes move between addresses, and the handshake within, bound to
/// the encrypted connection, asks for the cluster's key.
@safe
final class TLSContext {
  static let label = "EXPORTER-aloft-link"
  static let protocolName = Array("aloft/1".utf8)

  private let context: OpaquePointer

  /// - Parameter asksAlways: false for the door, whose clients show a token instead, and for them,
  ///   who need no certificate of their own.
  init(_ options: TLSOptions, asksAlways: Bool = true) throws(LinkError) {
    guard let made = unsafe SSL_CTX_new(TLS_method()) else {
      throw LinkError("TLS is not to be had: \(TLSSession.lastProblem())")
    }
    unsafe context = unsafe made
    guard unsafe aloft__ssl_only_1_3(unsafe made) == 1 else { throw LinkError("no TLS 1.3 here") }
    unsafe aloft__ssl_modes(made)
    // No resumption: each connection shows its certificates.
    _ = unsafe SSL_CTX_set_num_tickets(made, 0)
    let asks = asksAlways ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
    unsafe SSL_CTX_set_verify(made, SSL_VERIFY_PEER | asks, nil)
    let wire = [UInt8(Self.protocolName.count)] + Self.protocolName
    guard unsafe SSL_CTX_set_alpn_protos(made, wire, UInt32(wire.count)) == 0 else {
      throw LinkError("no ALPN here")
    }
    unsafe SSL_CTX_set_alpn_select_cb(made, selectProtocol, nil)
    if asksAlways || !options.certificate.isEmpty { try unsafe Self.load(options, into: made) }
    try unsafe Self.loadAuthorities(options, into: made)
  }

  deinit { unsafe SSL_CTX_free(context) }

  private static func load(
    _ options: TLSOptions, into context: OpaquePointer
  ) throws(LinkError) {
    let own = unsafe certificates(options.certificate)
    defer { unsafe free(own) }
    guard let first = unsafe own.first else { throw LinkError("no certificate in the PEM given") }
    guard unsafe SSL_CTX_use_certificate(context, first) == 1 else {
      throw LinkError("the certificate is not usable: \(TLSSession.lastProblem())")
    }
    guard unsafe own.dropFirst().allSatisfy({ unsafe aloft__ssl_add_chain(context, $0) == 1 })
    else { throw LinkError("the certificate's chain is not usable: \(TLSSession.lastProblem())") }
    try unsafe loadKey(options.privateKey, into: context)
  }

  private static func loadAuthorities(
    _ options: TLSOptions, into context: OpaquePointer
  ) throws(LinkError) {
    let authorities = unsafe certificates(options.authorities)
    defer { unsafe free(authorities) }
    guard unsafe !authorities.isEmpty else {
      throw LinkError("no authority's certificate in the PEM given")
    }
    let store = unsafe SSL_CTX_get_cert_store(context)
    guard unsafe authorities.allSatisfy({ unsafe X509_STORE_add_cert(store, $0) == 1 }) else {
      throw LinkError("an authority's certificate is not usable: \(TLSSession.lastProblem())")
    }
  }

  private static func loadKey(
    _ pem: [UInt8], into context: OpaquePointer
  ) throws(LinkError) {
    let key = unsafe withBIO(pem) { unsafe PEM_read_bio_PrivateKey($0, nil, nil, nil) }
    guard let key = unsafe key else {
      throw LinkError("the private key is not usable: \(TLSSession.lastProblem())")
    }
    defer { unsafe EVP_PKEY_free(key) }
    guard unsafe SSL_CTX_use_PrivateKey(context, key) == 1,
      unsafe SSL_CTX_check_private_key(context) == 1
    else { throw LinkError("the private key is not the certificate's") }
  }

  private static func free(_ certificates: [OpaquePointer]) {
    unsafe certificates.forEach { unsafe X509_free($0) }
  }

  private static func certificates(_ pem: [UInt8]) -> [OpaquePointer] {
    defer { ERR_clear_error() }
    return unsafe withBIO(pem) { bio in
      var found: [OpaquePointer] = unsafe []
      while let certificate = unsafe PEM_read_bio_X509(bio, nil, nil, nil) {
        unsafe found.append(certificate)
      }
      return unsafe found
    }
  }

  private static func withBIO<Value>(_ bytes: [UInt8], _ body: (OpaquePointer) -> Value) -> Value {
    unsafe bytes.withUnsafeBytes { memory in
      guard let bio = unsafe BIO_new_mem_buf(memory.baseAddress, Int32(memory.count)) else {
        preconditionFailure("no memory")
      }
      defer { unsafe BIO_free(bio) }
      return unsafe body(bio)
    }
  }

  func makeSession(isServer: Bool) -> TLSSession? {
    unsafe TLSSession(context, isServer: isServer)
  }
}

/// The server's choice of the protocol: ours or none.
private func selectProtocol(
  _: OpaquePointer?, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
  _ chosenLength: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?,
  _ offeredLength: UInt32, _: UnsafeMutableRawPointer?
) -> Int32 {
  let wanted = TLSContext.protocolName
  var rest = unsafe UnsafeBufferPointer(start: offered, count: Int(offeredLength))[...]
  while let length = unsafe rest.popFirst(), unsafe rest.count >= Int(length) {
    if unsafe rest.prefix(Int(length)).elementsEqual(wanted) {
      unsafe chosen?.pointee = unsafe offered.map { unsafe $0 + rest.startIndex }
      unsafe chosenLength?.pointee = length
      return SSL_TLSEXT_ERR_OK
    }
    unsafe rest = unsafe rest.dropFirst(Int(length))
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL
}
