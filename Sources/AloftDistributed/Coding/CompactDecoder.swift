/// Reads `Decodable` values from compact bytes; see `CompactKind`. The bytes may be anything: what
/// doesn't make sense is a `DecodingError`.
struct CompactDecoder: Decoder {
  /// Stands before the value.
  private let reader: CompactReader
  let codingPath: [any CodingKey]
  let userInfo: [CodingUserInfoKey: Any]
  private let depth: Int

  private init(
    _ reader: CompactReader, _ path: [any CodingKey], _ userInfo: [CodingUserInfoKey: Any],
    depth: Int
  ) {
    self.reader = reader
    codingPath = path
    self.userInfo = userInfo
    self.depth = depth
  }

  /// Reads the next value, and passes over it.
  static func next<Value: Decodable>(
    _ type: Value.Type, from reader: inout CompactReader, userInfo: [CodingUserInfoKey: Any]
  ) throws -> Value {
    let value = try CompactDecoder(reader, [], userInfo, depth: 0).decode(type)
    try damaged([]) { () throws(CompactDamage) in try reader.skip() }
    return value
  }

  // MARK: Any value

  fileprivate func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    var reader = reader
    let kind = try Self.damaged(codingPath) { () throws(CompactDamage) in try reader.kind() }
    if let scalar = type as? any CompactScalar.Type {
      let value = try Self.damaged(codingPath) { () throws(CompactDamage) in
        try scalar.init(kind, &reader)
      }
      guard let value = value as? Value else { throw mismatch(type, kind) }
      return value
    }
    if kind == .bytes, type == [UInt8].self {
      let run = try Self.damaged(codingPath) { () throws(CompactDamage) in try reader.run() }
      if let value = Array(reader.bytes[run]) as? Value { return value }
    }
    guard depth < Compact.depthMax else {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: codingPath, debugDescription: "values lie deeper than \(Compact.depthMax)"))
    }
    return try type.init(from: self)
  }

  fileprivate var isNull: Bool {
    var reader = reader
    return (try? reader.kind()) == .null
  }

  /// What lies in a container of this kind.
  private func content(_ kind: CompactKind, as type: Any.Type) throws -> CompactReader {
    var reader = reader
    return try Self.damaged(codingPath) { () throws(CompactDamage) -> CompactReader? in
      guard try reader.kind() == kind else { return nil }
      let run = try reader.run()
      reader.at = run.lowerBound
      reader.end = run.upperBound
      return reader
    } ?? { throw mismatch(type, kind) }()
  }

  private func mismatch(_ type: Any.Type, _ kind: CompactKind) -> DecodingError {
    .typeMismatch(
      type, .init(codingPath: codingPath, debugDescription: "what is there is no \(type): \(kind)"))
  }

  fileprivate static func damaged<Value>(
    _ path: @autoclosure () -> [any CodingKey], _ body: () throws(CompactDamage) -> Value
  ) throws -> Value {
    do throws(CompactDamage) {
      return try body()
    } catch {
      throw DecodingError.dataCorrupted(
        .init(codingPath: path(), debugDescription: "the bytes are damaged"))
    }
  }

  fileprivate func inner(_ reader: CompactReader, _ key: any CodingKey) -> CompactDecoder {
    CompactDecoder(reader, codingPath + [key], userInfo, depth: depth + 1)
  }

  // MARK: The containers of the standard library

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    KeyedDecodingContainer(try KeyedReader(self, content(.map, as: [String: Any].self)))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    ArrayReader(self, try content(.array, as: [Any].self))
  }

  func singleValueContainer() -> any SingleValueDecodingContainer {
    SingleReader(decoder: CompactDecoder(reader, codingPath, userInfo, depth: depth + 1))
  }
}

private struct SingleReader: SingleValueDecodingContainer {
  let decoder: CompactDecoder
  var codingPath: [any CodingKey] { decoder.codingPath }
  func decodeNil() -> Bool { decoder.isNull }
  // The witness for each kind of value.
  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try decoder.decode(type) }
}

private struct ArrayReader: UnkeyedDecodingContainer {
  let decoder: CompactDecoder
  private var reader: CompactReader
  private(set) var currentIndex = 0

  init(_ decoder: CompactDecoder, _ reader: CompactReader) {
    self.decoder = decoder
    self.reader = reader
  }

  var codingPath: [any CodingKey] { decoder.codingPath }
  /// To count them would be to walk through all.
  var count: Int? { nil }
  var isAtEnd: Bool { reader.isAtEnd }

  private mutating func next<Value>(
    _ type: Any.Type, _ body: (CompactDecoder) throws -> Value
  ) throws -> Value {
    let key = CompactKey(currentIndex)
    if isAtEnd {
      throw DecodingError.valueNotFound(
        type, .init(codingPath: codingPath + [key], debugDescription: "the array ends before"))
    }
    let value = try body(decoder.inner(reader, key))
    try CompactDecoder.damaged(codingPath + [key]) { () throws(CompactDamage) in
      try reader.skip()
    }
    currentIndex += 1
    return value
  }

  mutating func decodeNil() throws -> Bool {
    guard !isAtEnd, decoder.inner(reader, CompactKey(currentIndex)).isNull else { return false }
    return try next(Any.self) { _ in true }
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try next(type) { try $0.decode(type) }
  }

  mutating func nestedContainer<Key: CodingKey>(
    keyedBy type: Key.Type
  ) throws -> KeyedDecodingContainer<Key> { try next(type) { try $0.container(keyedBy: type) } }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try next([Any].self) { try $0.unkeyedContainer() }
  }

  mutating func superDecoder() throws -> any Decoder { try next(Any.self) { $0 } }
}

private struct KeyedReader<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let decoder: CompactDecoder
  private let entries: Entries

  /// Keys in their order, and where their values lie. Whoever reads them in that order, as most do,
  /// finds each at once.
  private final class Entries {
    var keys: [String] = []
    var values: [CompactReader] = []
    var next = 0
  }

  init(_ decoder: CompactDecoder, _ content: CompactReader) throws {
    self.decoder = decoder
    entries = Entries()
    var reader = content
    try CompactDecoder.damaged(decoder.codingPath) { () throws(CompactDamage) in
      while !reader.isAtEnd {
        entries.keys.append(try reader.text())
        entries.values.append(reader)
        try reader.skip()
      }
    }
  }

  var codingPath: [any CodingKey] { decoder.codingPath }
  var allKeys: [Key] { entries.keys.compactMap { Key(stringValue: $0) } }

  private func find(_ key: String) -> CompactReader? {
    let count = entries.keys.count
    for step in 0..<count {
      let place = (entries.next + step) % count
      if entries.keys[place] == key {
        entries.next = (place + 1) % count
        return entries.values[place]
      }
    }
    return nil
  }

  private func inner(_ key: any CodingKey) throws -> CompactDecoder {
    guard let reader = find(key.stringValue) else {
      throw DecodingError.keyNotFound(
        key, .init(codingPath: codingPath, debugDescription: "nothing is there under it"))
    }
    return decoder.inner(reader, key)
  }

  func contains(_ key: Key) -> Bool { entries.keys.contains(key.stringValue) }
  func decodeNil(forKey key: Key) throws -> Bool { try inner(key).isNull }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try inner(key).decode(type)
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> { try inner(key).container(keyedBy: type) }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try inner(key).unkeyedContainer()
  }

  func superDecoder() throws -> any Decoder { try inner(CompactKey("super")) }
  func superDecoder(forKey key: Key) throws -> any Decoder { try inner(key) }
}
