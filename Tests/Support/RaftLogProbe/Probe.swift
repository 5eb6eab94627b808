import AloftCluster
import AloftEngine
import AloftMembership
import AloftUV
import Glibc

// Measures `RaftLog` as `raft-probe` measures the shim below it: members in one process, one event
// loop their home, entries of 200 bytes kept in flight.
//
// usage: raftlog-probe DIRECTORY NODES IN_FLIGHT ENTRIES

/// All members of the run; touched on the home loop only.
final class Run: @unchecked Sendable {
  // @unchecked: see above; `done` is posted once.
  let loop: EventLoop
  let inFlight: Int
  let entries: Int
  var members: [Member] = []
  var asked = 0
  var answered = 0
  var startedAt: [UInt64]
  var taken: [UInt64]
  var from: UInt64 = 0
  var spent: UInt64 = 0
  let done = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  let entry = [UInt8](repeating: 7, count: 200)

  init(loop: EventLoop, inFlight: Int, entries: Int) {
    self.loop = loop
    self.inFlight = inFlight
    self.entries = entries
    startedAt = [UInt64](repeating: 0, count: entries)
    taken = []
    taken.reserveCapacity(entries)
    sem_init(done, 0, 0)
  }

  func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  func fill(_ log: RaftLog) {
    if from == 0 { from = now() }
    while asked < entries, asked - answered < inFlight {
      startedAt[asked] = now()
      log.propose(entry, token: UInt64(asked))
      asked += 1
    }
  }
}

final class Member: ReplicatedLogClient {
  let run: Run
  var log: RaftLog?
  init(_ run: Run) { self.run = run }

  func apply(index: UInt64, term: Term, entry: UnsafeRawBufferPointer) {}
  func restore(index: UInt64, snapshot: UnsafeRawBufferPointer) {}
  func makeSnapshot(index: UInt64) -> [UInt8]? { [1] }
  func membersChanged(_ members: [LogMember]) {}
  func ended(reason: String) { fatalError(reason) }

  func leaderChanged(leader: NodeID?, term: Term, isSelf: Bool) {
    if isSelf { grow(1) }
  }

  /// Lets the next member in, or begins.
  func grow(_ count: Int) {
    guard count < run.members.count else { return run.fill(log!) }
    let next = NodeID(rawValue: UInt8(count + 1))
    log?.change(.add(next, role: .voter), token: .max - UInt64(count))
  }

  func proposed(token: UInt64, _ outcome: LogOutcome) {
    guard case .committed = outcome else { fatalError("\(outcome)") }
    if token > UInt64.max / 2 { return grow(Int(.max - token) + 1) }
    run.taken.append(run.now() - run.startedAt[Int(token)])
    run.answered += 1
    if run.answered == run.entries {
      run.spent = run.now() - run.from
      for member in run.members { member.log?.stop() }
    } else if run.asked - run.answered <= run.inFlight / 2 {
      run.fill(log!)
    }
  }

  func send(to: NodeID, message: UnsafeRawBufferPointer) {
    let from = NodeID(rawValue: UInt8(run.members.firstIndex { $0 === self }! + 1))
    run.members[Int(to.rawValue) - 1].log?.receive(from: from, message: message)
  }
}

@main struct Probe {
  static func main() throws {
    let words = CommandLine.arguments
    guard words.count == 5, let nodes = UInt8(words[2]), let inFlight = Int(words[3]),
      let entries = Int(words[4]), nodes >= 1, inFlight >= 1, entries >= 1
    else { fatalError("usage: raftlog-probe DIRECTORY NODES IN_FLIGHT ENTRIES") }
    var options = LoopGroupOptions()
    options.connectionsMax = 16
    let group = try LoopGroup(options)
    let run = Run(loop: group.loops[0], inFlight: inFlight, entries: entries)
    run.loop.executeUnrefused { begin(run, words[1], nodes) }
    for _ in 0..<nodes { while sem_wait(run.done) != 0 {} }
    group.stopAndJoin()
    let sorted = run.taken.sorted()
    let rate = Double(entries) * 1e9 / Double(run.spent)
    print(
      "{\"nodes\":\(nodes),\"in_flight\":\(inFlight),\"entries\":\(entries),\"bytes\":200,"
        + "\"per_second\":\(Int(rate)),\"p50_us\":\(sorted[entries / 2] / 1_000),"
        + "\"p99_us\":\(sorted[entries * 99 / 100] / 1_000)}")
  }

  static func begin(_ run: Run, _ directory: String, _ nodes: UInt8) {
    for node in 1...nodes {
      var options = RaftLogOptions(node: NodeID(rawValue: node), directory: "\(directory)/\(node)")
      options.bootstraps = node == 1
      options.timing = .relaxed
      options.snapshotEntries = 1 << 16
      let member = Member(run)
      run.members.append(member)
      do {
        member.log = try RaftLog(options, on: run.loop, client: member)
      } catch {
        fatalError(error.message)
      }
      member.log?.onStopped = { sem_post(run.done) }
    }
  }
}
