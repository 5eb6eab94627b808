import AloftC
import AloftCluster
import AloftEngine
import AloftMembership
import CAloft

/// A node's options, read and checked.
struct NodeOptions {
  var cluster: ClusterNodeOptions
  var loop: UInt32
  /// Milliseconds.
  var joinLimit: UInt64

  private static let seedsMax = 1_024

  init(_ source: UnsafePointer<aloft_node_options>?) throws(Failure) {
    guard let source = unsafe source else { throw .null("options") }
    var given = unsafe aloft_node_options()
    try unsafe read(source, into: &given, "aloft_node_options")
    let directory = unsafe try text(given.data_directory, "data_directory")
    guard let name = unsafe try text(given.name, "name"), let directory else {
      throw Failure(Code.invalid, "a node needs a name and a data_directory")
    }
    let listen = unsafe try address(given.listen) ?? .ip(host: "127.0.0.1", port: 0)
    cluster = ClusterNodeOptions(
      name: name, listen: listen, keys: unsafe try readKeys(given.keys, given.keys_count),
      directory: directory)
    loop = unsafe given.loop
    joinLimit = unsafe given.join_timeout_ms == 0 ? 30_000 : UInt64(given.join_timeout_ms)
    cluster.advertise = unsafe try address(given.advertise)
    cluster.sessionListen = unsafe try address(given.session_listen)
    cluster.seeds = unsafe try Self.seeds(given.seeds, given.seeds_count)
    if let cluster = unsafe try text(given.cluster, "cluster") { self.cluster.cluster = cluster }
    cluster.zone = unsafe try text(given.zone, "zone") ?? ""
    if let certificate = unsafe given.certificate {
      cluster.tls = unsafe try readCertificate(certificate)
    }
    try unsafe readNumbers(given)
  }

  private mutating func readNumbers(_ given: aloft_node_options) throws(Failure) {
    let (role, timing, flags) = unsafe (given.role, given.timing, given.flags)
    guard flags & ~UInt32(ALOFT_PLAINTEXT_OFF_LOOPBACK) == 0 else {
      throw Failure(
        Code.invalid, "flags is \(flags); only ALOFT_PLAINTEXT_OFF_LOOPBACK is known")
    }
    cluster.plaintextOffLoopback = flags != 0
    switch Int(role) {
    case ALOFT_ROLE_VOTER: cluster.role = .voter
    case ALOFT_ROLE_STANDBY: cluster.role = .standby
    case ALOFT_ROLE_WITNESS: cluster.role = .witness
    default: throw Failure(Code.invalid, "role is \(role); 0 to 2 are known")
    }
    switch Int(timing) {
    case ALOFT_TIMING_STANDARD: cluster.timing = .standard
    case ALOFT_TIMING_FAST: cluster.timing = .fast
    case ALOFT_TIMING_RELAXED: cluster.timing = .relaxed
    default: throw Failure(Code.invalid, "timing is \(timing); 0 to 2 are known")
    }
    if unsafe given.weight != 0 { cluster.weight = unsafe try readWeight(given.weight) }
    if unsafe given.queue_max != 0 { cluster.gatewayCapacity = unsafe given.queue_max }
    let reserve = unsafe given.disk_reserve_bytes
    if reserve != 0 { cluster.reserveBytes = reserve }
  }

  private static func seeds(
    _ list: UnsafePointer<UnsafePointer<CChar>?>?, _ count: UInt32
  ) throws(Failure) -> [SocketAddress] {
    if count == 0 { return [] }
    guard count <= seedsMax, let list = unsafe list else {
      throw Failure(Code.invalid, "seeds_count is \(count): up to \(seedsMax), with seeds")
    }
    var seeds: [SocketAddress] = []
    for place in 0..<Int(count) {
      guard let seed = unsafe try address(list[place]) else { throw .null("a seed") }
      seeds.append(seed)
    }
    return seeds
  }
}

func readWeight(_ weight: UInt32) throws(Failure) -> UInt16 {
  guard let weight = UInt16(exactly: weight) else {
    throw Failure(Code.invalid, "weight is \(weight); up to 65535 is possible")
  }
  return weight
}

func text(_ pointer: UnsafePointer<CChar>?, _ name: StaticString) throws(Failure) -> String? {
  guard let pointer = unsafe pointer else { return nil }
  guard let text = unsafe String(validatingCString: pointer) else {
    throw Failure(Code.invalid, "\(name) is no valid UTF-8")
  }
  return text
}

private func address(_ pointer: UnsafePointer<CChar>?) throws(Failure) -> SocketAddress? {
  guard let pointer = unsafe pointer else { return nil }
  return unsafe try parseAddress(pointer)
}

/// As many as there are; whether that is too few, and each long enough, is for the links to say.
func readKeys(
  _ keys: UnsafePointer<aloft_node_key>?, _ count: UInt32
) throws(Failure) -> [[UInt8]] {
  guard (1...8).contains(count), let keys = unsafe keys else {
    throw Failure(Code.invalid, "keys_count is \(count): a cluster has 1 to 8 keys")
  }
  var read: [[UInt8]] = []
  for place in 0..<Int(count) {
    let key = unsafe keys[place]
    guard let bytes = unsafe key.bytes, unsafe (16...1_024).contains(key.length) else {
      throw Failure(Code.invalid, "a key has 16 to 1024 bytes")
    }
    read.append(
      unsafe Array(UnsafeRawBufferPointer(start: bytes, count: key.length)))
  }
  return read
}

func readCertificate(
  _ source: UnsafePointer<aloft_node_certificate>
) throws(Failure) -> TLSOptions {
  guard let certificate = unsafe try text(source.pointee.certificate, "certificate"),
    let key = unsafe try text(source.pointee.private_key, "private_key"),
    let authorities = unsafe try text(source.pointee.authorities, "authorities")
  else {
    throw Failure(Code.invalid, "a certificate goes with its private_key and authorities")
  }
  return TLSOptions(
    certificate: Array(certificate.utf8), privateKey: Array(key.utf8),
    authorities: Array(authorities.utf8))
}
