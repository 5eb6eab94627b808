import CAloftRaft

/// A snapshot for ``RaftLog`` that is put together piece by piece, each copied once, into memory
/// that the log then writes it from. So no step takes long, however large it becomes.
@safe
final class LogImage {
  private var image: OpaquePointer?

  /// - Parameter expected: bytes that it will have, more or less.
  init(expected: Int) { unsafe image = aloft__raft_image_begin(expected) }

  deinit {
    if let image = unsafe image { unsafe aloft__raft_image_drop(image) }
  }

  /// Without memory for it, it comes to nothing.
  func append(_ bytes: [UInt8]) {
    guard let image = unsafe image else { return }
    let isThere = unsafe bytes.withUnsafeBufferPointer {
      unsafe aloft__raft_image_add(image, $0.baseAddress, $0.count)
    }
    if isThere { return }
    unsafe aloft__raft_image_drop(image)
    unsafe self.image = nil
  }

  /// For who uses it up.
  func take() -> OpaquePointer? {
    defer { unsafe image = nil }
    return unsafe image
  }
}
