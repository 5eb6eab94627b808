import Testing

@testable import AloftDistributed

/// The coder of arguments and results: what goes in comes out, and bytes that may be anything do no
/// harm.
struct CodingTests {
  private func bytes(_ value: some Encodable) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try CompactEncoder.append(value, to: &bytes)
    return bytes
  }

  private func value<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) throws -> Value {
    var reader = CompactReader(bytes)
    let value = try CompactDecoder.next(type, from: &reader, userInfo: [:])
    guard reader.isAtEnd else { throw StageError(text: "bytes are left") }
    return value
  }

  private func comesBack<Value: Codable & Equatable>(
    _ original: Value, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let bytes = try bytes(original)
    #expect(try value(Value.self, bytes) == original, sourceLocation: sourceLocation)
  }

  @Test("Numbers of all widths come back, at their ends too")
  func numbers() throws {
    try comesBack([Int.min, -128, -1, 0, 1, 127, 128, Int.max])
    try comesBack([UInt.min, 0x7F, 0x80, UInt.max])
    try comesBack([Int8.min, Int8.max])
    try comesBack([Int16.min, Int16.max])
    try comesBack([Int32.min, Int32.max])
    try comesBack([UInt8.min, UInt8.max])
    try comesBack([UInt16.max])
    try comesBack([UInt32.max])
    try comesBack([Double.pi, -0.0, .infinity, .leastNonzeroMagnitude])
    try comesBack([Float.pi, -.infinity])
    #expect(try value(Double.self, bytes(Double.nan)).isNaN)
  }

  @Test("Texts, bytes, containers, optionals and enums come back")
  func containers() throws {
    try comesBack("")
    try comesBack("päckchen 📦")
    try comesBack([UInt8]())
    try comesBack([1, 2, 255] as [UInt8])
    try comesBack([[], [1], [2, 3]] as [[Int]])
    try comesBack(["a": [1: true], "b": [:]] as [String: [Int: Bool]])
    try comesBack([nil, 1, nil] as [Int?])
    try comesBack(Int?.none)
    try comesBack(Set(0..<100))
    try comesBack(Parcel.sample)
    try comesBack(1...5)
  }

  private class Base: Codable {
    var name = "base"
  }

  private final class Derived: Base {
    var count = 0
    private enum Keys: CodingKey { case count }

    override init() { super.init() }

    required init(from decoder: any Decoder) throws {
      let keyed = try decoder.container(keyedBy: Keys.self)
      count = try keyed.decode(Int.self, forKey: .count)
      try super.init(from: keyed.superDecoder())
    }

    override func encode(to encoder: any Encoder) throws {
      var keyed = encoder.container(keyedBy: Keys.self)
      try super.encode(to: keyed.superEncoder())
      try keyed.encode(count, forKey: .count)
    }
  }

  @Test("A class comes back with what its superclass wrote")
  func classes() throws {
    let derived = Derived()
    derived.name = "n"
    derived.count = 3
    let back = try value(Derived.self, bytes(derived))
    #expect(back.name == "n" && back.count == 3)
  }

  /// Fills two containers by turns, and reads keys in another order than they were written in.
  private struct Woven: Codable, Equatable {
    var odd: [Int] = []
    var even: [Int] = []
    private enum Keys: CodingKey { case odd, even }

    init(upTo end: Int) {
      for number in 0..<end { number % 2 == 0 ? even.append(number) : odd.append(number) }
    }

    init(from decoder: any Decoder) throws {
      let keyed = try decoder.container(keyedBy: Keys.self)
      even = try keyed.decode([Int].self, forKey: .even)
      odd = try keyed.decode([Int].self, forKey: .odd)
      #expect(keyed.allKeys == [.odd, .even] && keyed.contains(.odd))
    }

    func encode(to encoder: any Encoder) throws {
      var keyed = encoder.container(keyedBy: Keys.self)
      var (odds, evens) = (
        keyed.nestedUnkeyedContainer(forKey: .odd), keyed.nestedUnkeyedContainer(forKey: .even)
      )
      for (odd, even) in zip(odd, even) {
        try odds.encode(odd)
        try evens.encode(even)
      }
    }
  }

  @Test("Containers may be filled by turns, and keys read in any order")
  func woven() throws { try comesBack(Woven(upTo: 20)) }

  @Test("A value of small numbers takes few bytes")
  func size() throws {
    #expect(try bytes(5).count == 2)
    #expect(try bytes(-1).count == 2)
    #expect(try bytes("abc").count == 5)
    #expect(try bytes(Array(repeating: UInt8(0), count: 1_000)).count == 1_003)
    #expect(try bytes(["a": 1]).count == 6)
  }

  @Test("What has another type, or doesn't fit, is an error")
  func mismatches() throws {
    #expect(throws: DecodingError.self) { try value(Int8.self, bytes(128)) }
    #expect(throws: DecodingError.self) { try value(UInt.self, bytes(-1)) }
    #expect(throws: DecodingError.self) { try value(String.self, bytes(1)) }
    #expect(throws: DecodingError.self) { try value([Int].self, bytes("a")) }
    #expect(throws: DecodingError.self) { try value(Parcel.self, bytes(["name": "n"])) }
    #expect(throws: DecodingError.self) { try value([String: Int].self, bytes([1])) }
    #expect(throws: DecodingError.self) { try value(Float.self, bytes(1.0 as Double)) }
  }

  private indirect enum Chain: Codable { case end, link(Chain) }

  @Test("Values that lie too deep in each other are refused, on either side")
  func depth() throws {
    var chain = Chain.end
    for _ in 0..<1_000 { chain = .link(chain) }
    #expect(throws: EncodingError.self) { try bytes(chain) }
    // 1,000 arrays in each other, by hand.
    var deep: [UInt8] = [CompactKind.array.rawValue, 0]
    for _ in 0..<1_000 {
      var outer: [UInt8] = [CompactKind.array.rawValue]
      outer.appendNumber(UInt64(deep.count))
      deep = outer + deep
    }
    struct Nest: Decodable {
      init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        if !list.isAtEnd { _ = try list.decode(Nest.self) }
      }
    }
    #expect(throws: DecodingError.self) { try value(Nest.self, deep) }
  }

  @Test("Bytes that are cut off or changed are an error or another value, and no harm")
  func damage() throws {
    let whole = try bytes(Parcel.sample)
    for end in 0..<whole.count {
      #expect(throws: DecodingError.self) { try value(Parcel.self, Array(whole[..<end])) }
    }
    var random = SystemRandomNumberGenerator()
    var refused = 0
    for at in 0..<200 {
      for _ in 0..<20 {
        var changed = whole
        changed[at] = UInt8.random(in: 0...255, using: &random)
        if (try? value(Parcel.self, changed)) == nil { refused += 1 }
      }
    }
    #expect(refused > 1_000)
    // A length of 2^64 - 1, and a number that never ends.
    let kinds = [CompactKind.text, .bytes, .array, .map, .positive].map(\.rawValue)
    for kind in kinds {
      let far = [kind] + Array(repeating: UInt8(0xFF), count: 9)
      #expect(throws: DecodingError.self) { try value(Parcel.self, far + [1]) }
      #expect(throws: DecodingError.self) { try value(String.self, far + [1]) }
      #expect(throws: DecodingError.self) { try value(UInt.self, far + [0x7F]) }
    }
  }

  @Test("Requests that are cut off or garbled are refused")
  func requests() throws {
    let id = AloftActorID(node: 1, incarnation: 2, number: 3)
    var invocation = AloftInvocationEncoder()
    try invocation.recordGenericSubstitution(Int.self)
    invocation.arguments = try bytes(5)
    let whole = Request.invoke(id, type: "type", target: "target", invocation)
    guard case .invoke(let read) = try Request(whole) else {
      throw StageError(text: "not what it was")
    }
    #expect(read.number == 3 && read.type == "type" && read.substitutions == ["Si"])
    let header = whole.count - invocation.arguments.count
    for end in 0..<header {
      #expect(throws: CompactDamage.self) { try Request(Array(whole[..<end])) }
    }
    #expect(throws: CompactDamage.self) { try Request([9]) }
    #expect(throws: CompactDamage.self) { try Request([2, 5, 0xFF]) }
  }
}
