import AloftEngine
import AloftUV
public import CAloft

extension Runtime {
  func listen(
    on address: SocketAddress, backlog: Int32, _ handler: CallbackHandler
  ) throws(Failure) -> UInt64 {
    guard !isEnding else { throw .shutDown }
    let here = here
    try checkMayBlock(here)
    let index = try listeners.claim()
    do throws(Failure) {
      let plan = ListenPlan(
        runtime: self, index: index, address: address, backlog: backlog, handler)
      let bound = if let here { try plan.listen(from: here) } else { try plan.listenOnAll() }
      return listeners.open(index, bound, as: address)
    } catch {
      // Those that listen already stop. A loop that asks for itself is the first, and has refused.
      if here == nil {
        for loop in loops {
          try? loop.ask { () throws(Failure) in loop.closeListener(UInt16(index)) }
        }
      }
      listeners.free(index)
      throw error
    }
  }

  /// On a loop of another runtime, waiting could wait for one that waits for us.
  private func checkMayBlock(_ here: EventLoop?) throws(Failure) {
    if here == nil && EventLoop.current != nil {
      throw Failure(Code.wrongThread, "the thread is an event loop's of another runtime")
    }
  }

  func closeListener(_ handle: UInt64) throws(Failure) {
    let here = here
    try checkMayBlock(here)
    let index = try listeners.beginClose(handle, loops: loops.count)
    for loop in loops {
      if loop === here {
        loop.closeListener(UInt16(index))
        listeners.didClose(index)
      } else if here != nil {
        loop.executeUnrefused { [unowned self] in
          loop.closeListener(UInt16(index))
          listeners.didClose(index)
        }
      } else {
        // A loop that has ended has closed it.
        try? loop.ask { () throws(Failure) in loop.closeListener(UInt16(index)) }
        listeners.didClose(index)
      }
    }
  }
}

/// Who listens, and who is handed connections.
///
/// TCP: each loop has a socket of its own on the port, among which the system deals connections
/// out. A Unix-domain socket can't be had twice: one loop listens, and hands the descriptors on.
private struct ListenPlan: Sendable {
  let runtime: Runtime
  let index: Int
  let address: SocketAddress
  let backlog: Int32
  let handler: CallbackHandler
  let isShared: Bool

  init(
    runtime: Runtime, index: Int, address: SocketAddress, backlog: Int32, _ handler: CallbackHandler
  ) {
    self.runtime = runtime
    self.index = index
    self.address = address
    self.backlog = backlog
    self.handler = handler
    if case .unix = address { isShared = true } else { isShared = false }
  }

  private func first(on loop: EventLoop) throws(Failure) -> SocketAddress {
    // A descriptor's number means nothing in another table.
    let handsOver = isShared && !runtime.options.privateDescriptors && runtime.loops.count > 1
    let request = ListenRequest(
      index: UInt16(index), address: address, backlog: backlog, first: true, handOver: handsOver)
    return try translating { () throws(EngineError) in
      try loop.listen(request, handler: handler)
    }
  }

  private func join(_ loop: EventLoop, _ bound: SocketAddress) throws(Failure) {
    if isShared {
      loop.setListenerHandler(UInt16(index), handler)
      return
    }
    let request = ListenRequest(
      index: UInt16(index), address: bound, backlog: backlog, first: false, handOver: false)
    _ = try translating { () throws(EngineError) in
      try loop.listen(request, handler: handler)
    }
  }

  /// From outside the loops: one after the other, and the first refusal is the answer.
  func listenOnAll() throws(Failure) -> SocketAddress {
    let first = runtime.loops[0]
    let bound = Bound(address)
    try first.ask { () throws(Failure) in bound.address = try self.first(on: first) }
    for loop in runtime.loops.dropFirst() {
      try loop.ask { () throws(Failure) in try join(loop, bound.address) }
    }
    return bound.address
  }

  /// On a loop, which can't wait for the others: they join as they get to it.
  func listen(from here: EventLoop) throws(Failure) -> SocketAddress {
    let bound = try first(on: here)
    let generation = runtime.listeners.generation(index)
    for loop in runtime.loops where loop !== here {
      loop.executeUnrefused { [unowned runtime, self] in
        guard runtime.listeners.isWanted(index, generation) else { return }
        do throws(Failure) {
          try join(loop, bound)
        } catch {
          handler.refused(-error.code)
        }
      }
    }
    return bound
  }

  private final class Bound: @unchecked Sendable {
    // @unchecked: written by the loop that is asked, read by the one who waited for it.
    var address: SocketAddress
    init(_ address: SocketAddress) { self.address = address }
  }
}

// MARK: The functions

@c @implementation
public func aloft_listen(
  _ runtime: OpaquePointer!, _ address: UnsafePointer<CChar>!,
  _ options: UnsafePointer<aloft_connection_options>!, _ callbacks: UnsafePointer<aloft_callbacks>!,
  _ context: UnsafeMutableRawPointer!, _ listener: UnsafeMutablePointer<aloft_listener>!
) -> Int32 {
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    guard let address = unsafe address else { throw .null("address") }
    let options = unsafe try ConnectionOptions(options)
    let handler = unsafe try CallbackHandler(callbacks, context, options.settings)
    let handle = unsafe try runtime.listen(
      on: parseAddress(address), backlog: options.backlog, handler)
    unsafe listener?.pointee = aloft_listener(id: handle)
    return Code.success
  }
}

@c @implementation
public func aloft_listener_close(_ runtime: OpaquePointer!, _ listener: aloft_listener) -> Int32 {
  reporting { () throws(Failure) in
    unsafe try Runtime.of(runtime).closeListener(listener.id)
    return Code.success
  }
}

@c @implementation
public func aloft_listener_port(_ runtime: OpaquePointer!, _ listener: aloft_listener) -> Int32 {
  reporting { () throws(Failure) in
    unsafe Int32(try Runtime.of(runtime).listeners.name(listener.id).port)
  }
}

@c @implementation
public func aloft_listener_address(
  _ runtime: OpaquePointer!, _ listener: aloft_listener, _ text: UnsafeMutablePointer<CChar>!,
  _ size: Int
) -> Int32 {
  reporting { () throws(Failure) in
    let name = unsafe try Runtime.of(runtime).listeners.name(listener.id)
    return unsafe try copy(name.address, to: text, size)
  }
}
