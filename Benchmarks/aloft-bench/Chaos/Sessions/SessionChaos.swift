import Foundation

/// Faults of every kind, drawn from a seed, while clients read and change sessions; every operation
/// is judged. In the end every session is read once more.
struct SessionChaos {
  private let machine: Machine
  private let sessions: Int
  private let operations: Int
  private let faults: Int
  private var account = Account()

  enum Fault: String, CaseIterable {
    case kill = "kill -9"
    case killLeader = "kill -9 of the leader"
    case stop = "SIGSTOP"
    case lone = "one cut off"
    case halves = "cut into halves"
    case deaf = "one hears nobody"
    case disk = "disk of the leader full"
    case two = "kill -9 of two, one after the other"
    case all = "kill -9 of all four"

    var needsNetwork: Bool { [.lone, .halves, .deaf].contains(self) }
  }

  /// What the clients' node said last.
  struct Account {
    var acknowledged = 0
    var reads = 0
    var refused = 0
    var uncertain = 0
    var faults = HistoryFaults()
    var missing = 0
    var ended = 0

    init() {}

    init(_ words: [Substring]) throws {
      let numbers = words.dropFirst().compactMap { Int($0) }
      guard numbers.count == 11 else { throw BenchError("an account of \(numbers.count) words") }
      (acknowledged, reads, refused, uncertain) = (numbers[0], numbers[1], numbers[2], numbers[3])
      faults = HistoryFaults(
        lost: numbers[4], duplicated: numbers[5], stale: numbers[6], future: numbers[7],
        misordered: numbers[8])
      (missing, ended) = (numbers[9], numbers[10])
    }

    var operations: Int { acknowledged + reads }

    var text: String {
      "\(operations) operations acknowledged (\(acknowledged) writes, \(reads) reads), "
        + "\(refused) refused, \(uncertain) of unknown end, \(ended) sessions ended; "
        + "lost \(faults.lost), duplicated \(faults.duplicated), stale \(faults.stale), "
        + "from the future \(faults.future), out of order \(faults.misordered), "
        + "sessions missing \(missing)"
    }
  }

  init(_ machine: Machine, sessions: Int, operations: Int, faults: Int) {
    self.machine = machine
    self.sessions = sessions
    self.operations = operations
    self.faults = faults
  }

  /// What was promised and not kept.
  mutating func run(_ random: inout SeededRandom) throws -> [String] {
    let isRoot = geteuid() == 0
    let network = isRoot ? try? ChaosNetwork(SessionChaosCluster.size + 1) : nil
    let kinds = Fault.allCases.filter {
      (network != nil || !$0.needsNetwork) && (isRoot || $0 != .disk)
    }
    for kind in Fault.allCases where !kinds.contains(kind) { print("left out: \(kind.rawValue)") }
    let cluster = try SessionChaosCluster(machine, network: network, disks: isRoot)
    _ = try cluster.client.order("history \(sessions) \(max(1, sessions / 10)) 64", "going")
    var counts: [Fault: Int] = [:]
    var broken: [String] = []
    var done = 0
    var last = Fault.kill
    while done < faults || account.operations < operations {
      if done < faults {
        let kind = kinds.randomElement(using: &random)!
        last = kind
        try harm(cluster, kind, &random)
        counts[kind, default: 0] += 1
        done += 1
      } else {
        Thread.sleep(forTimeInterval: 0.5)
      }
      guard try cluster.waitUntilWhole(within: .seconds(60)) else {
        broken.append("fault \(done): the cluster isn't whole after 60 s")
        break
      }
      let before = account.operations
      try goesOn(cluster, from: before, done, last, &broken)
      if !broken.isEmpty { break }
      if done < faults, done % 20 == 0 { tell("\(done) faults: \(account.text)") }
    }
    account = try Account(
      try cluster.client.order("judge", "judged", within: .seconds(120)))
    for kind in kinds { tell("\(kind.rawValue): \(counts[kind] ?? 0)") }
    tell(account.text)
    if account.faults.sum > 0 || account.missing > 0 { broken.append("see the counts above") }
    return broken
  }

  private func tell(_ line: String) {
    print(line)
    fflush(nil)
  }

  /// Waits until clients get answers again, and a little longer.
  private mutating func goesOn(
    _ cluster: SessionChaosCluster, from before: Int, _ fault: Int, _ kind: Fault,
    _ broken: inout [String]
  ) throws {
    let end = ContinuousClock.now + .seconds(30)
    repeat {
      Thread.sleep(forTimeInterval: 0.05)
      account = try Account(try cluster.client.order("progress", "progress"))
    } while account.operations < before + 500 && ContinuousClock.now < end
    if account.operations < before + 500 {
      broken.append("fault \(fault): after 30 s hardly anything is answered")
    }
    if account.faults.sum > 0 || account.missing > 0 {
      broken.append("fault \(fault), \(kind.rawValue): \(account.text)")
    }
  }

  private func harm(
    _ cluster: SessionChaosCluster, _ kind: Fault, _ random: inout SeededRandom
  ) throws {
    let nodes = Array((0..<SessionChaosCluster.size).shuffled(using: &random))
    let pause = Double.random(in: 0.1...1.2, using: &random)
    func apart(_ one: [Int], _ other: [Int]) -> [(from: Int, to: Int)] {
      one.flatMap { a in other.flatMap { [(from: a, to: $0), (from: $0, to: a)] } }
    }
    switch kind {
    case .kill: try kill(cluster, [nodes[0]], pause)
    case .killLeader: try kill(cluster, [try cluster.leader() ?? nodes[0]], pause)
    case .two:
      cluster.nodes[nodes[0]].child.signal(SIGKILL)
      Thread.sleep(forTimeInterval: pause)
      try kill(cluster, [nodes[1]], pause)
      try cluster.restart(nodes[0])
    case .all: try kill(cluster, nodes, pause / 4)
    case .stop:
      cluster.nodes[nodes[0]].child.signal(SIGSTOP)
      Thread.sleep(forTimeInterval: pause)
      cluster.nodes[nodes[0]].child.signal(SIGCONT)
    case .lone, .halves, .deaf:
      // The clients' node is on the greater side, or in reach of both.
      let pairs =
        switch kind {
        case .lone: apart([nodes[0]], Array(nodes[1...]))
        case .halves: apart(Array(nodes[0...1]), Array(nodes[2...3]))
        default: nodes[1...].map { (from: $0, to: nodes[0]) }
        }
      try cluster.cut(pairs)
      Thread.sleep(forTimeInterval: pause)
      try cluster.heal()
    case .disk:
      let leader = try cluster.leader() ?? nodes[0]
      let filler = cluster.filler(leader)
      _ = system("dd if=/dev/zero of=\(filler) bs=1M status=none 2>/dev/null")
      Thread.sleep(forTimeInterval: pause)
      try? FileManager.default.removeItem(atPath: filler)
    }
  }

  private func kill(_ cluster: SessionChaosCluster, _ places: [Int], _ pause: Double) throws {
    for place in places { cluster.nodes[place].child.signal(SIGKILL) }
    Thread.sleep(forTimeInterval: pause)
    for place in places { try cluster.restart(place) }
  }
}
