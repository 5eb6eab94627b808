import AloftEngine
import CAloft

/// Tells C callbacks what happens. Each call is one load, one test and one indirect call: it
/// allocates nothing and counts no reference.
@safe
final class CallbackHandler: ConnectionHandler, @unchecked Sendable {
  // @unchecked: immutable; the callbacks and their context are the application's to keep safe.
  private let callbacks: aloft_callbacks
  private let context: UnsafeMutableRawPointer?

  init(
    _ source: UnsafePointer<aloft_callbacks>?, _ context: UnsafeMutableRawPointer?,
    _ settings: ConnectionSettings
  ) throws(Failure) {
    guard let source = unsafe source else { throw .null("callbacks") }
    var callbacks = aloft_callbacks()
    try unsafe read(source, into: &callbacks, "aloft_callbacks")
    self.callbacks = callbacks
    unsafe self.context = unsafe context
    super.init(settings: settings)
  }

  override func opened(_ id: ConnectionID) {
    unsafe callbacks.on_open?(handle(id), context)
  }

  override func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    unsafe callbacks.on_data?(handle(id), bytes.baseAddress, bytes.count, context)
  }

  override func ended(_ id: ConnectionID) {
    guard let callback = unsafe callbacks.on_end else {
      EventLoop.owner(of: id)?.close(id)
      return
    }
    unsafe callback(handle(id), context)
  }

  override func writable(_ id: ConnectionID) {
    unsafe callbacks.on_writable?(handle(id), context)
  }

  override func draining(_ id: ConnectionID) {
    guard let callback = unsafe callbacks.on_drain else {
      EventLoop.owner(of: id)?.close(id)
      return
    }
    unsafe callback(handle(id), context)
  }

  override func closed(_ id: ConnectionID, _ reason: CloseReason) {
    let codes = reason.codes
    unsafe callbacks.on_close?(handle(id), codes.reason, codes.error, context)
  }

  override func refused(_ errno: Int32) {
    // ENOSPC is the engine's word for its own limit.
    unsafe callbacks.on_refused?(errno == 28 ? Code.limit : -errno, context)
  }

  @inline(__always)
  private func handle(_ id: ConnectionID) -> aloft_connection { aloft_connection(id: id.rawValue) }
}
