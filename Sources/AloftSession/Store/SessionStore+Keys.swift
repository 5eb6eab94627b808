extension SessionStore {
  /// A key, and what was answered.
  private static let keyBytes = 24

  @inline(__always)
  private static func room(_ count: Int) -> Int {
    // 1, 2, 4, 8, ...
    let power = count <= 1 ? 1 : 1 &<< (Int.bitWidth &- (count &- 1).leadingZeroBitCount)
    return power &* keyBytes
  }

  /// What was answered to the operation that had this key; nil when nobody knows of one.
  @inline(__always)
  func answer(_ number: UInt32, to key: UInt64) -> SessionOutcome? {
    guard let keys = unsafe records[number].keys else { return nil }
    for place in 0..<Int(records[number].keyCount) {
      let entry = unsafe keys + place &* Self.keyBytes
      if unsafe entry.load(as: UInt64.self) == key {
        return unsafe SessionOutcome(
          .repeated, version: entry.load(fromByteOffset: 8, as: UInt64.self),
          number: entry.load(fromByteOffset: 16, as: UInt64.self))
      }
    }
    return nil
  }

  /// Remembers the answer, and forgets the oldest if there are as many as may be.
  @inline(__always)
  func remember(_ number: UInt32, _ key: UInt64, version: UInt64, _ value: UInt64) {
    var count = Int(records[number].keyCount)
    guard records[number].keysMax > 0 else { return }
    if count == Int(records[number].keysMax), let keys = unsafe records[number].keys {
      unsafe keys.copyMemory(from: keys + Self.keyBytes, byteCount: (count - 1) * Self.keyBytes)
      count -= 1
    } else if count == 0 || Self.room(count) != Self.room(count &+ 1) {
      let fresh = unsafe slabs.take(Self.room(count + 1))
      if let keys = unsafe records[number].keys {
        unsafe fresh.copyMemory(from: keys, byteCount: count * Self.keyBytes)
        unsafe slabs.give(keys, Self.room(count))
      }
      unsafe records[number].keys = fresh
    }
    guard let keys = unsafe records[number].keys else { return }
    let entry = unsafe keys + count &* Self.keyBytes
    unsafe entry.storeBytes(of: key, as: UInt64.self)
    unsafe entry.storeBytes(of: version, toByteOffset: 8, as: UInt64.self)
    unsafe entry.storeBytes(of: value, toByteOffset: 16, as: UInt64.self)
    records[number].keyCount = UInt8(truncatingIfNeeded: count &+ 1)
  }

  /// How many are remembered of writes that were done after a version.
  func keysNewer(_ number: UInt32, than version: UInt64) -> Int {
    guard let keys = unsafe records[number].keys else { return 0 }
    return (0..<Int(records[number].keyCount)).count { place in
      unsafe keys.load(fromByteOffset: place * Self.keyBytes + 8, as: UInt64.self) > version
    }
  }

  func freeKeys(_ number: UInt32) {
    guard let keys = unsafe records[number].keys else { return }
    unsafe slabs.give(keys, Self.room(Int(records[number].keyCount)))
    unsafe records[number].keys = nil
    records[number].keyCount = 0
  }

  /// All that are remembered, oldest first.
  func keyBytes(_ number: UInt32) -> UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(
      start: records[number].keys, count: Int(records[number].keyCount) * Self.keyBytes)
  }

  static func keyCount(_ bytes: Int) -> Int { bytes / keyBytes }
}
