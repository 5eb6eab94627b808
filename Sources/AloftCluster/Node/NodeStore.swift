import AloftMembership
import Glibc

/// A node's data directory: who it is, in a file of its own, and the log in a folder beside it.
struct NodeStore {
  let directory: String
  var logDirectory: String { directory + "/log" }
  private var identityPath: String { directory + "/identity" }

  private static let magic: UInt64 = 0x31_64_6e_74_66_6f_6c_61  // "aloftnd1"
  private static let bytes = 40

  /// Makes the directory if it is missing.
  init(_ directory: String) throws(NodeError) {
    self.directory = directory
    guard !directory.isEmpty else { throw NodeError("a node needs a data directory") }
    if unsafe mkdir(directory, 0o700) != 0 && errno != EEXIST {
      throw Self.error(
        "the data directory \(directory) can't be made", "make its parent, or name another")
    }
    var status = stat()
    guard unsafe stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw NodeError("\(directory) is no directory: name another for the node's data")
    }
    guard unsafe access(directory, R_OK | W_OK | X_OK) == 0 else {
      throw Self.error("the data directory \(directory) can't be used", "give its owner all rights")
    }
  }

  private static func error(_ what: String, _ remedy: String) -> NodeError {
    NodeError("\(what): \(unsafe String(cString: strerror(errno))); \(remedy)")
  }

  /// Who the node was; nil when it has never been let in.
  func read() throws(NodeError) -> NodeIdentity? {
    let file = unsafe open(identityPath, O_RDONLY | O_CLOEXEC)
    if file < 0 {
      if errno == ENOENT { return nil }
      throw Self.error("\(identityPath) can't be read", "give the node's user the right to")
    }
    defer { close(file) }
    var words = [UInt64](repeating: 0, count: Self.bytes / 8)
    let count = unsafe words.withUnsafeMutableBytes {
      unsafe Glibc.read(file, $0.baseAddress, $0.count)
    }
    guard count == Self.bytes, words[0] == Self.magic, words[4] == Self.sum(words),
      let id = UInt8(exactly: words[2])
    else {
      throw NodeError(
        "\(identityPath) is broken: take the whole directory away, and the node joins as a new one")
    }
    return NodeIdentity(
      cluster: words[1], id: NodeID(rawValue: id), incarnation: Incarnation(rawValue: words[3]))
  }

  /// Durable when it returns: a file beside it takes its name.
  func write(_ identity: NodeIdentity) throws(NodeError) {
    var words = [
      Self.magic, identity.cluster, UInt64(identity.id.rawValue), identity.incarnation.rawValue, 0,
    ]
    words[4] = Self.sum(words)
    let path = identityPath + ".new"
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw Self.error("\(path) can't be written", "see to its directory") }
    let count = unsafe words.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
    let isWritten = count == Self.bytes && fsync(file) == 0
    close(file)
    guard isWritten, unsafe rename(path, identityPath) == 0, syncDirectory() else {
      throw Self.error("\(identityPath) can't be written", "make room on its disk")
    }
  }

  /// Where the others were last: a line each. A hint, so a missing or strange file is none.
  func readContacts() -> [Contact] {
    let file = unsafe open(directory + "/contacts", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    // 254 members, each with an address of 128 bytes at most, come to less.
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe Glibc.read(file, $0.baseAddress, $0.count)
    }
    let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    return text.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ", maxSplits: 2)
      guard words.count == 3, let id = UInt8(words[0]), let incarnation = UInt64(words[1]) else {
        return nil
      }
      return Contact(
        id: NodeID(rawValue: id), incarnation: Incarnation(rawValue: incarnation),
        address: String(words[2]))
    }
  }

  /// Whole or not at all; not held back for the disk.
  func write(_ contacts: [Contact]) {
    let text = contacts.map { "\($0.id.rawValue) \($0.incarnation.rawValue) \($0.address)\n" }
      .joined()
    let path = directory + "/contacts.new"
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard file >= 0 else { return }
    let bytes = Array(text.utf8)
    let count = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(file, $0.baseAddress, $0.count)
    }
    close(file)
    if count == bytes.count { _ = unsafe rename(path, directory + "/contacts") }
  }

  private func syncDirectory() -> Bool {
    let file = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    return fsync(file) == 0
  }

  /// FNV-1a over the words but the last (Fowler, Noll, Vo), against a torn or strange file.
  private static func sum(_ words: [UInt64]) -> UInt64 {
    var sum: UInt64 = 0xcbf2_9ce4_8422_2325
    for word in words.dropLast() {
      for byte in 0..<8 {
        sum ^= word >> UInt64(8 * byte) & 0xff
        sum &*= 0x0000_0100_0000_01b3
      }
    }
    return sum
  }
}
