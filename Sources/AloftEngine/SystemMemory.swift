package import AloftAtomics
import Glibc

extension HashMemory {
  /// Memory straight from the system, in small pages that are taken as they are touched.
  ///
  /// Not in huge ones: whoever touches one first waits until 2 MiB are zeroes. That is 90 us where
  /// the memory is at hand, but 5 ms on a virtual machine whose host has yet to find it, and a
  /// table promises to stop nobody for more than a millisecond. A small page costs 2 to 10 us then.
  /// The price is 6 % of a look-up among ten million entries, and nothing among a million.
  package static let smallPages = unsafe HashMemory(
    allocate: { bytes in unsafe SystemMemory.map(bytes) },
    release: { start, bytes in unsafe SystemMemory.unmap(start, bytes) },
    yield: { sched_yield() })
}

enum SystemMemory {
  /// Traps when the system has none: a table can't go on without.
  static func map(_ bytes: Int) -> UnsafeMutableRawPointer {
    let start = unsafe mmap(
      nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let start = unsafe start, unsafe start != MAP_FAILED else {
      preconditionFailure("no memory for a hash table: \(bytes) bytes, errno \(errno)")
    }
    // Some systems give huge pages unasked. One that knows none refuses, which is as well.
    unsafe madvise(start, bytes, MADV_NOHUGEPAGE)
    return unsafe start
  }

  static func unmap(_ start: UnsafeMutableRawPointer, _ bytes: Int) {
    unsafe munmap(start, bytes)
  }
}
