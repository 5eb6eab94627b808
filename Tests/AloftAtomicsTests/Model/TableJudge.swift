import Histories

/// Judges what the threads of a table's case were answered: they are explained when some order of
/// all operations, which keeps each thread's, gives every one its answer. (What is over before
/// something else begins is not asked for: the model has no time, and its loads may find anything
/// that C++20 allows.)
enum TableJudge {
  /// How an operation is written down in a model's records: five words.
  static func record(_ model: Model, _ operation: MapOperation, _ key: UInt) {
    func optional(_ value: UInt64?) -> UInt { value.map { UInt($0) + 1 } ?? 0 }
    switch operation {
    case .find(let found): write(model, [0, key, 0, 0, optional(found)])
    case .insert(let value, let found): write(model, [1, key, UInt(value), 0, optional(found)])
    case .replace(let expected, let value, let found):
      write(model, [2, key, UInt(expected), UInt(value), optional(found)])
    case .take(let found): write(model, [3, key, 0, 0, optional(found)])
    default: preconditionFailure("\(operation) is in no case")
    }
  }

  private static func write(_ model: Model, _ words: [UInt]) {
    for word in words { model.record(word) }
  }

  private static func operation(_ words: ArraySlice<UInt>) -> (key: UInt, MapOperation) {
    let words = Array(words)
    let found = words[4] == 0 ? nil : UInt64(words[4] - 1)
    switch words[0] {
    case 0: return (words[1], .find(found))
    case 1: return (words[1], .insert(UInt64(words[2]), found: found))
    case 2:
      return (words[1], .replace(UInt64(words[2]), with: UInt64(words[3]), found: found))
    default: return (words[1], .take(found))
    }
  }

  static func explains(_ records: [[UInt]], initial: [UInt: UInt]) -> Bool {
    let threads = records.map { record in
      stride(from: 0, to: record.count, by: 5).map { operation(record[$0..<($0 + 5)]) }
    }
    let model = MapModel()
    func search(_ done: [Int], _ state: [UInt: UInt64]) -> Bool {
      var isOver = true
      for thread in threads.indices where done[thread] < threads[thread].count {
        isOver = false
        let (key, operation) = threads[thread][done[thread]]
        var value = state[key]
        guard model.apply(operation, to: &value) else { continue }
        var state = state
        state[key] = value
        var done = done
        done[thread] += 1
        if search(done, state) { return true }
      }
      return isOver
    }
    return search(Array(repeating: 0, count: threads.count), initial.mapValues { UInt64($0) })
  }
}
