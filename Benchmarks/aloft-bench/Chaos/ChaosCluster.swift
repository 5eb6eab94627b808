import Foundation

/// Four nodes in processes of their own, that may be harmed.
final class ChaosCluster {
  static let size = 4
  private let machine: Machine
  private let data: ScratchDirectory
  private(set) var nodes: [NodeProcess] = []
  private let prefix: (Int) -> [String]
  private let options: (Int) -> [String]

  init(
    _ machine: Machine, prefix: @escaping (Int) -> [String] = { _ in [] },
    options: @escaping (Int) -> [String] = { _ in [] }
  ) throws {
    self.machine = machine
    self.prefix = prefix
    self.options = options
    data = try ScratchDirectory()
    for index in 0..<Self.size {
      nodes.append(try start(index))
      // The first is asked by the others, so it must listen.
      if index == 0 { try nodes[0].waitUntilReady() }
    }
    for node in nodes { try node.waitUntilReady() }
    for node in nodes { _ = try node.time(of: "up", within: .seconds(20)) { $0 == Self.size } }
  }

  deinit { for node in nodes { node.child.stop(grace: .zero) } }

  private func start(_ index: Int) throws -> NodeProcess {
    let seeds = nodes.filter { $0.index != index }.map(\.address).filter { !$0.isEmpty }
    return try NodeProcess(
      .aloft, index: index, machine: machine, data: data.path,
      seed: seeds.isEmpty ? nil : seeds.joined(separator: ","), cpu: nil,
      options: options(index), prefix: prefix(index))
  }

  func others(than victim: NodeProcess) -> [NodeProcess] { nodes.filter { $0 !== victim } }

  func number(of node: NodeProcess) throws -> Int {
    Int(try node.order("number", "number")[1]) ?? 0
  }

  /// The same node in a process anew, with the data that it left.
  func restart(_ index: Int) throws {
    nodes[index].child.stop(grace: .zero)
    nodes[index] = try start(index)
    try nodes[index].waitUntilReady()
  }

  func waitUntilComplete() throws {
    for node in nodes {
      _ = try node.time(of: "up", within: .seconds(20)) { $0 == Self.size }
    }
  }

  func forgetNews() { for node in nodes { node.forgetNews() } }

  func order(_ line: String) throws { for node in nodes { _ = try node.order(line, "ok") } }
}

/// Times in milliseconds, as a line.
struct ChaosTimes {
  var times: [Double] = []

  func percentile(_ part: Double) -> Double {
    let sorted = times.sorted()
    guard !sorted.isEmpty else { return 0 }
    return sorted[
      min(sorted.count - 1, max(0, Int((Double(sorted.count) * part).rounded(.up)) - 1))]
  }

  func line(_ name: String) -> String {
    func text(_ value: Double) -> String { String(format: "%.2f", value) }
    return "\(name): \(times.count) times, p50 \(text(percentile(0.5))) p99 "
      + "\(text(percentile(0.99))) max \(text(times.max() ?? 0)) ms"
  }
}
