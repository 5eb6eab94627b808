import AloftC
import AloftCluster
import AloftEngine
import AloftMembership
public import CAloft
import Synchronization

// `aloft_node.h` is the manual of all of these.

/// The longest message of a link.
private let bytesMax: UInt = 64 << 20

func readBytes(
  _ data: UnsafeRawPointer?, _ length: Int
) throws(Failure) -> UnsafeRawBufferPointer {
  guard unsafe data != nil || length == 0 else { throw .null("data") }
  guard UInt(bitPattern: length) <= bytesMax else {
    throw Failure(
      Code.messageSize,
      "\(UInt(bitPattern: length)) bytes are above the limit of \(bytesMax) for a message")
  }
  return unsafe UnsafeRawBufferPointer(start: data, count: length)
}

extension ClusterHandle {
  fileprivate func call(
    _ id: NodeID, _ bytes: UnsafeRawBufferPointer, _ milliseconds: UInt32, number: UInt64,
    _ answer: OwedAnswer
  ) throws(Failure) {
    guard let node else { throw .stopped }
    let start = unsafe node.call(id, kind: 0, bytes, milliseconds: milliseconds) { [self] in
      if number != 0 { calls[number] = nil }
      answer.tell($0)
    }
    switch start {
    case .started(let call): if number != 0 { calls[number] = (call, answer) }
    case .wouldBlock: throw Failure(Code.wouldBlock, "the link to node \(id.rawValue) has no room")
    case .tooMany: throw Failure(Code.wouldBlock, "too many calls are under way")
    case .noLink: throw .noLink(id)
    case .tooLarge: throw Failure(Code.messageSize, "\(bytes.count) bytes are too many for a call")
    }
  }

  fileprivate func cancel(_ number: UInt64) throws(Failure) {
    guard let node else { throw .stopped }
    guard let call = calls.removeValue(forKey: number) else {
      throw Failure(Code.noEntry, "the call is over, or never was")
    }
    node.cancel(call.call)
    call.answer.tell(Failure(Code.cancelled, "the call was given up"))
  }

  fileprivate func answer(
    _ call: NodeCall, code: UInt8?, _ bytes: UnsafeRawBufferPointer
  ) throws(Failure) {
    guard let node else { throw .stopped }
    let result =
      if let code { unsafe node.refuse(call, code: code, bytes) } else {
        unsafe node.answer(call, bytes)
      }
    switch result {
    case .accepted: return
    case .wouldBlock:
      throw Failure(Code.wouldBlock, "the link to node \(call.from.rawValue) has no room")
    case .noLink: throw .noLink(call.from)
    case .tooLarge: throw Failure(Code.messageSize, "\(bytes.count) bytes are too many to answer")
    }
  }

  var isHere: Bool { EventLoop.current === loop }
}

extension Failure {
  static func noLink(_ id: NodeID) -> Failure {
    Failure(Code.noLink, "there is no link to node \(id.rawValue)")
  }
}

@c @implementation
public func aloft_node_call(
  _ node: OpaquePointer!, _ to: UInt32, _ data: UnsafeRawPointer!, _ length: Int,
  _ timeout_ms: UInt32, _ answered: aloft_answered!, _ context: UnsafeMutableRawPointer!,
  _ call: UnsafeMutablePointer<aloft_call>!
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    guard unsafe answered != nil else { throw .null("answered") }
    let bytes = unsafe try readBytes(data, length)
    // No node has the number 0.
    let id = NodeID(rawValue: UInt8(exactly: to) ?? 0)
    let limit = timeout_ms == 0 ? 5_000 : timeout_ms
    let number =
      unsafe call == nil ? 0 : handle.callsNamed.add(1, ordering: .relaxed).newValue
    let owed = unsafe OwedAnswer(answered, context)
    // Before anybody can have given it up.
    unsafe call?.pointee = aloft_call(id: number)
    do throws(Failure) {
      if handle.isHere {
        unsafe try handle.call(id, bytes, limit, number: number, owed)
        return Code.success
      }
      let copy = unsafe Array(bytes)
      try handle.send { (handle, _) in
        do throws(Failure) {
          unsafe try copy.with { (bytes) throws(Failure) in
            unsafe try handle.call(id, bytes, limit, number: number, owed)
          }
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

extension [UInt8] {
  /// `withUnsafeBytes` with typed errors.
  func with(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    var failure: Failure?
    unsafe withUnsafeBytes { bytes in
      do throws(Failure) {
        unsafe try body(bytes)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }
}

@c @implementation
public func aloft_node_cancel(_ node: OpaquePointer!, _ call: aloft_call) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    if handle.isHere {
      try handle.cancel(call.id)
    } else {
      try handle.send { (handle, _) in try? handle.cancel(call.id) }
    }
    return Code.success
  }
}

extension aloft_request {
  var call: NodeCall { NodeCall(words: words) }
}

private func answering(
  _ node: OpaquePointer?, _ request: aloft_request, code: UInt8?, _ data: UnsafeRawPointer?,
  _ length: Int
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    let bytes = unsafe try readBytes(data, length)
    if handle.isHere {
      unsafe try handle.answer(request.call, code: code, bytes)
      return Code.success
    }
    let copy = unsafe Array(bytes)
    let call = request.call
    try handle.send { (handle, _) in
      unsafe try? copy.with { (bytes) throws(Failure) in
        unsafe try handle.answer(call, code: code, bytes)
      }
    }
    return Code.success
  }
}

@c @implementation
public func aloft_node_reply(
  _ node: OpaquePointer!, _ request: aloft_request, _ data: UnsafeRawPointer!, _ length: Int
) -> Int32 {
  unsafe answering(node, request, code: nil, data, length)
}

@c @implementation
public func aloft_node_refuse(
  _ node: OpaquePointer!, _ request: aloft_request, _ code: UInt32, _ data: UnsafeRawPointer!,
  _ length: Int
) -> Int32 {
  guard let code = UInt8(exactly: code), code > 1 else {
    return Failure(Code.invalid, "code is \(code); 2 to 255 are possible").report()
  }
  return unsafe answering(node, request, code: code, data, length)
}
