import Aloft
import Foundation
import Testing

/// `aloft-node` under a service manager, which this test is: it has a socket to be told at, hands
/// over sockets that it has opened, and ends the node.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct ServiceManagerStories {
  @Test(
    "A node says that it is ready, alive, reloading and stopping, and serves what it was handed")
  func life() throws {
    let files = try NodeFiles()
    let manager = try Manager(files)
    let (metrics, control) = (try manager.opens("metrics"), try manager.opens("control"))
    let node = try manager.start(files, ["metrics", "control"])
    defer { node.end() }
    #expect(try manager.told("READY=1") != nil)
    #expect(
      try manager.told("WATCHDOG=1")?.contains("STATUS=accepting; 1 members up, led by a") == true)
    #expect(try manager.told("WATCHDOG=1") != nil)
    let answer = try Manager.ask(metrics, "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(answer)")
    #expect(try Manager.ask(control, "status\n").contains("accepting yes"))

    kill(node.pid, SIGHUP)
    #expect(try manager.told("RELOADING=1")?.contains("\nMONOTONIC_USEC=") == true)
    #expect(try manager.told("READY=1") != nil)
    kill(node.pid, SIGTERM)
    #expect(try manager.told("STOPPING=1") != nil)
    #expect(node.end() == 0)
    // Its names are there for the next.
    #expect(access(metrics, F_OK) == 0 && access(control, F_OK) == 0)
  }

  @Test("A node that hangs says nothing more, and one that can't start never was ready")
  func silence() throws {
    let files = try NodeFiles()
    let manager = try Manager(files)
    let node = try manager.start(files, [])
    defer { node.end() }
    #expect(try manager.told("WATCHDOG=1") != nil)
    kill(node.pid, SIGSTOP)
    manager.forget()
    // A watchdog's time, of which it lets pass a third between two words.
    usleep(UInt32(Manager.watchdogMicroseconds))
    #expect(try manager.told("WATCHDOG=1", waits: false) == nil)
    kill(node.pid, SIGCONT)
    #expect(try manager.told("WATCHDOG=1") != nil)

    kill(node.pid, SIGKILL)

    let others = try NodeFiles()
    let stranger = try Manager(others)
    _ = try stranger.opens("http")
    let other = try stranger.start(others, ["http"])
    #expect(other.end() != 0)
    #expect(try stranger.told("READY=1", waits: false) == nil)
  }
}

/// What systemd does for a service of Type=notify.
private final class Manager {
  /// Long enough that a machine with ten times the work tells in time.
  static let watchdogMicroseconds = 900_000

  private let path: String
  private let descriptor: Int32
  private let folder: (String) -> String
  private var listening: [Int32] = []

  struct Failure: Error { let code = errno }

  init(_ files: NodeFiles) throws {
    folder = files.control
    path = folder("notify")
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard Self.withAddress(path, { bind(descriptor, $0, $1) }) == 0 else { throw Failure() }
  }

  deinit { for open in listening + [descriptor] { close(open) } }

  private static func withAddress(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }

  /// A socket to be handed over.
  func opens(_ name: String) throws -> String {
    let path = folder(name)
    let open = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard Self.withAddress(path, { bind(open, $0, $1) }) == 0, listen(open, 16) == 0 else {
      throw Failure()
    }
    listening.append(open)
    return path
  }

  /// Descriptors are handed over from 3 on, to the process whose number is told.
  func start(_ files: NodeFiles, _ names: [String]) throws -> Started {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // First out of the way of the numbers that they are to have.
    let moved = listening.map { fcntl($0, F_DUPFD_CLOEXEC, 100) }
    defer { for open in moved { close(open) } }
    for (index, open) in moved.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, open, Int32(3 + index))
    }
    let words =
      ["/bin/sh", "-c", "LISTEN_PID=$$ exec \"$0\" \"$@\"", NodeProgram.program.path]
      + ["run", "--name", "a", "--data", files.data("a"), "--key-file", files.keyPath]
      + ["--timing", "relaxed"]
    let environment = [
      "NOTIFY_SOCKET=\(path)", "WATCHDOG_USEC=\(Self.watchdogMicroseconds)",
      "LISTEN_FDS=\(names.count)", "LISTEN_FDNAMES=\(names.joined(separator: ":"))",
    ]
    var (arguments, variables) = (words.map { strdup($0) }, environment.map { strdup($0) })
    defer { for text in arguments + variables { free(text) } }
    arguments.append(nil)
    variables.append(nil)
    var pid: pid_t = 0
    guard posix_spawn(&pid, "/bin/sh", &actions, nil, arguments, variables) == 0 else {
      throw Failure()
    }
    return Started(pid: pid)
  }

  /// The next word that begins so; without waiting, of those that are there.
  func told(_ prefix: String, waits: Bool = true) throws -> String? {
    var chunk = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = recv(descriptor, &chunk, chunk.count, waits ? 0 : Int32(MSG_DONTWAIT))
      if count < 0 && errno == EAGAIN { return nil }
      guard count >= 0 else { throw Failure() }
      let text = String(decoding: chunk.prefix(count), as: UTF8.self)
      if text.hasPrefix(prefix) { return text }
    }
  }

  /// Throws away what it was told.
  func forget() { _ = try? told("no such word", waits: false) }

  static func ask(_ path: String, _ text: String) throws -> String {
    let open = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(open) }
    guard withAddress(path, { connect(open, $0, $1) }) == 0 else { throw Failure() }
    guard send(open, text, text.utf8.count, Int32(MSG_NOSIGNAL)) == text.utf8.count else {
      throw Failure()
    }
    shutdown(open, Int32(SHUT_WR))
    var answer = ""
    var chunk = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = recv(open, &chunk, chunk.count, 0)
      guard count >= 0 else { throw Failure() }
      if count == 0 { return answer }
      answer += String(decoding: chunk.prefix(count), as: UTF8.self)
    }
  }
}

/// A process that was started.
private final class Started {
  let pid: pid_t
  private var status: Int32?

  init(pid: pid_t) { self.pid = pid }

  /// Its exit status; 128 and more for one that was killed, as is who goes on for a minute.
  @discardableResult
  func end() -> Int32 {
    if let status { return status }
    var (word, tries) = (Int32(0), 0)
    while waitpid(pid, &word, WNOHANG) == 0 {
      tries += 1
      if tries == 12_000 { kill(pid, SIGKILL) }
      usleep(5_000)
    }
    let result = word & 0x7F == 0 ? (word >> 8) & 0xFF : 128 + (word & 0x7F)
    status = result
    return result
  }
}
