import ArgumentParser
import Glibc

/// Options that were not given on the command line: from the environment, then from a file.
struct Settings {
  private var file: [String: String] = [:]

  /// - Parameter path: lines of `name = value`; empty ones and those that begin with # count
  ///   nothing.
  init(file path: String?) throws {
    guard let path else { return }
    let text = try Self.read(path)
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    {
      let line = Self.trimmed(line)
      if line.isEmpty || line.hasPrefix("#") { continue }
      guard let equals = line.firstIndex(of: "=") else {
        throw ValidationError(
          "\(path), line \(number + 1): `name = value` is wanted, not `\(line)`")
      }
      let name = Self.trimmed(line[..<equals])
      guard Self.names.contains(name) else {
        throw ValidationError(
          "\(path), line \(number + 1): `\(name)` is no option; there are "
            + Self.names.sorted().joined(separator: ", "))
      }
      file[name] = Self.trimmed(line[line.index(after: equals)...])
    }
  }

  private static let names: Set = [
    "name", "listen", "advertise", "seeds", "key-file", "data", "cluster", "zone", "weight", "role",
    "timing", "control", "session-listen", "loops", "certificate", "private-key", "authorities",
    "plaintext-off-loopback", "metrics-listen", "log",
  ]

  subscript(name: String) -> String? {
    let variable = "ALOFT_NODE_" + name.uppercased().map { $0 == "-" ? "_" : $0 }
    if let value = unsafe getenv(variable) { return unsafe String(cString: value) }
    return file[name]
  }

  private static func trimmed(_ text: some StringProtocol) -> String {
    var text = Substring(text)
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }

  static func read(_ path: String) throws -> String {
    String(decoding: try bytes(path), as: UTF8.self)
  }

  /// A small file, whole.
  static func bytes(_ path: String) throws -> [UInt8] {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      throw ValidationError("\(path) can't be read: \(unsafe String(cString: strerror(errno)))")
    }
    defer { close(file) }
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4_096)
    while all.count < 1 << 20 {
      let count = unsafe chunk.withUnsafeMutableBytes {
        unsafe Glibc.read(file, $0.baseAddress, $0.count)
      }
      if count <= 0 { break }
      all += chunk[..<count]
    }
    return all
  }
}
