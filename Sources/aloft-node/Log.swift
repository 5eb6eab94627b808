import AloftNode
import Glibc

/// What an operator reads later: a line an event on standard error, as `key=value` or as JSON.
struct Log: Sendable {
  enum Format: String, CaseIterable { case text, json }

  /// The numbers are syslog's.
  enum Level: Int {
    case critical = 2
    case error, warning, notice, info, debug

    var name: String { "\(self)" }
  }

  let format: Format
  let node: String
  /// Under systemd the journal takes the level from a number before the line.
  let isJournal: Bool

  init(format: Format, node: String) {
    self.format = format
    self.node = node
    isJournal = unsafe getenv("JOURNAL_STREAM") != nil
  }

  /// - Parameter particulars: names without spaces, and their values.
  func write(_ level: Level, _ message: String, _ particulars: [(String, String)] = []) {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    let line = line(level, message, particulars, at: time)
    let bytes = Array(((isJournal ? "<\(level.rawValue)>" : "") + line + "\n").utf8)
    // In one call, so that lines of two threads don't mix.
    _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(2, $0.baseAddress, $0.count) }
  }

  func line(
    _ level: Level, _ message: String, _ particulars: [(String, String)], at time: timespec
  ) -> String {
    let fields =
      [("time", Self.stamp(time)), ("level", level.name), ("message", message), ("node", node)]
      + particulars
    switch format {
    case .json:
      let parts = fields.map { "\(Self.quoted($0.0)):\(Self.quoted($0.1))" }
      return "{\(parts.joined(separator: ","))}"
    case .text:
      return fields.map { "\($0.0)=\(Self.isPlain($0.1) ? $0.1 : Self.quoted($0.1))" }
        .joined(separator: " ")
    }
  }

  private static func isPlain(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x3D }
  }

  /// As JSON has it.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// RFC 3339, in UTC, to the millisecond.
  private static func stamp(_ time: timespec) -> String {
    var parts = unsafe tm()
    var seconds = time.tv_sec
    unsafe gmtime_r(&seconds, &parts)
    func digits(_ value: Int32, _ count: Int) -> String {
      let text = String(value)
      return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }
    let date = unsafe [parts.tm_year + 1_900, parts.tm_mon + 1, parts.tm_mday]
    let clock = unsafe [parts.tm_hour, parts.tm_min, parts.tm_sec]
    return date.map { digits($0, 2) }.joined(separator: "-") + "T"
      + clock.map { digits($0, 2) }.joined(separator: ":")
      + ".\(digits(Int32(time.tv_nsec / 1_000_000), 3))Z"
  }
}

extension Log {
  /// An event of the cluster.
  func write(_ event: Node.Event) {
    switch event {
    case .joined: write(.info, "joined the cluster")
    case .up(let peer): write(.info, "a node is up", Self.of(peer))
    case .suspected(let peer): write(.notice, "a node is silent", Self.of(peer))
    case .cleared(let peer): write(.notice, "a silent node is heard again", Self.of(peer))
    case .dead(let peer): write(.warning, "a node is dead", Self.of(peer))
    case .down(let peer): write(.warning, "the cluster holds a node to be down", Self.of(peer))
    case .left(let peer): write(.notice, "a node has left", Self.of(peer))
    case .slotsChanged: write(.debug, "slots have changed owners")
    case .accepting(true): write(.notice, "accepting: a majority is in reach")
    case .accepting(false): write(.error, "not accepting: no majority is in reach")
    case .refused(let address, let reason):
      write(.warning, "a link was refused", [("address", address), ("why", reason)])
    case .stopped(let reason): write(.critical, "the node has stopped", [("why", reason)])
    }
  }

  private static func of(_ peer: Node.Peer) -> [(String, String)] {
    [("peer", "\(peer.node)"), ("incarnation", "\(peer.incarnation)")]
  }
}
