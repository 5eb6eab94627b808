/// What a ``Slab`` holds: bits alone, one word of which names the next free one when it's free.
protocol SlabElement: BitwiseCopyable {
  init()
  var nextFree: UInt32 { get set }
}

/// Elements by number, from 1 on, in pages that never move. 0 is none.
@safe
struct Slab<Element: SlabElement>: ~Copyable {
  private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Element>?>
  private let shift: UInt32
  let max: Int
  /// Numbers up to this one were ever used.
  private(set) var last: UInt32 = 0
  private var free: UInt32 = 0
  private(set) var count = 0

  init(max: Int) {
    precondition(max > 0 && max < 1 << 31)
    self.max = max
    // As many as fit into a page, rounded down to a power of two.
    let perPage = Pages.bytes / MemoryLayout<Element>.stride
    shift = UInt32(Int.bitWidth - 1 - perPage.leadingZeroBitCount)
    let capacity = max >> Int(shift) + 1
    unsafe chunks = .allocate(capacity: capacity)
    unsafe chunks.initialize(repeating: nil, count: capacity)
  }

  deinit { unsafe chunks.deallocate() }

  @inline(__always)
  private func address(_ number: UInt32) -> UnsafeMutablePointer<Element> {
    unsafe chunks[Int(number &>> shift)].unsafelyUnwrapped + Int(number & (1 &<< shift &- 1))
  }

  /// Of a number that was taken.
  subscript(number: UInt32) -> Element {
    @inline(__always) unsafeAddress { unsafe UnsafePointer(address(number)) }
    @inline(__always) nonmutating unsafeMutableAddress { unsafe address(number) }
  }

  /// A fresh element's number; nil when there are as many as may be.
  @inline(__always)
  mutating func take(_ pages: inout Pages) -> UInt32? {
    guard count < max else { return nil }
    count &+= 1
    if free != 0 {
      let number = free
      free = self[number].nextFree
      self[number] = Element()
      return number
    }
    last &+= 1
    let chunk = Int(last &>> shift)
    if unsafe chunks[chunk] == nil {
      unsafe chunks[chunk] = pages.take().bindMemory(to: Element.self, capacity: 1 << Int(shift))
    }
    unsafe address(last).initialize(to: Element())
    return last
  }

  mutating func give(_ number: UInt32) {
    count &-= 1
    self[number].nextFree = free
    free = number
  }
}
