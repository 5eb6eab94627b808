import Aloft
import Synchronization

/// A registry that grows to millions of names: the longest that one registration takes, and one
/// look-up beside it on the other core.
enum RegistryGrowth {
  struct Line: Sendable {
    var name: String
    var value: Double
    var unit: String
  }

  static func run(names: Int) throws -> [Line] {
    // Many names each, so that memory is the names' and not the mailboxes'.
    let rig = try RegistryRig(names: 1_000)
    defer { rig.stop() }
    let bytesBefore = rig.registry.memoryBytes
    let progress = Progressing()
    let outcome = try onEach(rig.loops) { position in
      position == 0 ? try grow(rig, names, progress) : lookUp(rig, names, progress)
    }
    guard rig.registry.nameCount == names else {
      throw BenchError("\(rig.registry.nameCount) of \(names) names are there")
    }
    let bytes = Double(rig.registry.memoryBytes - bytesBefore) / Double(names)
    var lost = 0
    for index in 0..<names where rig.registry.lookUp(RegistryRig.name(index)) == nil { lost += 1 }
    return outcome.flatMap { $0 } + [
      Line(name: "bytes_per_name", value: bytes - 24, unit: "B"),
      Line(name: "lost", value: Double(lost), unit: "names"),
    ]
  }

  /// How far it has grown.
  final class Progressing: Sendable {
    let names = Atomic<Int>(0)
  }

  private static func grow(
    _ rig: RegistryRig, _ names: Int, _ progress: Progressing
  ) throws -> [Line] {
    var longest: UInt64 = 0
    var above = 0
    let start = registryClock()
    for index in 0..<names {
      let name = RegistryRig.name(index)
      let mailbox = rig.mailboxes[index % rig.mailboxes.count]
      let before = registryClock()
      try rig.registry.register(name, mailbox)
      let taken = registryClock() - before
      if taken > longest { longest = taken }
      if taken > 1_000_000 { above += 1 }
      if index & 1_023 == 1_023 { progress.names.store(index + 1, ordering: .releasing) }
    }
    let all = registryClock() - start
    progress.names.store(names, ordering: .releasing)
    return [
      Line(name: "max_pause_us", value: Double(longest) / 1e3, unit: "us"),
      Line(name: "pauses_above_1ms", value: Double(above), unit: "registrations"),
      Line(name: "growth_ms", value: Double(all) / 1e6, unit: "ms"),
    ]
  }

  private static func lookUp(
    _ rig: RegistryRig, _ names: Int, _ progress: Progressing
  ) -> [Line] {
    var longest: UInt64 = 0
    var missed = 0
    var steps = Steps(seed: 3)
    while true {
      let grown = progress.names.load(ordering: .acquiring)
      if grown == names { break }
      if grown == 0 { continue }
      let name = RegistryRig.name(steps.next(below: grown))
      let before = registryClock()
      if rig.registry.lookUp(name) == nil { missed += 1 }
      let taken = registryClock() - before
      if taken > longest { longest = taken }
    }
    return [
      Line(name: "max_lookup_us", value: Double(longest) / 1e3, unit: "us"),
      Line(name: "mismatched", value: Double(missed), unit: "look-ups"),
    ]
  }
}
