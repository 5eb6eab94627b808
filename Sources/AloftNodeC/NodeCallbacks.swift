import AloftC
import AloftCluster
import AloftMembership
import CAloft

/// The application's callbacks and their context.
@safe
struct NodeCallbacks: @unchecked Sendable {
  // @unchecked: immutable; the callbacks and their context are the application's to keep safe.
  private let callbacks: aloft_node_callbacks
  private let context: UnsafeMutableRawPointer?

  init(
    _ source: UnsafePointer<aloft_node_callbacks>?, _ context: UnsafeMutableRawPointer?
  ) throws(Failure) {
    var callbacks = aloft_node_callbacks()
    if let source = unsafe source {
      try unsafe read(source, into: &callbacks, "aloft_node_callbacks")
    }
    self.callbacks = callbacks
    unsafe self.context = unsafe context
  }

  func event(_ node: OpaquePointer, _ event: NodeEvent) {
    guard let callback = unsafe callbacks.on_event else { return }
    guard var told = unsafe aloft_node_event(event) else { return }
    guard case .refused(let address, let reason) = event else {
      return unsafe callback(node, &told, context)
    }
    unsafe address.withCString { address in
      unsafe reason.description.withCString { reason in
        unsafe told.address = unsafe address
        unsafe told.reason = unsafe reason
        unsafe callback(node, &told, context)
      }
    }
  }

  var servesCalls: Bool { unsafe callbacks.on_call != nil }

  func call(_ node: OpaquePointer, _ call: NodeCall, _ bytes: UnsafeRawBufferPointer) {
    unsafe callbacks.on_call?(
      node, aloft_request(words: call.words), UInt32(call.from.rawValue), call.timeoutMilliseconds,
      bytes.baseAddress, bytes.count, context)
  }

  func cancelled(_ node: OpaquePointer, _ call: NodeCall) {
    unsafe callbacks.on_call_cancelled?(node, aloft_request(words: call.words), context)
  }

  func message(
    _ node: OpaquePointer, from id: NodeID, channel: UInt8, _ bytes: UnsafeRawBufferPointer
  ) {
    unsafe callbacks.on_message?(
      node, UInt32(id.rawValue), UInt32(channel), bytes.baseAddress, bytes.count, context)
  }

  func writable(_ node: OpaquePointer, to id: NodeID, channel: UInt8, flags: UInt32) {
    unsafe callbacks.on_channel_writable?(
      node, UInt32(id.rawValue), UInt32(channel), flags, context)
  }

  func undelivered(_ node: OpaquePointer, to id: NodeID, channel: UInt8, count: Int) {
    unsafe callbacks.on_undelivered?(
      node, UInt32(id.rawValue), UInt32(channel), UInt32(clamping: count), context)
  }

  func stopped(_ node: OpaquePointer, _ failure: Failure?) {
    let status = failure?.report() ?? Code.success
    unsafe callbacks.on_stopped?(node, status, context)
  }
}

extension aloft_node_event {
  private init(_ kind: Int, _ id: NodeID, _ incarnation: Incarnation) {
    unsafe self.init()
    unsafe struct_size = MemoryLayout<Self>.size
    unsafe self.kind = UInt32(kind)
    unsafe node = UInt32(id.rawValue)
    unsafe self.incarnation = incarnation.rawValue
  }

  private init(_ kind: Int) {
    unsafe self.init(kind, NodeID(rawValue: 0), Incarnation(rawValue: 0))
  }

  /// Nil for the end, which `on_stopped` tells.
  init?(_ event: NodeEvent) {
    switch event {
    case .joined(let identity):
      unsafe self.init(ALOFT_NODE_JOINED, identity.id, identity.incarnation)
    case .up(let id, let incarnation): unsafe self.init(ALOFT_NODE_UP, id, incarnation)
    case .suspected(let id, let incarnation):
      unsafe self.init(ALOFT_NODE_SUSPECTED, id, incarnation)
    case .cleared(let id, let incarnation): unsafe self.init(ALOFT_NODE_CLEARED, id, incarnation)
    case .dead(let id, let incarnation): unsafe self.init(ALOFT_NODE_DEAD, id, incarnation)
    case .down(let id, let incarnation): unsafe self.init(ALOFT_NODE_DOWN, id, incarnation)
    case .left(let id, let incarnation): unsafe self.init(ALOFT_NODE_LEFT, id, incarnation)
    case .slotsChanged(let epoch):
      unsafe self.init(ALOFT_NODE_SLOTS_CHANGED)
      unsafe self.epoch = epoch.rawValue
    case .accepting(let isAccepting):
      unsafe self.init(ALOFT_NODE_ACCEPTING)
      unsafe is_accepting = isAccepting ? 1 : 0
    case .refused: unsafe self.init(ALOFT_NODE_REFUSED)
    case .stopped: return nil
    }
  }
}
