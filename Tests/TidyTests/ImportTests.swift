import Testing

/// Each shipped module imports what its floor allows, and nothing else. SwiftPM holds modules to
/// their declared dependencies; this holds the system's modules, and the manifest, to the floors.
struct ImportTests {
  private static let logic: Set = [
    "AloftRegistry", "AloftPool", "AloftQueue", "AloftSession", "AloftSupervision",
    "AloftMembership",
  ]
  private static let belowEngine: Set = logic.union(["AloftAtomics"])
  private static let belowWings = belowEngine.union(["AloftEngine"])
  private static let wings: Set = ["AloftUV", "AloftSim", "AloftCluster"]
  private static let system: Set = ["Glibc", "Synchronization"]

  /// Nil for a module without a floor.
  static func allowed(_ module: Substring) -> Set<String>? {
    switch module {
    case "AloftAtomics": ["Synchronization"]
    // Sessions are owned by what the membership says owns their slots.
    case "AloftSession": ["AloftAtomics", "AloftMembership"]
    // No C, no clock, no socket, no random source, and not each other.
    case let name where logic.contains(String(name)): ["AloftAtomics", "Synchronization"]
    case "AloftEngine": belowEngine.union(system)
    case "AloftUV": belowWings.union(system).union(["CAloftLoop"])
    case "AloftSim": belowWings.union(system)
    case "aloft-sim": ["AloftSession", "AloftSim", "ArgumentParser"]
    case "AloftCluster": belowWings.union(system).union(["CAloftRaft", "COpenSSL"])
    case "Aloft": belowWings.union(wings).union(system)
    case "AloftTracing": ["Aloft", "AloftNode", "Instrumentation", "Tracing"]
    case "AloftConfiguration": ["Aloft", "AloftNode", "Configuration"]
    case "AloftOperations": system.union(["Aloft", "AloftNode"])
    case "AloftService":
      ["Aloft", "AloftNode", "AloftOperations", "Logging", "Metrics", "ServiceLifecycle"]
    case "aloft-node": system.union(["Aloft", "AloftNode", "AloftOperations", "ArgumentParser"])
    case "AloftNode":
      belowWings.union(["AloftCluster"]).union(system).union(["Aloft"])
    case "AloftSessionClient":
      belowWings.union(["AloftCluster"]).union(system).union(["Aloft", "AloftNode"])
    // CUV for the type alone: an application hands us its own `uv_loop_t`.
    case "AloftC": belowWings.union(wings).union(system).union(["Aloft", "CAloft", "CUV"])
    case "AloftDistributed": ["Aloft", "AloftNode", "Distributed", "Synchronization"]
    case "AloftNodeC":
      belowWings.union(["AloftCluster"]).union(system).union(["AloftC", "CAloft"])
    default: nil
    }
  }

  static func forbidden(_ file: TextFile) -> [Offence] {
    let folders = file.path.split(separator: "/")
    guard folders.count > 2, folders[0] == "Sources" else { return [] }
    guard let allowed = allowed(folders[1]) else {
      return [file.offence(line: 0, "\(folders[1]) has no floor; give it one in ImportTests")]
    }
    return file.lines.indices.compactMap { index in
      guard let module = importedModule(file.lines[index]), !allowed.contains(module) else {
        return nil
      }
      return file.offence(line: index, "\(folders[1]) imports \(module)")
    }
  }

  /// The module that a line imports: the `Module` of `@_spi(X) package import struct Module.Type`.
  private static func importedModule(_ line: Substring) -> String? {
    let words = line.split(separator: " ")
    let access = ["public", "package", "internal", "private", "fileprivate"]
    guard let at = words.firstIndex(of: "import"), at + 1 < words.count,
      words[..<at].allSatisfy({ $0.hasPrefix("@") || access.contains(String($0)) })
    else { return nil }
    let kinds = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
    let name = words[(at + 1)...].first { !kinds.contains(String($0)) }
    return name?.split(separator: ".").first.map(String.init)
  }

  private static let impure = [
    "ContinuousClock", "SuspendingClock", ".random(", "RandomNumberGenerator", "Thread", "Task",
  ]

  /// The logic floor is handed time and randomness.
  static func impure(_ file: TextFile) -> [Offence] {
    guard logic.contains(where: { file.path.hasPrefix("Sources/\($0)/") }) else { return [] }
    return file.lines.indices.compactMap { index in
      let line = file.lines[index]
      guard !line.trimmed.hasPrefix("//"), let word = impure.first(where: { line.contains($0) })
      else { return nil }
      return file.offence(line: index, "logic uses \(word)")
    }
  }

  @Test("Shipped modules import what their floors allow: no Foundation, no wing another wing")
  func imports() throws {
    let files = try Checkout.current.files([".swift"], in: ["Sources"])
    let offences = files.flatMap(Self.forbidden) + files.flatMap(Self.impure)
    #expect(!files.isEmpty)
    #expect(offences.isEmpty, "\(offences.list)")
  }

  @Test(
    "The check sees each kind of forbidden import",
    arguments: [
      ("Sources/Aloft/A.swift", "import Foundation"),
      ("Sources/AloftUV/A.swift", "import AloftSim"),
      ("Sources/AloftCluster/A.swift", "package import CAloftLoop"),
      ("Sources/AloftEngine/A.swift", "internal import AloftUV"),
      ("Sources/AloftQueue/A.swift", "import Glibc"),
      ("Sources/AloftQueue/A.swift", "import struct AloftPool.Pool"),
      ("Sources/AloftAtomics/A.swift", "@testable import AloftEngine"),
      ("Sources/AloftNew/A.swift", "import AloftEngine"),
    ])
  func seeded(path: String, line: String) {
    #expect(Self.forbidden(TextFile(path, "// A.\n\(line)\n")).count == 1)
  }

  @Test("The check lets pass what is allowed, and sees a clock in the logic")
  func seededPure() {
    let fine = "package import AloftEngine\nimport CAloftLoop\n/// Why import Foundation?\n"
    #expect(Self.forbidden(TextFile("Sources/AloftUV/A.swift", fine)).isEmpty)
    let clock = "let now = ContinuousClock.now\n"
    #expect(Self.impure(TextFile("Sources/AloftPool/A.swift", clock)).count == 1)
    #expect(Self.impure(TextFile("Sources/AloftSim/A.swift", clock)).isEmpty)
  }
}
