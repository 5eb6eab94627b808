/// Pages of 64 KiB, each at an address that its size divides. They come from the system in regions
/// that double up to 4 MiB, and go back with the store: a page that is free serves again, for
/// whatever needs one, so memory levels off at the most that was ever needed at once.
@safe
struct Pages: ~Copyable {
  static var bytes: Int { 1 << 16 }

  private var regions: [UnsafeMutableRawPointer] = unsafe []
  private var next: UnsafeMutableRawPointer?
  private var left = 0
  private var regionPages = 2
  /// The first word of a free page is the next one's address.
  private var free: UnsafeMutableRawPointer?
  /// Pages that are in use.
  private(set) var used = 0

  deinit {
    for position in unsafe regions.indices { unsafe regions[position].deallocate() }
  }

  mutating func take() -> UnsafeMutableRawPointer {
    used += 1
    if let page = unsafe free {
      unsafe free = page.load(as: UnsafeMutableRawPointer?.self)
      return unsafe page
    }
    if left == 0 {
      let region = UnsafeMutableRawPointer.allocate(
        byteCount: regionPages * Self.bytes, alignment: Self.bytes)
      unsafe regions.append(region)
      unsafe next = region
      left = regionPages
      regionPages = min(2 * regionPages, 64)
    }
    guard let page = unsafe next else { preconditionFailure("a region without pages") }
    unsafe next = page + Self.bytes
    left -= 1
    return unsafe page
  }

  mutating func give(_ page: UnsafeMutableRawPointer) {
    used -= 1
    unsafe page.storeBytes(of: free, as: UnsafeMutableRawPointer?.self)
    unsafe free = page
  }
}
