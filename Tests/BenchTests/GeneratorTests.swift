// The load generator's own scale and refusals; and the generator against an echo in this process,
// where every reply, a wrong byte and a missing reply must be seen.
import CBenchLoad
import Foundation
import Testing

@Test func theScaleOfLatenciesIsWithinHalfAPercent() {
  var last: UInt64 = 0
  for index in 0..<4_000 {
    let value = bench_load_histogram_value(index)
    #expect(index == 0 || value > last)
    last = value
  }
  #expect(bench_load_histogram_value(127) == 127)
  #expect(bench_load_histogram_value(128) == 128)
  #expect(bench_load_histogram_value(4_000) > 1_000_000_000)
}

private func options(port: UInt16, bytes: UInt32 = 64) -> bench_load_options {
  bench_load_options(
    target_ip: 0x7f00_0001, target_port: port, source_ip_first: 0, source_ip_count: 0,
    connections: 3, connects_in_flight_max: 2, bytes: bytes, depth: 4, busy_poll: false)
}

@Test(arguments: [0, 7, 65_537] as [UInt32])
func aMessageTooSmallOrTooLargeIsRefused(bytes: UInt32) {
  var bad = options(port: 1, bytes: bytes)
  #expect(bench_load_create(&bad) == nil)
}

@Test func refusedConnectionsAreCountedAsFailed() throws {
  // Port 1 of the loopback address: nobody listens there.
  var wanted = options(port: 1)
  let load = try #require(bench_load_create(&wanted))
  defer { bench_load_destroy(load) }
  var result = bench_load_result()
  bench_load_connect(load, 1_000_000_000, &result)
  #expect(result.attempts == 3)
  #expect(result.failed == 3)
  #expect(result.alive == 0)
  #expect(result.first_errno == ECONNREFUSED)
}

/// What the server in this process does to the bytes it gets.
enum Fault: CaseIterable { case none, wrongByte, silence, closes }

@Test(.timeLimit(.minutes(1)), arguments: Fault.allCases)
func everyReplyIsCheckedAndEveryMessageAccountedFor(fault: Fault) throws {
  let server = try Echo(fault)
  var wanted = options(port: server.port)
  let load = try #require(bench_load_create(&wanted))
  defer { bench_load_destroy(load) }
  var result = bench_load_result()
  bench_load_connect(load, 1_000_000_000, &result)
  #expect(result.alive == 3)
  bench_load_closed_loop(load, 0, 100_000_000, 100, &result)
  #expect(result.sent == result.answered + result.lost)
  switch fault {
  case .none:
    #expect(result.answered == 100 && result.lost == 0 && result.mismatched == 0)
    bench_load_each(load, 2, 1_000_000_000, &result)
    #expect(result.answered == 3)
    bench_load_open_loop(load, 1_000, 50_000_000, &result)
    #expect(result.answered == 50 && result.failed == 0)
    bench_load_churn(load, 2, 1_000_000_000, 20, &result)
    #expect(result.connected == 20 && result.answered == 20 && result.alive == 3)
  case .wrongByte: #expect(result.mismatched > 0)
  case .silence: #expect(result.lost == 12)
  case .closes: #expect(result.lost > 0 && result.closed_by_peer == 3)
  }
}

@Test(.timeLimit(.minutes(1)), arguments: [8, 4_097, 65_536] as [UInt32])
func messagesThatTravelInPiecesAreWhole(bytes: UInt32) throws {
  let server = try Echo(.none)
  var wanted = options(port: server.port, bytes: bytes)
  let load = try #require(bench_load_create(&wanted))
  defer { bench_load_destroy(load) }
  var result = bench_load_result()
  bench_load_connect(load, 10_000_000_000, &result)
  // The count ends it; the time is only there for a machine that is busy elsewhere.
  bench_load_closed_loop(load, 0, 40_000_000_000, 500, &result)
  #expect(result.answered == 500 && result.mismatched == 0 && result.ops == 500)
  #expect(result.window_ns < 40_000_000_000)
}

/// An echo server of one thread per connection: slow, and simple enough to be right.
private final class Echo: Sendable {
  let port: UInt16
  private let listener: Int32

  init(_ fault: Fault) throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    self.listener = listener
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let named = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 16) == 0
          && getsockname(listener, $0, &length) == 0
      }
    }
    try #require(named)
    port = UInt16(bigEndian: address.sin_port)
    Thread {
      while case let fd = accept(listener, nil, nil), fd >= 0 {
        Thread { Echo.serve(fd, fault) }.start()
      }
    }.start()
  }

  deinit { shutdown(listener, Int32(SHUT_RDWR)) }

  private static func serve(_ fd: Int32, _ fault: Fault) {
    var bytes = [UInt8](repeating: 0, count: 4_096)
    while case let n = recv(fd, &bytes, bytes.count, 0), n > 0 {
      if fault == .closes { break }
      if fault == .silence { continue }
      if fault == .wrongByte { bytes[n - 1] ^= 1 }
      send(fd, bytes, n, Int32(MSG_NOSIGNAL))
    }
    close(fd)
  }
}
