import AloftAtomics

/// Look-ups by handle in a slot map: what names a connection, a mailbox or a session by its ID.
struct MicroSlots: ~Copyable {
  private var map: SlotMap
  private let handles: UnsafeMutablePointer<SlotHandle>
  private let count: UInt64
  private var order = MicroOrder(state: 42)

  init(count: Int) {
    self.count = UInt64(count)
    map = SlotMap(bytes: 56, slotsMax: count)
    handles = .allocate(capacity: count)
    for index in 0..<count {
      let handle = map.insert()!
      map.find(handle)!.storeBytes(of: UInt64(index), as: UInt64.self)
      (handles + index).initialize(to: handle)
    }
  }

  deinit { handles.deallocate() }

  consuming func serve(cores: [Int]) {
    MicroRound.pin(cores[0])
    MicroRound.serve(ready: nil) { _ in
      MicroRound.measure(count: MicroRound.slice) { slice() }
    }
  }

  /// So many slices and nothing else, to be counted by `script/instructions`: with look-ups, or the
  /// loop around them alone.
  consuming func run(slices: Int, looking: Bool) {
    for _ in 0..<slices {
      if looking { slice() } else { emptySlice() }
    }
  }

  @inline(never)
  private mutating func emptySlice() {
    var sum: UInt32 = 0
    for _ in 0..<MicroRound.slice { sum &+= handles[Int(order.next(count))].generation }
    precondition(sum != 0)
  }

  /// The handles are read from a table in random order: their own cache line counts, too.
  @inline(never)
  private mutating func slice() {
    var missing = 0
    for _ in 0..<MicroRound.slice {
      if map.find(handles[Int(order.next(count))]) == nil { missing &+= 1 }
    }
    precondition(missing == 0, "a handle found nothing")
  }
}
