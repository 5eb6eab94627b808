import AloftC
import AloftCluster
import AloftEngine
import AloftMembership
public import CAloft

// `aloft_node.h` is the manual of all of these.

@c @implementation
public func aloft_node_join(
  _ runtime: OpaquePointer!, _ options: UnsafePointer<aloft_node_options>!,
  _ callbacks: UnsafePointer<aloft_node_callbacks>!, _ context: UnsafeMutableRawPointer!,
  _ node: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    guard let node = unsafe node else { throw .null("node") }
    let options = unsafe try NodeOptions(options)
    let loop = try runtime.loop(at: options.loop)
    let handle = ClusterHandle(runtime, loop, unsafe try NodeCallbacks(callbacks, context))
    try loop.done { (_) throws(Failure) in try handle.begin(options) }
    unsafe node.pointee = unsafe handle.handOut()
    return Code.success
  }
}

@c @implementation
public func aloft_node_leave(
  _ node: OpaquePointer!, _ timeout_ms: UInt32, _ done: aloft_task!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe sending(node, done, context) { handle, _, owed in
    handle.leave(within: timeout_ms == 0 ? 30_000 : UInt64(timeout_ms), owed)
  }
}

@c @implementation
public func aloft_node_stop(_ node: OpaquePointer!) -> Int32 {
  unsafe sending(node, nil, nil) { handle, _, _ in handle.stop() }
}

@c @implementation
public func aloft_node_destroy(_ node: OpaquePointer!) -> Int32 {
  if unsafe node == nil { return Code.success }
  return reporting { () throws(Failure) in
    unsafe try ClusterHandle.of(node).destroy()
    return Code.success
  }
}

// MARK: Changes of the cluster

/// Has `body` run with the node on its loop; `done` is owed a call once that is certain to happen.
private func sending(
  _ node: OpaquePointer?, _ done: aloft_task?, _ context: UnsafeMutableRawPointer?,
  _ body: @escaping @Sendable (ClusterHandle, ClusterNode, OwedCode) -> Void
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    let owed = unsafe OwedCode(done, context)
    do throws(Failure) {
      try handle.send { (handle, node) in
        guard let node else { return owed.tell(.stopped) }
        body(handle, node, owed)
      }
    } catch {
      owed.forget()
      throw error
    }
    return Code.success
  }
}

extension ClusterHandle {
  /// Has `body` run on the node's loop: soon, and not during this call.
  func send(
    _ body: @escaping @Sendable (ClusterHandle, ClusterNode?) -> Void
  ) throws(Failure) {
    if EventLoop.current === loop, node == nil { throw .stopped }
    try translating { () throws(EngineError) in
      try loop.execute { [self] in body(self, node) }
    }
  }

  /// Has `body` work with the node and waits for it; see "Asked" in the header.
  func ask<Value: Sendable>(
    _ body: @escaping @Sendable (ClusterNode) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try loop.done { [self] (_) throws(Failure) in
      guard let node else { throw .stopped }
      return try body(node)
    }
  }
}

private func requesting(
  _ node: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ done: aloft_task?,
  _ context: UnsafeMutableRawPointer?, _ request: (String) throws(Failure) -> ClusterRequest
) -> Int32 {
  reporting { () throws(Failure) in
    guard let name = unsafe try text(name, "name") else { throw .null("name") }
    let request = try request(name)
    return unsafe sending(node, done, context) { _, node, owed in
      node.request(request) { owed.tell(Failure($0)) }
    }
  }
}

@c @implementation
public func aloft_node_set_draining(
  _ node: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ is_draining: Int32,
  _ done: aloft_task!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe requesting(node, name, done, context) { name in
    .setDraining(name: name, is_draining != 0)
  }
}

@c @implementation
public func aloft_node_set_weight(
  _ node: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ weight: UInt32, _ done: aloft_task!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe requesting(node, name, done, context) { (name) throws(Failure) in
    .setWeight(name: name, try readWeight(weight))
  }
}

@c @implementation
public func aloft_node_forget(
  _ node: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ done: aloft_task!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe requesting(node, name, done, context) { name in .forget(name: name) }
}

@c @implementation
public func aloft_node_set_keys(
  _ node: OpaquePointer!, _ keys: UnsafePointer<aloft_node_key>!, _ count: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    let keys = unsafe try readKeys(keys, count)
    try handle.ask { (node) throws(Failure) in
      try linking { () throws(LinkError) in try node.setKeys(keys) }
    }
    return Code.success
  }
}

@c @implementation
public func aloft_node_set_certificate(
  _ node: OpaquePointer!, _ certificate: UnsafePointer<aloft_node_certificate>!
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    guard let certificate = unsafe certificate else { throw .null("certificate") }
    let tls = unsafe try readCertificate(certificate)
    try handle.ask { (node) throws(Failure) in
      try linking { () throws(LinkError) in try node.setTLS(tls) }
    }
    return Code.success
  }
}

private func linking(_ body: () throws(LinkError) -> Void) throws(Failure) {
  do throws(LinkError) {
    try body()
  } catch {
    throw Failure(Code.invalid, error.description)
  }
}
