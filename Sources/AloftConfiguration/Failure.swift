/// A value that can't be used, and where it stood.
public struct ConfigurationFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// The key, as a configuration file has it.
  public let key: String
  public let reason: String
  public var description: String { "\(key): \(reason)" }
}
