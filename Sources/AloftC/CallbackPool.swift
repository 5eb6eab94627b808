import AloftAtomics
import AloftEngine
import AloftUV
import CAloft
import Synchronization

/// What an `aloft_pool` points to: the resources, a pointer for each slot.
///
/// It is held by the application until `aloft_pool_destroy`, and by its handler until nothing is
/// open any more.
@safe
final class CallbackPool: @unchecked Sendable {
  // @unchecked: a place is touched by whoever has the slot, which the pool's table sees to; the
  // phases are atomic; all else is immutable.
  let home: PoolHome
  let slots: Int
  let waits = WaitTable()
  private let places: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let phases: UnsafeMutablePointer<Atomic<UInt8>>
  /// Where threads on different processors begin to look: the largest power of two of slots.
  private let startMask: Int
  private let tag: UInt64

  /// What the application owes an answer to.
  enum Phase: UInt8 { case none, opening, closing, checking }

  init(
    on loop: EventLoop, _ options: PoolOptions, _ callbacks: PoolCallbacks
  ) throws(Failure) {
    home = try translating { () throws(EngineError) in
      try PoolHome(
        on: loop, limits: options.limits, slots: options.slots, share: options.share,
        handler: callbacks)
    }
    slots = options.slots
    startMask = (1 << (Int.bitWidth - 1 - slots.leadingZeroBitCount)) - 1
    tag = LeaseHandle(pool: home.number, slot: 0, generation: 0).rawValue
    unsafe places = .allocate(capacity: slots)
    unsafe places.initialize(repeating: nil, count: slots)
    unsafe phases = .allocate(capacity: slots)
    for slot in 0..<slots { unsafe (phases + slot).initialize(to: Atomic(0)) }
    callbacks.attach(self)
  }

  deinit {
    unsafe phases.deinitialize(count: slots)
    unsafe phases.deallocate()
    unsafe places.deallocate()
  }

  static func of(_ pointer: OpaquePointer?) throws(Failure) -> CallbackPool {
    guard let pointer = unsafe pointer else { throw .null("pool") }
    return unsafe Unmanaged<CallbackPool>.fromOpaque(UnsafeRawPointer(pointer))
      .takeUnretainedValue()
  }

  var pointer: OpaquePointer {
    unsafe OpaquePointer(Unmanaged.passUnretained(self).toOpaque())
  }

  // MARK: What the application is asked for

  func begin(_ slot: Int, _ phase: Phase) {
    unsafe phases[slot].store(phase.rawValue, ordering: .releasing)
  }

  /// An answer has come: it counts if it is the first, and to what was asked.
  func end(_ slot: UInt32, _ phase: Phase) throws(Failure) -> Int {
    guard slot < slots else {
      throw Failure(Code.stale, "there is no slot \(slot); the pool has \(slots)")
    }
    let (done, _) = unsafe phases[Int(slot)].compareExchange(
      expected: phase.rawValue, desired: Phase.none.rawValue, ordering: .acquiringAndReleasing)
    guard done else {
      throw Failure(Code.stale, "slot \(slot) has no such call under way")
    }
    return Int(slot)
  }

  func setResource(_ slot: Int, _ resource: UnsafeMutableRawPointer?) {
    unsafe places[slot] = unsafe resource
  }

  func resource(_ slot: Int) -> UnsafeMutableRawPointer? { unsafe places[slot] }

  func resource(of lease: UInt64) -> UnsafeMutableRawPointer? {
    unsafe places[LeaseHandle(rawValue: lease).slot]
  }

  // MARK: Leases

  /// A lease of what is idle; 0 when nothing is.
  @inline(__always)
  func tryTake() -> UInt64 {
    let position = home.position
    var lease: UInt64 = 0
    if position >= 0 { lease = home.table.core.takeKept(by: position) }
    if lease == 0 {
      // Threads on different processors begin with different slots.
      lease = home.table.core.takeShared(from: currentProcessor() &* 8 & startMask)
    }
    return lease == 0 ? 0 : lease | tag
  }
}

/// Opens, closes and checks by calling the application.
@safe
final class PoolCallbacks: PoolHandler, @unchecked Sendable {
  // @unchecked: set before the home starts; `held` is cleared with the last call.
  private let callbacks: aloft_pool_callbacks
  private let context: UnsafeMutableRawPointer?
  /// The home holds this, and so the pool until nothing is open any more.
  private var held: CallbackPool?

  init(
    _ source: UnsafePointer<aloft_pool_callbacks>?, _ context: UnsafeMutableRawPointer?
  ) throws(Failure) {
    guard let source = unsafe source else { throw .null("callbacks") }
    var callbacks = aloft_pool_callbacks()
    try unsafe read(source, into: &callbacks, "aloft_pool_callbacks")
    guard unsafe callbacks.on_open != nil else { throw .null("on_open") }
    guard unsafe callbacks.on_close != nil else { throw .null("on_close") }
    self.callbacks = callbacks
    unsafe self.context = unsafe context
    super.init()
  }

  func attach(_ pool: CallbackPool) { held = pool }

  /// It was never started.
  func detach() { held = nil }

  override var hasCheck: Bool { unsafe callbacks.on_check != nil }

  override func drained() {
    held = nil
    unsafe callbacks.on_drained?(context)
  }

  override func open(_ slot: Int, upstream: Int) {
    guard let pool = held else { return }
    pool.begin(slot, .opening)
    unsafe callbacks.on_open(pool.pointer, UInt32(slot), UInt32(upstream), context)
  }

  override func close(_ slot: Int) {
    guard let pool = held else { return }
    let resource = unsafe pool.resource(slot)
    unsafe pool.setResource(slot, nil)
    guard unsafe resource != nil else { return pool.home.closed(slot) }
    pool.begin(slot, .closing)
    unsafe callbacks.on_close(pool.pointer, UInt32(slot), resource, context)
  }

  override func check(_ slot: Int) {
    guard let pool = held else { return }
    let resource = unsafe pool.resource(slot)
    guard let check = unsafe callbacks.on_check, unsafe resource != nil else {
      return pool.home.checked(slot, isSound: true)
    }
    pool.begin(slot, .checking)
    unsafe check(pool.pointer, UInt32(slot), resource, context)
  }
}
