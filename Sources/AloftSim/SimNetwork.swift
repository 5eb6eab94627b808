package import AloftEngine

/// The network: what travels, and what arrives.
extension SimWorld {
  private static let resetByPeer: Int32 = -104
  private static let refusedByPeer: Int32 = -111
  private static let connectRetry: UInt64 = 1_000_000_000

  func delay() -> UInt64 { UInt64(random.in(options.delay)) }

  // MARK: Set-up and faults

  /// Connects to this address are never answered.
  package func makeBlackHole(_ address: SocketAddress) { blackHoles.insert(address) }

  /// For this long, nothing that is under way on the link arrives; what is sent meanwhile comes
  /// later. Nil: for ever.
  package func stall(_ link: SimLink, nanoseconds: Int?) {
    link.isStalled = true
    if let nanoseconds { add(.heal(link), at: now + UInt64(nanoseconds)) }
  }

  package func heal(_ link: SimLink) {
    guard link.isStalled else { return }
    link.isStalled = false
    let waiting = link.stalled
    link.stalled = []
    for (place, happening) in waiting.enumerated() {
      // One nanosecond apart, since they must keep their order.
      add(happening, at: now + UInt64(place))
    }
    for pipe in link.pipes { pipe.lastArrival = max(pipe.lastArrival, now + UInt64(waiting.count)) }
  }

  func bind(_ request: ListenRequest, process: SimProcess) -> DriverResult<SimListener> {
    var address = request.address
    if case .ip(let host, 0) = address {
      address = .ip(host: host, port: nextPort)
      nextPort += 1
    }
    let present = listeners[address] ?? []
    if request.first ? !present.isEmpty : !present.allSatisfy({ $0.process === process }) {
      return .failure(-98)
    }
    let listener = SimListener(
      address: address, backlog: Int(request.backlog), isShared: !request.first, process: process)
    listeners[address, default: []].append(listener)
    return .success(listener)
  }

  func close(_ listener: SimListener) {
    listener.isClosed = true
    listeners[listener.address]?.removeAll { $0 === listener }
    if listeners[listener.address]?.isEmpty == true { listeners[listener.address] = nil }
    for socket in listener.queue { close(socket, reset: true) }
    listener.queue = []
  }

  // MARK: Connects

  func startConnect(from local: SocketAddress?, to address: SocketAddress) -> SimSocket {
    let own = local ?? .ip(host: "127.0.0.1", port: nextPort)
    nextPort &+= 1
    let socket = SimSocket(state: .connecting, local: own, remote: address)
    if !blackHoles.contains(address) {
      add(.connectArrives(SimConnect(socket: socket, address: address)), at: now + delay())
    }
    return socket
  }

  func connectArrives(_ connect: SimConnect) {
    let client = connect.socket
    guard client.state == .connecting, !blackHoles.contains(connect.address) else { return }
    guard let group = listeners[connect.address], !group.isEmpty else {
      add(.connectAnswered(client, status: Self.refusedByPeer), at: now + delay())
      return
    }
    let listener = group[random.below(group.count)]
    guard listener.queue.count < listener.backlog else {
      add(.connectArrives(connect), at: now + Self.connectRetry)
      return
    }
    note(2, UInt64(links.count))
    let link = SimLink(number: links.count, world: self)
    let server = SimSocket(state: .open, local: connect.address, remote: client.local)
    (server.link, server.side) = (link, 1)
    (client.link, client.side) = (link, 0)
    link.sockets = [client, server]
    link.pipes = [
      SimPipe(link: link, reader: 1, capacity: random.in(options.streamBytes)),
      SimPipe(link: link, reader: 0, capacity: random.in(options.streamBytes)),
    ]
    links.append(link)
    // Nothing that the server sends overtakes the answer to the connect.
    let answered = now + delay()
    link.pipes[1].lastArrival = answered
    listener.queue.append(server)
    listener.changed?()
    add(.connectAnswered(client, status: 0), at: answered)
  }

  func connectAnswered(_ socket: SimSocket, _ status: Int32) {
    guard socket.state == .connecting else { return }
    if status == 0 { socket.isConnected = true } else { socket.error = status }
    socket.changed?()
  }

  // MARK: Streams

  /// Takes what has room; 0 when nothing has, or the socket's error.
  func send(_ socket: SimSocket, _ bytes: UnsafeRawBufferPointer) -> Int {
    if socket.error != 0 { return Int(socket.error) }
    guard let pipe = socket.outgoing, !pipe.endSent else { return -32 }
    var count = min(bytes.count, pipe.room)
    if count > 1, random.chance(options.shortCalls) { count = random.in(1...count) }
    guard count > 0 else { return 0 }
    unsafe pipe.append(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    if !isAttended(pipe) {
      // Nobody is there to read it: the answer is a reset, and until then the buffers fill.
      add(.reset(socket), at: now + delay())
      return count
    }
    var left = count
    while left > 0 {
      let part = min(left, random.in(options.fragmentBytes))
      pipe.lastArrival = max(pipe.lastArrival + 1, now + delay())
      add(.arrive(pipe, bytes: part), at: pipe.lastArrival)
      left -= part
    }
    return count
  }

  private func isAttended(_ pipe: SimPipe) -> Bool {
    pipe.link.sockets[pipe.reader].state != .closed
  }

  func arrive(_ pipe: SimPipe, _ bytes: Int) {
    note(3, UInt64(pipe.link.number) << 1 | UInt64(pipe.reader), UInt64(bytes))
    let reader = pipe.link.sockets[pipe.reader]
    if reader.state == .closed {
      add(.reset(pipe.link.sockets[1 - pipe.reader]), at: now + delay())
      return
    }
    guard reader.error == 0 else { return }
    pipe.arrive(bytes)
    reader.changed?()
  }

  func end(_ pipe: SimPipe) {
    guard !pipe.endLost else { return }
    note(4, UInt64(pipe.link.number) << 1 | UInt64(pipe.reader))
    pipe.endArrived = true
    let reader = pipe.link.sockets[pipe.reader]
    if reader.state != .closed { reader.changed?() }
  }

  func resetArrives(_ socket: SimSocket) {
    guard socket.state != .closed, socket.error == 0 else { return }
    note(5, UInt64(socket.link?.number ?? 0) << 1 | UInt64(socket.side))
    if socket.state == .connecting, !socket.isConnected {
      socket.error = Self.refusedByPeer
    } else {
      socket.error = Self.resetByPeer
    }
    socket.incoming?.loseUndelivered()
    socket.changed?()
  }

  /// Reads what has arrived: a count, 0 at the end, `nil` for nothing yet, or the error.
  func receive(_ socket: SimSocket, into target: UnsafeMutableRawBufferPointer) -> Int? {
    guard let pipe = socket.incoming else { return socket.error == 0 ? nil : Int(socket.error) }
    if pipe.readable > 0 {
      var wanted = target.count
      if random.chance(options.shortCalls) { wanted = random.in(1...wanted) }
      let got = unsafe pipe.read(into: UnsafeMutableRawBufferPointer(rebasing: target[..<wanted]))
      let writer = pipe.link.sockets[1 - pipe.reader]
      if writer.state != .closed { writer.changed?() }
      return got
    }
    if socket.error != 0 { return Int(socket.error) }
    return pipe.endArrived ? 0 : nil
  }

  /// Shuts the sending side down, after what was sent.
  func finish(_ socket: SimSocket) -> Int32 {
    if socket.error != 0 { return socket.error }
    guard let pipe = socket.outgoing else { return -107 }
    guard !pipe.endSent else { return 0 }
    pipe.endSent = true
    pipe.lastArrival = max(pipe.lastArrival + 1, now + delay())
    add(.end(pipe), at: pipe.lastArrival)
    return 0
  }

  /// As TCP has it: with unread bytes, or asked for, a close is a reset.
  func close(_ socket: SimSocket, reset: Bool) {
    guard socket.state != .closed else { return }
    let wasOpen = socket.state == .open || socket.isConnected || socket.link != nil
    let unread = (socket.incoming?.readable ?? 0) > 0
    if wasOpen, socket.error == 0 {
      if reset || unread {
        if let peer = socket.peer {
          socket.outgoing?.loseUndelivered()
          add(.reset(peer), at: max(now + delay(), (socket.outgoing?.lastArrival ?? 0) + 1))
        }
      } else {
        _ = finish(socket)
      }
    }
    socket.state = .closed
    socket.changed = nil
    socket.incoming?.loseAll()
  }
}
