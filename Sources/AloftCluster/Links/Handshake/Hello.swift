import AloftMembership

/// What each side says of itself first: 256 bytes, whatever it says, so that nothing of a
/// stranger's has to be measured or put together before it has shown that it has the key.
///
///     0 magic 8 · 8 version 2 · 10 role 1 · 11 channel 1 · 12 id 1 · 13 bytes of the name 1
///     14 bytes of the cluster's name 1 · 15 zero · 16 incarnation 8 · 24 life 8 · 32 epoch 8
///     40 credit 4 · 44 frame 4 · 48 message 8 · 56 reassembly 8 · 64 nonce 32
///     96 name 64 · 160 cluster's name 64 · 224 zero 32
struct Hello: Equatable {
  static let bytes = 256
  static let version: UInt16 = 1
  static let nonceBytes = 32
  /// "ALOFTLNK", as it lies in memory.
  static let magic: UInt64 = 0x4B4E_4C54_464F_4C41

  enum Role: UInt8 {
    case dialler = 1
    case acceptor = 2

    var other: Role { self == .dialler ? .acceptor : .dialler }
  }

  enum Channel: UInt8 {
    case data = 1
    case heartbeat = 2
  }

  var version = Self.version
  var role: Role
  var channel: Channel
  var id: NodeID
  var incarnation: Incarnation
  /// Drawn when the node's links began: which process, as it were, of the incarnation.
  var life: UInt64
  var epoch: Epoch
  var creditBytes: UInt32
  var frameMax: UInt32
  var messageMax: UInt64
  var reassemblyMax: UInt64
  var nonce: [UInt8]
  var name: String
  var cluster: String

  /// The first bytes of the acceptor's nonce, which nobody else drew: the link's name.
  var linkNumber: UInt64 {
    nonce.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  var encoded: [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(Self.bytes)
    func add(_ value: some FixedWidthInteger) {
      unsafe withUnsafeBytes(of: value.littleEndian) { unsafe out.append(contentsOf: $0) }
    }
    func add(_ text: String) {
      out.append(contentsOf: text.utf8)
      out.append(contentsOf: repeatElement(0, count: 64 - text.utf8.count))
    }
    add(Self.magic)
    add(version)
    add(role.rawValue)
    add(channel.rawValue)
    add(id.rawValue)
    add(UInt8(name.utf8.count))
    add(UInt8(cluster.utf8.count))
    add(UInt8(0))
    add(incarnation.rawValue)
    add(life)
    add(epoch.rawValue)
    add(creditBytes)
    add(frameMax)
    add(messageMax)
    add(reassemblyMax)
    out.append(contentsOf: nonce)
    add(name)
    add(cluster)
    out.append(contentsOf: repeatElement(0, count: Self.bytes - out.count))
    return out
  }
}

extension Hello {
  /// Takes a hello apart. One of another version is told by its first ten bytes alone.
  init(decoding bytes: [UInt8]) throws(HelloFault) {
    func load<Value: FixedWidthInteger>(_ at: Int, _: Value.Type = Value.self) -> Value {
      Value(
        littleEndian: unsafe bytes.withUnsafeBytes {
          unsafe $0.loadUnaligned(fromByteOffset: at, as: Value.self)
        })
    }
    func text(_ at: Int, _ count: UInt8) -> String? {
      guard (1...63).contains(count) else { return nil }
      let part = bytes[at..<at + 64]
      guard part.dropFirst(Int(count)).allSatisfy({ $0 == 0 }) else { return nil }
      return String(validating: part.prefix(Int(count)), as: UTF8.self)
    }
    guard bytes.count == Self.bytes, load(0) == Self.magic else { throw .notAHello }
    version = load(8)
    guard version == Self.version else { throw .version }
    guard let role = Role(rawValue: bytes[10]), let channel = Channel(rawValue: bytes[11]),
      let name = text(96, bytes[13]), let cluster = text(160, bytes[14]), bytes[15] == 0,
      bytes[224...].allSatisfy({ $0 == 0 })
    else { throw .notAHello }
    self.role = role
    self.channel = channel
    self.name = name
    self.cluster = cluster
    id = NodeID(rawValue: bytes[12])
    incarnation = Incarnation(rawValue: load(16))
    life = load(24)
    epoch = Epoch(rawValue: load(32))
    creditBytes = load(40)
    frameMax = load(44)
    messageMax = load(48)
    reassemblyMax = load(56)
    nonce = Array(bytes[64..<96])
    // What a receiver could never grant, or a sender never use, is no offer.
    guard frameMax >= 1 << 10, frameMax <= 1 << 24, creditBytes <= 1 << 30,
      UInt64(creditBytes) * 3 / 4 >= UInt64(frameMax) + 32, messageMax >= frameMax,
      messageMax < 1 << 31, reassemblyMax >= messageMax
    else { throw .notAHello }
  }
}

enum HelloFault: Error {
  case notAHello
  case version
}
