import CAloft

/// Reads a caller's struct, which may be older or newer than ours and begins with its size.
///
/// A shorter one leaves the rest of `value` as it is. A longer one is taken if what we don't know
/// of it is zero, and refused otherwise: the caller counts on something that we wouldn't do.
package func read<Value: BitwiseCopyable>(
  _ source: UnsafeRawPointer, into value: inout Value, _ name: StaticString
) throws(Failure) {
  let known = MemoryLayout<Value>.size
  let size = unsafe source.loadUnaligned(as: Int.self)
  // A struct's size is a multiple of its alignment; what is neither that nor of a sane size was
  // never set, and reading so far would be reading something else.
  guard size >= MemoryLayout<Int>.size, size <= structBytesMax,
    size % MemoryLayout<Value>.alignment == 0
  else {
    throw Failure(Code.invalid, "\(name).struct_size is \(size): set it to sizeof the struct")
  }
  if size > known {
    for offset in known..<size where unsafe source.load(fromByteOffset: offset, as: UInt8.self) != 0
    {
      throw Failure(
        Code.invalid,
        "\(name) of \(size) bytes sets a field at byte \(offset); this library knows \(known) bytes"
      )
    }
  }
  unsafe withUnsafeMutableBytes(of: &value) { target in
    unsafe target.baseAddress!.copyMemory(from: source, byteCount: min(size, known))
  }
}

private let structBytesMax = 4_096

/// Writes as much of ours as a caller's struct has room for, and zeroes what it has beyond.
package func write<Value: BitwiseCopyable>(
  _ value: Value, to target: UnsafeMutableRawPointer, _ name: StaticString
) throws(Failure) {
  let known = MemoryLayout<Value>.size
  let size = unsafe target.loadUnaligned(as: Int.self)
  guard size >= MemoryLayout<Int>.size, size <= structBytesMax else {
    throw Failure(Code.invalid, "\(name).struct_size is \(size): set it to sizeof the struct")
  }
  unsafe withUnsafeBytes(of: value) { source in
    unsafe target.copyMemory(from: source.baseAddress!, byteCount: min(size, known))
  }
  if size > known {
    unsafe (target + known).initializeMemory(as: UInt8.self, repeating: 0, count: size - known)
  }
  unsafe target.storeBytes(of: size, as: Int.self)
}
