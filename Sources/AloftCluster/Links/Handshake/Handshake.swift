/// Both sides show that they have the cluster's key, without saying it.
///
/// 1. The dialler says its hello, with a nonce, and the acceptor its own.
/// 2. The dialler sends HMAC-SHA-256 with the key over: its role, both hellos as they came (so both
///    nonces, names, numbers, incarnations, roles, the version and the cluster's name), what binds
///    the proof to the encrypted connection if it is one, and what it remembers of the peer.
/// 3. The acceptor checks that, and sends the same over its own role.
///
/// So a proof holds for one pair of nonces: what was recorded proves nothing to anybody whose nonce
/// is another. It names the role that it is made in: sent back, it proves nothing. The acceptor
/// proves nothing to somebody who has not shown the key first. Before a proof holds, nothing has
/// been read but 256 and then 56 bytes.
///
/// Pure: bytes in, bytes out, no clock and no socket. Modelled on the mutual challenge and response
/// of ISO/IEC 9798-4, mechanism 4 (three passes).
struct Handshake {
  /// What a side remembers of the other.
  struct Memory: Equatable {
    /// The last link with it that it saw end.
    var lastLink: UInt64 = 0
    /// The link since which it has counted the messages of each stream; 0 for none.
    var countedSince: UInt64 = 0

    var encoded: [UInt8] {
      var out: [UInt8] = []
      unsafe withUnsafeBytes(of: lastLink.littleEndian) { unsafe out.append(contentsOf: $0) }
      unsafe withUnsafeBytes(of: countedSince.littleEndian) { unsafe out.append(contentsOf: $0) }
      return out
    }
  }

  enum Event: Equatable {
    case needsMore
    /// The dialler: who it is that claims to be there. `prove` or give up.
    case greeted
    /// The acceptor: the peer has the key. `accept` or `refuse`.
    case proved
    /// The dialler: so has the acceptor, and it took us.
    case accepted
    /// Nothing comes of it. What is in `output` is still to be sent.
    case refused(LinkRefusal)
    /// The peer says so; nothing vouches for that.
    case turnedAway(LinkRefusal)
  }

  private enum Phase { case hello, greeted, proof, proved, over }

  static let proofBytes = 56

  private(set) var own: Hello
  private let keys: ClusterKeys
  /// Of the encrypted connection: no two have the same. Zeros in plain text.
  private let binding: [UInt8]
  private var phase = Phase.hello
  private var gathered: [UInt8] = []
  private(set) var peer: Hello?
  private(set) var peerMemory = Memory()
  /// To be sent, and then emptied.
  var output: [UInt8] = []

  init(_ own: Hello, keys: ClusterKeys, binding: [UInt8] = [UInt8](repeating: 0, count: 32)) {
    self.own = own
    self.keys = keys
    self.binding = binding
    gathered.reserveCapacity(Hello.bytes)
    if own.role == .dialler { output = own.encoded }
  }

  /// The name of the link that comes of this.
  var linkNumber: UInt64 { (own.role == .acceptor ? own : peer ?? own).linkNumber }

  var isOver: Bool { phase == .over }

  /// Takes what it needs of `bytes`, and no more than that.
  mutating func received(_ bytes: inout UnsafeRawBufferPointer) -> Event {
    let wanted: Int
    switch phase {
    case .hello: wanted = Hello.bytes
    case .proof: wanted = Self.proofBytes
    case .greeted, .proved, .over: return .needsMore
    }
    let part = min(bytes.count, wanted - gathered.count)
    unsafe gathered.append(contentsOf: bytes.prefix(part))
    unsafe bytes = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(part))
    guard gathered.count == wanted else { return .needsMore }
    defer { gathered.removeAll(keepingCapacity: true) }
    return phase == .hello ? hello(gathered) : proof(gathered)
  }

  private mutating func hello(_ bytes: [UInt8]) -> Event {
    let peer: Hello
    do {
      peer = try Hello(decoding: bytes)
    } catch {
      guard case .version = error else { return end(.notALink) }
      // It will see our version in our own hello.
      if own.role == .acceptor { output = own.encoded }
      return refuse(.version)
    }
    if own.role == .acceptor {
      own.channel = peer.channel
      output = own.encoded
    }
    // A node that is sent its own words has met nobody.
    if peer.nonce == own.nonce { return refuse(.reflected) }
    guard peer.role == own.role.other, peer.channel == own.channel else {
      return refuse(.reflected)
    }
    guard peer.cluster == own.cluster else { return refuse(.clusterName) }
    if peer.life == own.life { return refuse(.itself) }
    if peer.name == own.name { return refuse(.sameName) }
    self.peer = peer
    phase = own.role == .dialler ? .greeted : .proof
    return own.role == .dialler ? .greeted : .needsMore
  }

  private mutating func proof(_ bytes: [UInt8]) -> Event {
    if bytes[0] != 0 {
      guard let reason = LinkRefusal(rawValue: bytes[0]) else { return end(.notALink) }
      phase = .over
      return .turnedAway(reason)
    }
    func word(_ at: Int) -> UInt64 {
      unsafe bytes.withUnsafeBytes {
        unsafe UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      }
    }
    let memory = Memory(lastLink: word(8), countedSince: word(16))
    let text = text(own.role.other, memory)
    let isRight = unsafe bytes.withUnsafeBytes {
      unsafe keys.accept(UnsafeRawBufferPointer(rebasing: $0[24...]), of: text)
    }
    guard isRight, bytes[1..<8].allSatisfy({ $0 == 0 }) else { return refuse(.notAuthentic) }
    peerMemory = memory
    if own.role == .dialler {
      phase = .over
      return .accepted
    }
    phase = .proved
    return .proved
  }

  /// The dialler, when it was greeted: goes on.
  mutating func prove(_ memory: Memory) {
    precondition(phase == .greeted, "prove in phase \(phase)")
    output = proof(memory)
    phase = .proof
  }

  /// The acceptor, when the peer has proved itself: takes it.
  mutating func accept(_ memory: Memory) {
    precondition(phase == .proved, "accept in phase \(phase)")
    output = proof(memory)
    phase = .over
  }

  /// Ends it, and tells the peer why.
  @discardableResult
  mutating func refuse(_ reason: LinkRefusal) -> Event {
    // An acceptor that was not greeted yet has nobody to tell.
    output += [reason.rawValue] + [UInt8](repeating: 0, count: Self.proofBytes - 1)
    phase = .over
    return .refused(reason)
  }

  private mutating func end(_ reason: LinkRefusal) -> Event {
    phase = .over
    return .refused(reason)
  }

  private func proof(_ memory: Memory) -> [UInt8] {
    [UInt8](repeating: 0, count: 8) + memory.encoded + keys.prove(text(own.role, memory))
  }

  /// What is proved. Every part has a fixed length, so no two texts read alike.
  private func text(_ role: Hello.Role, _ memory: Memory) -> [UInt8] {
    guard let peer else { preconditionFailure("a proof before the hellos") }
    let dialler = own.role == .dialler ? own : peer
    let acceptor = own.role == .dialler ? peer : own
    var text = Array("aloft link proof".utf8)
    text.append(role.rawValue)
    text += dialler.encoded
    text += acceptor.encoded
    text += binding
    text += memory.encoded
    return text
  }
}
