/// The smallest part of a history that shows its fault: from the last moment at which nothing was
/// under way to the first answer that no order explains.
///
/// What was answered later can't excuse it, and what came before that moment matters only by the
/// states that it may have led to.
struct Window<Model: SequentialModel> {
  private var operations: [Timed<Model.Operation>] = []
  private var states: [Model.State]?
  private var stuck: Timed<Model.Operation>

  /// `all` are sorted by invocation; `stuck` is the one whose answer can't be explained.
  init(_ all: [Timed<Model.Operation>], _ model: Model, stuck: Int) {
    self.stuck = all[stuck]
    var start = 0
    var answered: UInt64 = 0
    for index in 0...stuck {
      if all[index].invoked > answered { start = index }
      answered = max(answered, all[index].responded)
    }
    states = Self.ends(of: Array(all[..<start]), model)
    operations = all[(states == nil ? 0 : start)...].filter {
      $0.invoked <= all[stuck].responded
    }
  }

  /// The states after `operations`; nil when there are too many to find out or to tell.
  private static func ends(
    of operations: [Timed<Model.Operation>], _ model: Model
  ) -> [Model.State]? {
    if operations.isEmpty { return [model.initial] }
    var states: Set<Model.State> = []
    var search = Search(operations, model)
    let outcome = search.run(from: [model.initial], configurationsMax: 1_000_000) {
      states.insert($0)
    }
    return outcome == .gaveUp || states.count > 16 ? nil : Array(states)
  }

  private let linesMax = 60
  private let columns: UInt64 = 30

  func text(key: UInt64, of count: Int) -> String {
    var lines = [
      "key \(key): no order explains the answers of these \(operations.count) operations"
        + " (of \(count)); the last answer that can't be is marked"
    ]
    if let states {
      lines.append("before them: " + states.map { "\($0)" }.joined(separator: ", or "))
    }
    if operations.count > linesMax { lines.append("… \(operations.count - linesMax) before") }
    for timed in operations.suffix(linesMax) { lines.append(line(timed)) }
    return lines.joined(separator: "\n")
  }

  private func line(_ timed: Timed<Model.Operation>) -> String {
    let start = operations.suffix(linesMax).first!.invoked
    let length = max(stuck.responded - start, 1)
    let from = (timed.invoked - start) * columns / length
    let to = min((min(timed.responded, stuck.responded) - start) * columns / length, columns)
    let bar = (0...columns).map { from...to ~= $0 ? "=" : " " }.joined()
    let isStuck = timed.invoked == stuck.invoked && timed.thread == stuck.thread
    let times = "\(timed.invoked - start)…\(timed.responded - start) ns"
    return "\(isStuck ? ">" : " ") |\(bar)| thread \(timed.thread) \(timed.operation), \(times)"
  }
}
