import AloftEngine
import AloftUV
import Glibc
import Testing

/// State shared between a test and loop threads.
final class Guarded<Value>: @unchecked Sendable {
  // @unchecked: the value is touched under the lock only.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var value: Value

  init(_ value: Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func with<Result>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }

  var now: Value { with { $0 } }
}

/// Looks every millisecond until `condition` holds, for ten seconds at most.
func eventually(_ condition: () -> Bool) -> Bool {
  for _ in 0..<10_000 {
    if condition() { return true }
    usleep(1_000)
  }
  return condition()
}

/// Counts what it is told, and may echo.
final class Counter: ConnectionHandler, @unchecked Sendable {
  // @unchecked: its only state is guarded.
  struct Told {
    var opened: [ConnectionID] = []
    var ended = 0
    var received = 0
    var loops: Set<Int> = []
    var reasons: [CloseReason] = []
    var refused: [Int32] = []
  }

  let told = Guarded(Told())
  let echoes: Bool
  private let pending = Guarded<[ConnectionID: [UInt8]]>([:])

  init(echoes: Bool = false, _ change: (inout ConnectionSettings) -> Void = { _ in }) {
    self.echoes = echoes
    var settings = ConnectionSettings()
    change(&settings)
    super.init(settings: settings)
  }

  override func opened(_ id: ConnectionID) {
    told.with {
      $0.opened.append(id)
      $0.loops.insert(id.loop)
    }
  }
  override func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    told.with { $0.received += bytes.count }
    if echoes { #expect(EventLoop.write(id, bytes) == .accepted) }
  }
  override func ended(_ id: ConnectionID) {
    told.with { $0.ended += 1 }
    if echoes { EventLoop.owner(of: id)?.close(id) }
  }
  override func closed(_ id: ConnectionID, _ reason: CloseReason) {
    told.with { $0.reasons.append(reason) }
  }
  override func refused(_ errno: Int32) { told.with { $0.refused.append(errno) } }
}

func makeGroup(
  loops: Int = 1, connectionsMax: Int = 1_000, _ change: (inout LoopGroupOptions) -> Void = { _ in }
) throws -> LoopGroup {
  var options = LoopGroupOptions()
  options.eventLoops = loops
  options.connectionsMax = connectionsMax
  options.loop.timersMax = 1_024
  change(&options)
  return try LoopGroup(options)
}

extension LoopGroup {
  /// Runs `body` on a loop and waits for its answer.
  func on<Result>(_ loop: EventLoop, _ body: @escaping (EventLoop) -> Result) -> Result? {
    let result = Guarded<Result?>(nil)
    nonisolated(unsafe) let body = body
    do {
      try loop.execute { result.with { $0 = body(loop) } }
    } catch {
      Issue.record("\(error)")
    }
    _ = eventually { result.with { $0 != nil } }
    return result.with { $0 }
  }

  /// Has every loop listen; answers the address that was bound.
  func listen(
    _ handler: ConnectionHandler, on address: SocketAddress = .ip(host: "127.0.0.1", port: 0)
  ) throws -> SocketAddress {
    var bound = address
    for (place, loop) in loops.enumerated() {
      let request = ListenRequest(
        index: 0, address: bound, backlog: 1_024, first: place == 0, handOver: false)
      bound = try #require(
        on(loop) { loop in Result { try loop.listen(request, handler: handler) } }
      ).get()
    }
    return bound
  }
}

/// A plain blocking socket, no wait of which is longer than ten seconds.
struct Client: ~Copyable {
  let descriptor: Int32

  init(_ address: SocketAddress, receiveBytes: Int32? = nil) throws {
    let family: Int32
    if case .unix = address { family = AF_UNIX } else { family = AF_INET }
    descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
    try #require(descriptor >= 0)
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
    if var receiveBytes {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBytes, 4)
    }
    let status =
      switch address {
      case .ip(_, let port): Self.connect(descriptor, port)
      case .unix(let path): Self.connect(descriptor, path)
      }
    try #require(status == 0, "connect: \(errno)")
  }

  deinit { Glibc.close(descriptor) }

  private static func connect(_ descriptor: Int32, _ port: UInt16) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  private static func connect(_ descriptor: Int32, _ path: String) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + (bytes[0] == 0 ? 0 : 1))
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, length)
      }
    }
  }

  func send(_ bytes: ArraySlice<UInt8>) -> Int {
    bytes.withUnsafeBytes {
      Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
  }

  func receive(_ most: Int) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: most)
    let got = Glibc.recv(descriptor, &buffer, most, 0)
    return Array(buffer.prefix(max(got, 0)))
  }

  func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// The close that follows sends a reset.
  func resetAtClose() {
    var now = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
  }
}

func entries(of directory: String) -> Int {
  guard let handle = opendir(directory) else { return -1 }
  defer { closedir(handle) }
  var count = 0
  while readdir(handle) != nil { count += 1 }
  return count
}
