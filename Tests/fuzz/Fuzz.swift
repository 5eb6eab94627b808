// What the fuzzer calls, compiled by script/fuzz with the sources of the wire and the handshake
// into one module. The first byte says what is fuzzed and where the rest is cut into pieces.

/// 0: it goes on. Traps, and what AddressSanitizer sees, are the findings.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
  guard count > 1 else { return 0 }
  let bytes = UnsafeRawBufferPointer(start: start + 1, count: count - 1)
  let cut = Int(start[0] >> 2) % bytes.count
  let pieces = [
    UnsafeRawBufferPointer(rebasing: bytes[..<cut]),
    UnsafeRawBufferPointer(rebasing: bytes[cut...]),
  ]
  switch start[0] & 3 {
  case 0: fuzzRecords(pieces)
  case 1: fuzzHandshake(.acceptor, pieces)
  case 2: fuzzHandshake(.dialler, pieces)
  default: fuzzHello(bytes)
  }
  return 0
}

private func fuzzRecords(_ pieces: [UnsafeRawBufferPointer]) {
  var parser = RecordParser(lengthMax: 4_096)
  for piece in pieces {
    var rest = piece
    while true {
      guard case .record(let header, let body) = parser.next(&rest) else { break }
      precondition(body.count == Int(header.length) && body.count <= 4_096)
      touch(body)
      if header.type == .posts { fuzzPosts(body) }
    }
  }
}

private func fuzzPosts(_ body: UnsafeRawBufferPointer) {
  var reader = PostReader(body)
  var bytes = 0
  while let post = reader.next() {
    bytes += PostHeader.bytes + post.bytes.count
    precondition(post.priority < 4 && bytes <= body.count)
    touch(post.bytes)
  }
}

/// Reads every byte, so that one that is not there is seen.
private func touch(_ bytes: UnsafeRawBufferPointer) {
  var sum: UInt8 = 0
  for byte in bytes { sum &+= byte }
  blackHole = sum
}

nonisolated(unsafe) private var blackHole: UInt8 = 0

private let key = [UInt8](repeating: 7, count: 32)

private func own(_ role: Hello.Role) -> Hello {
  Hello(
    role: role, channel: .data, id: NodeID(rawValue: 1), incarnation: Incarnation(rawValue: 1),
    life: 1, epoch: Epoch(rawValue: 1), creditBytes: 1 << 20, frameMax: 64 << 10,
    messageMax: 64 << 20, reassemblyMax: 256 << 20, nonce: [UInt8](repeating: 3, count: 32),
    name: "own", cluster: "test")
}

private func fuzzHandshake(_ role: Hello.Role, _ pieces: [UnsafeRawBufferPointer]) {
  guard let keys = try? ClusterKeys([key]) else { preconditionFailure("a key") }
  var handshake = Handshake(own(role), keys: keys)
  for piece in pieces {
    var rest = piece
    while !rest.isEmpty {
      let before = rest.count
      switch handshake.received(&rest) {
      case .greeted: handshake.prove(.init())
      // Nobody without the key comes this far.
      case .proved, .accepted: preconditionFailure("a proof without the key")
      case .needsMore where rest.count == before: return
      case .needsMore: continue
      case .refused, .turnedAway: return
      }
    }
  }
}

private func fuzzHello(_ bytes: UnsafeRawBufferPointer) {
  let all = Array(bytes)
  guard let hello = try? Hello(decoding: all) else { return }
  precondition(hello.encoded == all, "a hello that reads as another")
}

/// Stands in for the messages' memory: from malloc, so that AddressSanitizer sees its bounds.
package struct MessageBlock {
  struct Header { let bytes: UnsafeMutableRawPointer }
  let header: UnsafeMutablePointer<Header>

  static func allocate(count: Int) -> MessageBlock {
    let header = UnsafeMutablePointer<Header>.allocate(capacity: 1)
    header.initialize(to: Header(bytes: .allocate(byteCount: count, alignment: 1)))
    return MessageBlock(header: header)
  }

  static func release(_ block: MessageBlock) {
    block.header.pointee.bytes.deallocate()
    block.header.deallocate()
  }
}
