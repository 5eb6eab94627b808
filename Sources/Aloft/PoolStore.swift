public import AloftAtomics
internal import AloftEngine

/// The resources of a pool, a place for each slot. It lives until the last one is closed, however
/// long the `Pool` has been gone: whoever has a lease needs not hold it.
@safe
@usableFromInline
final class PoolStore<Resource: Sendable>: @unchecked Sendable {
  // @unchecked: a place is touched by whoever has the slot, which `core` sees to; all else is
  // immutable.

  /// How a resource is opened, closed and checked.
  struct Actions: Sendable {
    var open: @Sendable (Int) async throws -> Resource
    var close: @Sendable (Resource) async -> Void
    var check: (@Sendable (Resource) async -> Bool)?
  }

  @usableFromInline let core: LeaseTableCore<HardwareMemory>
  @usableFromInline let places: UnsafeMutablePointer<Resource?>
  /// The pool's number where a lease has it.
  @usableFromInline let tag: UInt64
  /// Where different threads begin to look: the largest power of two of slots.
  @usableFromInline let startMask: Int
  let slots: Int
  let actions: Actions
  let home: PoolHome

  init(
    on loop: AloftEngine.EventLoop, options: PoolOptions, loops: Int, actions: Actions
  ) throws(PoolError) {
    let limits = try options.limits()
    slots = options.slots
    let opener = PoolOpener<Resource>()
    do throws(EngineError) {
      home = try PoolHome(
        on: loop, limits: limits, slots: slots, share: options.share(loops: loops),
        handler: opener)
    } catch {
      throw PoolError(.poolLimit, error.message)
    }
    core = home.table.core
    tag = LeaseHandle(pool: home.number, slot: 0, generation: 0).rawValue
    startMask = (1 << (Int.bitWidth - 1 - slots.leadingZeroBitCount)) - 1
    self.actions = actions
    unsafe places = .allocate(capacity: slots)
    unsafe places.initialize(repeating: nil, count: slots)
    opener.attach(self)
  }

  deinit {
    unsafe places.deinitialize(count: slots)
    unsafe places.deallocate()
  }

  // MARK: Leases

  /// The calling thread's place among the pool's loops; -1 elsewhere.
  @usableFromInline
  func position() -> Int { home.position }

  /// Threads begin with different slots: their stacks lie 8 MiB apart, one after the other.
  @inlinable @inline(__always)
  func start() -> Int {
    var here: UInt8 = 0
    let address = unsafe withUnsafeMutablePointer(to: &here) { UInt(bitPattern: $0) }
    return Int(bitPattern: address &>> 23) & startMask
  }

  /// The second half of a return that was not a plain one. False when there is no such lease.
  @usableFromInline
  func complete(_ result: LeaseReturn, _ lease: UInt64) -> Bool {
    home.complete(result, LeaseHandle(rawValue: lease))
  }

  @usableFromInline
  func giveBack(_ lease: UInt64, _ ending: LeaseEnding) -> Bool {
    home.giveBack(LeaseHandle(rawValue: lease), ending.core)
  }

  @usableFromInline
  func takeShared() -> UInt64 { core.takeShared(from: start()) }

  /// The end of a loop's lease, without its pool's number, that isn't kept by the loop.
  @usableFromInline
  func giveBackElsewhere(_ lease: UInt64, from position: Int) {
    let result = core.giveBack(LeaseHandle(rawValue: lease), on: position)
    if result != .idle { _ = complete(result, lease | tag) }
  }

  /// The end of a lease that began on no loop: it goes back to the shelf wherever it ends.
  @inlinable
  func giveBackShared(_ lease: UInt64) -> Bool {
    let result = core.giveBack(LeaseHandle(rawValue: lease))
    return result == .idle || complete(result, lease)
  }

  /// The usual end of a lease. False when there is no such lease.
  @inlinable
  func giveBack(_ lease: UInt64) -> Bool {
    let position = position()
    let handle = LeaseHandle(rawValue: lease)
    let result = position < 0 ? core.giveBack(handle) : core.giveBack(handle, on: position)
    return result == .idle || complete(result, lease)
  }

  /// A lease without waiting; 0 when there is none.
  @inlinable
  func tryTake(_ position: Int) -> UInt64 {
    var lease: UInt64 = 0
    if position >= 0 { lease = core.takeKept(by: position) }
    if lease == 0 { lease = core.takeShared(from: start()) }
    return lease == 0 ? 0 : lease | tag
  }

  @inlinable @inline(__always)
  func place(of lease: UInt64) -> UnsafeMutablePointer<Resource?> {
    unsafe places + LeaseHandle(rawValue: lease).slot
  }
}

/// How a borrower gives a resource back.
@usableFromInline
enum LeaseEnding: Sendable {
  case sound, broken, doubtful

  var core: PoolHome.Ending {
    switch self {
    case .sound: .sound
    case .broken: .broken
    case .doubtful: .doubtful
    }
  }
}

/// Opens, closes and checks resources for a pool's home, in tasks on the home's loop.
final class PoolOpener<Resource: Sendable>: PoolHandler, @unchecked Sendable {
  // @unchecked: set before the home starts; `held` is cleared with the last call.
  private unowned(unsafe) var store: PoolStore<Resource>!
  /// The home holds the store until nothing is open any more.
  private var held: PoolStore<Resource>?

  func attach(_ store: PoolStore<Resource>) {
    unsafe self.store = store
    held = store
  }

  override var hasCheck: Bool { unsafe store.actions.check != nil }

  override func drained() { held = nil }

  override func open(_ slot: Int, upstream: Int) {
    guard let store = held else { return }
    Task(executorPreference: store.home.loop) {
      do {
        unsafe store.places[slot] = try await store.actions.open(upstream)
        store.home.opened(slot)
      } catch {
        store.home.openFailed(slot)
      }
    }
  }

  override func close(_ slot: Int) {
    guard let store = held else { return }
    guard let resource = unsafe store.places[slot] else { return store.home.closed(slot) }
    unsafe store.places[slot] = nil
    Task(executorPreference: store.home.loop) {
      await store.actions.close(resource)
      store.home.closed(slot)
    }
  }

  override func check(_ slot: Int) {
    guard let store = held else { return }
    guard let check = store.actions.check, let resource = unsafe store.places[slot] else {
      return store.home.checked(slot, isSound: true)
    }
    Task(executorPreference: store.home.loop) {
      store.home.checked(slot, isSound: await check(resource))
    }
  }
}
