import Foundation

/// Networks that are cut: who is cut off stops accepting in time, nobody owns what another owns,
/// and all is well again soon after.
struct ChaosPartitions {
  private let machine: Machine
  /// Of the nodes' preset, and what it may take to say so.
  private static let leaseMilliseconds = 250.0
  private static let sayMilliseconds = 20.0
  private static let healMilliseconds = 1_000.0

  private enum Shape: String, CaseIterable {
    case halves = "2/2"
    case lone = "3/1"
    case ring
    case deaf = "one-way, hears nobody"
    case mute = "one-way, is heard by nobody"
    case flapping
  }

  init(_ machine: Machine) { self.machine = machine }

  func run(_ count: Int, _ random: inout SeededRandom) throws -> [String] {
    let network = try ChaosNetwork(ChaosCluster.size)
    let cluster = try ChaosCluster(
      machine, prefix: network.prefix,
      options: { ["--plaintext", "--listen", "\(network.address($0)):7000"] })
    var broken: [String] = []
    var healing = ChaosTimes()
    var stopping = ChaosTimes()
    var told: [Int: String] = [:]
    _ = try whole(cluster, within: .seconds(10))
    for round in 1...count {
      for shape in Shape.allCases {
        let victims = Array((0..<ChaosCluster.size).shuffled(using: &random))
        cluster.forgetNews()
        let began = monotonicNow()
        try harm(network, shape, victims)
        try stopped(cluster, shape, victims, began, &stopping, &broken)
        try network.heal()
        let healed = monotonicNow()
        guard let taken = try whole(cluster, within: .seconds(15)) else {
          broken.append("\(shape.rawValue), round \(round): not whole 15 s after it was healed")
          return broken
        }
        healing.times.append(Double(taken - healed) / 1e6)
        if healing.times.last! > Self.healMilliseconds {
          broken.append("\(shape.rawValue), round \(round): healing took \(healing.times.last!) ms")
        }
        print(
          "round \(round) \(shape.rawValue): whole \(Int(healing.times.last!)) ms after healing")
        fflush(nil)
        try owners(cluster, &told, &broken)
      }
    }
    if told.isEmpty { broken.append("nobody told of slots") }
    print("who owns what was told of, alike, in \(told.count) epochs")
    print(stopping.line("who is cut off stops accepting"))
    print(healing.line("all four accept, and agree, after healing"))
    return broken
  }

  private func harm(_ network: ChaosNetwork, _ shape: Shape, _ nodes: [Int]) throws {
    func apart(_ one: [Int], _ other: [Int]) -> [(from: Int, to: Int)] {
      one.flatMap { a in other.flatMap { [(from: a, to: $0), (from: $0, to: a)] } }
    }
    let lone = nodes[0]
    let rest = Array(nodes[1...])
    switch shape {
    case .halves: try network.cut(apart(Array(nodes[0...1]), Array(nodes[2...3])))
    case .lone: try network.cut(apart([lone], rest))
    case .ring: try network.cut(apart([nodes[0]], [nodes[2]]) + apart([nodes[1]], [nodes[3]]))
    case .deaf: try network.cut(rest.map { (from: $0, to: lone) })
    case .mute: try network.cut(rest.map { (from: lone, to: $0) })
    case .flapping:
      for _ in 0..<10 {
        try network.cut(apart([lone], rest))
        Thread.sleep(forTimeInterval: 0.1)
        try network.heal()
        Thread.sleep(forTimeInterval: 0.1)
      }
      return
    }
  }

  /// Watches for a second and a half, then judges who accepts.
  private func stopped(
    _ cluster: ChaosCluster, _ shape: Shape, _ nodes: [Int], _ began: UInt64,
    _ times: inout ChaosTimes, _ broken: inout [String]
  ) throws {
    guard shape != .flapping else { return }
    Thread.sleep(forTimeInterval: 1.5)
    let states = try cluster.nodes.map { try State($0) }
    let accepting = nodes.map { states[$0].isAccepting }
    let limit = Self.leaseMilliseconds + Self.sayMilliseconds
    func stop(_ node: Int) -> Double? {
      cluster.nodes[node].firstNews(of: "accepting") { $0 == 0 }.map { Double($0 - began) / 1e6 }
    }
    func judge(_ node: Int) {
      guard let time = stop(node), !states[node].isAccepting else {
        return broken.append("\(shape.rawValue): the node that is cut off goes on accepting")
      }
      times.times.append(time)
      if time > limit { broken.append("\(shape.rawValue): stopped accepting after \(time) ms") }
    }
    switch shape {
    case .halves:
      let sides = [accepting[0] || accepting[1], accepting[2] || accepting[3]]
      if sides[0], sides[1] { return broken.append("2/2: both sides accept") }
      for node in sides[0] ? nodes[2...3] : nodes[0...1] { judge(node) }
    case .lone, .deaf:
      judge(nodes[0])
      if !accepting[1...].allSatisfy({ $0 }) {
        broken.append("\(shape.rawValue): of the three others not all accept: \(accepting)")
      }
    case .mute:
      if !accepting[1...].allSatisfy({ $0 }) {
        broken.append("\(shape.rawValue): of the three others not all accept: \(accepting)")
      }
    case .ring, .flapping: break
    }
  }

  private struct State {
    let isMember, isAccepting: Bool
    let up, epoch: Int

    init(_ node: NodeProcess) throws {
      let words = try node.order("state", "state").dropFirst().compactMap { Int($0) }
      guard words.count == 4 else { throw BenchError("a state of \(words.count) words") }
      (isMember, isAccepting, up, epoch) = (words[0] == 1, words[1] == 1, words[2], words[3])
    }
  }

  /// When all four accept and know the same.
  private func whole(_ cluster: ChaosCluster, within limit: Duration) throws -> UInt64? {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
      let states = try cluster.nodes.map { try State($0) }
      let isWhole = states.allSatisfy {
        $0.isAccepting && $0.up == ChaosCluster.size && $0.epoch == states[0].epoch
      }
      if isWhole { return monotonicNow() }
      Thread.sleep(forTimeInterval: 0.005)
    }
    return nil
  }

  /// All who told of an epoch have told the same of who owns what.
  private func owners(
    _ cluster: ChaosCluster, _ told: inout [Int: String], _ broken: inout [String]
  ) throws {
    for node in cluster.nodes {
      for (epoch, text) in node.texts(of: "slots") {
        if let other = told[epoch], other != text {
          broken.append("epoch \(epoch): slots are \(text) on one node, \(other) on another")
        }
        told[epoch] = text
      }
    }
  }
}
