/// What is kept for each of 65,536 streams, in pages of 256 that are made when one of their streams
/// is first used: to find a stream is two loads.
@safe
struct StreamPages<Element>: ~Copyable {
  private let pages: UnsafeMutablePointer<UnsafeMutablePointer<Element>?>
  /// What a stream of a new page begins with.
  var initial: Element

  init(_ initial: Element) {
    self.initial = initial
    unsafe pages = .allocate(capacity: 256)
    unsafe pages.initialize(repeating: nil, count: 256)
  }

  /// Ends it. Not a `deinit`: as a member of what is ended through a pointer, this generic type's
  /// own was not run (Swift 6.3, seen by LeakSanitizer).
  func deallocate() {
    for index in 0..<256 {
      guard let page = unsafe pages[index] else { continue }
      unsafe page.deinitialize(count: 256)
      unsafe page.deallocate()
    }
    unsafe pages.deallocate()
  }

  @inline(__always)
  func find(_ stream: UInt16) -> UnsafeMutablePointer<Element> {
    if let page = unsafe pages[Int(stream >> 8)] { return unsafe page + Int(stream & 0xFF) }
    return unsafe makePage(stream)
  }

  @inline(never)
  private func makePage(_ stream: UInt16) -> UnsafeMutablePointer<Element> {
    let page = UnsafeMutablePointer<Element>.allocate(capacity: 256)
    unsafe page.initialize(repeating: initial, count: 256)
    unsafe pages[Int(stream >> 8)] = unsafe page
    return unsafe page + Int(stream & 0xFF)
  }

  /// Every stream of a page that was made.
  func forEach(_ body: (UInt16, UnsafeMutablePointer<Element>) -> Void) {
    for index in 0..<256 {
      guard let page = unsafe pages[index] else { continue }
      for at in 0..<256 { unsafe body(UInt16(index << 8 | at), page + at) }
    }
  }
}
