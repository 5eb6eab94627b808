import CBenchLoad
import Foundation

/// What this machine allows, read and never assumed.
struct Machine {
  var cores: [Int]
  /// The hard limit of descriptors per process; the soft one is raised to it.
  var descriptorsMax: Int
  /// What one reading of the clock costs: it is in every latency below.
  var clockCostNanoseconds: Double
  var executable: String

  static func read() -> Machine {
    var cores = [Int32](repeating: 0, count: 1024)
    let count = Int(bench_cores(&cores, Int32(cores.count)))
    let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return Machine(
      cores: cores.prefix(count).map(Int.init),
      descriptorsMax: Int(clamping: bench_descriptors_raise()),
      clockCostNanoseconds: bench_clock_cost_ns(1_000_000),
      executable: path)
  }

  /// Server and load never share a core, where there are two.
  /// Whether servers and loads keep to a core of their own.
  var pins = true
  var serverCore: Int? { pins && cores.count > 1 ? cores.first : nil }
  var loadCore: Int? { pins && cores.count > 1 ? cores.last : nil }

  /// A program built beside this one.
  func sibling(_ name: String) -> String {
    URL(fileURLWithPath: executable).deletingLastPathComponent().appendingPathComponent(name).path
  }

  /// The checkout that this program was built in, found by looking upward; nil elsewhere.
  var checkout: String? {
    var folder = URL(fileURLWithPath: executable)
    while folder.path != "/" {
      folder.deleteLastPathComponent()
      let peers = folder.appendingPathComponent("Benchmarks/peers").path
      if FileManager.default.fileExists(atPath: peers) { return folder.path }
    }
    return nil
  }

  var summary: String {
    let clock = String(format: "%.0f", clockCostNanoseconds)
    let shared = cores.count > 1 ? "server on core \(cores[0]), load on core \(cores.last!)" : ""
    return "\(cores.count) cores (\(shared)), \(descriptorsMax) descriptors a process, "
      + "one reading of the clock \(clock) ns"
  }
}
