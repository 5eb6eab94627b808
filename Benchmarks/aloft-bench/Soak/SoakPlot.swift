import Foundation

/// The samples as a drawing that needs nothing else: a panel a measure, a line a node.
struct SoakPlot {
  let samples: SoakSamples

  private static let width = 860.0
  private static let height = 180.0
  private static let left = 70.0
  private static let colours = ["#1b6ca8", "#c8553d", "#3a7d44", "#8f5ea2"]

  var text: String {
    let panels = SoakMeasure.allCases
    let all = Self.height * Double(panels.count) + 30
    let size = "width=\"\(Int(Self.width))\" height=\"\(Int(all))\""
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" \(size) "
      + "viewBox=\"0 0 \(Int(Self.width)) \(Int(all))\" font-family=\"sans-serif\" "
      + "font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      + panels.enumerated().map { panel($1, top: Double($0) * Self.height) }.joined()
      + legend(all - 10) + "</svg>\n"
  }

  private func panel(_ measure: SoakMeasure, top: Double) -> String {
    let greatest = samples.all.map(measure.value).max() ?? 0
    let scale = Self.rounded(greatest)
    let end = max(1, samples.all.last?.seconds ?? 1)
    let (high, low) = (top + 28, top + Self.height - 24)
    func x(_ seconds: Double) -> Double {
      Self.left + (Self.width - Self.left - 20) * seconds / end
    }
    func y(_ value: Double) -> Double { low - (low - high) * value / scale }
    var text = "<text x=\"\(Self.left)\" y=\"\(top + 18)\">\(measure.title)</text>\n"
    for part in [0.0, 0.5, 1.0] {
      text += Self.line(x(0), y(scale * part), x(end), y(scale * part))
      text += Self.label(Self.left - 6, y(scale * part) + 4, "end", Self.number(scale * part))
      text += Self.label(x(end * part), low + 16, "middle", "\(Self.number(end * part / 60)) min")
    }
    for node in Set(samples.all.map(\.node)).sorted() {
      let points = samples.all.filter { $0.node == node }
        .map { String(format: "%.1f,%.1f", x($0.seconds), y(measure.value($0))) }
      let colour = Self.colours[node % Self.colours.count]
      text +=
        "<polyline fill=\"none\" stroke=\"\(colour)\" stroke-width=\"1.5\" "
        + "points=\"\(points.joined(separator: " "))\"/>\n"
    }
    return text
  }

  private func legend(_ y: Double) -> String {
    Set(samples.all.map(\.node)).sorted().map { node in
      let colour = Self.colours[node % Self.colours.count]
      let x = Self.left + Double(node) * 90
      return "<text x=\"\(x)\" y=\"\(y)\" fill=\"\(colour)\">node \(node)</text>\n"
    }.joined()
  }

  private static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
    String(
      format: "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", x1, y1,
      x2, y2)
  }

  private static func label(_ x: Double, _ y: Double, _ anchor: String, _ text: String) -> String {
    String(format: "<text x=\"%.1f\" y=\"%.1f\" fill=\"#666\" text-anchor=\"", x, y)
      + "\(anchor)\">\(text)</text>\n"
  }

  private static func number(_ value: Double) -> String {
    value == value.rounded() ? String(Int(value)) : String(format: "%.1f", value)
  }

  /// The next of 1, 2, 5, 10, 20 … above.
  private static func rounded(_ value: Double) -> Double {
    var step = 1.0
    while true {
      for factor in [1.0, 2, 5] where step * factor >= value { return step * factor }
      step *= 10
    }
  }
}
