import Aloft
import Glibc
import Synchronization

/// A registry that grows to millions of names: the longest that one registration takes, and one
/// look-up beside it on the other core. Then, as a control, a loop that does nothing but touch
/// fresh pages: a pause that it has, too, is the machine's.
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
    let control = try onEach(rig.loops) { position in
      position == 0 ? touchPages(bytes: min(256 << 20, names * 32)) : []
    }
    guard rig.registry.nameCount == names else {
      throw BenchError("\(rig.registry.nameCount) of \(names) names are there")
    }
    let bytes = Double(rig.registry.memoryBytes - bytesBefore) / Double(names)
    var lost = 0
    for index in 0..<names where rig.registry.lookUp(RegistryRig.name(index)) == nil { lost += 1 }
    return outcome.flatMap { $0 } + control.flatMap { $0 } + [
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
    var pauses = Pauses()
    let start = registryClock()
    var index = 0
    while index < names {
      let end = min(index + window, names)
      var longestHere: UInt64 = 0
      while index < end {
        let name = RegistryRig.name(index)
        let mailbox = rig.mailboxes[index % rig.mailboxes.count]
        let before = registryClock()
        try rig.registry.register(name, mailbox)
        let taken = registryClock() - before
        if taken > longestHere { longestHere = taken }
        index += 1
      }
      pauses.add(longestHere)
      if index & 1_023 == 0 { progress.names.store(index, ordering: .releasing) }
    }
    let all = registryClock() - start
    progress.names.store(names, ordering: .releasing)
    return pauses.lines(prefix: "") + [
      Line(name: "growth_ms", value: Double(all) / 1e6, unit: "ms")
    ]
  }

  /// Writes to each page of fresh memory once, as whoever makes a table grow does.
  private static func touchPages(bytes: Int) -> [Line] {
    let start = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let start, start != MAP_FAILED else { return [] }
    madvise(start, bytes, MADV_NOHUGEPAGE)
    defer { munmap(start, bytes) }
    var pauses = Pauses()
    var offset = 0
    while offset < bytes {
      var longest: UInt64 = 0
      for _ in 0..<window where offset < bytes {
        let before = registryClock()
        start.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
        longest = max(longest, registryClock() - before)
        offset += 4_096
      }
      pauses.add(longest)
    }
    return pauses.lines(prefix: "control_")
  }

  /// Registrations between two readings of the thread's own clock, which is a system call.
  private static let window = 16

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
