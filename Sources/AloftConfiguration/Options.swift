public import Aloft
public import AloftNode
public import Configuration

extension Runtime.Options {
  /// Options from `eventLoops`, `connectionsMax`, `timersMax`, `inboxCapacity`,
  /// `busyPollMicroseconds` and `privateDescriptors`; what isn't there keeps its default.
  ///
  /// ```swift
  /// let config = ConfigReader(provider: EnvironmentVariablesProvider())
  /// let runtime = try Runtime(.init(config.scoped(to: "aloft")))     // ALOFT_EVENT_LOOPS=2
  /// ```
  /// A value that is out of range is found out by `Runtime.init`, which says which it is.
  public init(_ config: ConfigReader) {
    self.init()
    eventLoops = config.int(forKey: "eventLoops", default: eventLoops)
    connectionsMax = config.int(forKey: "connectionsMax", default: connectionsMax)
    timersMax = config.int(forKey: "timersMax", default: timersMax)
    inboxCapacity = config.int(forKey: "inboxCapacity", default: inboxCapacity)
    busyPoll = config.int(forKey: "busyPollMicroseconds").map { .microseconds($0) }
    privateDescriptors = config.bool(forKey: "privateDescriptors", default: privateDescriptors)
  }
}

extension NodeOptions {
  /// Options from `name`, `data` and `keys`, which there have to be, and `listen`, `advertise`,
  /// `seeds`, `cluster`, `zone`, `weight`, `role`, `timing` and `plaintextOffLoopback`. Addresses
  /// are text such as `10.0.0.1:7000`; `keys` are secrets, and so is nothing else.
  ///
  /// ```swift
  /// let node = try await runtime.join(NodeOptions(config.scoped(to: "aloft.node")))
  /// ```
  /// Certificates are files, whose contents go into `tls`.
  /// - Throws: ``ConfigurationFailure``, or the reader's error for what is missing.
  public init(_ config: ConfigReader) throws {
    let keys = try config.requiredStringArray(forKey: "keys", isSecret: true)
    self.init(
      name: try config.requiredString(forKey: "name"), keys: keys.map { Array($0.utf8) },
      data: try config.requiredString(forKey: "data"))
    listen = try config.string(forKey: "listen").map { try Self.address($0, "listen") } ?? listen
    advertise = try config.string(forKey: "advertise").map { try Self.address($0, "advertise") }
    seeds = try config.stringArray(forKey: "seeds", default: []).map {
      try Self.address($0, "seeds")
    }
    cluster = config.string(forKey: "cluster", default: cluster)
    zone = config.string(forKey: "zone", default: zone)
    if let value = config.int(forKey: "weight") {
      guard let weight = UInt16(exactly: value) else {
        throw ConfigurationFailure(key: "weight", reason: "\(value); 0 to 65,535 are possible")
      }
      self.weight = weight
    }
    if let text = config.string(forKey: "role") { role = try Self.role(text) }
    if let text = config.string(forKey: "timing") {
      guard let timing = Timing(rawValue: text) else {
        throw ConfigurationFailure(
          key: "timing", reason: "fast, standard or relaxed, not `\(text)`")
      }
      self.timing = timing
    }
    plaintextOffLoopback = config.bool(forKey: "plaintextOffLoopback", default: false)
  }

  private static func address(_ text: String, _ key: String) throws -> SocketAddress {
    guard let address = SocketAddress(text: text), address.port != nil else {
      throw ConfigurationFailure(key: key, reason: "an address is IP:PORT, not `\(text)`")
    }
    return address
  }

  private static func role(_ text: String) throws -> Role {
    switch text {
    case "voter": .voter
    case "standby": .standby
    case "witness": .witness
    default:
      throw ConfigurationFailure(key: "role", reason: "voter, standby or witness, not `\(text)`")
    }
  }
}
