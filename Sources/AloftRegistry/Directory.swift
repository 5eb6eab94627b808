public import AloftAtomics

/// What the registry's logic asks of whoever runs it. A class to inherit from, so that to ask
/// counts no reference.
open class DirectoryHost: @unchecked Sendable {
  // @unchecked: no stored properties; subclasses prove their own.
  public init() {}

  /// Any thread: whether the owner lives; if so, its end will be told to `Directory.end`.
  open func arrangeEnd(of owner: Target) -> Bool { false }
  /// Any thread: whether the owner lives, as far as can be told from here.
  open func isAlive(_ owner: Target) -> Bool { false }
}

/// The registry's logic: names and groups, whom they stand for, and who hears of it.
///
/// A name leads in its table straight to its target, or, while it is watched, to a ``Record``; a
/// group always to a record. Whoever is named is an *owner*: its names hang on it in ``Bindings``
/// and go away with it.
///
/// To register is first to enter the name in its table, which is when it comes to exist, and then
/// to bind it to its owner. An owner that has ended by then refuses the binding, and the name is
/// taken out again; one that ends later finds it. So no name stays behind.
///
/// **Threads**: any, for all calls, pinned in `Epochs.shared`. No call waits for another thread,
/// but for writers of the same line of a table.
@safe
public final class Directory: @unchecked Sendable {
  // @unchecked: the tables are any thread's; `host` is set once, before any other call.
  let names: NameSpace
  /// For look-ups of names without a step on the way.
  public let looker: NameLooker
  let groups: NameSpace
  let ids: IDSpace<UInt64>
  let wideIDs: IDSpace<WideID>
  let bindings = Bindings()
  /// Records that stand for nobody, by kind: they are in the tables and don't count.
  private let vacant = WordBlock(words: Kind.all * MemoryLine.words)
  private var host: Unmanaged<DirectoryHost>! = nil

  /// Which table a node of ``Bindings`` refers to.
  enum Kind {
    static let name: UInt = 0
    static let id: UInt = 1
    static let wideID: UInt = 2
    static let group: UInt = 3
    static let all = 4
  }

  /// - Parameter seed: random, so that names from outside can't be chosen to meet in one line.
  public init(seed: UInt64, capacity: Int = 0, memory: HashMemory) {
    names = NameSpace(
      kind: Kind.name, table: NameTable(seed: seed, capacity: capacity, memory: memory))
    looker = unsafe NameLooker(names.table.pointee)
    groups = NameSpace(kind: Kind.group, table: NameTable(seed: seed, memory: memory))
    ids = IDSpace(kind: Kind.id, table: IDTable(seed: seed, memory: memory))
    wideIDs = IDSpace(kind: Kind.wideID, table: WideIDTable(seed: seed, memory: memory))
  }

  /// Once, before any other call. `host` outlives the directory's use.
  public func attach(_ host: DirectoryHost) { unsafe self.host = .passUnretained(host) }

  func isAlive(_ owner: Target) -> Bool {
    unsafe host._withUnsafeGuaranteedRef { $0.isAlive(owner) }
  }

  func arrangeEnd(of owner: Target) -> Bool {
    unsafe host._withUnsafeGuaranteedRef { $0.arrangeEnd(of: owner) }
  }

  deinit {
    looker.free()
    names.forEach { _, target in freeRecord(target) }
    groups.forEach { _, target in freeRecord(target) }
    ids.forEach { _, target in freeRecord(target) }
    wideIDs.forEach { _, target in freeRecord(target) }
    names.free()
    groups.free()
    ids.free()
    wideIDs.free()
  }

  private func freeRecord(_ target: Target) -> Bool {
    if target.isRecord {
      let record = Record(target)
      for watch in record.state.watches { unsafe Unmanaged.passUnretained(watch).release() }
      record.free()
    }
    return true
  }

  // MARK: Names

  public func key(_ bytes: UnsafeRawBufferPointer) -> NameKey {
    unsafe names.table.pointee.key(bytes)
  }

  // MARK: What was retired

  /// A block whose first 16 bytes nobody reads any more.
  func retire(_ block: UnsafeMutableRawPointer) {
    unsafe Epochs.shared.retire(block) { block in unsafe block.deallocate() }
  }

  /// The reference that a record had.
  func retire(_ watch: Watch) {
    let node = UnsafeMutablePointer<UInt>.allocate(capacity: 3)
    unsafe node[2] = unsafe UInt(bitPattern: Unmanaged.passUnretained(watch).toOpaque())
    unsafe Epochs.shared.retire(node) { block in
      let node = unsafe block.assumingMemoryBound(to: UInt.self)
      let watch = unsafe UnsafeRawPointer(bitPattern: node[2]).unsafelyUnwrapped
      unsafe Unmanaged<Watch>.fromOpaque(watch).release()
      unsafe block.deallocate()
    }
  }

  // MARK: Counts

  func addVacant(_ kind: UInt, _ change: Int) {
    let line = vacant.memory.advanced(by: Int(kind) * MemoryLine.words)
    var old = line.loadRelaxed(0)
    while true {
      let found = line.compareExchangeRelease(0, old, old &+ UInt(bitPattern: change))
      if found == old { return }
      old = found
    }
  }

  func count<Space: KeySpace & ~Copyable>(_ space: borrowing Space) -> Int {
    let line = vacant.memory.advanced(by: Int(space.kind) * MemoryLine.words)
    return max(0, space.count - Int(bitPattern: line.loadRelaxed(0)))
  }
}
