internal import Glibc

/// Pages of 64 KiB, each at an address that its size divides. They come from the system in regions
/// that double up to 4 MiB, and go back with the store: a page that is free serves again, for
/// whatever needs one, so memory levels off at the most that was ever needed at once.
///
/// The largest regions are of the system's huge pages where it has them: the first use of memory
/// costs an eighth then.
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
      let region = unsafe Self.region(regionPages)
      unsafe regions.append(region)
      unsafe next = region
      left = regionPages
      regionPages = min(2 * regionPages, Self.regionPagesMax)
    }
    guard let page = unsafe next else { preconditionFailure("a region without pages") }
    unsafe next = page + Self.bytes
    left -= 1
    return unsafe page
  }

  private static var regionPagesMax: Int { 64 }
  private static var hugePage: Int { 2 << 20 }

  private static func region(_ pages: Int) -> UnsafeMutableRawPointer {
    let isHuge = pages == regionPagesMax
    let region = UnsafeMutableRawPointer.allocate(
      byteCount: pages * bytes, alignment: isHuge ? hugePage : bytes)
    // Without them it's as good, only slower.
    if isHuge { unsafe madvise(region, pages * bytes, MADV_HUGEPAGE) }
    return unsafe region
  }

  mutating func give(_ page: UnsafeMutableRawPointer) {
    used -= 1
    unsafe page.storeBytes(of: free, as: UnsafeMutableRawPointer?.self)
    unsafe free = page
  }
}
