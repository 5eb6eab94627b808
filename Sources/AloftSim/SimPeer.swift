package import AloftEngine

/// A hand-driven end of a stream: what a test plays against a loop. It reads all that arrives
/// unless told not to, and sends what it was given as there is room.
package final class SimPeer {
  unowned let world: SimWorld
  let socket: SimSocket
  package private(set) var received: [UInt8] = []
  package private(set) var isConnected = false
  package private(set) var hasEnded = false
  /// A negative errno value, once there is one.
  package private(set) var error: Int32 = 0
  package var reads = true { didSet { changed() } }
  private var unsent: [UInt8] = []
  private var finishWanted = false
  private var closeWanted = false

  init(world: SimWorld, socket: SimSocket) {
    self.world = world
    self.socket = socket
    isConnected = socket.state == .open
    socket.changed = { [weak self] in self?.changed() }
  }

  package var link: SimLink? { socket.link }

  package func send(_ bytes: [UInt8]) {
    unsent += bytes
    changed()
  }

  /// Ends the sending side, after what is unsent.
  package func finish() {
    finishWanted = true
    changed()
  }

  package func close() {
    closeWanted = true
    changed()
  }

  package func reset() { world.close(socket, reset: true) }

  private func changed() {
    guard socket.state != .closed else { return }
    if socket.state == .connecting, socket.isConnected { socket.state = .open }
    if socket.error != 0 { error = socket.error }
    isConnected = socket.state == .open
    guard isConnected else { return }
    if reads { readAll() }
    while !unsent.isEmpty, error == 0 {
      let sent = unsafe unsent.withUnsafeBytes { unsafe world.send(socket, $0) }
      guard sent > 0 else { break }
      unsent.removeFirst(sent)
    }
    guard unsent.isEmpty else { return }
    if finishWanted { _ = world.finish(socket) }
    if closeWanted { world.close(socket, reset: false) }
  }

  private func readAll() {
    unsafe withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 16) { buffer in
      while socket.state != .closed, let got = unsafe world.receive(socket, into: buffer) {
        guard got > 0 else {
          if got == 0 { hasEnded = true } else { error = Int32(got) }
          return
        }
        unsafe received += buffer[..<got]
      }
    }
  }
}

extension SimWorld {
  /// Connects by hand.
  package func connectPeer(to address: SocketAddress) -> SimPeer {
    SimPeer(world: self, socket: startConnect(from: nil, to: address))
  }

  /// Listens by hand; each arrival is told to `arrived`.
  package func listenPeers(
    at address: SocketAddress, _ arrived: @escaping (SimPeer) -> Void
  ) -> SimListener {
    let listener = SimListener(address: address, backlog: 128, isShared: false, process: nil)
    listeners[address, default: []].append(listener)
    listener.changed = { [unowned self, unowned listener] in
      while !listener.queue.isEmpty {
        arrived(SimPeer(world: self, socket: listener.queue.removeFirst()))
      }
    }
    return listener
  }
}
