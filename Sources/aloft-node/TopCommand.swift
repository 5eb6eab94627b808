import ArgumentParser
import Glibc

/// A node and its cluster on a terminal, drawn anew every so often.
struct TopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top", abstract: "Shows a node and its cluster, and goes on doing so.",
    discussion: "Ends with ctrl-C, or after --count pictures. Without a terminal it just prints.")

  @OptionGroup var node: ControlOption
  @Option(help: "Seconds between two pictures.") var every: Double = 1
  @Option(help: "Pictures to show; without an end if it is left out.") var count: Int?

  func validate() throws {
    guard every.isFinite, every >= 0.1, every <= 3_600 else {
      throw ValidationError("0.1 to 3600 seconds between two pictures are possible")
    }
    guard count ?? 1 > 0 else { throw ValidationError("at least one picture") }
  }

  func run() throws {
    let clears = isatty(1) == 1
    var before: Figures?
    var shown = 0
    while shown < count ?? .max {
      if shown > 0 { usleep(UInt32(every * 1e6)) }
      let figures = Figures(text: try node.exchange("metrics"))
      let picture = TopPicture(
        figures: figures, before: before, elapsed: every,
        status: try node.exchange("status"), members: try node.exchange("members"))
      // Home, each line to its end, and what is left below: nothing flickers.
      print(
        clears
          ? "\u{1B}[H" + picture.lines.map { $0 + "\u{1B}[K\n" }.joined() + "\u{1B}[J"
          : picture.lines.joined(separator: "\n"), terminator: clears ? "" : "\n")
      fflush(nil)
      before = figures
      shown += 1
    }
  }
}

/// Prometheus' text, by name and labels.
struct Figures {
  private var values: [Substring: Double] = [:]

  init(text: String) {
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      guard let space = line.lastIndex(of: " ") else { continue }
      values[line[..<space]] = Double(line[line.index(after: space)...])
    }
  }

  subscript(name: Substring) -> Double { values[name] ?? 0 }

  /// Below which bound 99 of 100 lie, by the classes of a histogram; nil without any.
  func percentile99(_ name: String) -> Double? {
    var classes: [Double: Double] = [:]
    var all = 0.0
    for (key, value) in values where key.hasPrefix("\(name)_bucket{") {
      // The bound is the last of a class's labels.
      let bound = key.split(separator: "\"").dropLast().last ?? ""
      if bound == "+Inf" { all += value } else { classes[Double(bound) ?? 0, default: 0] += value }
    }
    guard all > 0 else { return nil }
    return classes.sorted { $0.key < $1.key }.first { $0.value >= 0.99 * all }?.key ?? .infinity
  }
}

/// One picture, as lines of at most 80 columns.
struct TopPicture {
  let figures: Figures
  let before: Figures?
  let elapsed: Double
  let status: String
  let members: String

  private static let columns = 80

  var lines: [String] {
    ([heading] + work + [""] + table).map { String($0.prefix(Self.columns)) }
  }

  private func said(_ name: String) -> Substring {
    status.split(separator: "\n").first { $0.hasPrefix(name + " ") }?
      .dropFirst(name.count + 1) ?? "-"
  }

  private var heading: String {
    "node \(said("node"))  accepting \(said("accepting"))  leader \(said("leader"))"
      + "  term \(said("term"))  epoch \(said("epoch"))"
  }

  private func rate(_ name: Substring) -> Double {
    before.map { max(0, figures[name] - $0[name]) / elapsed } ?? 0
  }

  private var work: [String] {
    let delay =
      figures.percentile99("aloft_loop_delay_seconds")
      .map { "<= \(Self.time($0))" } ?? "-"
    return [
      "connections \(Int(figures["aloft_connections_open"])) open, "
        + "\(Int(rate("aloft_connections_accepted_total"))) accepted/s   "
        + "received \(Self.bytes(rate("aloft_received_bytes_total")))/s   "
        + "written \(Self.bytes(rate("aloft_written_bytes_total")))/s",
      "sessions \(Int(figures["aloft_cluster_sessions"])), "
        + "\(Int(rate("aloft_session_entries_total"))) writes/s, "
        + "\(Int(figures["aloft_session_requests_held_total"])) had to wait   "
        + "loop delay p99 \(delay)",
      "processor \(Int(100 * rate("process_cpu_seconds_total"))) % of one   "
        + "memory \(Self.bytes(figures["process_resident_memory_bytes"]))   "
        + "failovers \(Int(figures["aloft_failovers_total"]))",
    ]
  }

  /// The members' own table, without what takes more room than there is.
  private var table: [String] {
    let rows = members.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    let shown = rows.map { row in row.count > 9 ? [0, 2, 3, 4, 5, 6, 8, 9].map { row[$0] } : row }
    var widths: [Int] = []
    for row in shown {
      for (index, cell) in row.enumerated() {
        if index == widths.count { widths.append(0) }
        widths[index] = max(widths[index], cell.count)
      }
    }
    return shown.map { row in
      zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
        .joined(separator: "  ")
    }
  }

  private static func bytes(_ value: Double) -> String {
    var value = value
    for unit in ["B", "KiB", "MiB"] {
      if value < 1_024 { return "\((value * 10).rounded() / 10) \(unit)" }
      value /= 1_024
    }
    return "\((value * 10).rounded() / 10) GiB"
  }

  private static func time(_ seconds: Double) -> String {
    seconds < 1e-3
      ? "\(Int((seconds * 1e6).rounded())) us"
      : seconds < 1 ? "\((seconds * 1e4).rounded() / 10) ms" : "1 s or more"
  }
}
