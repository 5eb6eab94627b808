/// Blocks of any size in slabs: pages of blocks of one size, steps of 16 bytes up to 512, eight a
/// doubling up to 8 KiB; what is larger comes from the system. A page whose blocks are all free may
/// become one of another size.
///
/// Source: Jeff Bonwick, "The slab allocator", 1994; the list of pages as in mimalloc (Leijen,
/// Zorn and de Moura, 2019).
@safe
struct ByteSlabs: ~Copyable {
  @safe
  private struct Page {
    var previous: UnsafeMutablePointer<Page>?
    var next: UnsafeMutablePointer<Page>?
    /// The first word of a free block is the next one's address.
    var free: UnsafeMutableRawPointer?
    /// From there on nothing was ever used.
    var untouched: UInt32
    var size: UInt32
    var live: UInt32
    var sizeClass: UInt32
  }

  @safe
  private struct Large {
    var previous: UnsafeMutablePointer<Large>?
    var next: UnsafeMutablePointer<Large>?
  }

  static let largest = 8 << 10
  private static let classes = 32 + 32
  /// The page's head takes a cache line; so does a large block's.
  private static let head = 64

  var pages = Pages()
  /// By size: the pages that have room.
  private let roomy: UnsafeMutablePointer<UnsafeMutablePointer<Page>?>
  private var larges: UnsafeMutablePointer<Large>?
  /// Bytes of large blocks.
  private(set) var largeBytes = 0

  init() {
    unsafe roomy = .allocate(capacity: Self.classes)
    unsafe roomy.initialize(repeating: nil, count: Self.classes)
  }

  deinit {
    unsafe roomy.deallocate()
    var next = unsafe larges
    while let large = unsafe next {
      unsafe next = large.pointee.next
      unsafe UnsafeMutableRawPointer(large).deallocate()
    }
  }

  /// What is held of the system's memory, as far as it is used.
  var bytes: Int { pages.used * Pages.bytes + largeBytes }

  @inline(__always)
  private static func sizeClass(_ bytes: Int) -> Int {
    if bytes <= 512 { return (max(bytes, 1) &- 1) &>> 4 }
    // Eight steps between two powers of two.
    let power = Int.bitWidth &- 1 &- (bytes &- 1).leadingZeroBitCount
    return 32 &+ (power &- 9) &* 8 &+ ((bytes &- 1) &>> (power &- 3)) &- 8
  }

  private static func size(of sizeClass: Int) -> Int {
    if sizeClass < 32 { return (sizeClass + 1) * 16 }
    let (doubling, step) = (sizeClass - 32).quotientAndRemainder(dividingBy: 8)
    return (512 << doubling) / 8 * (8 + step + 1)
  }

  /// How much a block of so many bytes has room for.
  static func room(for bytes: Int) -> Int {
    bytes > largest ? bytes : size(of: sizeClass(bytes))
  }

  // MARK: Taking and giving

  @inline(__always)
  mutating func take(_ bytes: Int) -> UnsafeMutableRawPointer {
    if bytes > Self.largest { return unsafe takeLarge(bytes) }
    let sizeClass = Self.sizeClass(bytes)
    let page = unsafe roomy[sizeClass] ?? makeRoom(sizeClass)
    unsafe page.pointee.live &+= 1
    let block: UnsafeMutableRawPointer
    if let free = unsafe page.pointee.free {
      unsafe block = free
      unsafe page.pointee.free = free.load(as: UnsafeMutableRawPointer?.self)
    } else {
      unsafe block = UnsafeMutableRawPointer(page) + Int(page.pointee.untouched)
      unsafe page.pointee.untouched &+= page.pointee.size
    }
    if unsafe page.pointee.free == nil,
      unsafe Int(page.pointee.untouched) &+ Int(page.pointee.size) > Pages.bytes
    {
      unsafe unlink(page)
    }
    return unsafe block
  }

  @inline(__always)
  mutating func give(_ block: UnsafeMutableRawPointer, _ bytes: Int) {
    if bytes > Self.largest { return unsafe giveLarge(block, bytes) }
    let address = UInt(bitPattern: block) & ~UInt(Pages.bytes &- 1)
    guard let page = unsafe UnsafeMutablePointer<Page>(bitPattern: address) else { return }
    let wasFull =
      unsafe page.pointee.free == nil
      && Int(page.pointee.untouched) &+ Int(page.pointee.size) > Pages.bytes
    unsafe block.storeBytes(of: page.pointee.free, as: UnsafeMutableRawPointer?.self)
    unsafe page.pointee.free = block
    unsafe page.pointee.live &-= 1
    if wasFull { unsafe link(page) }
    if unsafe page.pointee.live == 0 { unsafe retire(page) }
  }

  @inline(never)
  private mutating func makeRoom(_ sizeClass: Int) -> UnsafeMutablePointer<Page> {
    let page = unsafe pages.take().bindMemory(to: Page.self, capacity: 1)
    unsafe page.initialize(
      to: Page(
        previous: nil, next: nil, free: nil, untouched: UInt32(Self.head),
        size: UInt32(Self.size(of: sizeClass)), live: 0, sizeClass: UInt32(sizeClass)))
    unsafe link(page)
    return unsafe page
  }

  /// A page without blocks is free for any size, unless it is the last of its own: else one block
  /// that comes and goes would move a page each time.
  @inline(never)
  private mutating func retire(_ page: UnsafeMutablePointer<Page>) {
    guard unsafe page.pointee.previous != nil || page.pointee.next != nil else { return }
    unsafe unlink(page)
    unsafe pages.give(UnsafeMutableRawPointer(page))
  }

  private mutating func link(_ page: UnsafeMutablePointer<Page>) {
    let sizeClass = unsafe Int(page.pointee.sizeClass)
    unsafe page.pointee.previous = nil
    unsafe page.pointee.next = roomy[sizeClass]
    unsafe roomy[sizeClass]?.pointee.previous = page
    unsafe roomy[sizeClass] = page
  }

  private mutating func unlink(_ page: UnsafeMutablePointer<Page>) {
    if let previous = unsafe page.pointee.previous {
      unsafe previous.pointee.next = page.pointee.next
    } else {
      unsafe roomy[Int(page.pointee.sizeClass)] = page.pointee.next
    }
    unsafe page.pointee.next?.pointee.previous = page.pointee.previous
  }

  // MARK: Large blocks

  @inline(never)
  private mutating func takeLarge(_ bytes: Int) -> UnsafeMutableRawPointer {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.head + bytes, alignment: 16)
    let large = unsafe memory.bindMemory(to: Large.self, capacity: 1)
    unsafe large.initialize(to: Large(previous: nil, next: larges))
    unsafe larges?.pointee.previous = large
    unsafe larges = large
    largeBytes += Self.head + bytes
    return unsafe memory + Self.head
  }

  @inline(never)
  private mutating func giveLarge(_ block: UnsafeMutableRawPointer, _ bytes: Int) {
    let memory = unsafe block - Self.head
    let large = unsafe memory.assumingMemoryBound(to: Large.self)
    if let previous = unsafe large.pointee.previous {
      unsafe previous.pointee.next = large.pointee.next
    } else {
      unsafe larges = large.pointee.next
    }
    unsafe large.pointee.next?.pointee.previous = large.pointee.previous
    largeBytes -= Self.head + bytes
    unsafe memory.deallocate()
  }
}
