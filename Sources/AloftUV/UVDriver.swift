package import AloftEngine
package import CAloftLoop
import Glibc
import Synchronization

/// Drives an event loop with libuv, through the C shim.
@safe
package final class UVDriver: Driver, @unchecked Sendable {
  // @unchecked: the shim's loop is used on its own thread only; `wake` is made for any.
  let loop: OpaquePointer
  private let isHosted: Bool
  private let isClosed = Atomic<Bool>(false)
  private let wakers = Atomic<Int>(0)
  private var eventLoop: Unmanaged<EventLoop>?
  /// On a host's loop: called when the last handle is gone.
  private var onClosed: (() -> Void)?
  package private(set) var arena: UnsafeRawBufferPointer

  /// Bytes that one receive takes at most, and the arena of one turn's receives.
  private static let readBytes: UInt32 = 64 << 10
  private static let arenaBytes: UInt32 = 256 << 10
  private static let eventsMax: UInt32 = 256

  /// Makes the loop, so that its wake-up can be used by every thread from here on.
  /// - Parameter host: the application's own loop; nil for one of ours.
  /// - Parameter open: counts the connections of all loops that have it, up to `openMax` together;
  ///   it must live as long as they do. Nil: only `connectionsMax` bounds this one.
  package init(
    connectionsMax: Int, host: UnsafeMutablePointer<uv_loop_t>? = nil,
    open: UnsafeMutablePointer<UInt32>? = nil, openMax: Int = 0
  ) throws(EngineError) {
    Self.checkLayout()
    var options = unsafe aloft__options(
      connections_max: UInt32(connectionsMax), events_max: Self.eventsMax,
      arena_bytes: Self.arenaBytes, read_bytes: Self.readBytes, connections_open: open,
      open_max: UInt32(openMax))
    var created: OpaquePointer?
    let place = UnsafeMutablePointer<Unmanaged<UVDriver>?>.allocate(capacity: 1)
    unsafe place.initialize(to: nil)
    var callbacks = unsafe aloft__callbacks(
      context: place,
      prepare: { context in
        unsafe UVDriver.of(context)._withUnsafeGuaranteedRef { $0.prepare() }
      },
      turn: { context, events, count, final in
        unsafe UVDriver.of(context)._withUnsafeGuaranteedRef {
          unsafe $0.turn(events, count, final != 0)
        }
      })
    let status = unsafe aloft__loop_create(&options, host, &callbacks, &created)
    guard status == 0, let loop = unsafe created else {
      unsafe place.deallocate()
      throw EngineError(
        .system, errno: -status, unsafe "event loop: \(String(cString: aloft__error_text(status)))")
    }
    unsafe self.loop = unsafe loop
    isHosted = unsafe host != nil
    unsafe self.place = unsafe place
    var base: UnsafePointer<UInt8>?
    var bytes: UInt32 = 0
    unsafe aloft__loop_arena(loop, &base, &bytes)
    unsafe arena = unsafe UnsafeRawBufferPointer(start: base, count: Int(bytes))
    unsafe place.pointee = unsafe .passUnretained(self)
  }

  /// Where the callbacks find this object, which did not exist when they were given.
  private let place: UnsafeMutablePointer<Unmanaged<UVDriver>?>

  deinit { unsafe place.deallocate() }

  package func attach(_ eventLoop: EventLoop) {
    unsafe self.eventLoop = unsafe .passUnretained(eventLoop)
  }

  /// Runs the loop until `stop`; then closes it. For loops of ours.
  package func run() {
    _ = unsafe aloft__loop_run(loop)
  }

  package func close() {
    endWaking()
    unsafe aloft__loop_close(loop, nil, nil)
  }

  package func whenClosed(_ action: @escaping () -> Void) { onClosed = action }

  // MARK: From the shim

  /// Unmanaged, so that a turn counts no reference.
  @inline(__always)
  private static func of(_ context: UnsafeMutableRawPointer?) -> Unmanaged<UVDriver> {
    unsafe context!.assumingMemoryBound(to: Unmanaged<UVDriver>?.self).pointee!
  }

  private func prepare() -> Int64 {
    unsafe eventLoop!._withUnsafeGuaranteedRef { $0.prepareToSleep() }
  }

  private func turn(_ events: UnsafePointer<aloft__event>?, _ count: UInt32, _ final: Bool) {
    let records = unsafe UnsafeRawPointer(events!).assumingMemoryBound(to: Event.self)
    unsafe eventLoop!._withUnsafeGuaranteedRef {
      unsafe $0.turn(records, count: Int(count), final: final)
    }
  }

  /// The engine's records are the shim's, byte for byte.
  private static func checkLayout() {
    unsafe precondition(
      MemoryLayout<Event>.stride == MemoryLayout<aloft__event>.stride
        && MemoryLayout<Event>.offset(of: \.data) == MemoryLayout<aloft__event>.offset(of: \.data)
        && MemoryLayout<Event>.offset(of: \.length)
          == MemoryLayout<aloft__event>.offset(of: \.length)
        && MemoryLayout<Operation>.stride == MemoryLayout<aloft__operation>.stride
        && MemoryLayout<Operation>.offset(of: \.data)
          == MemoryLayout<aloft__operation>.offset(of: \.data)
        && MemoryLayout<Operation>.offset(of: \.result)
          == MemoryLayout<aloft__operation>.offset(of: \.result),
      "records of the engine and of the shim differ")
  }

  // MARK: Driver

  @inline(__always)
  package func now() -> UInt64 { aloft__now() }

  package func submit(_ operations: UnsafeMutablePointer<Operation>, count: Int) -> Int {
    let records = unsafe UnsafeMutableRawPointer(operations)
      .assumingMemoryBound(to: aloft__operation.self)
    return unsafe Int(aloft__submit(loop, records, UInt32(count)))
  }

  package func exchangeArena(for memory: UnsafeMutableRawPointer) {
    unsafe aloft__loop_exchange_arena(loop, memory.assumingMemoryBound(to: UInt8.self))
    unsafe arena = unsafe UnsafeRawBufferPointer(start: memory, count: arena.count)
  }

  package func connect(
    to address: SocketAddress, from local: SocketAddress?
  ) -> DriverResult<UInt32> {
    var remote = SystemAddress(address)
    guard remote.status == 0 else { return .invalidAddress(remote.status) }
    var slot: UInt32 = 0
    let status: Int32
    if let local {
      var source = SystemAddress(local)
      guard source.status == 0 else { return .invalidAddress(source.status) }
      status = unsafe remote.withPointer { to, toLength in
        unsafe source.withPointer { from, fromLength in
          unsafe aloft__connect(loop, to, toLength, from, fromLength, &slot)
        }
      }
    } else {
      status = unsafe remote.withPointer { unsafe aloft__connect(loop, $0, $1, nil, 0, &slot) }
    }
    return status == 0 ? .success(slot) : .failure(status)
  }

  package func adopt(descriptor: Int32) -> DriverResult<UInt32> {
    var slot: UInt32 = 0
    let status = unsafe aloft__adopt(loop, descriptor, &slot)
    return status == 0 ? .success(slot) : .failure(status)
  }

  package func listen(_ request: ListenRequest) -> DriverResult<SocketAddress> {
    if let descriptor = request.inherited { return listen(request, on: descriptor) }
    var address = SystemAddress(request.address)
    guard address.status == 0 else { return .invalidAddress(address.status) }
    var bound = SystemAddress()
    let status = unsafe address.withPointer { pointer, length in
      unsafe aloft__listen(
        loop, request.index, pointer, length, request.backlog, request.first ? 1 : 0,
        request.handOver ? 1 : 0, &bound.storage, &bound.length)
    }
    guard status == 0 else { return .failure(status) }
    return .success(bound.address ?? request.address)
  }

  private func listen(
    _ request: ListenRequest, on descriptor: Int32
  ) -> DriverResult<SocketAddress> {
    var bound = SystemAddress()
    let status = unsafe aloft__listen_inherited(
      loop, request.index, descriptor, request.handOver ? 1 : 0, &bound.storage, &bound.length)
    guard status == 0 else { return .failure(status) }
    return .success(bound.address ?? request.address)
  }

  package func resumeListener(_ index: UInt16) { _ = unsafe aloft__listener_resume(loop, index) }

  package func closeListener(_ index: UInt16) { unsafe aloft__listener_close(loop, index) }

  package func name(of slot: UInt32, peer: Bool) -> SocketAddress? {
    var name = SystemAddress()
    let status = unsafe aloft__connection_name(
      loop, slot, peer ? 1 : 0, &name.storage, &name.length)
    return status == 0 ? name.address : nil
  }

  package func discard(descriptor: Int32) { _ = Glibc.close(descriptor) }

  package func wake() {
    // Senders may come late: between these two the loop is not closed under them.
    wakers.add(1, ordering: .sequentiallyConsistent)
    if !isClosed.load(ordering: .sequentiallyConsistent) { unsafe aloft__loop_wake(loop) }
    wakers.subtract(1, ordering: .sequentiallyConsistent)
  }

  /// Nobody is about to wake the loop any more when this returns.
  private func endWaking() {
    isClosed.store(true, ordering: .sequentiallyConsistent)
    while wakers.load(ordering: .sequentiallyConsistent) > 0 { sched_yield() }
  }

  package func stop() {
    guard isHosted else {
      unsafe aloft__loop_stop(loop)
      return
    }
    endWaking()
    // The host's loop goes on; ours leaves it, and keeps itself alive until it has.
    let context = unsafe Unmanaged.passRetained(self).toOpaque()
    unsafe aloft__loop_close(
      loop,
      { context in
        let driver = unsafe Unmanaged<UVDriver>.fromOpaque(context!).takeRetainedValue()
        driver.onClosed?()
        driver.onClosed = nil
      }, unsafe context)
  }

  package func allocatePages(bytes: Int) -> UnsafeMutableRawPointer? {
    unsafe aloft__pages_allocate(bytes)
  }

  package func freePages(_ pages: UnsafeMutableRawPointer, bytes: Int) {
    unsafe aloft__pages_free(pages, bytes)
  }
}
