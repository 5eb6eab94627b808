import AloftCluster
import AloftEngine
import AloftMembership
import AloftUV
import Glibc
import Testing

/// A random source with a seed, so that a failing run can be had again.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

/// Members of one log in one process, their home one event loop, and what carries their messages.
///
/// All of it is touched on that loop only. The test's thread looks in by `on`, and waits by
/// `until`, which looks again whenever a member was told something.
final class RaftWorld: @unchecked Sendable {
  // @unchecked: see above; what the threads share is under `mutex`.
  let group: LoopGroup
  let root: String
  var members: [UInt8: RaftMember] = [:]
  var random: Seeded
  /// Of a hundred messages, how many are lost, and how many come twice.
  var lossPercent = 0
  var doublePercent = 0
  /// Messages wait for up to so many turns of the loop.
  var delayTurns = 0
  /// Pairs that can't reach each other, from and to.
  var cuts: Set<[UInt8]> = []
  /// Sees each message, and may swallow it.
  var filter: ((_ from: UInt8, _ to: UInt8, _ message: [UInt8]) -> Bool)?
  var nextToken: UInt64 = 1
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var changes = 0

  var loop: EventLoop { group.loops[0] }

  init(seed: UInt64 = 1) throws {
    random = Seeded(seed)
    var options = LoopGroupOptions()
    options.eventLoops = 1
    options.connectionsMax = 16
    group = try LoopGroup(options)
    var template = Array(("/tmp/aloft-raft-" + String(repeating: "X", count: 6)).utf8CString)
    root = try #require(mkdtemp(&template).map { String(cString: $0) })
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  func directory(_ node: UInt8) -> String { "\(root)/\(node)" }

  /// Runs `body` on the home loop and waits for its answer.
  func on<Result>(_ body: @escaping () throws -> Result) throws -> Result {
    nonisolated(unsafe) var answer: Swift.Result<Result, any Error>?
    let done = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    defer { done.deallocate() }
    sem_init(done, 0, 0)
    nonisolated(unsafe) let work: () -> Void = {
      answer = Swift.Result { try body() }
      sem_post(done)
    }
    loop.executeUnrefused { work() }
    while sem_wait(done) != 0 {}
    return try answer!.get()
  }

  func noteChange() {
    pthread_mutex_lock(mutex)
    changes += 1
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }

  /// Waits until `condition`, asked on the loop, holds; false after so many seconds.
  func until(seconds: Int = 30, _ condition: @escaping () -> Bool) throws -> Bool {
    var end = timespec()
    clock_gettime(CLOCK_REALTIME, &end)
    end.tv_sec += seconds
    while true {
      pthread_mutex_lock(mutex)
      let seen = changes
      pthread_mutex_unlock(mutex)
      if try on(condition) { return true }
      pthread_mutex_lock(mutex)
      var status: Int32 = 0
      while changes == seen, status == 0 {
        status = pthread_cond_timedwait(changed, mutex, &end)
      }
      pthread_mutex_unlock(mutex)
      if status != 0 { return try on(condition) }
    }
  }

  @discardableResult
  func start(
    _ node: UInt8, bootstraps: Bool = false, _ change: (inout RaftLogOptions) -> Void = { _ in }
  ) throws -> RaftMember {
    var options = RaftLogOptions(node: NodeID(rawValue: node), directory: directory(node))
    options.bootstraps = bootstraps
    options.segmentBytes = 1 << 20
    options.reserveBytes = 0
    change(&options)
    return try on { [self, options] in
      let member = members[node] ?? RaftMember(node, self)
      try member.open(options)
      members[node] = member
      return member
    }
  }

  func carry(from: UInt8, to: UInt8, _ message: [UInt8]) {
    if cuts.contains([from, to]) { return }
    if filter?(from, to, message) == false { return }
    if Int.random(in: 0..<100, using: &random) < lossPercent { return }
    let copies = Int.random(in: 0..<100, using: &random) < doublePercent ? 2 : 1
    for _ in 0..<copies {
      let turns = delayTurns == 0 ? 0 : Int.random(in: 0...delayTurns, using: &random)
      deliver(from, to, message, turns)
    }
  }

  private func deliver(_ from: UInt8, _ to: UInt8, _ message: [UInt8], _ turns: Int) {
    loop.executeUnrefused { [self] in
      if turns > 0 { return deliver(from, to, message, turns - 1) }
      message.withUnsafeBytes {
        members[to]?.log?.receive(from: NodeID(rawValue: from), message: $0)
      }
    }
  }

  func cut(_ one: UInt8, _ other: UInt8) {
    cuts.insert([one, other])
    cuts.insert([other, one])
  }

  func isolate(_ node: UInt8) {
    for other in members.keys where other != node { cut(node, other) }
  }

  func heal() { cuts = [] }

  /// The member that may serve, on the loop.
  var leader: RaftMember? { members.values.first { $0.isSelf && $0.log != nil } }

  /// Makes a cluster of nodes 1...count, all of them voters.
  func form(
    _ count: UInt8, _ change: (inout RaftLogOptions) -> Void = { _ in }
  ) throws {
    try start(1, bootstraps: true, change)
    try #require(until { self.leader != nil })
    for node in 2...max(count, 2) where node <= count {
      try start(node, change)
      try #require(
        outcome { $0.change(.add(NodeID(rawValue: node), role: .voter), token: $1) }?.isCommitted
          == true)
    }
  }

  /// Asks the leader for something, and waits for the answer.
  func outcome(
    of member: RaftMember? = nil, seconds: Int = 30,
    _ ask: @escaping (RaftLog, UInt64) -> Void
  ) throws -> LogOutcome? {
    let (token, asked) = try on { [self] () -> (UInt64, RaftMember?) in
      nextToken += 1
      guard let asked = member ?? leader, let log = asked.log else { return (0, nil) }
      ask(log, nextToken)
      return (nextToken, asked)
    }
    guard let asked else { return nil }
    guard try until(seconds: seconds, { asked.outcomes[token] != nil }) else { return nil }
    return try on { asked.outcomes[token] }
  }

  /// Stops a member's thread, keeps its directory.
  func stop(_ node: UInt8) throws {
    let member = try on { self.members[node] }
    try on { member?.log?.stop() }
    try #require(until { member?.log == nil })
  }

  /// Ends all, and removes all files.
  func finish() throws {
    try on { for member in self.members.values { member.log?.stop() } }
    try #require(until { self.members.values.allSatisfy { $0.log == nil } })
    // Members know their world: nobody else would let go of either.
    try on {
      self.members = [:]
      self.filter = nil
    }
    group.stopAndJoin()
    removeTree(root)
  }
}

extension LogOutcome {
  var isCommitted: Bool { if case .committed = self { true } else { false } }
  var isFailed: Bool { if case .failed = self { true } else { false } }
}

/// Removes a directory and the plain files and directories in it.
func removeTree(_ path: String) {
  for name in namesIn(path) {
    let whole = "\(path)/\(name)"
    if unlink(whole) != 0 { removeTree(whole) }
  }
  rmdir(path)
}

/// Copies a directory and the plain files in it.
func copyTree(_ path: String, to copy: String) {
  mkdir(copy, 0o700)
  for name in namesIn(path) {
    let from = open("\(path)/\(name)", O_RDONLY)
    let to = open("\(copy)/\(name)", O_WRONLY | O_CREAT | O_EXCL, 0o600)
    while sendfile(to, from, nil, 1 << 30) > 0 {}
    close(from)
    close(to)
  }
}

func namesIn(_ path: String) -> [String] {
  guard let directory = opendir(path) else { return [] }
  defer { closedir(directory) }
  var names: [String] = []
  while let entry = readdir(directory) {
    let name = withUnsafePointer(to: &entry.pointee.d_name.0) { String(cString: $0) }
    if name != ".", name != ".." { names.append(name) }
  }
  return names.sorted()
}
