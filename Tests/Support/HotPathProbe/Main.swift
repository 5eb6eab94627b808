import CallCounters
import Glibc

/// Runs a real server for each way a message can take and counts what its loop's thread calls,
/// message by message after the warm-up: nothing may be allocated and no reference counted. The
/// seeded offenders at the end must be caught, else the counting is broken.
///
///     hotpath-probe [NAME …]     # all cases, or those whose names are given
@main
struct HotPathProbe {
  static let messagesWarm = 1_000
  static let messagesCounted = 10_000

  static func main() async throws {
    let names = CommandLine.arguments.dropFirst()
    var passed = 0
    var failed = 0
    for path in MessagePath.allCases where names.isEmpty || names.contains(path.rawValue) {
      let counts = try await Rig(path).measure(warm: messagesWarm, counted: messagesCounted)
      let isClean =
        counts.allocations + counts.frees + counts.objects + counts.retains + counts.releases == 0
      let isRight = path.isOffender ? counts.reaches(messagesCounted, for: path) : isClean
      if isRight { passed += 1 } else { failed += 1 }
      print(isRight ? "ok  " : "FAIL", path.rawValue, "\(messagesCounted) messages:", counts.text)
    }
    for path in MailboxPath.allCases where names.isEmpty || names.contains(path.rawValue) {
      let counts = try await path.measure(warm: 10 * messagesWarm, counted: messagesCounted)
      let isClean =
        counts.allocations + counts.frees + counts.objects + counts.retains + counts.releases == 0
      if isClean { passed += 1 } else { failed += 1 }
      print(isClean ? "ok  " : "FAIL", path.rawValue, "\(messagesCounted) messages:", counts.text)
    }
    print("\(passed) passed, \(failed) failed")
    if failed > 0 { exit(1) }
  }
}

extension call_counts {
  var text: String {
    "allocations \(allocations), frees \(frees), objects \(objects), "
      + "retains \(retains), releases \(releases)"
  }

  /// What the offender does once a message has been seen at least so often.
  func reaches(_ messages: Int, for path: MessagePath) -> Bool {
    let least = UInt64(messages)
    return switch path {
    case .offendRetain: retains >= least && releases >= least
    case .offendAllocate: allocations >= least && frees >= least
    case .offendBox: objects >= least && allocations >= least
    default: false
    }
  }

  static func - (a: call_counts, b: call_counts) -> call_counts {
    call_counts(
      allocations: a.allocations - b.allocations, frees: a.frees - b.frees,
      objects: a.objects - b.objects, retains: a.retains - b.retains,
      releases: a.releases - b.releases)
  }
}
