import AloftC
import AloftCluster
import AloftEngine
import AloftMembership
public import CAloft

// `aloft_node.h` is the manual of all of these.

extension ClusterHandle: ChannelTaker {
  func received(from id: NodeID, channel: UInt8, _ bytes: UnsafeRawBufferPointer) {
    unsafe callbacks.message(pointer, from: id, channel: channel, bytes)
  }

  func writable(to id: NodeID, channel: UInt8, isAcknowledged: Bool) {
    let flags = isAcknowledged ? UInt32(ALOFT_SEND_ACKNOWLEDGED) : 0
    unsafe callbacks.writable(pointer, to: id, channel: channel, flags: flags)
  }

  func linkDown(to id: NodeID) {}

  func undelivered(to id: NodeID, channel: UInt8, messages: Int) {
    unsafe callbacks.undelivered(pointer, to: id, channel: channel, count: messages)
  }

  fileprivate func put(
    _ id: NodeID, _ channel: UInt8, isAcknowledged: Bool, _ bytes: UnsafeRawBufferPointer
  ) throws(Failure) {
    guard let node else { throw .stopped }
    let result = unsafe node.send(
      to: id, channel: channel, isAcknowledged: isAcknowledged, bytes)
    switch result {
    case .accepted: return
    case .wouldBlock:
      throw Failure(
        Code.wouldBlock, "channel \(channel) to node \(id.rawValue) has no room at present")
    case .noLink: throw .noLink(id)
    case .tooLarge: throw Failure(Code.messageSize, "\(bytes.count) bytes are too many to send")
    }
  }

  /// The node, on its own loop.
  fileprivate func here() throws(Failure) -> ClusterNode {
    guard isHere else {
      throw Failure(Code.wrongThread, "the thread is not the one of the node's loop")
    }
    guard let node else { throw .stopped }
    return node
  }
}

private func readChannel(_ channel: UInt32) throws(Failure) -> UInt8 {
  guard let channel = UInt8(exactly: channel) else {
    throw Failure(Code.invalid, "channel is \(channel): 0 to 255")
  }
  return channel
}

@c @implementation
public func aloft_node_send(
  _ node: OpaquePointer!, _ to: UInt32, _ channel: UInt32, _ flags: UInt32,
  _ data: UnsafeRawPointer!, _ length: Int, _ done: aloft_task!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    let channel = try readChannel(channel)
    guard flags & ~UInt32(ALOFT_SEND_ACKNOWLEDGED) == 0 else {
      throw Failure(Code.invalid, "flags is \(flags): 0 or ALOFT_SEND_ACKNOWLEDGED")
    }
    let bytes = unsafe try readBytes(data, length)
    let isAcknowledged = flags != 0
    // No node has the number 0.
    let id = NodeID(rawValue: UInt8(exactly: to) ?? 0)
    if handle.isHere {
      unsafe try handle.put(id, channel, isAcknowledged: isAcknowledged, bytes)
      return Code.success
    }
    let copy = unsafe Array(bytes)
    let owed = unsafe OwedCode(done, context)
    do throws(Failure) {
      try handle.send { (handle, _) in
        do throws(Failure) {
          unsafe try copy.with { (bytes) throws(Failure) in
            unsafe try handle.put(id, channel, isAcknowledged: isAcknowledged, bytes)
          }
          owed.tell(nil)
        } catch {
          owed.tell(error)
        }
      }
    } catch {
      owed.forget()
      throw error
    }
    return Code.success
  }
}

@c @implementation
public func aloft_node_broadcast(
  _ node: OpaquePointer!, _ channel: UInt32, _ data: UnsafeRawPointer!, _ length: Int,
  _ taken: UnsafeMutablePointer<UInt32>!
) -> Int32 {
  reporting { () throws(Failure) in
    let inner = try unsafe ClusterHandle.of(node).here()
    let channel = try readChannel(channel)
    let bytes = unsafe try readBytes(data, length)
    let count = unsafe inner.broadcast(channel: channel, bytes)
    unsafe taken?.pointee = UInt32(count)
    return Code.success
  }
}

@c @implementation
public func aloft_node_write(
  _ node: OpaquePointer!, _ to: UInt32, _ channel: UInt32, _ data: UnsafeRawPointer!,
  _ length: Int, _ taken: UnsafeMutablePointer<Int>!
) -> Int32 {
  reporting { () throws(Failure) in
    let inner = try unsafe ClusterHandle.of(node).here()
    let channel = try readChannel(channel)
    guard let taken = unsafe taken else { throw .null("taken") }
    let bytes = unsafe try readBytes(data, length)
    let id = NodeID(rawValue: UInt8(exactly: to) ?? 0)
    guard let count = unsafe inner.write(to: id, channel: channel, bytes) else {
      throw .noLink(id)
    }
    unsafe taken.pointee = count
    return Code.success
  }
}
