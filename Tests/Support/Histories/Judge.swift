/// What became of a history under judgement.
public struct Verdict: CustomStringConvertible, Sendable {
  /// Some order of the operations explains all answers.
  public var isLinearizable: Bool { fault == nil }
  /// Nil, or the smallest window that no order explains, or why there is no judgement.
  public let fault: String?
  /// No order exists; else, with a `fault`, the search was given up.
  public let isViolation: Bool
  public let operations: Int
  public let keys: Int
  /// How many configurations the search came through.
  public let configurations: Int

  public var description: String {
    fault ?? "\(operations) operations of \(keys) keys, \(configurations) configurations"
  }
}

/// Whether the history is linearizable: whether there is an order of its operations, key by key,
/// in which each has the answer that `model` gives, and in which none comes after one that began
/// when it was over already (Herlihy and Wing, 1990).
///
/// An answer and an invocation at the same nanosecond count as overlapping. The time grows with
/// the operations as long as few overlap, which is as many as there are threads; it can grow
/// beyond all bounds for a queue that holds a lot, so keep those shallow, or use
/// ``judgeFIFO(_:)``. After `configurationsMax` the verdict is that there is none.
public func judge<Model: SequentialModel>(
  _ history: [Timed<Model.Operation>], _ model: Model, configurationsMax: Int = 20_000_000
) -> Verdict {
  let keys = Dictionary(grouping: history, by: \.key)
  var configurations = 0
  for (key, some) in keys.sorted(by: { $0.key < $1.key }) {
    let operations = some.sorted { $0.invoked < $1.invoked }
    var search = Search(operations, model)
    let outcome = search.run(from: [model.initial], configurationsMax: configurationsMax)
    configurations += search.configurations
    let fault: String? =
      switch outcome {
      case .found: nil
      case .gaveUp: "no judgement of key \(key) after \(search.configurations) configurations"
      case .none:
        Window(operations, model, stuck: search.stuck).text(key: key, of: operations.count)
      }
    if let fault {
      return Verdict(
        fault: fault, isViolation: outcome == .none, operations: history.count, keys: keys.count,
        configurations: configurations)
    }
  }
  return Verdict(
    fault: nil, isViolation: false, operations: history.count, keys: keys.count,
    configurations: configurations)
}
