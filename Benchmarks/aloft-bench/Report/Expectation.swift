/// What a figure is held against: the seed's claim, what others reach on a machine like this one,
/// and the bar that Aloft must clear.
struct Expectation: Sendable {
  enum Bar: Sendable, Equatable {
    case atLeast(Double)
    case atMost(Double)
    case exactly(Double)
    /// As much as another figure of the same scenario, config and system.
    case asMuchAs(figure: String)

    func isMet(by value: Double) -> Bool? {
      switch self {
      case .atLeast(let bar): value >= bar
      case .atMost(let bar): value <= bar
      case .exactly(let bar): value == bar
      case .asMuchAs: nil
      }
    }
  }

  var scenario: String
  /// Words that must all be in the figure's config; none: any config.
  var config: String = ""
  var figure: String
  /// The seed's log, where it has such a figure.
  var seed: Double?
  /// Erlang/OTP 25 here.
  var otp: Double?
  /// The others, strongest first, as text.
  var anchors: String = ""
  var bar: Bar?

  func covers(_ other: Figure) -> Bool {
    guard other.scenario == scenario && other.figure == figure else { return false }
    let words = other.config.split(separator: " ")
    return config.split(separator: " ").allSatisfy { words.contains($0) }
  }
}

/// Figures that count faults: they must be 0 of every system, or the run itself fails.
let accountingFigures: Set<String> = [
  "lost", "lost_after_churn", "lost_acked", "mismatched", "mismatched_after_churn", "duplicated",
  "out_of_order", "unaccounted", "unaccounted_after_churn", "unaccepted",
  "unaccepted_after_churn", "connections_after_drain", "churn_lost",
]
