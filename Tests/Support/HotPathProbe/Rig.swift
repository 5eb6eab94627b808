import Aloft
import CallCounters
import Glibc

/// A server that takes one path, and blocking clients on this thread that keep it busy.
struct Rig {
  static let clients = 8
  let path: MessagePath

  init(_ path: MessagePath) { self.path = path }

  func measure(warm: Int, counted: Int) async throws -> call_counts {
    let notes = UnsafeMutablePointer<Notes>.allocate(capacity: 1)
    notes.initialize(to: Notes())
    defer {
      notes.deinitialize(count: 1)
      notes.deallocate()
    }
    notes.pointee.countFrom = warm
    notes.pointee.countTo = warm + counted
    var options = ConnectionOptions()
    if path.isFramed { options.framing = .lengthPrefixed(max: 4_096) }
    if path == .timeouts { options.idleTimeout = .seconds(20) }
    let runtime = try Runtime(.init(eventLoops: 1, connectionsMax: 64))
    let listener = try await runtime.listen(
      on: .init("127.0.0.1", 0), options: options,
      handler: try ProbeHandler(path, notes, runtime.registry))
    drive(port: listener.address.port ?? 0, until: notes)
    await runtime.shutdown(within: .milliseconds(100))
    return notes.pointee.after - notes.pointee.before
  }

  /// Rounds: every client sends, then every client waits for its answers.
  private func drive(port: UInt16, until notes: UnsafeMutablePointer<Notes>) {
    let clients = (0..<Self.clients).map { _ in connectBlocking(port: port) }
    var one: [UInt8] =
      path.isFramed ? [0, 0, UInt8(path.bytes >> 8), UInt8(path.bytes & 0xFF)] : []
    one += [UInt8](repeating: 7, count: path.bytes)
    let batch = [UInt8]((0..<path.pipeline).map { _ in one }.joined())
    // Split: what is sent ends in the midst of a frame, which the next round completes.
    let cut = path.isSplit ? one.count / 2 : 0
    if cut > 0 { clients.forEach { sendAll($0, one[..<cut]) } }
    let turned = batch[cut...] + batch[..<cut]
    var answer = [UInt8](repeating: 0, count: batch.count)
    while !notes.pointee.isDone.load(ordering: .acquiring) {
      for client in clients { sendAll(client, turned) }
      for client in clients { receiveAll(client, &answer) }
    }
    for client in clients { close(client) }
  }

  private func connectBlocking(port: UInt16) -> Int32 {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    precondition(status == 0, "connect: errno \(errno)")
    var on: Int32 = 1
    setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    var limit = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    return fd
  }

  private func sendAll(_ fd: Int32, _ bytes: ArraySlice<UInt8>) {
    bytes.withUnsafeBytes {
      precondition(send(fd, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL)) == $0.count)
    }
  }

  private func receiveAll(_ fd: Int32, _ into: inout [UInt8]) {
    into.withUnsafeMutableBytes {
      let got = recv(fd, $0.baseAddress!, $0.count, Int32(MSG_WAITALL))
      precondition(got == $0.count, "an answer is missing: \(got), errno \(errno)")
    }
  }
}
