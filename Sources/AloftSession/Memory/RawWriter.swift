/// Bytes that are being put together: numbers with the least byte first. The memory is kept when
/// what is in it is taken, so that an entry after the other needs no more than one copy each.
@safe
package struct RawWriter: ~Copyable {
  private var memory: UnsafeMutableRawPointer
  private var capacity: Int
  private(set) var count = 0

  package init(capacity: Int = 256) {
    self.capacity = max(capacity, 16)
    unsafe memory = .allocate(byteCount: self.capacity, alignment: 16)
  }

  deinit { unsafe memory.deallocate() }

  @inline(never)
  private mutating func grow(to needed: Int) {
    capacity = max(2 * capacity, needed)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    unsafe larger.copyMemory(from: memory, byteCount: count)
    unsafe memory.deallocate()
    unsafe memory = larger
  }

  @inline(__always)
  mutating func reserve(_ more: Int) {
    if count &+ more > capacity { grow(to: count + more) }
  }

  @inline(__always)
  mutating func put<Number: FixedWidthInteger>(_ value: Number) {
    reserve(MemoryLayout<Number>.size)
    unsafe (memory + count).storeBytes(of: value.littleEndian, as: Number.self)
    count &+= MemoryLayout<Number>.size
  }

  /// The caller's bytes as they are, without their length.
  @inline(__always)
  mutating func put(raw bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    reserve(bytes.count)
    unsafe (memory + count).copyMemory(from: base, byteCount: bytes.count)
    count &+= bytes.count
  }

  mutating func put(raw bytes: [UInt8]) {
    unsafe bytes.withUnsafeBytes { unsafe put(raw: $0) }
  }

  mutating func put(raw bytes: RawSpan) {
    unsafe bytes.withUnsafeBytes { unsafe put(raw: $0) }
  }

  /// Writes over what is there.
  @inline(__always)
  mutating func set<Number: FixedWidthInteger>(_ value: Number, at offset: Int) {
    precondition(offset >= 0 && offset + MemoryLayout<Number>.size <= count)
    unsafe (memory + offset).storeBytes(of: value.littleEndian, as: Number.self)
  }

  mutating func removeAll() { count = 0 }

  /// Takes back what came last.
  mutating func cut(to count: Int) {
    precondition(count <= self.count)
    self.count = count
  }

  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    unsafe body(UnsafeRawBufferPointer(start: memory, count: count))
  }

  /// What was written; nothing is left.
  mutating func take() -> [UInt8] {
    let (from, count) = unsafe (memory, count)
    self.count = 0
    return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let base = buffer.baseAddress {
        unsafe UnsafeMutableRawPointer(base).copyMemory(from: from, byteCount: count)
      }
      initialized = count
    }
  }
}
