public import AloftAtomics
internal import AloftEngine
import Glibc

/// The resources of a pool, a place for each slot, and what opens and closes them. It lives until
/// the last resource is closed, however long the `Pool` has been gone.
@safe
@usableFromInline
final class PoolStore<Resource: Sendable>: PoolHandler, @unchecked Sendable {
  // @unchecked: a place is touched by whoever has the slot, which `core` sees to; `home` is set
  // before anybody else knows the store.

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
  /// Where threads on different processors begin to look: the largest power of two of slots.
  @usableFromInline let startMask: Int
  let slots: Int
  private let actions: Actions
  let home: PoolHome

  init(
    on loop: AloftEngine.EventLoop, options: PoolOptions, loops: Int, actions: Actions
  ) throws(PoolError) {
    let limits = try options.limits()
    slots = options.slots
    let relay = PoolRelay()
    do throws(EngineError) {
      home = try PoolHome(
        on: loop, limits: limits, slots: slots, share: options.share(loops: loops),
        handler: relay)
    } catch {
      throw PoolError(.poolLimit, error.message)
    }
    core = home.table.core
    tag = LeaseHandle(pool: home.number, slot: 0, generation: 0).rawValue
    startMask = (1 << (Int.bitWidth - 1 - slots.leadingZeroBitCount)) - 1
    self.actions = actions
    unsafe places = .allocate(capacity: slots)
    unsafe places.initialize(repeating: nil, count: slots)
    super.init()
    relay.store = self
  }

  deinit {
    unsafe places.deinitialize(count: slots)
    unsafe places.deallocate()
  }

  // MARK: What the pool's home asks for

  override var hasCheck: Bool { actions.check != nil }

  override func open(_ slot: Int, upstream: Int) {
    let open = actions.open
    Task(executorPreference: home.loop) {
      do {
        unsafe self.places[slot] = try await open(upstream)
        self.home.opened(slot)
      } catch {
        self.home.openFailed(slot)
      }
    }
  }

  override func close(_ slot: Int) {
    guard let resource = unsafe places[slot] else { return home.closed(slot) }
    unsafe places[slot] = nil
    let close = actions.close
    Task(executorPreference: home.loop) {
      await close(resource)
      self.home.closed(slot)
    }
  }

  override func check(_ slot: Int) {
    guard let check = actions.check, let resource = unsafe places[slot] else {
      return home.checked(slot, isSound: true)
    }
    Task(executorPreference: home.loop) {
      self.home.checked(slot, isSound: await check(resource))
    }
  }

  // MARK: Leases

  /// The calling thread's place among the pool's loops; -1 elsewhere.
  @usableFromInline
  func position() -> Int { PoolHome.position(in: home.loops) }

  /// Threads on different processors begin with different slots.
  @usableFromInline
  func start() -> Int { Int(max(0, sched_getcpu())) &* 8 & startMask }

  /// The second half of a return that was not a plain one. False when there is no such lease.
  @usableFromInline
  func complete(_ result: LeaseReturn, _ lease: UInt64) -> Bool {
    home.complete(result, LeaseHandle(rawValue: lease))
  }

  @usableFromInline
  func giveBack(_ lease: UInt64, _ ending: LeaseEnding) -> Bool {
    home.giveBack(LeaseHandle(rawValue: lease), ending.core)
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

/// Between a pool's home and its store, which know each other: the home holds the store through
/// this until the pool is drained.
final class PoolRelay: PoolHandler, @unchecked Sendable {
  // @unchecked: set before the home starts; `held` is cleared with the last regular call.
  weak var store: PoolHandler? {
    didSet {
      held = store
    }
  }
  private var held: PoolHandler?

  override var hasCheck: Bool { store?.hasCheck ?? false }
  override func open(_ slot: Int, upstream: Int) { store?.open(slot, upstream: upstream) }
  override func close(_ slot: Int) { store?.close(slot) }
  override func check(_ slot: Int) { store?.check(slot) }
  override func drained() { held = nil }
}
