/// Where to listen or connect: an IP literal and port, or a Unix-domain socket's path.
package enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
  case ip(host: String, port: UInt16)
  /// A leading NUL byte names a socket of Linux's abstract name space.
  case unix(path: String)

  /// What `init(text:)` reads.
  package var description: String {
    switch self {
    case .ip(let host, let port):
      host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path):
      path.utf8.first == 0 ? "unix:@\(path.dropFirst())" : "unix:\(path)"
    }
  }

  /// `127.0.0.1:80`, `[::1]:80`, `unix:/path`, `unix:@abstract`. Whether the host is an IP literal,
  /// and the path one that a socket can have, is for the system to say.
  package init?(text: String) {
    if text.hasPrefix("unix:") {
      let path = text.dropFirst(5)
      if path.isEmpty || path == "@" { return nil }
      self = .unix(path: path.first == "@" ? "\0\(path.dropFirst())" : String(path))
      return
    }
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")),
      let port = Self.port(text[text.index(after: colon)...])
    else { return nil }
    var host = text[..<colon]
    if host.first == "[", host.last == "]" {
      host = host.dropFirst().dropLast()
      guard host.utf8.contains(UInt8(ascii: ":")) else { return nil }
    } else if host.utf8.contains(UInt8(ascii: ":")) {
      return nil
    }
    if host.isEmpty { return nil }
    self = .ip(host: String(host), port: port)
  }

  private static func port(_ text: Substring) -> UInt16? {
    guard !text.isEmpty, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
    else { return nil }
    return UInt16(text)
  }
}
