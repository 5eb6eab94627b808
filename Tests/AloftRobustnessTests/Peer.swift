import Aloft
import Foundation
import Synchronization

/// The other end of a connection: a plain blocking socket whose calls time out after ten seconds.
final class Peer: Sendable {
  struct Failure: Error, CustomStringConvertible {
    let call: String
    let errno: Int32
    var description: String { "\(call): \(String(cString: strerror(errno)))" }
  }

  let descriptor: Int32
  private let isClosed = Atomic<Bool>(false)

  /// - Parameter source: the last two bytes of 127.0.x.y, for more ports than one address has.
  /// - Parameter receiveBuffer: as small as it goes for a peer that is to be slow.
  init(port: UInt16, source: UInt32 = 0, receiveBuffer: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Failure(call: "socket", errno: errno) }
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    let bytes = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, bytes)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, bytes)
    if var receiveBuffer { set(SOL_SOCKET, SO_RCVBUF, &receiveBuffer) }
    var on: Int32 = 1
    set(Int32(IPPROTO_TCP), TCP_NODELAY, &on)
    if source != 0 {
      set(Int32(IPPROTO_IP), 24, &on)  // IP_BIND_ADDRESS_NO_PORT: the port is chosen at connect
      guard Self.at(0x7f00_0000 | source, 0, { bind(descriptor, $0, $1) }) == 0 else {
        throw failure("bind")
      }
    }
    guard Self.at(0x7f00_0001, port, { connect(descriptor, $0, $1) }) == 0 else {
      throw failure("connect")
    }
  }

  /// Connects as `init` does, on each of `count` sources' ports in turn.
  static func many(_ count: Int, port: UInt16) throws -> [Peer] {
    try (0..<count).map { try Peer(port: port, source: 1 + UInt32($0 % 16)) }
  }

  deinit { close() }

  private func failure(_ call: String) -> Failure {
    let failure = Failure(call: call, errno: errno)
    close()
    return failure
  }

  private func set(_ level: Int32, _ name: Int32, _ value: inout Int32) {
    setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  static func at(
    _ host: UInt32, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = host.bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }

  enum Received: Equatable {
    case bytes([UInt8])
    case end
    case failed(Int32)
  }

  func receive(max: Int = 65_536) -> Received {
    var bytes = [UInt8](repeating: 0, count: max)
    let got = recv(descriptor, &bytes, max, 0)
    if got < 0 { return .failed(errno) }
    return got == 0 ? .end : .bytes(Array(bytes.prefix(got)))
  }

  func receive(exactly count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    return recv(descriptor, &bytes, count, Int32(MSG_WAITALL)) == count ? bytes : nil
  }

  /// Sends and waits for as much; false when anything else comes back.
  func echoes(_ bytes: [UInt8]) -> Bool {
    send(bytes) && receive(exactly: bytes.count) == bytes
  }

  /// All until the end; nil when it is no clean one.
  func receiveAll() -> Int? {
    var sum = 0
    while true {
      switch receive() {
      case .bytes(let bytes): sum += bytes.count
      case .end: return sum
      case .failed: return nil
      }
    }
  }

  func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

  func reset() {
    var now = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  func close() {
    if !isClosed.exchange(true, ordering: .relaxed) { Glibc.close(descriptor) }
  }
}

/// A plain socket that listens, and accepts nobody by itself.
final class PlainListener {
  let descriptor: Int32
  let port: UInt16
  private var isOpen = true

  init(backlog: Int32 = 16) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    self.descriptor = descriptor
    let status = Peer.at(0x7f00_0001, 0) { bind(descriptor, $0, $1) }
    guard status == 0, listen(descriptor, backlog) == 0 else {
      throw Peer.Failure(call: "listen", errno: errno)
    }
    var bound = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &bound) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = getsockname(descriptor, $0, &length)
      }
    }
    port = UInt16(bigEndian: bound.sin_port)
  }

  func close() {
    if isOpen { Glibc.close(descriptor) }
    isOpen = false
  }

  deinit { close() }
}
