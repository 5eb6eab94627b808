import Foundation

/// A network namespace for each node, joined by a bridge in one more; what may not pass is dropped
/// by iptables where it comes in. Needs root. All of it goes with the last reference.
final class ChaosNetwork {
  private let name = "aloft-chaos-\(getpid())"
  private let count: Int

  init(_ count: Int) throws {
    self.count = count
    guard geteuid() == 0 else { throw BenchError("partitions need root: run it with sudo") }
    let hub = "\(name)-hub"
    try run("ip netns add \(hub) && ip -n \(hub) link add bridge type bridge")
    try run("ip -n \(hub) link set bridge up")
    for node in 0..<count {
      let own = space(node)
      try run("ip netns add \(own) && ip -n \(own) link set lo up")
      try run("ip -n \(own) link add wire type veth peer name port\(node) netns \(hub)")
      try run("ip -n \(own) addr add \(address(node))/24 dev wire && ip -n \(own) link set wire up")
      try run("ip -n \(hub) link set port\(node) master bridge up")
    }
  }

  deinit {
    for node in 0..<count { try? run("ip netns del \(space(node))") }
    try? run("ip netns del \(name)-hub")
  }

  private func run(_ command: String) throws {
    guard system(command) == 0 else { throw BenchError("failed: \(command)") }
  }

  private func space(_ node: Int) -> String { "\(name)-\(node)" }
  func address(_ node: Int) -> String { "10.77.0.\(node + 1)" }

  /// What runs a program in a node's namespace.
  func prefix(_ node: Int) -> [String] { ["/usr/bin/env", "ip", "netns", "exec", space(node)] }

  /// Nothing that one sends to another comes there, for each of these pairs.
  func cut(_ pairs: [(from: Int, to: Int)]) throws {
    for node in 0..<count {
      let rules = pairs.filter { $0.to == node }.map { "-A INPUT -s \(address($0.from)) -j DROP" }
      guard !rules.isEmpty else { continue }
      // All at once.
      let text = (["*filter"] + rules + ["COMMIT"]).joined(separator: "\\n") + "\\n"
      try run("printf '\(text)' | ip netns exec \(space(node)) iptables-restore -n")
    }
  }

  func heal() throws {
    for node in 0..<count { try run("ip netns exec \(space(node)) iptables -F INPUT") }
  }
}
