import Foundation

/// What a node took at one moment.
struct SoakSample: Equatable {
  var seconds: Double
  var node: Int
  var memory: Int
  var descriptors: Int
  var disk: Int

  init(seconds: Double, node: Int, memory: Int, descriptors: Int, disk: Int) {
    self.seconds = seconds
    self.node = node
    self.memory = memory
    self.descriptors = descriptors
    self.disk = disk
  }

  init(seconds: Double, node: Int, pid: pid_t, data: String) throws {
    let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")
    self.init(
      seconds: seconds, node: node, memory: try ProcFS.memory(of: pid).resident,
      descriptors: open.count, disk: Self.diskBytes(data))
  }

  /// Blocks that are taken; files may go while they are counted.
  private static func diskBytes(_ path: String) -> Int {
    guard let walk = FileManager.default.enumerator(atPath: path) else { return 0 }
    var bytes = 0
    while let file = walk.nextObject() as? String {
      var status = stat()
      if lstat("\(path)/\(file)", &status) == 0 { bytes += Int(status.st_blocks) * 512 }
    }
    return bytes
  }
}

/// What is watched.
enum SoakMeasure: String, CaseIterable {
  case memory, descriptors, disk

  func value(_ sample: SoakSample) -> Double {
    switch self {
    case .memory: Double(sample.memory) / 1e6
    case .descriptors: Double(sample.descriptors)
    case .disk: Double(sample.disk) / 1e6
    }
  }

  var title: String {
    switch self {
    case .memory: "resident memory, MB"
    case .descriptors: "open descriptors"
    case .disk: "data on disk, MB"
    }
  }

  /// How much more than before is no growth: logs and heaps have tides.
  var slack: (percent: Double, absolute: Double) {
    switch self {
    case .memory: (5, 2)
    case .descriptors: (0, 4)
    case .disk: (10, 8)
    }
  }
}

/// What all nodes took over time.
struct SoakSamples {
  private(set) var all: [SoakSample] = []

  mutating func add(_ sample: SoakSample) { all.append(sample) }

  var csv: String {
    let rows = all.map { sample in
      let time = String(format: "%.1f", sample.seconds)
      return "\(time),\(sample.node),\(sample.memory),\(sample.descriptors),\(sample.disk)\n"
    }
    return "seconds,node,resident_bytes,descriptors,disk_bytes\n" + rows.joined()
  }

  struct Verdict {
    var node: Int
    var measure: SoakMeasure
    /// The greatest values in the second and in the last quarter of the time.
    var before: Double
    var after: Double

    var isLevel: Bool {
      after <= before * (1 + measure.slack.percent / 100) + measure.slack.absolute
    }

    var text: String {
      let numbers = String(format: "%.1f, then %.1f", before, after)
      return "node \(node), \(measure.title): \(numbers): \(isLevel ? "level" : "GROWS")"
    }
  }

  /// Whether the last quarter of the time has taken more than the second one.
  func verdicts(nodes: Int) -> [Verdict] {
    let end = all.last?.seconds ?? 0
    return (0..<nodes).flatMap { node in
      SoakMeasure.allCases.map { measure in
        func greatest(_ from: Double, _ to: Double) -> Double {
          all.filter { $0.node == node && $0.seconds >= end * from && $0.seconds <= end * to }
            .map(measure.value).max() ?? 0
        }
        return Verdict(
          node: node, measure: measure, before: greatest(0.25, 0.5), after: greatest(0.75, 1))
      }
    }
  }
}
