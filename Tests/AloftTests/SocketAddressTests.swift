import Aloft
import Testing

/// Addresses as text: what is written is read back, and what has another form is told from that.
struct SocketAddressTests {
  @Test(
    "An address reads what it writes",
    arguments: [
      "127.0.0.1:80", "[::1]:0", "[fe80::1]:65535", "unix:/run/a.sock", "unix:@name",
      "unix:relative",
    ])
  func round(text: String) throws {
    let address = try #require(SocketAddress(text: text))
    #expect(address.description == text)
  }

  @Test("Its parts are those of the other ways to make one")
  func parts() {
    #expect(SocketAddress(text: "10.0.0.7:7777") == SocketAddress("10.0.0.7", 7777))
    #expect(SocketAddress(text: "[::1]:1") == SocketAddress("::1", 1))
    #expect(SocketAddress(text: "unix:@a") == SocketAddress(unixPath: "\0a"))
    #expect(SocketAddress(text: "unix:/a:1") == SocketAddress(unixPath: "/a:1"))
  }

  @Test(
    "What has another form is none",
    arguments: [
      "", "127.0.0.1", "127.0.0.1:", ":80", "::1:80", "[::1:80", "[127.0.0.1]:80", "1.2.3.4:65536",
      "1.2.3.4:+80", "1.2.3.4:-1", "1.2.3.4:8 0", "unix:", "unix:@",
    ])
  func refused(text: String) {
    #expect(SocketAddress(text: text) == nil)
  }
}
