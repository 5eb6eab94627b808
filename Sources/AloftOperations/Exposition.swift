/// Figures in Prometheus' text format, version 0.0.4.
package struct Exposition {
  package static let contentType = "text/plain; version=0.0.4; charset=utf-8"
  package private(set) var text = ""
  /// Names that have had their lines of help and type: a name's readings stand together.
  private var told: Set<String> = []

  package init() {}

  package mutating func add(_ readings: [Reading]) {
    // A name's lines must not be torn apart, and pools have the same names.
    var order: [String] = []
    var groups: [String: [Reading]] = [:]
    for reading in readings {
      if groups[reading.name] == nil { order.append(reading.name) }
      groups[reading.name, default: []].append(reading)
    }
    for name in order {
      for reading in groups[name] ?? [] { add(reading) }
    }
  }

  private mutating func add(_ reading: Reading) {
    switch reading.value {
    case .total(let total):
      head(reading.name, "counter", reading.help)
      line(reading.name, reading.labels, "\(total)")
    case .totalSeconds(let total):
      head(reading.name, "counter", reading.help)
      line(reading.name, reading.labels, Self.number(total))
    case .level(let level):
      head(reading.name, "gauge", reading.help)
      line(reading.name, reading.labels, Self.number(level))
    }
  }

  package mutating func add(
    _ histogram: Histogram, name: String, help: String, labels: [(String, String)] = []
  ) {
    head(name, "histogram", help)
    var sum: UInt64 = 0
    for (bound, count) in zip(Histogram.bounds, histogram.counts) {
      sum += count
      line("\(name)_bucket", labels + [("le", Self.number(bound.seconds))], "\(sum)")
    }
    line("\(name)_bucket", labels + [("le", "+Inf")], "\(histogram.count)")
    line("\(name)_sum", labels, Self.number(histogram.sum.seconds))
    line("\(name)_count", labels, "\(histogram.count)")
  }

  private mutating func head(_ name: String, _ type: String, _ help: String) {
    guard told.insert(name).inserted else { return }
    text += "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(type)\n"
  }

  private mutating func line(_ name: String, _ labels: [(String, String)], _ value: String) {
    text += name
    if !labels.isEmpty {
      let list = labels.map { "\($0.0)=\"\(Self.escaped($0.1, quotes: true))\"" }
      text += "{\(list.joined(separator: ","))}"
    }
    text += " \(value)\n"
  }

  private static func escaped(_ value: String, quotes: Bool) -> String {
    var text = ""
    for character in value.unicodeScalars {
      switch character {
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\"" where quotes: text += "\\\""
      default: text.unicodeScalars.append(character)
      }
    }
    return text
  }

  /// Whole numbers without a point, as Prometheus writes them.
  private static func number(_ value: Double) -> String {
    Int64(exactly: value).map { "\($0)" } ?? "\(value)"
  }
}

extension Duration {
  package var seconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }
}
