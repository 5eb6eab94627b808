/// What the registry refuses, with the numbers that matter.
public struct RegistryError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    case nameEmpty, nameTooLong, nameTaken, nameUnknown, notOwner, ownerEnded, foreignOwner
    case invalidWord, full
  }

  public var code: Code
  /// Whom the name stands for, where somebody else has it.
  public var holder: Target?
  public var message: String

  public init(_ code: Code, holder: Target? = nil, _ message: String) {
    self.code = code
    self.holder = holder
    self.message = message
  }

  public var description: String { message }
}

extension Target: CustomStringConvertible {
  public var description: String {
    switch kind {
    case .mailbox, .connection:
      "\(kind) \(slot) of loop \(loop ?? 0), generation \(generation)"
    case .word: "word \(rawValue)"
    case .record: "record"
    }
  }
}
