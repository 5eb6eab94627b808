import AloftC
import AloftCluster
import AloftEngine
import AloftMembership
import AloftSession
public import CAloft

// `aloft_node.h` is the manual of all of these.

private let defaultPatience: UInt32 = 10_000

@c @implementation
public func aloft_node_sessions(
  _ node: OpaquePointer!, _ principal: UnsafePointer<CChar>!, _ timeout_ms: UInt32,
  _ sessions: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    guard let sessions = unsafe sessions else { throw .null("sessions") }
    let name = unsafe try text(principal, "principal")
    if let name, !(1...255).contains(name.utf8.count) {
      throw Failure(Code.invalid, "a principal's name has 1 to 255 bytes")
    }
    let way = SessionsHandle(
      .node(handle, principal: Array((name ?? "").utf8)), handle.loop,
      milliseconds: timeout_ms == 0 ? defaultPatience : timeout_ms)
    unsafe sessions.pointee = unsafe way.handOut()
    return Code.success
  }
}

@c @implementation
public func aloft_client_connect(
  _ runtime: OpaquePointer!, _ options: UnsafePointer<aloft_client_options>!,
  _ sessions: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    guard let sessions = unsafe sessions else { throw .null("sessions") }
    let given = unsafe try ClientOptionsGiven(options)
    let loop = try runtime.loop(at: given.loop)
    guard !runtime.isEnding else { throw .shutDown }
    let core: SessionClientCore
    do throws(ClientError) {
      core = try SessionClientCore(given.options, on: loop)
    } catch {
      throw Failure(Code.invalid, error.description)
    }
    let told = given.told
    try loop.done { (_) throws(Failure) in
      core.onState = { told.tell($0) }
      core.start()
    }
    let way = SessionsHandle(.client(core), loop, milliseconds: given.milliseconds)
    unsafe sessions.pointee = unsafe way.handOut()
    return Code.success
  }
}

/// A client's options, read and checked.
private struct ClientOptionsGiven {
  var options: ClientOptions
  var loop: UInt32
  var milliseconds: UInt32
  var told: StateCallback

  private static let addressesMax = 1_024

  init(_ source: UnsafePointer<aloft_client_options>?) throws(Failure) {
    guard let source = unsafe source else { throw .null("options") }
    var given = unsafe aloft_client_options()
    try unsafe read(source, into: &given, "aloft_client_options")
    guard let text = unsafe try text(given.token, "token"), let token = ClientToken(text: text)
    else { throw Failure(Code.invalid, "token is none of a client's: see aloft_client_token") }
    let count = unsafe given.addresses_count
    guard (1...Self.addressesMax).contains(Int(count)), let list = unsafe given.addresses else {
      throw Failure(
        Code.invalid, "addresses_count is \(count): 1 to \(Self.addressesMax), with addresses")
    }
    var addresses: [SocketAddress] = []
    for place in 0..<Int(count) {
      guard let address = unsafe list[place] else { throw .null("an address") }
      addresses.append(unsafe try parseAddress(address))
    }
    options = ClientOptions(addresses: addresses, token: token)
    if let authorities = unsafe try AloftNodeC.text(given.authorities, "authorities") {
      options.authorities = Array(authorities.utf8)
    }
    let flags = unsafe given.flags
    guard flags & ~UInt32(ALOFT_PLAINTEXT_OFF_LOOPBACK) == 0 else {
      throw Failure(
        Code.invalid, "flags is \(flags); only ALOFT_PLAINTEXT_OFF_LOOPBACK is known")
    }
    options.plaintextOffLoopback = flags != 0
    if unsafe given.silence_ms != 0 { options.silenceMs = unsafe given.silence_ms }
    loop = unsafe given.loop
    milliseconds = unsafe given.timeout_ms == 0 ? defaultPatience : given.timeout_ms
    told = unsafe StateCallback(given.on_state, given.context)
  }
}

/// The application's word for a client's state.
@safe
private struct StateCallback: @unchecked Sendable {
  // @unchecked: immutable; the callback and its context are the application's to keep safe.
  typealias Body =
    @convention(c) (
      UnsafePointer<aloft_client_state>?, UnsafeMutableRawPointer?
    ) -> Void
  private let body: Body?
  private let context: UnsafeMutableRawPointer?

  init(_ body: Body?, _ context: UnsafeMutableRawPointer?) {
    unsafe self.body = unsafe body
    unsafe self.context = unsafe context
  }

  func tell(_ state: ClientState) {
    guard let body = unsafe body else { return }
    var told = unsafe aloft_client_state()
    unsafe told.struct_size = MemoryLayout<aloft_client_state>.size
    switch state {
    case .connecting, .closed: return
    case .connected(_, let node):
      unsafe told.kind = UInt32(ALOFT_CLIENT_CONNECTED)
      unsafe told.node = UInt32(node)
    case .resuming: unsafe told.kind = UInt32(ALOFT_CLIENT_RESUMING)
    case .failed(let reason):
      unsafe told.kind = UInt32(ALOFT_CLIENT_FAILED)
      return unsafe "\(reason)".withCString { text in
        unsafe told.reason = unsafe text
        unsafe body(&told, context)
      }
    }
    unsafe body(&told, context)
  }
}

@c @implementation
public func aloft_sessions_destroy(_ sessions: OpaquePointer!) -> Int32 {
  if unsafe sessions == nil { return Code.success }
  return reporting { () throws(Failure) in
    unsafe try SessionsHandle.of(sessions).destroy()
    return Code.success
  }
}

@c @implementation
public func aloft_client_token(
  _ key: UnsafePointer<aloft_node_key>!, _ principal: UnsafePointer<CChar>!, _ valid_s: UInt64,
  _ text: UnsafeMutablePointer<CChar>!, _ size: Int
) -> Int32 {
  reporting { () throws(Failure) in
    guard unsafe key != nil else { throw .null("key") }
    let keys = unsafe try readKeys(key, 1)
    let name = unsafe try AloftNodeC.text(principal, "principal") ?? ""
    let expiry = valid_s == 0 ? 0 : ClientToken.wallNow() + valid_s
    guard let token = ClientToken(principal: name, expiry: expiry, key: keys[0]) else {
      throw Failure(Code.invalid, "a principal's name has 1 to 255 bytes")
    }
    return unsafe try copy(token.description, to: text, size)
  }
}

@c @implementation
public func aloft_node_session_address(
  _ node: OpaquePointer!, _ text: UnsafeMutablePointer<CChar>!, _ size: Int
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    let address = try handle.ask { (node) throws(Failure) in node.doorAddress?.description ?? "" }
    return unsafe try copy(address, to: text, size)
  }
}

// MARK: Serving

/// The application's handler and its context.
@safe
private struct ServingCallbacks: @unchecked Sendable {
  // @unchecked: immutable; the callbacks and their context are the application's to keep safe.
  private var callbacks = aloft_session_handler()
  private let context: UnsafeMutableRawPointer?
  private let node: OpaquePointer

  init(
    _ source: UnsafePointer<aloft_session_handler>, _ context: UnsafeMutableRawPointer?,
    _ node: OpaquePointer
  ) throws(Failure) {
    unsafe self.context = unsafe context
    unsafe self.node = unsafe node
    try unsafe read(source, into: &callbacks, "aloft_session_handler")
  }

  func tell(_ handling: SessionHandling, _ inner: ClusterNode) {
    let sessions = inner.sessions
    func text(_ id: SessionID) -> String { sessions.keys?.text(id) ?? "" }
    let done = SessionOutcome(.done)
    switch handling {
    case .started(let id, let isNew):
      sessions.look(id) { _, view in
        unsafe withResult(text(id), done, view) {
          unsafe callbacks.on_started?(node, $0, isNew ? 1 : 0, context)
        }
      }
    case .changed(let id):
      sessions.look(id) { _, view in
        unsafe withResult(text(id), done, view) {
          unsafe callbacks.on_changed?(node, $0, context)
        }
      }
    case .published(let id, let number):
      unsafe withResult(text(id), SessionOutcome(.done, number: number), nil) {
        unsafe callbacks.on_published?(node, $0, context)
      }
    case .ended(let id, let isExpired):
      unsafe withResult(text(id), done, nil) {
        unsafe callbacks.on_ended?(node, $0, isExpired ? 1 : 0, context)
      }
    case .stopped(let id):
      unsafe withResult(text(id), done, nil) { unsafe callbacks.on_stopped?(node, $0, context) }
    }
  }
}

@c @implementation
public func aloft_node_serve_sessions(
  _ node: OpaquePointer!, _ handler: UnsafePointer<aloft_session_handler>!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    guard let handler = unsafe handler else {
      try handle.ask { (node) throws(Failure) in node.sessions.serve(nil) }
      return Code.success
    }
    let callbacks = unsafe try ServingCallbacks(handler, context, node)
    try handle.ask { (node) throws(Failure) in
      node.sessions.serve { [weak node] handling in
        if let node { callbacks.tell(handling, node) }
      }
    }
    return Code.success
  }
}
