package import AloftEngine
import CAloft

/// Addresses as text: `127.0.0.1:80`, `[::1]:80`, `unix:/path`, `unix:@abstract`.
package func parseAddress(_ pointer: UnsafePointer<CChar>) throws(Failure) -> SocketAddress {
  guard let text = unsafe String(validatingCString: pointer) else {
    throw Failure(Code.invalid, "the address is no valid UTF-8")
  }
  guard let address = SocketAddress(text: text) else {
    throw Failure(
      Code.invalid,
      "address \"\(text.prefix(200))\": expected 127.0.0.1:80, [::1]:80 or unix:/path")
  }
  if case .unix(let path) = address, path.utf8.count > pathBytesMax {
    throw Failure(
      Code.nameTooLong,
      "a Unix-domain socket's path of \(path.utf8.count) bytes; up to \(pathBytesMax) are possible")
  }
  return address
}

/// `sun_path` of `sockaddr_un`, but for its NUL.
private let pathBytesMax = 107

/// Copies text with its NUL into a caller's memory.
package func copy(
  _ text: String, to target: UnsafeMutablePointer<CChar>?, _ size: Int
) throws(Failure) -> Int32 {
  guard let target = unsafe target else { throw .null("text") }
  var text = text
  let count = text.utf8.count
  guard size > count else {
    throw Failure(Code.messageSize, "\"\(text)\" takes \(count + 1) bytes, and \(size) are there")
  }
  text.withUTF8 { bytes in
    if let start = bytes.baseAddress {
      unsafe UnsafeMutableRawPointer(target).copyMemory(from: start, byteCount: count)
    }
  }
  unsafe target[count] = 0
  return Code.success
}
