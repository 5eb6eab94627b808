internal import AloftMembership

/// Reads what a ``RawWriter`` wrote, and finds out when it didn't: each read is held against the
/// end, and no memory is taken because a length says so. Good as long as the memory is that it
/// reads; so it is made by ``reading(_:_:)`` and by what else knows how long that is.
@safe
struct RawReader {
  private let start: UnsafeRawPointer?
  private(set) var position = 0
  let count: Int

  init(_ bytes: UnsafeRawBufferPointer) {
    unsafe start = bytes.baseAddress
    count = bytes.count
  }

  var remaining: Int { count &- position }

  @inline(__always)
  private mutating func number<Number: FixedWidthInteger>() throws(MalformedBytes) -> Number {
    guard remaining >= MemoryLayout<Number>.size, let start = unsafe start else {
      throw MalformedBytes()
    }
    let value = unsafe (start + position).loadUnaligned(as: Number.self)
    position &+= MemoryLayout<Number>.size
    return Number(littleEndian: value)
  }

  @inline(__always) mutating func byte() throws(MalformedBytes) -> UInt8 { try number() }
  @inline(__always) mutating func short() throws(MalformedBytes) -> UInt16 { try number() }
  @inline(__always) mutating func word() throws(MalformedBytes) -> UInt32 { try number() }
  @inline(__always) mutating func long() throws(MalformedBytes) -> UInt64 { try number() }

  /// The next `count` bytes where they lie.
  @inline(__always)
  mutating func raw(_ count: Int) throws(MalformedBytes) -> UnsafeRawBufferPointer {
    guard count >= 0, remaining >= count else { throw MalformedBytes() }
    defer { position &+= count }
    guard let start = unsafe start else {
      return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }
    return unsafe UnsafeRawBufferPointer(start: start + position, count: count)
  }

  mutating func array(_ count: Int) throws(MalformedBytes) -> [UInt8] {
    unsafe Array(try raw(count))
  }

  mutating func skip(_ count: Int) throws(MalformedBytes) { _ = unsafe try raw(count) }

  /// All has been read.
  func end() throws(MalformedBytes) {
    if remaining != 0 { throw MalformedBytes() }
  }
}

/// Reads an array's bytes.
func reading<Value>(
  _ bytes: [UInt8], _ body: (inout RawReader) throws(MalformedBytes) -> Value
) throws(MalformedBytes) -> Value {
  let result: Result<Value, MalformedBytes> = unsafe bytes.withUnsafeBytes { buffer in
    var reader = unsafe RawReader(buffer)
    do throws(MalformedBytes) {
      return .success(try body(&reader))
    } catch {
      return .failure(error)
    }
  }
  return try result.get()
}
