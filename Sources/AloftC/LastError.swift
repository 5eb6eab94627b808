import CAloft
import Glibc

/// The text of a thread's last failure, in memory of the thread's own.
enum LastError {
  private static let bytes = 512
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    let status = unsafe pthread_key_create(&key) { unsafe free($0) }
    precondition(status == 0, "no thread-specific key left")
    return key
  }()

  static func set(_ message: String) {
    guard let buffer = unsafe buffer() else { return }
    var message = message
    message.withUTF8 { text in
      let count = min(text.count, bytes - 1)
      if let start = text.baseAddress {
        unsafe UnsafeMutableRawPointer(buffer).copyMemory(from: start, byteCount: count)
      }
      unsafe buffer[count] = 0
    }
  }

  /// Nil before the thread's first failure, or without memory.
  static var text: UnsafePointer<CChar>? {
    unsafe pthread_getspecific(key).map {
      unsafe UnsafePointer($0.assumingMemoryBound(to: CChar.self))
    }
  }

  private static func buffer() -> UnsafeMutablePointer<CChar>? {
    if let known = unsafe pthread_getspecific(key) {
      return unsafe known.assumingMemoryBound(to: CChar.self)
    }
    guard let fresh = unsafe malloc(bytes) else { return nil }
    unsafe pthread_setspecific(key, fresh)
    return unsafe fresh.assumingMemoryBound(to: CChar.self)
  }
}

private let noMessage: StaticString = ""

@c @implementation
public func aloft_last_error_message() -> UnsafePointer<CChar>! {
  if let text = unsafe LastError.text { return unsafe text }
  return unsafe UnsafeRawPointer(noMessage.utf8Start).assumingMemoryBound(to: CChar.self)
}
