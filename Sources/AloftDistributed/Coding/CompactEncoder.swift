/// Writes `Encodable` values as compact bytes; see `CompactKind`.
enum CompactEncoder {
  static func append(_ value: some Encodable, to bytes: inout [UInt8]) throws {
    let node = CompactNode()
    try node.encode(value, [], depth: 0)
    _ = node.measure()
    node.write(to: &bytes)
  }
}

/// A value on its way to bytes. Containers may be filled in any order, one beside the other, so all
/// of it is put together before anything is written.
final class CompactNode {
  enum Content {
    case null
    case bool(Bool)
    case positive(UInt64)
    case negative(UInt64)
    case float(Float)
    case double(Double)
    case text(String)
    case bytes([UInt8])
    case array([CompactNode])
    case map([(key: String, value: CompactNode)])
  }

  var content: Content?
  /// Bytes of what a container holds.
  private var size = 0

  func encode<Value: Encodable>(_ value: Value, _ path: [any CodingKey], depth: Int) throws {
    if let scalar = value as? any CompactScalar {
      content = scalar.content
    } else if Value.self == [UInt8].self, let bytes = value as? [UInt8] {
      content = .bytes(bytes)
    } else {
      guard depth < Compact.depthMax else {
        throw EncodingError.invalidValue(
          value,
          .init(codingPath: path, debugDescription: "values lie deeper than \(Compact.depthMax)"))
      }
      try value.encode(to: NodeEncoder(node: self, codingPath: path, depth: depth))
      // A value that wrote nothing is an empty map, as one without members.
      if content == nil { content = .map([]) }
    }
  }

  func append(_ node: CompactNode) {
    guard case .array(var list) = content else { return }
    content = nil
    list.append(node)
    content = .array(list)
  }

  func append(_ key: String, _ node: CompactNode) {
    guard case .map(var list) = content else { return }
    content = nil
    list.append((key, node))
    content = .map(list)
  }

  var count: Int {
    if case .array(let list) = content { list.count } else { 0 }
  }

  // MARK: Writing

  private static func numberSize(_ number: UInt64) -> Int {
    max(1, (64 - number.leadingZeroBitCount + 6) / 7)
  }

  private static func runSize(_ count: Int) -> Int { numberSize(UInt64(count)) + count }

  /// The bytes that it takes; notes what its containers do.
  func measure() -> Int {
    switch content {
    case nil, .null, .bool: return 1
    case .positive(let number), .negative(let number): return 1 + Self.numberSize(number)
    case .float: return 5
    case .double: return 9
    case .text(let text): return 1 + Self.runSize(text.utf8.count)
    case .bytes(let bytes): return 1 + Self.runSize(bytes.count)
    case .array(let list): size = list.reduce(0) { $0 + $1.measure() }
    case .map(let list):
      size = list.reduce(0) { $0 + Self.runSize($1.key.utf8.count) + $1.value.measure() }
    }
    return 1 + Self.runSize(size)
  }

  func write(to bytes: inout [UInt8]) {
    func begin(_ kind: CompactKind) { bytes.append(kind.rawValue) }
    switch content {
    case nil, .null: begin(.null)
    case .bool(let value): begin(value ? .yes : .no)
    case .positive(let number):
      begin(.positive)
      bytes.appendNumber(number)
    case .negative(let number):
      begin(.negative)
      bytes.appendNumber(number)
    case .float(let value):
      begin(.float)
      bytes.appendBits(value.bitPattern)
    case .double(let value):
      begin(.double)
      bytes.appendBits(value.bitPattern)
    case .text(let text):
      begin(.text)
      bytes.appendText(text)
    case .bytes(let value):
      begin(.bytes)
      bytes.appendNumber(UInt64(value.count))
      bytes.append(contentsOf: value)
    case .array(let list):
      begin(.array)
      bytes.appendNumber(UInt64(size))
      for node in list { node.write(to: &bytes) }
    case .map(let list):
      begin(.map)
      bytes.appendNumber(UInt64(size))
      for (key, value) in list {
        bytes.appendText(key)
        value.write(to: &bytes)
      }
    }
  }
}

// MARK: The containers of the standard library

private struct NodeEncoder: Encoder {
  let node: CompactNode
  let codingPath: [any CodingKey]
  let depth: Int
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if case .map = node.content {} else { node.content = .map([]) }
    return KeyedEncodingContainer(KeyedWriter(node: node, codingPath: codingPath, depth: depth))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if case .array = node.content {} else { node.content = .array([]) }
    return ArrayWriter(node: node, codingPath: codingPath, depth: depth)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer {
    SingleWriter(node: node, codingPath: codingPath, depth: depth)
  }
}

private struct SingleWriter: SingleValueEncodingContainer {
  let node: CompactNode
  let codingPath: [any CodingKey]
  let depth: Int

  mutating func encodeNil() { node.content = .null }

  // The witness for each kind of value.
  mutating func encode<Value: Encodable>(_ value: Value) throws {
    try node.encode(value, codingPath, depth: depth + 1)
  }
}

private struct ArrayWriter: UnkeyedEncodingContainer {
  let node: CompactNode
  let codingPath: [any CodingKey]
  let depth: Int
  var count: Int { node.count }

  private func next() -> CompactNode {
    let next = CompactNode()
    node.append(next)
    return next
  }

  mutating func encodeNil() { next().content = .null }

  mutating func encode<Value: Encodable>(_ value: Value) throws {
    let path = codingPath + [CompactKey(count)]
    try next().encode(value, path, depth: depth + 1)
  }

  private func nested() -> NodeEncoder {
    NodeEncoder(node: next(), codingPath: codingPath + [CompactKey(count)], depth: depth + 1)
  }

  mutating func nestedContainer<Key: CodingKey>(
    keyedBy type: Key.Type
  ) -> KeyedEncodingContainer<Key> { nested().container(keyedBy: type) }

  mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
    nested().unkeyedContainer()
  }

  mutating func superEncoder() -> any Encoder { nested() }
}

private struct KeyedWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let node: CompactNode
  let codingPath: [any CodingKey]
  let depth: Int

  private func next(_ key: any CodingKey) -> CompactNode {
    let next = CompactNode()
    node.append(key.stringValue, next)
    return next
  }

  mutating func encodeNil(forKey key: Key) { next(key).content = .null }

  mutating func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
    try next(key).encode(value, codingPath + [key], depth: depth + 1)
  }

  private func nested(_ key: any CodingKey) -> NodeEncoder {
    NodeEncoder(node: next(key), codingPath: codingPath + [key], depth: depth + 1)
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) -> KeyedEncodingContainer<Nested> { nested(key).container(keyedBy: type) }

  mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    nested(key).unkeyedContainer()
  }

  mutating func superEncoder() -> any Encoder { nested(CompactKey("super")) }

  mutating func superEncoder(forKey key: Key) -> any Encoder { nested(key) }
}

/// A key that no type has declared.
struct CompactKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  init(_ text: String) {
    stringValue = text
    intValue = nil
  }

  init(_ index: Int) {
    stringValue = "\(index)"
    intValue = index
  }

  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { self.init(intValue) }
}
