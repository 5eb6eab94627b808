import AloftEngine
import CAloftLoop
import Glibc

/// An address in the system's form.
@safe
struct SystemAddress {
  var storage = sockaddr_storage()
  var length: socklen_t = 0
  /// 0, or what was wrong with the address.
  private(set) var status: Int32 = 0

  init() {}

  init(_ address: SocketAddress) {
    switch address {
    case .ip(let host, let port):
      status = unsafe aloft__parse_address(host, port, &storage, &length)
    case .unix(let path):
      var path = path
      status = path.withUTF8 { bytes in
        unsafe bytes.withMemoryRebound(to: CChar.self) {
          unsafe $0.isEmpty
            ? -EINVAL : aloft__unix_address($0.baseAddress!, $0.count, &storage, &length)
        }
      }
    }
  }

  mutating func withPointer<Result>(
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    let length = length
    return unsafe withUnsafePointer(to: &storage) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, length) }
    }
  }

  /// Nil for a family that is neither IP nor Unix.
  var address: SocketAddress? {
    var storage = storage
    var port: UInt16 = 0
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { text in
      let status = unsafe aloft__format_address(
        &storage, length, text.baseAddress!, text.count, &port)
      guard status == 0 else { return nil }
      let host = unsafe String(cString: text.baseAddress!)
      return storage.ss_family == sa_family_t(AF_UNIX)
        ? .unix(path: host) : .ip(host: host, port: port)
    }
  }
}
