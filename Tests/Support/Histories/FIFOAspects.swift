/// Whether the history of an unbounded queue is linearizable, in n log n however many items it
/// holds: for long histories of deep queues, where the search of ``judge(_:_:configurationsMax:)``
/// would take for ever.
///
/// A complete history of a queue, in which no value is pushed twice, is linearizable if it has none
/// of four faults (Henzinger, Sezgin, Vafeiadis: "Aspect-oriented linearizability proofs", 2013): a
/// value that comes out before or without being pushed; one that comes out twice; one that
/// overtakes another though it was pushed after it and taken before it, without overlap; and an
/// "empty" while something was certainly inside all the time. Refusals are not judged: neither
/// "full" nor closing.
public func judgeFIFO(_ history: [Timed<FIFOOperation>]) -> Verdict {
  var aspects = FIFOAspects()
  let fault = aspects.enter(history) ?? aspects.overtaking() ?? aspects.emptiness()
  return Verdict(
    fault: fault, isViolation: fault != nil, operations: history.count, keys: 1, configurations: 0)
}

private struct FIFOAspects {
  private typealias Interval = (invoked: UInt64, responded: UInt64)

  private struct Item {
    let value: UInt64
    let pushed: Interval
    /// At the end of time when it is still inside.
    var popped: Interval = (.max, .max)
  }

  private var items: [Item] = []
  private var empties: [Interval] = []

  mutating func enter(_ history: [Timed<FIFOOperation>]) -> String? {
    var pops: [(value: UInt64, at: Interval)] = []
    var places: [UInt64: Int] = [:]
    for timed in history {
      let at = (timed.invoked, timed.responded)
      switch timed.operation {
      case .push(let value), .pushDropping(let value, _):
        if places.updateValue(items.count, forKey: value) != nil { return "\(value) pushed twice" }
        items.append(Item(value: value, pushed: at))
      case .pop(let value): pops.append((value, at))
      case .popEmpty, .popClosed: empties.append(at)
      case .pushFull, .pushClosed, .close, .depth: break
      }
      if case .pushDropping(_, let value) = timed.operation { pops.append((value, at)) }
    }
    for (value, at) in pops {
      guard let place = places[value] else { return "\(value) popped and never pushed" }
      if items[place].popped.responded != .max { return "\(value) popped twice" }
      if at.responded < items[place].pushed.invoked { return "\(value) popped before its push" }
      items[place].popped = at
    }
    return nil
  }

  func overtaking() -> String? {
    let byPush = items.sorted { $0.pushed.invoked < $1.pushed.invoked }
    let byAnswer = items.sorted { $0.pushed.responded < $1.pushed.responded }
    var earlier = 0
    var last: Item?
    for item in byPush {
      while earlier < byAnswer.count, byAnswer[earlier].pushed.responded < item.pushed.invoked {
        if byAnswer[earlier].popped.invoked > last?.popped.invoked ?? 0 { last = byAnswer[earlier] }
        earlier += 1
      }
      if let last, item.popped.responded < last.popped.invoked {
        return "\(item.value) overtook \(last.value): \(item) \(last)"
      }
    }
    return nil
  }

  /// Merges the times in which some item was certainly inside.
  func emptiness() -> String? {
    var inside: [(from: UInt64, to: UInt64)] = []
    for item in items.sorted(by: { $0.pushed.responded < $1.pushed.responded })
    where item.pushed.responded < item.popped.invoked {
      if let last = inside.last, item.pushed.responded < last.to {
        inside[inside.count - 1].to = max(last.to, item.popped.invoked)
      } else {
        inside.append((item.pushed.responded, item.popped.invoked))
      }
    }
    for empty in empties {
      // The last one that begins before.
      var low = 0
      var high = inside.count
      while low < high {
        let middle = (low + high) / 2
        if inside[middle].from < empty.invoked { low = middle + 1 } else { high = middle }
      }
      if low > 0, inside[low - 1].to > empty.responded {
        return "empty at \(empty), with something inside in \(inside[low - 1])"
      }
    }
    return nil
  }
}
