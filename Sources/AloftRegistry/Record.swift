import AloftAtomics
import Synchronization

/// What the table's entry points to when a name has more to it than one target: a name that is
/// watched, or a group.
///
/// Its state is one immutable block: the members, the watches, and a number that goes up with each
/// change of the members. To change it is to exchange the block's address for that of a changed
/// copy, so changes of one name have one order, and whoever makes one knows its number and which
/// watches must hear of it. A replaced block is read on by those who found it before, and is
/// freed when none of them can be left (`DirectoryHost.retire`).
///
/// **Threads**: any, inside a section that holds reclamation off. No call waits; a change costs as
/// many steps as the record has members.
@safe
struct Record: Equatable {
  /// The address of its state, and on a line of its own whose turn it is.
  private static let bytes = 2 * MemoryLine.bytes
  /// The first 16 bytes of what is retired are `Epochs`' while others may still read the rest.
  private static let stateWord = 2

  let base: UnsafeMutableRawPointer

  private var memory: HardwareMemory { unsafe HardwareMemory(base: base) }

  init(_ target: Target) {
    unsafe base = unsafe UnsafeMutableRawPointer(bitPattern: UInt(target.word & ~15))
      .unsafelyUnwrapped
  }

  init(members: [Target], watches: [Watch] = []) {
    unsafe base = .allocate(byteCount: Self.bytes, alignment: MemoryLine.bytes)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.bytes)
    let state = RecordState(version: 0, isSealed: false, members: members, watches: watches)
    memory.storeRelease(Self.stateWord, state.address)
  }

  static func == (a: Record, b: Record) -> Bool { unsafe a.base == b.base }

  var target: Target { unsafe Target(word: UInt64(UInt(bitPattern: base)) | 4) }

  @inline(__always)
  var state: RecordState { RecordState(address: memory.loadAcquire(Self.stateWord)) }

  /// Puts `next` in the place of `old`; false when another change came first, and `next` is gone.
  /// With true, `old` is the caller's to retire.
  func exchange(_ old: RecordState, _ next: RecordState) -> Bool {
    if memory.compareExchangeSequential(Self.stateWord, old.address, next.address) == old.address {
      return true
    }
    next.free()
    return false
  }

  /// Takes a number, for whoever picks a member in turn.
  func takeTurn() -> UInt {
    let turn = unsafe (base + MemoryLine.bytes).assumingMemoryBound(to: Atomic<UInt>.self)
    return unsafe turn.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
  }

  /// A record that never came into a table.
  func free() {
    state.free()
    unsafe base.deallocate()
  }
}

/// One state of a ``Record``; immutable once it is published.
///
///     16 bytes for `Epochs` | version | members << 32, sealed << 63, watches |
///     members … | watches …
@safe
struct RecordState {
  let pointer: UnsafeMutablePointer<UInt>

  init(address: UInt) {
    unsafe pointer = unsafe UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }

  init(version: UInt, isSealed: Bool, members: some Collection<Target>, watches: [Watch]) {
    unsafe pointer = .allocate(capacity: Self.first + members.count + watches.count)
    unsafe pointer[2] = version
    unsafe pointer[3] =
      UInt(members.count) << 32 | UInt(watches.count) | (isSealed ? Self.sealed : 0)
    var index = Self.first
    for member in members {
      unsafe pointer[index] = UInt(member.word)
      index += 1
    }
    for watch in watches {
      unsafe pointer[index] = unsafe UInt(bitPattern: Unmanaged.passUnretained(watch).toOpaque())
      index += 1
    }
  }

  private static let sealed: UInt = 1 << 63
  private static let first = 4

  var address: UInt { unsafe UInt(bitPattern: pointer) }
  /// One up with each change of the members.
  var version: UInt { unsafe pointer[2] }
  /// Nothing is changed any more: the entry is about to lead elsewhere.
  var isSealed: Bool { unsafe pointer[3] & Self.sealed != 0 }
  @inline(__always)
  var count: Int { unsafe Int(pointer[3] & ~Self.sealed) >> 32 }
  var watchCount: Int { unsafe Int(pointer[3] & 0xFFFF_FFFF) }

  @inline(__always)
  subscript(index: Int) -> Target { unsafe Target(word: UInt64(pointer[Self.first + index])) }

  func contains(_ member: Target) -> Bool {
    for index in 0..<count where self[index] == member { return true }
    return false
  }

  var members: [Target] { (0..<count).map { self[$0] } }

  /// Alive while the caller's section holds: a watch is let go of by `retire` as well.
  var watches: [Watch] {
    (0..<watchCount).map { index in
      let address = unsafe UnsafeRawPointer(bitPattern: pointer[Self.first + count + index])
      return unsafe Unmanaged<Watch>.fromOpaque(address.unsafelyUnwrapped).takeUnretainedValue()
    }
  }

  func free() { unsafe pointer.deallocate() }
}
