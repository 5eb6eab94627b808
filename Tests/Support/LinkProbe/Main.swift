import AloftCluster
import AloftEngine
import AloftMembership
import AloftUV
import CallCounters
import Glibc

/// The number behind a word of the command line.
func argument(_ name: String) -> Int? {
  let words = CommandLine.arguments
  guard let at = words.firstIndex(of: name), at + 1 < words.count else { return nil }
  return Int(words[at + 1])
}

/// Sends messages over a link between two loops, each on a core of its own, as fast as they go, and
/// says how many a second arrived; then makes calls. What the sender's and the receiver's thread
/// allocate and retain meanwhile is counted.
///
/// Fails when a message of 64 bytes or a KiB costs an allocation or a reference count.
///
///     link-probe [--seconds N] [--bytes N]
@main
struct LinkProbe {
  static func main() throws {
    let seconds = argument("--seconds") ?? 3
    var options = LoopGroupOptions()
    options.eventLoops = 2
    options.connectionsMax = 64
    options.processors = [0, 1]
    let group = try LoopGroup(options)
    let sender = Sender(group.loops[0], "sender", 1)
    let receiver = Receiver(group.loops[1], "receiver", 2)
    let address = try receiver.listen()
    try sender.connect(to: address)
    var isClean = true
    let wanted = argument("--bytes")
    for bytes in wanted.map({ [$0] }) ?? [64, 1_024, 65_536] {
      let result = try sender.flood(bytes: bytes, seconds: seconds, receiver)
      print(
        "\(bytes) bytes: \(Int(result.rate)) messages/s, \(Int(result.rate * Double(bytes) / 1e6))"
          + " MB/s; allocations \(result.allocations), retains \(result.retains)"
          + " for \(result.messages) messages (sender's thread)")
      // What a turn costs is shared by its messages: hundreds of them.
      let most = UInt64(result.messages / 20)
      if bytes <= 1_024, result.allocations > most || result.retains > most { isClean = false }
    }
    for outstanding in wanted == nil ? [1, 64, 1_000] : [] {
      let rate = try sender.callAll(outstanding: outstanding, seconds: seconds)
      print("\(outstanding) calls at a time: \(Int(rate)) calls/s")
    }
    try sender.stop()
    try receiver.stop()
    group.stopAndJoin()
    if !isClean { exit(1) }
  }
}

func now() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
