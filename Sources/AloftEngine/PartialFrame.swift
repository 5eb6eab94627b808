import AloftQueue

/// A frame of which only a part has arrived, and its memory, a message's, which is taken once the
/// length is known and found to be within the limit.
@safe
struct PartialFrame {
  /// Bytes of the length that have arrived, at most four.
  var headerBytes: UInt32 = 0
  var header: UInt32 = 0
  var filled: UInt32 = 0
  var payload: MessageBlock?
  /// While it is in the pool.
  fileprivate var next: UnsafeMutablePointer<PartialFrame>?

  fileprivate static func free(_ frame: UnsafeMutablePointer<PartialFrame>) {
    unsafe frame.pointee.releasePayload()
    unsafe frame.deallocate()
  }

  fileprivate mutating func releasePayload() {
    if let payload { MessageBlock.release(payload) }
    payload = nil
  }
}

/// Partial frames of one loop that are done with, for the next ones: a frame that arrives in parts
/// then costs no allocation either. Their payloads go back to the loop's messages.
@safe
struct PartialFramePool: ~Copyable {
  /// More come from the heap and go back to it.
  static let framesKeptMax = 64

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
    guard count < Self.framesKeptMax else {
      unsafe PartialFrame.free(frame)
      return
    }
    unsafe frame.pointee.releasePayload()
    unsafe frame.pointee.headerBytes = 0
    unsafe frame.pointee.header = 0
    unsafe frame.pointee.filled = 0
    unsafe frame.pointee.next = first
    unsafe first = frame
    count += 1
  }
}
