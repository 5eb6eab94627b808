import Glibc

/// A frame of which only a part has arrived, and its memory, which is taken once the length is
/// known and found to be within the limit.
@safe
struct PartialFrame {
  /// Bytes of the length that have arrived, at most four.
  var headerBytes: UInt32 = 0
  var header: UInt32 = 0
  var filled: UInt32 = 0
  /// Of `bytes`.
  var capacity: UInt32 = 0
  var bytes: UnsafeMutablePointer<UInt8>?
  /// While it is in the pool.
  fileprivate var next: UnsafeMutablePointer<PartialFrame>?

  /// Makes room for a payload of `length`, which is within the limit.
  mutating func reserve(_ length: UInt32) {
    guard capacity < length else { return }
    unsafe bytes?.deallocate()
    // Rounded up to a power of two as far as the pool keeps it, so that the next one fits.
    capacity = length
    if length <= PartialFramePool.bytesKeptMax {
      capacity = max(64, 1 << (32 - UInt32((length - 1).leadingZeroBitCount)))
    }
    unsafe bytes = .allocate(capacity: Int(capacity))
  }

  fileprivate static func free(_ frame: UnsafeMutablePointer<PartialFrame>) {
    unsafe frame.pointee.bytes?.deallocate()
    unsafe frame.deallocate()
  }
}

/// Partial frames of one loop that are done with, for the next ones: a frame that arrives in parts
/// then costs no allocation either.
@safe
struct PartialFramePool: ~Copyable {
  /// What is kept, a mebibyte at most; more come from the heap and go back to it.
  static let framesKeptMax = 64
  static let bytesKeptMax: UInt32 = 16 << 10

  private var first: UnsafeMutablePointer<PartialFrame>?
  private var count = 0

  init() {}

  deinit {
    var next = unsafe first
    while let frame = unsafe next {
      unsafe next = frame.pointee.next
      unsafe PartialFrame.free(frame)
    }
  }

  mutating func take() -> UnsafeMutablePointer<PartialFrame> {
    guard let frame = unsafe first else {
      let fresh = UnsafeMutablePointer<PartialFrame>.allocate(capacity: 1)
      unsafe fresh.initialize(to: PartialFrame())
      return unsafe fresh
    }
    unsafe first = frame.pointee.next
    count -= 1
    return unsafe frame
  }

  mutating func give(_ frame: UnsafeMutablePointer<PartialFrame>) {
    guard count < Self.framesKeptMax, unsafe frame.pointee.capacity <= Self.bytesKeptMax else {
      unsafe PartialFrame.free(frame)
      return
    }
    unsafe frame.pointee.headerBytes = 0
    unsafe frame.pointee.header = 0
    unsafe frame.pointee.filled = 0
    unsafe frame.pointee.next = first
    unsafe first = frame
    count += 1
  }
}
