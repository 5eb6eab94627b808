/// What is still to happen in a world, earliest first: a binary heap. What falls on the same
/// nanosecond comes in an order that the seed chooses.
struct SimAgenda {
  enum Happening {
    case turn(SimDriver, token: UInt64)
    case arrive(SimPipe, bytes: Int)
    case end(SimPipe)
    case reset(SimSocket)
    case connectArrives(SimConnect)
    case connectAnswered(SimSocket, status: Int32)
    case heal(SimLink)
    case call(() -> Void)
  }

  private struct Entry {
    let time: UInt64
    let lot: UInt64
    let number: UInt64
    let happening: Happening

    func isBefore(_ other: Entry) -> Bool {
      (time, lot, number) < (other.time, other.lot, other.number)
    }
  }

  private var heap: [Entry] = []
  private var number: UInt64 = 0

  var nextTime: UInt64? { heap.first?.time }

  mutating func add(_ happening: Happening, at time: UInt64, lot: UInt64) {
    number += 1
    heap.append(Entry(time: time, lot: lot, number: number, happening: happening))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].isBefore(heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func popFirst() -> (time: UInt64, happening: Happening)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    return (first.time, first.happening)
  }

  mutating func clear() { heap = [] }

  private mutating func sink() {
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if heap[child].isBefore(heap[least]) { least = child }
      }
      guard least != parent else { return }
      heap.swapAt(least, parent)
      parent = least
    }
  }
}
