import Aloft
import AloftNode
import ArgumentParser
import Glibc

/// systemd, or who speaks as it does: it is told of the start, of being alive and of the end
/// (sd_notify(3)), and may have opened sockets for this process (sd_listen_fds(3)).
struct ServiceManager: Sendable {
  /// Names of sockets that mean something here, as in `FileDescriptorName=`.
  private static let known: Set = ["metrics", "control"]
  /// systemd hands descriptors over from here on.
  private static let firstDescriptor: Int32 = 3

  private let address: String?
  /// After so long without a word it takes the process for hung; nil when it doesn't look.
  let watchdog: Duration?
  /// Listening sockets by name.
  let sockets: [String: Int32]

  /// Reads the environment, and clears it of what children must not take for theirs.
  init() throws {
    let own = "\(getpid())"
    address = Self.taken("NOTIFY_SOCKET")
    let period = Self.taken("WATCHDOG_USEC").flatMap { Int64($0) }.flatMap { $0 > 0 ? $0 : nil }
    let isWatched = Self.taken("WATCHDOG_PID").map { $0 == own } ?? true
    watchdog = isWatched ? period.map { .microseconds($0) } : nil
    let isOurs = Self.taken("LISTEN_PID") == own
    let count = Self.taken("LISTEN_FDS").flatMap { Int32($0) } ?? 0
    let names = Self.taken("LISTEN_FDNAMES") ?? ""
    sockets = isOurs ? try Self.sockets(count, names) : [:]
  }

  private static func sockets(_ count: Int32, _ text: String) throws -> [String: Int32] {
    let names = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    var sockets: [String: Int32] = [:]
    for index in 0..<min(max(0, count), 64) {
      let name = Int(index) < names.count ? names[Int(index)] : "unknown"
      guard known.contains(name), sockets[name] == nil else {
        throw ValidationError(
          "a socket was passed as `\(name)`: FileDescriptorName= is metrics or control, each once")
      }
      sockets[name] = firstDescriptor + index
    }
    return sockets
  }

  private static func taken(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    let text = unsafe String(cString: value)
    unsafe unsetenv(name)
    return text
  }

  /// Lines of `NAME=value`, if somebody listens. A manager that has gone is no reason to fail.
  func tell(_ text: String) {
    guard let address else { return }
    let file = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard file >= 0 else { return }
    defer { close(file) }
    var to = sockaddr_un()
    to.sun_family = sa_family_t(AF_UNIX)
    // An @ stands for the NUL of the abstract name space.
    var path = Array(address.utf8)
    guard path.count < MemoryLayout.size(ofValue: to.sun_path), !path.isEmpty else { return }
    if path[0] == UInt8(ascii: "@") { path[0] = 0 }
    unsafe withUnsafeMutableBytes(of: &to.sun_path) { unsafe $0.copyBytes(from: path) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
    let bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeBytes { bytes in
      unsafe withUnsafePointer(to: &to) {
        unsafe sendto(
          file, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL),
          UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self), length)
      }
    }
  }

  /// Says that it is alive for as long as each loop takes work, and how the cluster stands. Until
  /// the task is cancelled or the node has ended.
  func attend(_ node: Node, _ runtime: Runtime) async {
    guard address != nil else { return }
    // Half of it is what sd_watchdog_enabled(3) says; a third bears a late one.
    let interval = watchdog.map { $0 / 3 } ?? .seconds(5)
    do {
      while let status = await node.status() {
        for loop in runtime.eventLoops { try await loop.run {} }
        let leader = status.members.first { $0.node == status.leader }?.name ?? "nobody"
        let members = status.members.count { $0.state == .up }
        tell(
          (watchdog == nil ? "" : "WATCHDOG=1\n")
            + "STATUS=\(status.isAccepting ? "accepting" : "not accepting: no majority"); "
            + "\(members) members up, led by \(leader)")
        try await Task.sleep(for: interval)
      }
    } catch {
      // It ends: that is told elsewhere.
    }
  }

  /// Before a reload; after it, `READY=1`.
  func tellReloading() {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    tell("RELOADING=1\nMONOTONIC_USEC=\(time.tv_sec * 1_000_000 + time.tv_nsec / 1_000)")
  }
}
