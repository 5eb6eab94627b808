import AloftEngine

/// One direction of a stream: bytes written, on their way, and arrived. The writer's buffer, the
/// wire and the reader's buffer have one common bound.
final class SimPipe {
  unowned let link: SimLink
  /// Which of the link's two sockets reads.
  let reader: Int
  let capacity: Int
  private var bytes: [UInt8] = []
  private var head = 0
  /// How many of the bytes have arrived and can be read.
  private(set) var readable = 0
  /// Nothing arrives before what was sent earlier.
  var lastArrival: UInt64 = 0
  var endSent = false
  var endArrived = false
  private(set) var endLost = false

  init(link: SimLink, reader: Int, capacity: Int) {
    self.link = link
    self.reader = reader
    self.capacity = capacity
  }

  var held: Int { bytes.count - head }
  var room: Int { max(0, capacity - held) }

  func append(_ new: UnsafeRawBufferPointer) { unsafe bytes.append(contentsOf: new) }

  func arrive(_ count: Int) { readable = min(readable + count, held) }

  /// Takes up to `count` readable bytes.
  func read(into target: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(target.count, readable)
    unsafe bytes.withUnsafeBytes {
      unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[head..<head + count]))
    }
    discard(count)
    return count
  }

  private func discard(_ count: Int) {
    head += count
    readable -= count
    if head == bytes.count {
      bytes.removeAll(keepingCapacity: true)
      head = 0
    } else if head > 65_536 {
      bytes.removeFirst(head)
      head = 0
    }
  }

  /// A reset loses what has not arrived: the bytes, and with them the end behind them.
  func loseUndelivered() {
    if held > readable { endLost = true }
    bytes.removeLast(held - readable)
  }

  func loseAll() {
    readable = 0
    head = 0
    bytes = []
  }
}

/// Two sockets and what lies between them.
package final class SimLink {
  package let number: Int
  unowned let world: SimWorld
  /// 0 has connected, 1 was connected to.
  var sockets: [SimSocket] = []
  var pipes: [SimPipe] = []
  /// Nothing arrives while a link stalls; it comes later.
  package internal(set) var isStalled = false
  var stalled: [SimAgenda.Happening] = []

  init(number: Int, world: SimWorld) {
    self.number = number
    self.world = world
  }

  /// Its sockets know it as it knows them.
  func forget() {
    for socket in sockets { (socket.link, socket.changed) = (nil, nil) }
    sockets = []
    stalled = []
  }
}

/// One end of a stream.
package final class SimSocket {
  enum State { case connecting, open, closed }

  var state: State
  /// A negative errno value, once there is one.
  var error: Int32 = 0
  /// The connect has succeeded, and whoever connects does not know.
  var isConnected = false
  package internal(set) var link: SimLink?
  package internal(set) var side = 0
  let local: SocketAddress
  let remote: SocketAddress
  /// Tells whoever holds the socket that something has changed.
  var changed: (() -> Void)?

  init(state: State, local: SocketAddress, remote: SocketAddress) {
    self.state = state
    self.local = local
    self.remote = remote
  }

  var incoming: SimPipe? { link.map { $0.pipes[1 - side] } }
  var outgoing: SimPipe? { link.map { $0.pipes[side] } }
  var peer: SimSocket? { link.map { $0.sockets[1 - side] } }

  var canRead: Bool {
    guard let incoming else { return false }
    return incoming.readable > 0 || incoming.endArrived || error != 0
  }
  var canWrite: Bool { (outgoing?.room ?? 0) > 0 || error != 0 }
}

/// A connect on its way.
final class SimConnect {
  let socket: SimSocket
  let address: SocketAddress

  init(socket: SimSocket, address: SocketAddress) {
    self.socket = socket
    self.address = address
  }
}

/// A socket that listens, on a loop or by hand.
package final class SimListener {
  let address: SocketAddress
  let backlog: Int
  var queue: [SimSocket] = []
  var isClosed = false
  var isShared: Bool
  /// Whether arrivals go round the listeners of the address: only those of one process do.
  let process: SimProcess?
  var changed: (() -> Void)?

  init(address: SocketAddress, backlog: Int, isShared: Bool, process: SimProcess?) {
    self.address = address
    self.backlog = backlog
    self.isShared = isShared
    self.process = process
  }
}
