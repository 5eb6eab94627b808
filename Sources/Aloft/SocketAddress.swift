internal import AloftEngine

/// Where to listen or connect.
///
/// ```swift
/// SocketAddress("127.0.0.1", 7777)
/// SocketAddress("::1", 0)             // port 0: the system chooses
/// SocketAddress(unixPath: "/run/aloft.sock")
/// SocketAddress(text: "[::1]:7777")
/// ```
/// Hosts are IP literals; names are not resolved, for that would block.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
  let value: AloftEngine.SocketAddress

  init(_ value: AloftEngine.SocketAddress) { self.value = value }

  public init(_ host: String, _ port: UInt16) { value = .ip(host: host, port: port) }

  /// A path of at most 107 bytes; a leading NUL names a socket of Linux's abstract name space.
  public init(unixPath path: String) { value = .unix(path: path) }

  /// An address as `description` writes it: `127.0.0.1:80`, `[::1]:80`, `unix:/path`, and
  /// `unix:@name` in Linux's abstract name space. Nil for what has another form; whether the host
  /// is an IP literal is found out when it is used.
  public init?(text: String) {
    guard let value = AloftEngine.SocketAddress(text: text) else { return nil }
    self.value = value
  }

  /// The IP literal, or the path.
  public var host: String {
    switch value {
    case .ip(let host, _): host
    case .unix(let path): path
    }
  }

  /// Nil for a Unix-domain socket.
  public var port: UInt16? {
    switch value {
    case .ip(_, let port): port
    case .unix: nil
    }
  }

  public var description: String { value.description }
}
