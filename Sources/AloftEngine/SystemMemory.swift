package import AloftAtomics
import Glibc

extension HashMemory {
  /// Memory straight from the system, in huge pages where it's large, and taken as it's touched: a
  /// table of millions of entries spans more small pages than the processor has translations for.
  package static let hugePages = unsafe HashMemory(
    allocate: { bytes in unsafe SystemMemory.map(bytes) },
    release: { start, bytes in unsafe SystemMemory.unmap(start, bytes) },
    yield: { sched_yield() })
}

enum SystemMemory {
  /// From this size on, memory is aligned to huge pages and the system is asked for them.
  private static let hugePage = 2 << 20

  /// Traps when the system has none: a table can't go on without.
  static func map(_ bytes: Int) -> UnsafeMutableRawPointer {
    let isHuge = bytes >= hugePage
    let length = isHuge ? bytes + hugePage : bytes
    let start = unsafe mmap(
      nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let start = unsafe start, unsafe start != MAP_FAILED else {
      preconditionFailure("no memory for a hash table: \(bytes) bytes, errno \(errno)")
    }
    if !isHuge { return unsafe start }
    // What lies beside the aligned part goes back at once.
    let head = (hugePage - Int(bitPattern: start) & (hugePage - 1)) & (hugePage - 1)
    if head > 0 { unsafe munmap(start, head) }
    unsafe munmap(start + head + bytes, hugePage - head)
    unsafe madvise(start + head, bytes, MADV_HUGEPAGE)
    return unsafe start + head
  }

  static func unmap(_ start: UnsafeMutableRawPointer, _ bytes: Int) {
    unsafe munmap(start, bytes)
  }
}
