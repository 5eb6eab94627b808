/// A binary heap of numbered items by key, least first, in which an item's key may change. No two
/// keys are equal.
struct IndexedHeap: Sendable {
  private var keys: [UInt64]
  private var heap: [Int32] = []
  /// Where each item lies in the heap; negative when it doesn't.
  private var places: [Int32]

  init(items: Int) {
    keys = Array(repeating: 0, count: items)
    places = Array(repeating: -1, count: items)
  }

  var first: Int? { heap.first.map(Int.init) }

  /// Adds the item, or moves it to where its new key belongs.
  mutating func set(_ item: Int, key: UInt64) {
    keys[item] = key
    if places[item] < 0 {
      places[item] = Int32(heap.count)
      heap.append(Int32(item))
    }
    rise(Int(places[item]))
    sink(Int(places[item]))
  }

  private mutating func put(_ item: Int32, at place: Int) {
    heap[place] = item
    places[Int(item)] = Int32(place)
  }

  private mutating func rise(_ start: Int) {
    let item = heap[start]
    let key = keys[Int(item)]
    var place = start
    while place > 0 {
      let parent = (place - 1) / 2
      guard keys[Int(heap[parent])] > key else { break }
      put(heap[parent], at: place)
      place = parent
    }
    put(item, at: place)
  }

  private mutating func sink(_ start: Int) {
    let item = heap[start]
    let key = keys[Int(item)]
    var place = start
    while 2 * place + 1 < heap.count {
      var child = 2 * place + 1
      if child + 1 < heap.count, keys[Int(heap[child + 1])] < keys[Int(heap[child])] { child += 1 }
      guard keys[Int(heap[child])] < key else { break }
      put(heap[child], at: place)
      place = child
    }
    put(item, at: place)
  }
}
