import Testing

@testable import AloftCluster

/// A record of posts, as a pure thing: what was written is read, and whatever else the bytes are,
/// nothing beyond them is read and what is broken is told.
struct PostTests {
  static func encode(_ posts: [Node.Posted]) -> [UInt8] {
    var bytes: [UInt8] = []
    var mailbox: UInt64?
    for post in posts {
      let namesMailbox = mailbox != post.mailbox
      mailbox = post.mailbox
      bytes += post.bytes.withUnsafeBytes { body in
        var memory = [UInt8](repeating: 0, count: PostHeader.bytesMax)
        let count = memory.withUnsafeMutableBytes {
          PostHeader.store(
            Post(mailbox: post.mailbox, tag: post.tag, priority: post.priority, body),
            namesMailbox: namesMailbox, to: $0.baseAddress!) - $0.baseAddress!
        }
        return memory.prefix(count) + Array(body)
      }
    }
    return bytes
  }

  /// In memory of exactly this size.
  static func decode(_ bytes: [UInt8]) -> (posts: [Node.Posted], isBroken: Bool) {
    bytes.withUnsafeBytes { memory in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: memory.count, alignment: 1)
      defer { copy.deallocate() }
      copy.copyMemory(from: memory)
      var reader = PostReader(UnsafeRawBufferPointer(copy))
      var posts: [Node.Posted] = []
      while let post = reader.next() { posts.append(Node.Posted(post)) }
      #expect(reader.count == posts.count)
      return (posts, reader.isBroken)
    }
  }

  @Test(
    "What was written is read: lengths, tags, priorities, mailboxes in turn", arguments: 0..<100)
  func roundTrip(seed: Int) {
    var random = Seeded(state: UInt64(seed))
    let posts = (0..<Int.random(in: 1...50, using: &random)).map { number in
      Node.Posted(
        mailbox: UInt64.random(in: 1...3, using: &random),
        tag: [0, 1, .max].randomElement(using: &random)!,
        priority: UInt8.random(in: 0...3, using: &random),
        bytes: [UInt8](
          repeating: UInt8(number),
          count: [0, 1, 7, 64, 1_000, 65_535].randomElement(using: &random)!))
    }
    let (read, isBroken) = Self.decode(Self.encode(posts))
    let isSame = read == posts
    #expect(isSame && !isBroken)
  }

  @Test("A part that is cut off is told, after what is whole")
  func cut() {
    let posts = (0..<3).map {
      Node.Posted(mailbox: UInt64($0), tag: 9, priority: 1, bytes: [1, 2, UInt8($0)])
    }
    let bytes = Self.encode(posts)
    let each = bytes.count / 3
    for count in 0...bytes.count {
      let (read, isBroken) = Self.decode(Array(bytes.prefix(count)))
      #expect(read == Array(posts.prefix(count / each)))
      #expect(isBroken == (count % each != 0))
    }
  }

  @Test("The first one names its mailbox, and no unknown flag is passed over")
  func rules() {
    #expect(Self.decode([1, 0, 0, 0, 7]).isBroken)
    #expect(Self.decode([1, 0, 16, 0, 7]).isBroken)
    #expect(Self.decode([1, 0, 4, 1] + [UInt8](repeating: 0, count: 8) + [7]).isBroken)
    #expect(!Self.decode([1, 0, 4, 0] + [UInt8](repeating: 0, count: 8) + [7]).isBroken)
  }

  @Test("Random bytes are posts or broken")
  func random() {
    var random = Seeded(state: 1)
    var broken = 0
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0...100, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      if bytes.count > 4 {
        bytes[1] = 0
        bytes[2] = bytes[2] & 15 | 4
        bytes[3] = 0
      }
      if Self.decode(bytes).isBroken { broken += 1 }
    }
    #expect(broken > 1_000)
  }
}
