public import Distributed

/// Records a call for its way to another node. Used by the compiler's code.
public struct AloftInvocationEncoder: DistributedTargetInvocationEncoder, Sendable {
  public typealias SerializationRequirement = any Codable

  var substitutions: [String] = []
  var arguments: [UInt8] = []

  public mutating func recordGenericSubstitution<T>(_ type: T.Type) throws {
    guard let name = _mangledTypeName(type) else {
      throw AloftActorError(.incompatible, "\(type) has no name that another process knows")
    }
    substitutions.append(name)
  }

  public mutating func recordArgument<Value: Codable>(
    _ argument: RemoteCallArgument<Value>
  ) throws {
    try CompactEncoder.append(argument.value, to: &arguments)
  }

  // Both follow from the target.
  public mutating func recordErrorType<E: Error>(_ type: E.Type) throws {}
  public mutating func recordReturnType<R: Codable>(_ type: R.Type) throws {}
  public mutating func doneRecording() throws {}
}

/// Reads a call that has come from another node. Used by the compiler's code.
public struct AloftInvocationDecoder: DistributedTargetInvocationDecoder {
  public typealias SerializationRequirement = any Codable

  private let substitutions: [String]
  private var arguments: CompactReader
  private let userInfo: [CodingUserInfoKey: Any]

  init(_ invocation: Request.Invocation, _ system: AloftActorSystem) {
    substitutions = invocation.substitutions
    arguments = invocation.arguments
    userInfo = [.actorSystemKey: system]
  }

  public mutating func decodeGenericSubstitutions() throws -> [any Any.Type] {
    try substitutions.map { name in
      guard let type = _typeByName(name) else {
        throw AloftActorError(.incompatible, "the type \(name) is not known here")
      }
      return type
    }
  }

  public mutating func decodeNextArgument<Argument: Codable>() throws -> Argument {
    try CompactDecoder.next(Argument.self, from: &arguments, userInfo: userInfo)
  }

  public mutating func decodeErrorType() throws -> (any Any.Type)? { nil }
  public mutating func decodeReturnType() throws -> (any Any.Type)? { nil }
}

/// Takes the outcome of a call that has come from another node. Used by the compiler's code.
public final class AloftResultHandler: DistributedTargetInvocationResultHandler,
  @unchecked Sendable
{
  // @unchecked: one task uses it.
  public typealias SerializationRequirement = any Codable

  var reply: [UInt8] = []

  init() {}

  public func onReturn<Success: Codable>(value: Success) async throws {
    reply = [ReplyKind.value.rawValue]
    try CompactEncoder.append(value, to: &reply)
  }

  public func onReturnVoid() async throws { reply = [ReplyKind.done.rawValue] }

  public func onThrow<Err: Error>(error: Err) async throws {
    if let coded = error as? any Error & Codable, let name = _mangledTypeName(type(of: coded)) {
      reply = [ReplyKind.error.rawValue]
      reply.appendText(name)
      if (try? CompactEncoder.append(coded, to: &reply)) != nil { return }
    }
    fail(.text, "\(error)")
  }

  func fail(_ kind: ReplyKind, _ text: String) {
    reply = [kind.rawValue]
    // Some errors describe all that they were given.
    reply.appendText(String(text.prefix(1_000)))
  }
}
