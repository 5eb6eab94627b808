/// Where the hash tables get their memory, and what their writers do while another thread holds
/// the line that they want: two things that this module can't do, since it knows no system.
///
/// C functions, not closures: a table is copied around in registers and counts no reference.
@safe
@frozen
public struct HashMemory: @unchecked Sendable {
  // @unchecked: an address, of what is written once.

  public typealias Allocate = @Sendable @convention(c) (_ bytes: Int) -> UnsafeMutableRawPointer
  public typealias Release =
    @Sendable @convention(c) (_ start: UnsafeMutableRawPointer, _ bytes: Int) -> Void
  public typealias Yield = @Sendable @convention(c) () -> Void

  @unsafe
  @usableFromInline
  struct Functions {
    @usableFromInline let allocate: Allocate
    @usableFromInline let release: Release
    @usableFromInline let yield: Yield
  }

  /// One word, for it's handed on with every table; never freed, for there are few.
  @usableFromInline let functions: UnsafePointer<Functions>

  /// - Parameters:
  ///   - allocate: gives that many zeroed bytes, aligned to 128 at least, or traps. It is asked
  ///     for sizes that double, so it had better take memory as it is first touched (`mmap`):
  ///     to fill half a gigabyte with zeroes would be a pause.
  ///   - release: takes back what `allocate` gave, with the same size.
  ///   - yield: lets another thread run; called by a writer that has waited for a line for some
  ///     time, since the one that holds it may have lost its core.
  public init(
    allocate: @escaping Allocate, release: @escaping Release, yield: @escaping Yield
  ) {
    let functions = UnsafeMutablePointer<Functions>.allocate(capacity: 1)
    unsafe functions.initialize(
      to: Functions(allocate: allocate, release: release, yield: yield))
    unsafe self.functions = UnsafePointer(functions)
  }

  /// Swift's own allocation, filled with zeroes at once, and no yielding: for small tables and
  /// for tests. Growing past a million entries pauses the writer that finds the memory full.
  public static let plain = unsafe HashMemory(
    allocate: { bytes in
      let start = UnsafeMutableRawPointer.allocate(
        byteCount: bytes, alignment: MemoryLine.bytes)
      unsafe start.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
      return unsafe start
    },
    release: { start, _ in unsafe start.deallocate() },
    yield: {})

  @inlinable
  func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
    unsafe functions.pointee.allocate(bytes)
  }
  @inlinable
  func release(_ start: UnsafeMutableRawPointer, _ bytes: Int) {
    unsafe functions.pointee.release(start, bytes)
  }
  @inlinable
  func yield() { unsafe functions.pointee.yield() }
}
