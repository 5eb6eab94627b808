import Glibc

/// A frame of which only a part has arrived, and its memory: header and room in one allocation,
/// made once the length is known and found to be within the limit.
@safe
struct PartialFrame {
  /// Bytes of the length that have arrived, at most four.
  var headerBytes: UInt32 = 0
  var header: UInt32 = 0
  var length: UInt32 = 0
  var filled: UInt32 = 0
  var bytes: UnsafeMutablePointer<UInt8>?

  static func make() -> UnsafeMutablePointer<PartialFrame> {
    let frame = UnsafeMutablePointer<PartialFrame>.allocate(capacity: 1)
    unsafe frame.initialize(to: PartialFrame())
    return unsafe frame
  }

  static func free(_ frame: UnsafeMutablePointer<PartialFrame>) {
    unsafe frame.pointee.bytes?.deallocate()
    unsafe frame.deallocate()
  }
}
