/// Where to listen or connect: an IP literal and port, or a Unix-domain socket's path.
package enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
  case ip(host: String, port: UInt16)
  /// A leading NUL byte names a socket of Linux's abstract name space.
  case unix(path: String)

  package var description: String {
    switch self {
    case .ip(let host, let port):
      host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}
