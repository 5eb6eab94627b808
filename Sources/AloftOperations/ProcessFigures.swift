import Glibc

/// What Prometheus' own libraries tell of every process, under their names.
enum ProcessFigures {
  static func readings() -> [Reading] {
    var usage = rusage()
    unsafe getrusage(RUSAGE_SELF.rawValue, &usage)
    var all = [
      Reading(
        name: "process_cpu_seconds_total",
        value: .totalSeconds(seconds(usage.ru_utime) + seconds(usage.ru_stime)),
        help: "Processor time used, in seconds.")
    ]
    if let pages = words(of: "/proc/self/statm").dropFirst().first.flatMap({ Double($0) }) {
      all.append(
        Reading(
          name: "process_resident_memory_bytes", value: .level(pages * Double(getpagesize())),
          help: "Resident memory, in bytes."))
    }
    if let count = openDescriptors() {
      all.append(
        Reading(
          name: "process_open_fds", value: .level(Double(count)), help: "Descriptors in use."))
    }
    return all
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) * 1e-6
  }

  private static func words(of path: String) -> [Substring] {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var chunk = [UInt8](repeating: 0, count: 256)
    let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    return String(decoding: chunk.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
  }

  private static func openDescriptors() -> Int? {
    guard let folder = unsafe opendir("/proc/self/fd") else { return nil }
    defer { unsafe closedir(folder) }
    var count = 0
    while unsafe readdir(folder) != nil { count += 1 }
    // Without the two links to folders, and the folder itself that is open.
    return count - 3
  }
}
