import Testing

@testable import AloftOperations

/// Heads of requests, whole and in pieces, good and bad.
struct RequestTests {
  private func read(_ text: String, piece: Int = .max) throws -> HTTPRequest? {
    var reader = HTTPRequestReader()
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let request = try reader.feed(Array(rest.prefix(piece)))
      if let request { return request }
      rest = rest.dropFirst(piece)
    }
    return nil
  }

  @Test("A request is the same however it is cut", arguments: [1, 2, 3, 7, .max])
  func pieces(piece: Int) throws {
    let text = "GET /metrics?a=b HTTP/1.1\r\nHost: a\r\nAccept: text/plain; q=0.5\r\n\r\nmore"
    let request = try #require(try read(text, piece: piece))
    #expect(request.method == .get && request.path == "/metrics")
  }

  @Test(
    "What is allowed passes",
    arguments: [
      "HEAD / HTTP/1.1\r\nhost:a\r\n\r\n", "GET / HTTP/1.0\n\n",
      "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
      "GET /\("x".padded(to: 4_000)) HTTP/1.1\r\nHost: a\r\n\r\n",
    ])
  func good(text: String) throws { #expect(try read(text) != nil) }

  @Test("An unfinished head is waited for", arguments: ["", "G", "GET / HTTP/1.1\r\nHost: a\r\n"])
  func unfinished(text: String) throws { #expect(try read(text) == nil) }

  @Test(
    "What is wrong is told by a status",
    arguments: [
      (400, "\r\n\r\n"), (400, "GET /\r\n\r\n"), (400, "GET  / HTTP/1.1\r\n\r\n"),
      (400, "GET a HTTP/1.1\r\n\r\n"), (400, "GET / HTTQ/1.1\r\n\r\n"),
      (400, "GET / HTTP/1.1\r\n\r\n"), (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
      (400, "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"),
      (400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"), (400, "GET / HTTP/1.1\r\n: a\r\n\r\n"),
      (400, "GET / HTTP/1.1\r\nHost: a\u{0}\r\n\r\n"), (400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
      (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
      (400, "GET /\u{7F} HTTP/1.1\r\nHost: a\r\n\r\n"), (400, "\u{16}\u{3}\u{1}"),
      (405, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
      (405, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
      (413, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
      (413, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
      (431, "GET /\("x".padded(to: 9_000))"),
      (431, "GET / HTTP/1.1\r\n\("A: b\r\n".times(70))\r\n"),
      (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    ])
  func bad(status: Int, text: String) throws {
    for piece in [Int.max, 5] {
      let refusal = #expect(throws: HTTPRequest.Refusal.self) { try read(text, piece: piece) }
      #expect(refusal?.status.rawValue == status, "\(text.debugDescription)")
    }
  }

  @Test("Random bytes and damaged requests are answered, and nothing else happens")
  func random() throws {
    var random = Random(state: 7)
    let model = Array("GET /events HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".utf8)
    var (requests, refusals, unfinished) = (0, 0, 0)
    for _ in 0..<20_000 {
      var bytes = model
      for _ in 0..<(1 + random.next() % 4) {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      var reader = HTTPRequestReader()
      do {
        if try reader.feed(bytes) != nil { requests += 1 } else { unfinished += 1 }
      } catch {
        refusals += 1
      }
    }
    #expect(requests > 100 && refusals > 1_000 && unfinished > 0)
  }
}

/// Splitmix64 (Steele and others, 2014).
private struct Random {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

extension String {
  fileprivate func padded(to count: Int) -> String { times(count) }
  fileprivate func times(_ count: Int) -> String { String(repeating: self, count: count) }
}
