/// A loop's own jobs, in the order in which they came. Tasks that were handed something just now,
/// such as a pool's resource, come before the others: it lies idle until they run.
package struct JobQueue: ~Copyable {
  private var usual = WordQueue()
  private var urgent = WordQueue()
  /// Urgent ones since the last other one, while others waited.
  private var streak = 0
  /// Above 0 while something is being handed over.
  package var handsOver = 0

  /// So many in a row pass those that wait, which come to their turn however many more there are.
  package static var streakMax: Int { 31 }

  package init() {}

  package var count: Int { usual.count + urgent.count }

  package mutating func append(_ word: UInt) {
    let tag = word & EventLoop.Tag.mask
    if handsOver > 0, tag == EventLoop.Tag.task || tag == EventLoop.Tag.executor {
      urgent.append(word)
    } else {
      usual.append(word)
    }
  }

  package mutating func popFirst() -> UInt? {
    if urgent.count > 0, streak < Self.streakMax || usual.count == 0 {
      streak += 1
      return urgent.popFirst()
    }
    streak = 0
    return usual.popFirst()
  }
}
