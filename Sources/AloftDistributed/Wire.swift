internal import AloftNode

/// What actor systems say to each other: the request of a call, and its reply.
enum Request {
  case invoke(Invocation)
  /// Who has this name?
  case lookUp(name: String)

  struct Invocation {
    var incarnation: UInt64
    var number: UInt64
    /// The mangled name of the type of actor that the caller has in mind.
    var type: String
    var target: String
    /// Mangled names of types.
    var substitutions: [String]
    /// The arguments, one after the other.
    var arguments: CompactReader
  }

  private enum Kind {
    static let invoke: UInt8 = 1
    static let lookUp: UInt8 = 2
  }

  static func invoke(
    _ id: AloftActorID, type: String, target: String, _ invocation: AloftInvocationEncoder
  ) -> [UInt8] {
    var bytes: [UInt8] = [Kind.invoke]
    bytes.reserveCapacity(64 + type.utf8.count + target.utf8.count + invocation.arguments.count)
    bytes.appendNumber(id.incarnation)
    bytes.appendNumber(id.number)
    bytes.appendText(type)
    bytes.appendText(target)
    bytes.appendNumber(UInt64(invocation.substitutions.count))
    for name in invocation.substitutions { bytes.appendText(name) }
    bytes.append(contentsOf: invocation.arguments)
    return bytes
  }

  static func lookUp(_ name: String) -> [UInt8] {
    var bytes: [UInt8] = [Kind.lookUp]
    bytes.appendText(name)
    return bytes
  }

  /// More generic parameters than any function has.
  private static let substitutionsMax = 64

  init(_ bytes: [UInt8]) throws(CompactDamage) {
    var reader = CompactReader(bytes)
    switch try reader.byte() {
    case Kind.invoke:
      let (incarnation, number) = (try reader.number(), try reader.number())
      let (type, target) = (try reader.text(), try reader.text())
      let count = try reader.number()
      guard count <= Self.substitutionsMax else { throw CompactDamage() }
      var substitutions: [String] = []
      for _ in 0..<count { substitutions.append(try reader.text()) }
      self = .invoke(
        Invocation(
          incarnation: incarnation, number: number, type: type, target: target,
          substitutions: substitutions, arguments: reader))
    case Kind.lookUp: self = .lookUp(name: try reader.text())
    default: throw CompactDamage()
    }
  }
}

/// The reply: a byte that says which, and what goes with it.
enum ReplyKind: UInt8 {
  /// A coded value.
  case value = 0
  case done = 1
  /// The mangled name of an error's type, and the error, coded.
  case error = 2
  /// An error that can't be coded: a sentence.
  case text = 3
  case noSuchActor = 4
  /// A sentence.
  case incompatible = 5
}
