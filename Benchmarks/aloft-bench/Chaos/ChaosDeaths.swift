import Foundation

/// Nodes that are killed, or stopped for a while, under message load.
struct ChaosDeaths {
  private let machine: Machine
  private let signal: Int32

  init(_ machine: Machine, _ signal: Int32) {
    self.machine = machine
    self.signal = signal
  }

  /// What was promised and not kept.
  func run(_ count: Int, _ random: inout SeededRandom) throws -> [String] {
    let cluster = try ChaosCluster(machine)
    try cluster.order("load")
    Thread.sleep(forTimeInterval: 0.3)
    var detections = ChaosTimes()
    var returns = ChaosTimes()
    var account = ChaosAccount()
    var wrong = 0
    for round in 1...count {
      let index = Int.random(in: 0..<ChaosCluster.size, using: &random)
      wrong += try harm(cluster, index, &detections, &returns)
      if round % 20 == 0 {
        print("\(round): \(detections.line("known"))")
        fflush(nil)
      }
      // Load for a while, a different one each time.
      Thread.sleep(forTimeInterval: Double.random(in: 0.02...0.1, using: &random))
      if round == count { account = try ChaosAccount.take(cluster) }
    }
    print(detections.line("known to all who live"))
    print(returns.line("listed by all again"))
    print(account.text)
    let limit = signal == SIGKILL ? 4.0 : 250
    var broken = account.broken
    if wrong > 0 { broken.append("\(wrong) deaths were told of nodes that lived") }
    if detections.percentile(0.99) > limit { broken.append("known after more than \(limit) ms") }
    return broken
  }

  private func harm(
    _ cluster: ChaosCluster, _ index: Int, _ detections: inout ChaosTimes,
    _ returns: inout ChaosTimes
  ) throws -> Int {
    let victim = cluster.nodes[index]
    let number = try cluster.number(of: victim)
    let others = cluster.others(than: victim)
    cluster.forgetNews()
    let began = monotonicNow()
    victim.child.signal(signal)
    var known: UInt64 = 0
    for node in others {
      known = max(known, try node.time(of: "dead", within: .seconds(10)) { $0 == number })
    }
    detections.times.append(Double(known - began) / 1e6)
    for node in others {
      _ = try node.time(of: "up", within: .seconds(20)) { $0 == ChaosCluster.size - 1 }
    }
    // Whoever was told dead beside the victim.
    var wrong = 0
    for node in others {
      for dead in node.numbers(of: "dead") where dead != number {
        print("n\(node.index) told node \(dead) dead, while n\(index), \(number), was harmed")
        wrong += 1
      }
    }
    cluster.forgetNews()
    let back = monotonicNow()
    if signal == SIGKILL {
      try cluster.restart(index)
      _ = try cluster.nodes[index].order("load", "ok")
    } else {
      victim.child.signal(SIGCONT)
    }
    try cluster.waitUntilComplete()
    returns.times.append(Double(monotonicNow() - back) / 1e6)
    return wrong
  }
}

/// What all nodes sent and got, in the end.
struct ChaosAccount {
  var answered = 0
  var audited = 0
  var missing = 0
  var doubled = 0
  var failed = 0
  var messages = 0
  var wrongMessages = 0

  static func take(_ cluster: ChaosCluster) throws -> ChaosAccount {
    var account = ChaosAccount()
    try cluster.order("unload")
    Thread.sleep(forTimeInterval: 0.3)
    for node in cluster.nodes {
      let words = try node.order("audit", "account").dropFirst().compactMap { Int($0) }
      guard words.count == 7 else { throw BenchError("an account of \(words.count) words") }
      account.answered += words[0]
      account.audited += words[1]
      account.missing += words[2]
      account.doubled += words[3]
      account.failed += words[4]
      account.messages += words[5]
      account.wrongMessages += words[6]
    }
    return account
  }

  var text: String {
    "calls of those who live: \(answered) answered (\(audited) looked up with who answered, "
      + "\(missing) missing), \(failed) failed; \(doubled) carried out twice\n"
      + "messages by name to those who live: \(messages), \(wrongMessages) twice or out of order"
  }

  var broken: [String] {
    var broken: [String] = []
    if missing > 0 { broken.append("\(missing) answered calls are unknown to who answered") }
    if doubled > 0 { broken.append("\(doubled) calls were carried out twice") }
    if wrongMessages > 0 { broken.append("\(wrongMessages) messages came twice or out of order") }
    return broken
  }
}

/// Processes that only burn time: nobody may be told dead for it.
struct ChaosHogs {
  private let machine: Machine
  init(_ machine: Machine) { self.machine = machine }

  func run(seconds: Int) throws -> [String] {
    let cluster = try ChaosCluster(machine)
    let hogs = try (0..<4).map { _ in
      try Child(path: "/bin/sh", arguments: ["-c", "while :; do :; done"], cpu: nil)
    }
    defer { for hog in hogs { hog.stop(grace: .zero) } }
    cluster.forgetNews()
    var dead = 0
    var pauses = 0
    for second in 1...seconds {
      Thread.sleep(forTimeInterval: 1)
      guard second % 10 == 0 || second == seconds else { continue }
      for node in cluster.nodes { _ = try cluster.number(of: node) }
      dead = cluster.nodes.reduce(0) { $0 + $1.newsCount(of: "dead") { _ in true } }
      pauses = cluster.nodes.reduce(0) { $0 + $1.newsCount(of: "accepting") { $0 == 0 } }
      if second % 60 == 0 {
        print("\(second) s: \(dead) told dead, \(pauses) times somebody stopped accepting")
        fflush(nil)
      }
    }
    print("\(seconds) s with 4 hogs: \(dead) told dead, \(pauses) times somebody stopped accepting")
    return dead > 0 ? ["\(dead) deaths were told of while all lived"] : []
  }
}
