/// A table's hash function: 64 bits of a word, of two words, or of a string of bytes.
///
/// Source: the idea of Wang Yi's wyhash (2019) and of rapidhash after it: words are blinded with
/// secrets and multiplied to 128 bits, whose halves are folded into one. Values differ from both.
///
/// The secrets come from a seed, an argument like all randomness here. Whoever doesn't know it
/// can't choose keys that fall on one line; two tables of different seeds spread keys differently.
/// Not for signatures, nor to be stored: values may differ from one version to the next.
///
/// Any thread; about 2 ns for a word and 4 ns for 24 bytes.
@frozen
public struct HashFunction: Sendable {
  @usableFromInline let first: UInt64
  @usableFromInline let second: UInt64
  @usableFromInline let third: UInt64

  public init(seed: UInt64) {
    // SplitMix64 (Steele, Lea, Flood, 2014), which makes three unlike words of any seed.
    var state = seed
    func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
      return mixed ^ (mixed >> 31)
    }
    first = next()
    // A factor: odd, so that no bit of the other one is lost.
    second = next() | 1
    third = next()
  }

  @inlinable @inline(__always)
  static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
  }

  @inlinable @inline(__always)
  public func hash(_ word: UInt64) -> UInt {
    let product = (word ^ first).multipliedFullWidth(by: second)
    return UInt(Self.fold(product.low ^ third, product.high ^ first))
  }

  @inlinable @inline(__always)
  public func hash(_ high: UInt64, _ low: UInt64) -> UInt {
    let product = (high ^ first).multipliedFullWidth(by: low ^ second)
    // Each word once more: a factor of 0 would swallow the other.
    return UInt(Self.fold(product.low ^ high ^ third, product.high &+ low ^ first))
  }

  @inlinable @inline(__always)
  public func hash(_ bytes: NameWords) -> UInt {
    var state = first ^ UInt64(truncatingIfNeeded: bytes.length)
    var index = 0
    while index &+ 1 < bytes.count {
      state = Self.fold(
        bytes.full(index) ^ second,
        (index &+ 2 == bytes.count ? bytes.last : bytes.full(index &+ 1)) ^ state)
      index &+= 2
    }
    if index < bytes.count { state = Self.fold(bytes.last ^ second, state) }
    return UInt(Self.fold(state ^ third, second ^ UInt64(truncatingIfNeeded: bytes.length)))
  }
}

/// A string of 1...255 bytes as words of 8, the last one filled up with zeroes: how names are
/// hashed, kept and compared. The bytes are the caller's and must outlive it.
@safe
@frozen
public struct NameWords {
  @usableFromInline let start: UnsafeRawPointer
  public let length: Int
  /// The last word.
  public let last: UInt64
  /// How many words: at least 1.
  @inlinable @inline(__always) public var count: Int { (length &+ 7) &>> 3 }

  @inlinable @inline(__always)
  public init(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count > 0 && bytes.count <= 255, "a name of 1...255 bytes")
    let start = unsafe bytes.baseAddress.unsafelyUnwrapped
    unsafe self.start = start
    length = bytes.count
    let rest = UInt64(truncatingIfNeeded: (bytes.count &- 1) & 7 &+ 1)
    if bytes.count >= 8 {
      // The last 8 bytes, less those that belong to the word before.
      let word = unsafe start.loadUnaligned(fromByteOffset: bytes.count &- 8, as: UInt64.self)
      last = UInt64(littleEndian: word) &>> (64 &- 8 &* rest)
    } else {
      last = unsafe Self.short(start, bytes.count)
    }
  }

  /// Less than 8 bytes, by loads that overlap.
  @inlinable @inline(__always)
  static func short(_ start: UnsafeRawPointer, _ length: Int) -> UInt64 {
    if length >= 4 {
      let low = unsafe UInt32(littleEndian: start.loadUnaligned(as: UInt32.self))
      let high = unsafe UInt32(
        littleEndian: start.loadUnaligned(fromByteOffset: length &- 4, as: UInt32.self))
      return UInt64(low) | UInt64(high) &<< UInt64(8 &* (length &- 4))
    }
    let first = unsafe UInt64(start.load(as: UInt8.self))
    let middle = unsafe UInt64(start.load(fromByteOffset: length &>> 1, as: UInt8.self))
    let last = unsafe UInt64(start.load(fromByteOffset: length &- 1, as: UInt8.self))
    return first | middle &<< UInt64(8 &* (length &>> 1)) | last &<< UInt64(8 &* (length &- 1))
  }

  /// Any word but the last.
  @inlinable @inline(__always)
  public func full(_ index: Int) -> UInt64 {
    unsafe UInt64(
      littleEndian: start.loadUnaligned(fromByteOffset: index &<< 3, as: UInt64.self))
  }

  @inlinable @inline(__always)
  public subscript(_ index: Int) -> UInt64 {
    index &+ 1 == count ? last : full(index)
  }
}
