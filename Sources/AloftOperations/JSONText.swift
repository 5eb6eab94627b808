/// Just enough JSON to write, and none to read.
enum JSON {
  case text(String)
  case whole(Int64)
  case number(Double)
  case bool(Bool)
  case null
  case list([JSON])
  case object([(String, JSON)])

  var description: String {
    switch self {
    case .text(let text): Self.quoted(text)
    case .whole(let value): "\(value)"
    // JSON has no words for the infinite.
    case .number(let value): value.isFinite ? "\(value)" : "null"
    case .bool(let value): value ? "true" : "false"
    case .null: "null"
    case .list(let items): "[\(items.map(\.description).joined(separator: ","))]"
    case .object(let fields):
      "{\(fields.map { "\(Self.quoted($0.0)):\($0.1.description)" }.joined(separator: ","))}"
    }
  }

  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
