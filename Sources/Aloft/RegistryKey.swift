internal import AloftAtomics
internal import AloftEngine
internal import AloftRegistry

/// What can be a key of the registry: a name (`String`, `StaticString`, `Registry.Name`) or a
/// number (`UInt64`, `UInt128`).
public protocol RegistryKey {
  /// For Aloft's own use: calls `body` with the key as the registry takes it.
  /// - Throws: `nameEmpty`, `nameTooLong`, and what `body` throws.
  func withKey<Value>(
    _ body: (Registry.HashedKey) throws(AloftError) -> Value
  ) throws(AloftError) -> Value
}

extension Registry {
  /// A key with its hash, for as long as a call lasts.
  public struct HashedKey {
    let key: AloftRegistry.RegistryKey
  }

  /// A name and its hash, for one that is used again and again: saves some 4 ns a look-up, and all
  /// dealings with strings.
  ///
  /// ```swift
  /// let orders = try Registry.Name("orders")
  /// registry.send(message, to: orders)
  /// ```
  /// Good for the registries of all runtimes of the process.
  public struct Name: Hashable, Sendable, CustomStringConvertible {
    /// A name's length in bytes.
    static var lengths: ClosedRange<Int> { 1...255 }

    /// Most names are short: the bytes are here, and an array of names is one piece of memory.
    /// First, so that a name's address is its bytes'.
    private let short: InlineArray<4, UInt64>
    private let hash: UInt
    private let length: Int
    private let long: [UInt8]?
    private static let shortMax = 32

    /// - Throws: `nameEmpty`; `nameTooLong` above 255 bytes.
    public init(_ name: String) throws(AloftError) {
      try self.init(unsafe name.utf8.span.bytes)
    }

    public init(_ name: RawSpan) throws(AloftError) {
      let count = name.byteCount
      guard Self.lengths ~= count else { throw AloftError(Names.lengthError(count)) }
      length = count
      long = count > Self.shortMax ? unsafe name.withUnsafeBytes { unsafe Array($0) } : nil
      var words = InlineArray<4, UInt64>(repeating: 0)
      (short, hash) = unsafe name.withUnsafeBytes { bytes in
        if count <= Self.shortMax {
          unsafe withUnsafeMutableBytes(of: &words) { unsafe $0.copyMemory(from: bytes) }
        }
        return unsafe (words, Names.hash(bytes))
      }
    }

    public static func == (a: Name, b: Name) -> Bool {
      guard a.hash == b.hash, a.length == b.length, a.long == b.long else { return false }
      for index in 0..<4 where a.short[index] != b.short[index] { return false }
      return true
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(hash) }

    public var description: String { withKey { String(decoding: $0.bytes, as: UTF8.self) } }

    /// The key lasts as long as the name stays where it is.
    @inline(__always)
    static func key(at name: UnsafePointer<Name>) -> NameKey {
      let length = unsafe name.pointee.length
      if length <= shortMax {
        return unsafe NameKey(
          UnsafeRawBufferPointer(start: name, count: length), hash: name.pointee.hash)
      }
      // Borrowed with the name, whose array it is.
      return unsafe name.pointee.long.unsafelyUnwrapped.withUnsafeBytes {
        unsafe NameKey($0, hash: name.pointee.hash)
      }
    }

    @inline(__always)
    func withKey<Value, Failure: Error>(
      _ body: (NameKey) throws(Failure) -> Value
    ) throws(Failure) -> Value {
      if let long {
        return unsafe try long.span.bytes.withUnsafeBytes { bytes throws(Failure) in
          unsafe try body(NameKey(bytes, hash: hash))
        }
      }
      return unsafe try withUnsafeBytes(of: short) { bytes throws(Failure) in
        unsafe try body(
          NameKey(UnsafeRawBufferPointer(rebasing: bytes.prefix(length)), hash: hash))
      }
    }
  }
}

extension Registry.Name: RegistryKey {
  public func withKey<Value>(
    _ body: (Registry.HashedKey) throws(AloftError) -> Value
  ) throws(AloftError) -> Value {
    try withKey { (key: NameKey) throws(AloftError) in
      try body(Registry.HashedKey(key: .name(key)))
    }
  }
}

extension String: RegistryKey {
  public func withKey<Value>(
    _ body: (Registry.HashedKey) throws(AloftError) -> Value
  ) throws(AloftError) -> Value {
    unsafe try utf8.span.withUnsafeBytes { bytes throws(AloftError) in
      unsafe try body(.init(bytes))
    }
  }
}

extension StaticString: RegistryKey {
  public func withKey<Value>(
    _ body: (Registry.HashedKey) throws(AloftError) -> Value
  ) throws(AloftError) -> Value {
    unsafe try body(.init(bytes))
  }

  var bytes: UnsafeRawBufferPointer {
    // A single scalar has no memory of its own and is no name to be looked up this way.
    unsafe UnsafeRawBufferPointer(
      start: hasPointerRepresentation ? utf8Start : nil,
      count: hasPointerRepresentation ? utf8CodeUnitCount : 0)
  }
}

extension UInt64: RegistryKey {
  public func withKey<Value>(
    _ body: (Registry.HashedKey) throws(AloftError) -> Value
  ) throws(AloftError) -> Value {
    try body(Registry.HashedKey(key: .id(self)))
  }
}

extension UInt128: RegistryKey {
  public func withKey<Value>(
    _ body: (Registry.HashedKey) throws(AloftError) -> Value
  ) throws(AloftError) -> Value {
    try body(Registry.HashedKey(key: .wideID(WideID(self))))
  }
}

extension Registry.HashedKey {
  init(_ bytes: UnsafeRawBufferPointer) throws(AloftError) {
    guard Registry.Name.lengths ~= bytes.count else {
      throw AloftError(Names.lengthError(bytes.count))
    }
    key = .name(unsafe NameKey(bytes, hash: Names.hash(bytes)))
  }
}

// MARK: Errors

extension AloftError.Code {
  /// A name without any byte.
  public static let nameEmpty = Self(value: 20)
  /// A name above 255 bytes.
  public static let nameTooLong = Self(value: 21)
  /// The name is another's, who is the error's `holder`; or a child of that name is there already.
  public static let nameTaken = Self(value: 22)
  /// The name, or the group, is nobody's.
  public static let nameUnknown = Self(value: 23)
  /// The name is not that of whom it was to be taken from; or who was to leave a group is none of
  /// its members.
  public static let notOwner = Self(value: 24)
  /// Who was to be named has ended, or never was.
  public static let ownerEnded = Self(value: 25)
  /// Who was to be named is of another runtime.
  public static let foreignOwner = Self(value: 26)
  /// As many names have owners as there can be: 4,294,967,295.
  public static let registryFull = Self(value: 27)
}

extension AloftError {
  /// Whom the name stands for: of `nameTaken` and `notOwner`.
  public var holder: Registry.Target? {
    detail == 0 ? nil : Registry.Target(AloftRegistry.Target(word: detail))
  }

  init(_ error: RegistryError) {
    let code: Code =
      switch error.code {
      case .nameEmpty: .nameEmpty
      case .nameTooLong: .nameTooLong
      case .nameTaken: .nameTaken
      case .nameUnknown: .nameUnknown
      case .notOwner: .notOwner
      case .ownerEnded: .ownerEnded
      case .foreignOwner: .foreignOwner
      case .full: .registryFull
      case .invalidWord: .invalidOption
      }
    self.init(code, detail: error.holder?.word ?? 0, error.message)
  }
}

func translating<Value>(
  _ body: () throws(RegistryError) -> Value
) throws(AloftError) -> Value {
  do throws(RegistryError) {
    return try body()
  } catch {
    throw AloftError(error)
  }
}
