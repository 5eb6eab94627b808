extension Figure {
  /// One line of the `--json` file, keys in the order of the docs.
  var jsonLine: String {
    let words = [
      ("system", system), ("scenario", scenario), ("config", config), ("figure", self.figure),
    ]
    let strings = words.map { "\"\($0.0)\":\(Self.quoted($0.1))" }.joined(separator: ",")
    return "{\(strings),\"value\":\(Self.number(value)),\"unit\":\(Self.quoted(unit))"
      + ",\"run\":\(run)}"
  }

  /// JSON has no infinity and no NaN: they are null, which no reader takes for a measurement.
  private static func number(_ value: Double) -> String {
    guard value.isFinite else { return "null" }
    return value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : "\(value)"
  }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\u{0}"..<"\u{20}":
        let hex = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
