import Foundation

/// Four nodes that are harmed, and a fifth that has no part of the work: the clients' node. With a
/// network they are in namespaces of their own; with disks, each has its data on a small one.
final class SessionChaosCluster {
  static let size = 4
  private let machine: Machine
  private let data: ScratchDirectory
  private let network: ChaosNetwork?
  private var mounts: [String] = []
  private(set) var nodes: [NodeProcess] = []
  private(set) var client: NodeProcess!
  private static let diskMegabytes = 512

  init(_ machine: Machine, network: ChaosNetwork?, disks: Bool) throws {
    self.machine = machine
    self.network = network
    data = try ScratchDirectory()
    if disks {
      for index in 0..<Self.size { try mount("\(data.path)/n\(index)") }
    }
    for index in 0..<Self.size {
      nodes.append(try start(index))
      try nodes[index].waitUntilReady()
    }
    client = try start(Self.size)
    try client.waitUntilReady()
    _ = try client.order("ready", "settled")
  }

  deinit {
    for node in nodes + [client].compactMap({ $0 }) { node.child.stop(grace: .zero) }
    for mount in mounts { _ = system("umount -l \(mount)") }
  }

  private func mount(_ path: String) throws {
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let options = "size=\(Self.diskMegabytes)m,mode=700"
    guard system("mount -t tmpfs -o \(options) none \(path)") == 0 else {
      throw BenchError("no small disk for \(path)")
    }
    mounts.append(path)
  }

  private func start(_ index: Int) throws -> NodeProcess {
    let all = nodes + [client].compactMap { $0 }
    let seeds = all.filter { $0.index != index }.map(\.address).filter { !$0.isEmpty }
    var options: [String] = []
    if let network {
      options += ["--plaintext", "--listen", "\(network.address(index)):7000"]
    } else if index < nodes.count, !nodes[index].address.isEmpty {
      options += ["--listen", nodes[index].address]
    }
    if index == Self.size { options += ["--standby", "--weight", "0"] }
    return try NodeProcess(
      .aloft, index: index, machine: machine, data: data.path,
      seed: seeds.isEmpty ? nil : seeds.joined(separator: ","), cpu: nil, options: options,
      prefix: network?.prefix(index) ?? [])
  }

  /// A node's process anew, with the data that it left. It isn't waited for.
  func restart(_ index: Int) throws {
    nodes[index].child.stop(grace: .zero)
    nodes[index] = try start(index)
  }

  func cut(_ pairs: [(from: Int, to: Int)]) throws { try network?.cut(pairs) }
  func heal() throws { try network?.heal() }

  /// A node's data directory.
  func path(_ index: Int) -> String { "\(data.path)/n\(index)" }
  /// A file that fills the disk while it's there.
  func filler(_ index: Int) -> String { "\(path(index))/filler" }

  func number(of index: Int) throws -> Int {
    Int(try nodes[index].order("number", "number")[1]) ?? 0
  }

  /// The place of the node that leads, as the clients' node knows.
  func leader() throws -> Int? {
    let number = Int(try client.order("leader", "leader")[1]) ?? 0
    guard number != 0 else { return nil }
    return try nodes.indices.first { try self.number(of: $0) == number }
  }

  /// Whether all know of all, accept and agree; who has ended by itself is started again.
  func waitUntilWhole(within limit: Duration) throws -> Bool {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
      if try isWhole() { return true }
      Thread.sleep(forTimeInterval: 0.01)
    }
    return false
  }

  private func isWhole() throws -> Bool {
    var epochs: Set<Substring> = []
    for index in nodes.indices {
      do {
        try nodes[index].waitUntilReady()
        let state = try nodes[index].order("state", "state")
        guard state.count == 5, state[2] == "1", state[3] == "\(Self.size + 1)" else {
          return false
        }
        epochs.insert(state[4])
      } catch {
        // Its disk was full, or it was harmed before it had begun.
        try restart(index)
        return false
      }
    }
    return epochs.count == 1
  }
}
