import Aloft
import Glibc
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
    var ownLongest: UInt64 = 0
    var ownAbove = 0
    let start = registryClock()
    var index = 0
    while index < names {
      let end = min(index + window, names)
      let ownBefore = threadClock()
      var longestHere: UInt64 = 0
      while index < end {
        let name = RegistryRig.name(index)
        let mailbox = rig.mailboxes[index % rig.mailboxes.count]
        let before = registryClock()
        try rig.registry.register(name, mailbox)
        let taken = registryClock() - before
        if taken > longestHere { longestHere = taken }
        if taken > pauseMax { above += 1 }
        index += 1
      }
      longest = max(longest, longestHere)
      // A pause is not the registry's for longer than its thread ran meanwhile.
      let own = min(longestHere, threadClock() - ownBefore)
      ownLongest = max(ownLongest, own)
      if own > pauseMax { ownAbove += 1 }
      if index & 1_023 == 0 { progress.names.store(index, ordering: .releasing) }
    }
    let all = registryClock() - start
    progress.names.store(names, ordering: .releasing)
    return [
      Line(name: "max_pause_us", value: Double(longest) / 1e3, unit: "us"),
      Line(name: "pauses_above_1ms", value: Double(above), unit: "registrations"),
      Line(name: "max_running_pause_us", value: Double(ownLongest) / 1e3, unit: "us"),
      Line(name: "running_pauses_above_1ms", value: Double(ownAbove), unit: "registrations"),
      Line(name: "growth_ms", value: Double(all) / 1e6, unit: "ms"),
    ]
  }

  private static let pauseMax: UInt64 = 1_000_000
  /// Registrations between two readings of the thread's own clock, which is a system call.
  private static let window = 16

  /// What the calling thread has run, in nanoseconds: a pause in which another had its core is in
  /// the time of day and not in here. What the machine below does is in both, such as finding
  /// memory for a page that the system thought it had.
  private static func threadClock() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
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
