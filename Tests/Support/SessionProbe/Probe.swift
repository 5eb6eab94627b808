import AloftMembership
import AloftSession
import Glibc

/// What sessions cost on one core, without a network or a disk: each step of a write through the
/// owner, look-ups, a snapshot while writes go on, memory. One line a figure.
@main
struct Probe {
  static let sessions = 1_000_000
  static let batch = 1_024
  static let stateBytes = 200

  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  static func rss() -> Int {
    let file = fopen("/proc/self/statm", "r")
    defer { if let file { fclose(file) } }
    var line = [CChar](repeating: 0, count: 128)
    guard let file, fgets(&line, 128, file) != nil else { return 0 }
    let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return (Int(text.split(separator: " ")[1]) ?? 0) * 4096
  }

  static func rate(_ name: String, _ count: Int, _ nanoseconds: UInt64) {
    let each = Double(nanoseconds) / Double(count)
    print("\(name): \(Int(1_000 * each) / 1_000) ns each, \(Int(1e9 / each)) a second")
  }

  static func main() {
    let before = rss()
    var world = World()
    world.creates()
    let after = rss()
    print(
      "memory: \((after - before) / sessions) bytes a session of RSS,",
      "\(world.owner.store.bytes / sessions) of them in slabs")
    world.puts()
    world.reads()
    world.snapshot()
  }
}

struct World {
  let store = SessionStore()
  let owner: SessionOwner
  var index: UInt64 = 1
  var ids: [SessionID] = []
  let state = [UInt8](repeating: 7, count: Probe.stateBytes)
  let noName: [UInt8] = []
  var random: UInt64 = 1

  init() {
    owner = SessionOwner(store: store, wallOffsetMs: 1_700_000_000_000, lease: 250_000_000)
    var cluster = ClusterState()
    let member = MemberDescription(name: "a", address: "a")
    let found = ClusterProposal(
      proposer: Incarnation(rawValue: 0), sequence: 1,
      command: .found(cluster: 1, member, birth: 1))
    _ = cluster.apply(index: 1, entry: found.bytes)
    let identity = NodeIdentity(
      cluster: 1, id: NodeID(rawValue: 1), incarnation: Incarnation(rawValue: 1))
    owner.clusterChanged(cluster, index: 1, identity: identity, now: 1_000_000_000)
    owner.isAccepting = true
    owner.voters = 3
    while owner.nextSlotEvent() != nil {}
  }

  mutating func word() -> UInt64 {
    random &+= 0x9E37_79B9_7F4A_7C15
    var z = random
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// What is waiting goes into the log and comes back; how many were answered.
  mutating func turn() -> Int {
    let now = Probe.now()
    while let entry = owner.takeEntry(now: now) {
      index += 1
      entry.bytes.withUnsafeBytes { _ = owner.apply(index: index, entry: $0, now: now) }
    }
    var count = 0
    while let answer = owner.nextAnswer() {
      precondition(answer.outcome.isDone, "\(answer.outcome)")
      count += 1
    }
    return count
  }

  mutating func creates() {
    ids.reserveCapacity(Probe.sessions)
    for _ in 0..<Probe.sessions {
      guard let id = owner.mint(high: word(), low: word()) else { fatalError("no slot") }
      ids.append(id)
    }
    for isPrincipals in [false, true] {
      let half = Probe.sessions / 2
      let begin = Probe.now()
      var done = 0
      let options = SessionOptions(idleTimeoutMs: 1_800_000)
      var longest: UInt64 = 0
      for position in 0..<half {
        let id = ids[isPrincipals ? half + position : position]
        let principal = isPrincipals ? Principal(high: id.high, low: id.low) : .anyone
        let outcome = owner.submitCreate(
          id, principal: principal, key: id.low | 1, options: options, name: noName.span.bytes,
          state: state.span.bytes, token: UInt64(position), now: Probe.now())
        precondition(outcome == nil, "\(String(describing: outcome))")
        if position % Probe.batch == Probe.batch - 1 || position == half - 1 {
          let begin = Probe.now()
          done += turn()
          longest = max(longest, Probe.now() - begin)
        }
      }
      precondition(done == half)
      Probe.rate(
        isPrincipals ? "creates, a principal each" : "creates", half, Probe.now() - begin)
      print("  longest turn of \(Probe.batch): \(longest / 1_000) us")
    }
  }

  mutating func puts() {
    let count = 1_000_000
    let begin = Probe.now()
    for position in 0..<count {
      let id = ids[Int(truncatingIfNeeded: word() >> 32) % ids.count]
      let principal =
        owner.store.find(id).map { owner.store.info($0).principal } ?? .anyone
      let outcome = owner.submitPut(
        id, principal: principal, key: word() | 1, expected: nil, state: state.span.bytes,
        token: UInt64(position), now: begin)
      precondition(outcome == nil, "\(String(describing: outcome))")
      if position % Probe.batch == Probe.batch - 1 { _ = turn() }
    }
    _ = turn()
    Probe.rate("puts to any session", count, Probe.now() - begin)
  }

  mutating func reads() {
    let count = 4_000_000
    var found = 0
    let begin = Probe.now()
    for _ in 0..<count {
      let id = ids[Int(truncatingIfNeeded: word() >> 32) % (ids.count / 2)]
      if let ref = owner.read(id, by: .anyone, now: begin).ref {
        owner.store.withState(ref) { found += Int($0[0]) }
      }
    }
    precondition(found == 7 * count)
    Probe.rate("reads at the owner, any session", count, Probe.now() - begin)
    var again = 0
    let beginLocal = Probe.now()
    for _ in 0..<count {
      let id = ids[Int(truncatingIfNeeded: word() >> 32) % (ids.count / 2)]
      if let ref = owner.store.read(id, by: .anyone, token: 1).ref {
        owner.store.withState(ref) { again += Int($0[0]) }
      }
    }
    precondition(again == 7 * count)
    Probe.rate("local reads, any session", count, Probe.now() - beginLocal)
  }

  mutating func snapshot() {
    let begin = Probe.now()
    owner.store.beginSnapshot()
    let begun = Probe.now() - begin
    var longest: UInt64 = 0
    var pieces: [[UInt8]] = []
    while true {
      let start = Probe.now()
      guard let piece = owner.store.nextPiece() else { break }
      longest = max(longest, Probe.now() - start)
      pieces.append(piece)
      // Writes go on.
      for _ in 0..<200 {
        let id = ids[Int(truncatingIfNeeded: word() >> 32) % (ids.count / 2)]
        _ = owner.submitPut(
          id, principal: .anyone, key: 0, expected: nil, state: state.span.bytes, token: 0,
          now: start)
      }
      _ = turn()
    }
    let bytes = pieces.reduce(0) { $0 + $1.count }
    print(
      "snapshot of \(owner.store.count): \(bytes >> 20) MiB in \(pieces.count) pieces, begun in",
      "\(begun / 1_000) us, longest piece \(longest / 1_000) us,",
      "all \((Probe.now() - begin) / 1_000_000) ms"
    )
    var restorer = SessionRestorer()
    longest = 0
    let restoring = Probe.now()
    for piece in pieces {
      let start = Probe.now()
      do {
        try piece.withUnsafeBytes { try restorer.take($0) }
      } catch {
        fatalError("\(error)")
      }
      longest = max(longest, Probe.now() - start)
    }
    guard let restored = try? restorer.finish() else { fatalError("not whole") }
    Probe.rate("restored sessions", restored.count, Probe.now() - restoring)
    print("  longest piece \(longest / 1_000) us")
  }
}
