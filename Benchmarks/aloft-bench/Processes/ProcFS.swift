import Foundation

/// The kernel's own figures of processes and of its memory.
enum ProcFS {
  struct Memory {
    var resident = 0
    /// Shared pages divided among those that share them.
    var proportional = 0
    /// Pages of no file: what the process itself took. Code that is touched late isn't growth.
    var anonymous = 0

    static func + (a: Memory, b: Memory) -> Memory {
      Memory(
        resident: a.resident + b.resident, proportional: a.proportional + b.proportional,
        anonymous: a.anonymous + b.anonymous)
    }
  }

  /// Exact (walked page by page), unlike the counters of `status`.
  static func memory(of pid: pid_t) throws -> Memory {
    let text = try read("/proc/\(pid)/smaps_rollup")
    guard let rss = number(after: "Rss:", in: text), let pss = number(after: "Pss:", in: text),
      let anonymous = number(after: "Anonymous:", in: text)
    else { throw BenchError("no Rss, Pss and Anonymous in smaps_rollup of \(pid)") }
    return Memory(
      resident: rss * 1024, proportional: pss * 1024, anonymous: anonymous * 1024)
  }

  static func memory(of pids: [pid_t]) throws -> Memory {
    try pids.map { try memory(of: $0) }.reduce(Memory(), +)
  }

  struct Scheduling {
    /// On a core, user and system.
    var running: Double
    /// Ready to run while another process had the core: what was stolen.
    var waiting: Double
  }

  /// Nanoseconds of all threads alive, since each began.
  static func scheduling(of pid: pid_t) throws -> Scheduling {
    let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")
    return tasks.reduce(into: Scheduling(running: 0, waiting: 0)) { sum, task in
      // A thread may have gone since it was listed.
      let text = (try? read("/proc/\(pid)/task/\(task)/schedstat")) ?? ""
      let words = text.split(separator: " ").compactMap { Double($0) }
      guard words.count >= 2 else { return }
      sum.running += words[0]
      sum.waiting += words[1]
    }
  }

  /// Memory that the kernel holds for sockets: slab objects and buffers, told apart.
  struct Kernel {
    var slab = 0
    var socketBuffers = 0

    var total: Int { slab + socketBuffers }
  }

  static func kernel() throws -> Kernel {
    let sockets = try read("/proc/net/sockstat").split(separator: "\n")
    guard
      let line = sockets.first(where: { $0.hasPrefix("TCP:") }),
      let pages = number(after: "mem", in: String(line))
    else { throw BenchError("/proc/net/sockstat is not as expected") }
    return Kernel(slab: try slab(), socketBuffers: pages * Int(getpagesize()))
  }

  /// What an open socket in an epoll set is made of. Sockets in TIME_WAIT are not open.
  private static let socketCaches: Set<Substring> = [
    "TCP", "TCPv6", "dentry", "ep_head", "eventpoll_epi", "eventpoll_pwq", "filp",
    "lsm_file_cache", "lsm_inode_cache", "request_sock_TCP", "skbuff_fclone_cache",
    "skbuff_head_cache", "skbuff_small_head", "sock_inode_cache",
  ]

  /// Objects in use of those caches; all slab memory where they can't be told apart, because the
  /// kernel merged them or only root may read them.
  private static func slab() throws -> Int {
    let rows = ((try? read("/proc/slabinfo")) ?? "").split(separator: "\n")
      .map { $0.split(separator: " ") }
      .filter { $0.count > 3 && socketCaches.contains($0[0]) }
    if rows.contains(where: { $0[0] == "TCP" }) {
      return rows.reduce(0) { $0 + (Int($1[1]) ?? 0) * (Int($1[3]) ?? 0) }
    }
    guard let slab = number(after: "Slab:", in: try read("/proc/meminfo")) else {
      throw BenchError("no Slab in /proc/meminfo")
    }
    return slab * 1024
  }

  private static func read(_ path: String) throws -> String {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw BenchError("can't read \(path)")
    }
    return text
  }

  private static func number(after key: String, in text: String) -> Int? {
    let words = text.split(whereSeparator: { $0 == " " || $0 == "\n" || $0 == "\t" })
    guard let at = words.firstIndex(where: { $0 == key }), at + 1 < words.count else { return nil }
    return Int(words[at + 1])
  }
}
