import AloftCluster
import AloftMembership
import Glibc
import Testing

/// What is wrong with a data directory is said in a sentence that says what to do.
@Suite(.serialized) struct RaftDirectoryTests {
  private func refusal(_ world: RaftWorld, _ node: UInt8 = 1) throws -> String? {
    do {
      try world.start(node, bootstraps: true)
      return nil
    } catch let error as RaftLogError {
      return error.message
    }
  }

  private func write(_ path: String, _ bytes: [UInt8]) {
    let file = open(path, O_WRONLY | O_CREAT, 0o600)
    _ = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    close(file)
  }

  @Test("A missing directory is made, for this user alone")
  func made() throws {
    let world = try RaftWorld()
    #expect(try refusal(world) == nil)
    var status = stat()
    stat(world.directory(1), &status)
    #expect(status.st_mode & 0o7777 == 0o700)
    try world.finish()
  }

  @Test("What can't hold a log is refused")
  func refused() throws {
    let world = try RaftWorld()
    write(world.directory(1), [1])
    #expect(try refusal(world)?.contains("is not a directory: name one") == true)
    mkdir(world.directory(2), 0o755)
    chmod(world.directory(2), 0o755)
    #expect(try refusal(world, 2)?.contains("run 'chmod 700' on it") == true)
    mkdir(world.directory(3), 0o700)
    write("\(world.directory(3))/notes.txt", [1])
    #expect(try refusal(world, 3)?.contains("notes.txt") == true)
    mkdir(world.directory(4), 0o700)
    write("\(world.directory(4))/metadata1", [1])
    #expect(try refusal(world, 4)?.contains("is not Aloft's, or files were lost") == true)
    try world.finish()
  }

  @Test("Two members can't share a directory, nor one take another's")
  func shared() throws {
    let world = try RaftWorld()
    let one = try world.start(1, bootstraps: true)
    var options = RaftLogOptions(node: NodeID(rawValue: 1), directory: world.directory(1))
    #expect(throws: RaftLogError.self) {
      try world.on { _ = try RaftLog(options, on: world.loop, client: one) }
    }
    try world.stop(1)
    options.node = NodeID(rawValue: 2)
    do {
      try world.on { _ = try RaftLog(options, on: world.loop, client: one) }
      Issue.record("taken")
    } catch let error as RaftLogError {
      #expect(error.message.contains("holds the log of node 1, this is node 2"))
    }
    try world.finish()
  }

  @Test("Options that don't fit together are told before anything is touched")
  func options() throws {
    let world = try RaftWorld()
    let changes: [(inout RaftLogOptions) -> Void] = [
      { $0.node = NodeID(rawValue: 0) }, { $0.timing.heartbeatMilliseconds = 100 },
      { $0.segmentBytes = 1_000 }, { $0.trailingEntries = 0 }, { $0.inflightMax = 0 },
    ]
    for change in changes {
      #expect(throws: RaftLogError.self) { try world.start(1, bootstraps: true, change) }
    }
    #expect(namesIn(world.root) == [])
    try world.finish()
  }

  /// A crash in the middle of a write leaves the end of the newest file half written. Such an end
  /// was never acknowledged, so it goes.
  @Test("A torn tail is cut off: all that was acknowledged is there", arguments: [true, false])
  func tornTail(isGarbled: Bool) throws {
    let world = try RaftWorld()
    let one = try world.start(1, bootstraps: true)
    try #require(world.until { one.isSelf })
    for number in 0..<20 as Range<UInt8> {
      #expect(try world.outcome { $0.propose([number], token: $1) }?.isCommitted == true)
    }
    let before = try world.on { one.applied }
    try world.stop(1)
    // An open file as a crash leaves it: the last closed one, and behind it a write that tore.
    let directory = world.directory(1)
    let closed = try #require(
      namesIn(directory).filter { $0.first!.isNumber }
        .max { Int($0.split(separator: "-")[0])! < Int($1.split(separator: "-")[0])! })
    let path = "\(directory)/\(closed)"
    let open1 = "\(directory)/open-1"
    rename(path, open1)
    var status = stat()
    stat(open1, &status)
    let file = open(open1, O_RDWR)
    if isGarbled {
      let torn = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 41 &+ 1) }
      _ = torn.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, status.st_size) }
      ftruncate(file, 1 << 20)
    } else {
      ftruncate(file, status.st_size - 5)
    }
    close(file)
    try world.start(1)
    try #require(world.until { one.isSelf || one.ended != nil })
    try world.on {
      #expect(one.ended == nil)
      if isGarbled {
        #expect(one.applied == before)
      } else {
        // The last write itself is damaged: what stands before it stays.
        #expect(one.applied.count >= before.count - 1)
        #expect(one.applied.allSatisfy { before[$0.key] == $0.value })
      }
    }
    #expect(try world.outcome { $0.propose([99], token: $1) }?.isCommitted == true)
    try world.finish()
  }

  @Test("A log with a hole is not read: the sentence says to replace the node")
  func hole() throws {
    let world = try RaftWorld()
    let one = try world.start(1, bootstraps: true)
    try #require(world.until { one.isSelf })
    for number in 0..<5 as Range<UInt8> {
      #expect(try world.outcome { $0.propose([number], token: $1) }?.isCommitted == true)
    }
    try world.stop(1)
    // The closed file's first block, which nothing can excuse.
    let directory = world.directory(1)
    let first = try #require(
      namesIn(directory).filter { $0.first!.isNumber }.min {
        Int($0.split(separator: "-")[0])! < Int($1.split(separator: "-")[0])!
      })
    let file = open("\(directory)/\(first)", O_RDWR)
    let zeros = [UInt8](repeating: 0xff, count: 64)
    _ = zeros.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, 0) }
    close(file)
    try world.start(1)
    try #require(world.until { one.ended != nil })
    #expect(try world.on { one.ended }?.contains("let it join anew") == true)
    try world.finish()
  }
}
