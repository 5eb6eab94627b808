package import AloftEngine
import CAloftLoop
import Glibc
import Synchronization

/// How a runtime's loops are made.
package struct LoopGroupOptions: Sendable {
  package var eventLoops = 1
  /// Connections of all loops together.
  package var connectionsMax = 65_536
  /// A descriptor table of its own for each loop's thread: the limit then counts per loop.
  package var privateDescriptors = false
  /// Pins loop i to the i-th of these processors.
  package var processors: [Int] = []
  package var loop = EventLoopOptions()

  package init() {}
}

/// The loops of one runtime, each on a thread of its own.
@safe
package final class LoopGroup: @unchecked Sendable {
  // @unchecked: `threads` is written before `start` returns and read by the one who joins.
  package let loops: [EventLoop]
  package let names: Names
  package let options: LoopGroupOptions
  private let drivers: [UVDriver]
  /// Connections of all loops, which the shim counts for as long as their threads live.
  private let connectionsOpen: UnsafeMutablePointer<UInt32>
  private var threads: [uv_thread_t] = []
  private let running = Atomic<Int>(0)
  private let joined = Atomic<Bool>(false)
  private let next = Atomic<Int>(0)
  private var onEnded: (@Sendable () -> Void)?

  /// Descriptors that a loop needs beside its connections: epoll, eventfd, spare, listeners, and
  /// what the process itself goes about opening.
  private static let descriptorsBeside = 32

  /// Checks the limits, makes all loops, and starts their threads.
  package init(_ options: LoopGroupOptions) throws(EngineError) {
    try Self.check(options)
    self.options = options
    var loops: [EventLoop] = []
    var drivers: [UVDriver] = []
    let connectionsOpen = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
    unsafe connectionsOpen.initialize(to: 0)
    unsafe self.connectionsOpen = unsafe connectionsOpen
    let perLoop = min(options.connectionsMax, ConnectionID.slotsMax)
    do throws(EngineError) {
      for position in 0..<options.eventLoops {
        let driver = unsafe try UVDriver(
          connectionsMax: perLoop, open: connectionsOpen, openMax: options.connectionsMax)
        drivers.append(driver)
        var loopOptions = options.loop
        loopOptions.connectionsMax = perLoop
        let loop = try EventLoop(
          position: position, loops: options.eventLoops, options: loopOptions, driver: driver)
        driver.attach(loop)
        loops.append(loop)
      }
    } catch {
      for driver in drivers { driver.close() }
      unsafe connectionsOpen.deallocate()
      throw error
    }
    for loop in loops { loop.setSiblings(loops) }
    names = Names(loops: loops)
    self.loops = loops
    self.drivers = drivers
    try start()
  }

  deinit { unsafe connectionsOpen.deallocate() }

  static func check(_ options: LoopGroupOptions) throws(EngineError) {
    guard options.eventLoops >= 1, options.eventLoops <= ConnectionID.loopsMax else {
      throw EngineError(
        .invalidOption,
        "eventLoops is \(options.eventLoops); 1 to \(ConnectionID.loopsMax) are possible")
    }
    let most = ConnectionID.slotsMax * options.eventLoops
    guard options.connectionsMax >= 1, options.connectionsMax <= most else {
      throw EngineError(
        .invalidOption, "connectionsMax is \(options.connectionsMax); 1 to \(most) are possible")
    }
    var limit: UInt64 = 0
    var used: UInt64 = 0
    let status = unsafe aloft__descriptor_limit(&limit, &used)
    guard status == 0 else {
      throw EngineError(.system, errno: -status, "the descriptor limit can't be read")
    }
    let tables = options.privateDescriptors ? options.eventLoops : 1
    let beside = Int(used) + descriptorsBeside * options.eventLoops
    let each = (options.connectionsMax + tables - 1) / tables
    guard UInt64(each + beside) <= limit else {
      let room = max(0, Int(limit) - beside) * tables
      throw EngineError(
        .descriptorLimit, errno: EMFILE,
        """
        connectionsMax is \(options.connectionsMax), but the descriptor limit of \(limit) leaves \
        room for \(room): \(used) are in use and \(beside - Int(used)) are kept back. Raise it \
        (ulimit -n), lower connectionsMax, or give each event loop a descriptor table of its own
        """)
    }
  }

  private final class Start {
    let group: LoopGroup
    let position: Int
    init(_ group: LoopGroup, _ position: Int) {
      self.group = group
      self.position = position
    }
  }

  private func start() throws(EngineError) {
    running.store(loops.count, ordering: .releasing)
    for position in loops.indices {
      let argument = unsafe Unmanaged.passRetained(Start(self, position))
      var thread = uv_thread_t()
      let status = unsafe aloft__thread_start(
        { argument in
          let start = unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
          start.group.runLoop(start.position)
        }, unsafe argument.toOpaque(), &thread)
      guard status == 0 else {
        unsafe argument.release()
        abandon(from: position)
        throw EngineError(.system, errno: -status, "thread of event loop \(position)")
      }
      threads.append(thread)
    }
  }

  /// The threads up to `position` run, the rest never will.
  private func abandon(from position: Int) {
    running.subtract(loops.count - position, ordering: .acquiringAndReleasing)
    for index in position..<loops.count { drivers[index].close() }
    stopAndJoin()
  }

  private func runLoop(_ position: Int) {
    if options.processors.indices.contains(position) {
      _ = aloft__pin_thread(Int32(options.processors[position]))
    }
    if options.privateDescriptors { _ = aloft__unshare_descriptors() }
    let loop = loops[position]
    loop.enterThread()
    drivers[position].run()
    loop.end()
    drivers[position].close()
    loop.leaveThread()
    if running.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { onEnded?() }
  }

  /// Any thread: the next loop in turn.
  package func nextLoop() -> EventLoop {
    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
    return loops[Int(UInt(bitPattern: index) % UInt(loops.count))]
  }

  /// Ends all loops and waits for their threads. Not from one of them.
  package func stopAndJoin() {
    requestStop()
    guard !joined.exchange(true, ordering: .acquiringAndReleasing) else { return }
    for index in threads.indices { _ = unsafe aloft__thread_join(&threads[index]) }
    for loop in loops { loop.forgetSiblings() }
  }

  package func requestStop() {
    for loop in loops { loop.requestStop() }
  }

  /// Has `action` called, on the last loop's thread, when all have ended. Before `requestStop`.
  package func whenEnded(_ action: @escaping @Sendable () -> Void) { onEnded = action }
}
