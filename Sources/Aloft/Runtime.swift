internal import AloftEngine
internal import AloftUV
import Synchronization

/// The event loops of an application, and what runs on them.
///
/// ```swift
/// let runtime = try Runtime(.init(eventLoops: 2))
/// let listener = try await runtime.listen(on: .init("127.0.0.1", 7777), handler: Echo())
/// …
/// await runtime.shutdown(within: .seconds(5))
/// ```
/// All methods may be called from any thread or task. A runtime that is released without having
/// been shut down ends at once, and whoever releases it waits for its threads.
public final class Runtime: Sendable {
  let group: LoopGroup
  /// A bit for each listener index in use.
  private let listenerIndices = Atomic<UInt64>(0)
  private let isShutDown = Atomic<Bool>(false)

  /// Starts the loops' threads.
  /// - Throws: `invalidOption`, `descriptorLimit` when the process may not hold as many descriptors
  ///   as `connectionsMax` asks for, `loopLimit`, `system`.
  public init(_ options: Options = .init()) throws(AloftError) {
    let groupOptions = try options.groupOptions()
    do throws(EngineError) {
      group = try LoopGroup(groupOptions)
    } catch {
      throw AloftError(error)
    }
  }

  deinit {
    if !isShutDown.load(ordering: .acquiring) { group.stopAndJoin() }
  }

  /// Makes a runtime, passes it to `body`, and shuts it down when that is done.
  public static func with<Value>(
    _ options: Options = .init(), drain: Duration = .seconds(5),
    _ body: (Runtime) async throws -> Value
  ) async throws -> Value {
    let runtime = try Runtime(options)
    do {
      let value = try await body(runtime)
      await runtime.shutdown(within: drain)
      return value
    } catch {
      await runtime.shutdown(within: .zero)
      throw error
    }
  }

  public var eventLoops: [EventLoop] { group.loops.map { EventLoop($0) } }

  /// The loops in turn.
  public func nextEventLoop() -> EventLoop { EventLoop(group.nextLoop()) }

  /// Has `body` run on a loop; see `EventLoop.execute`.
  public func execute(on loop: EventLoop, _ body: sending @escaping () -> Void) throws(AloftError) {
    try loop.execute(body)
  }

  /// Counters of all loops since the start. Exact, but loops go on while they are added up.
  public var statistics: Statistics {
    var sum = StatisticsSnapshot()
    for loop in group.loops { sum.add(loop.statistics) }
    return Statistics(sum)
  }

  // MARK: Listening

  /// Listens, on every loop, and tells `handler` of what arrives.
  ///
  /// TCP listeners are one per loop, and the system deals connections out among them. A Unix-domain
  /// socket has one, whose loop deals them out in turn (or keeps them, with private descriptors).
  ///
  /// - Parameter backlog: connections that may wait to be accepted; the system has its own bound.
  /// - Throws: `system` (`EADDRINUSE`, `EACCES` …), `listenerLimit`, `invalidOption`, `closed`.
  public func listen(
    on address: SocketAddress, options: ConnectionOptions = .init(), backlog: Int = 4_096,
    handler: some ConnectionHandler
  ) async throws -> Listener {
    try await listen(
      on: address, backlog: backlog, HandlerAdapter(handler, settings: options.settings()))
  }

  /// The same on a socket that listens already: one that a service manager has opened and handed to
  /// this process. One loop accepts there and deals connections out in turn.
  ///
  /// - Parameter descriptor: the runtime's from now on, unless this throws. The file of a
  ///   Unix-domain socket stays when the listener is closed, for whoever inherits it next.
  /// - Throws: `system` (`EINVAL` for what doesn't listen, `EBADF` …), `listenerLimit`,
  ///   `invalidOption`, `closed`.
  public func listen(
    inherited descriptor: Int32, options: ConnectionOptions = .init(),
    handler: some ConnectionHandler
  ) async throws -> Listener {
    try await listen(
      inherited: descriptor, HandlerAdapter(handler, settings: options.settings()))
  }

  func listen(
    inherited descriptor: Int32, _ handler: AloftEngine.ConnectionHandler
  ) async throws -> Listener {
    guard !isShutDown.load(ordering: .acquiring) else { throw AloftError.runtimeClosed }
    let index = try claimListenerIndex()
    let sharesOne = !group.options.privateDescriptors && group.loops.count > 1
    var request = ListenRequest(
      index: UInt16(index), address: .unix(path: "descriptor \(descriptor)"), backlog: 0,
      first: true, handOver: sharesOne)
    request.inherited = descriptor
    let wanted = request
    let loop = group.loops[0]
    do {
      for sibling in group.loops.dropFirst() {
        try await EventLoop(sibling).run { sibling.setListenerHandler(UInt16(index), handler) }
      }
      let bound = try await EventLoop(loop).run {
        do throws(EngineError) {
          return try loop.listen(wanted, handler: handler)
        } catch {
          throw AloftError(error)
        }
      }
      return Listener(runtime: self, index: index, address: SocketAddress(bound))
    } catch {
      await closeListener(index)
      throw error
    }
  }

  func listen(
    on address: SocketAddress, backlog: Int, _ handler: AloftEngine.ConnectionHandler
  ) async throws -> Listener {
    guard !isShutDown.load(ordering: .acquiring) else { throw AloftError.runtimeClosed }
    let index = try claimListenerIndex()
    var isUnix = false
    if case .unix = address.value { isUnix = true }
    let sharesOne = isUnix && !group.options.privateDescriptors && group.loops.count > 1
    let listens = isUnix ? Array(group.loops.prefix(1)) : group.loops
    var bound = address.value
    do {
      for (position, loop) in listens.enumerated() {
        let request = ListenRequest(
          index: UInt16(index), address: bound, backlog: Int32(clamping: backlog),
          first: position == 0, handOver: sharesOne)
        bound = try await EventLoop(loop).run {
          do throws(EngineError) {
            return try loop.listen(request, handler: handler)
          } catch {
            throw AloftError(error)
          }
        }
      }
      for loop in group.loops.dropFirst(listens.count) {
        try await EventLoop(loop).run { loop.setListenerHandler(UInt16(index), handler) }
      }
    } catch {
      await closeListener(index)
      throw error
    }
    return Listener(runtime: self, index: index, address: SocketAddress(bound))
  }

  func claimListenerIndex() throws(AloftError) -> Int {
    var used = listenerIndices.load(ordering: .relaxed)
    while true {
      let index = (~used).trailingZeroBitCount
      guard index < 64 else {
        throw AloftError(.listenerLimit, "64 listeners are open, which is the limit")
      }
      let (done, seen) = listenerIndices.compareExchange(
        expected: used, desired: used | 1 << UInt64(index), ordering: .acquiringAndReleasing)
      if done { return index }
      used = seen
    }
  }

  package func closeListener(_ index: Int) async {
    for loop in group.loops {
      try? await EventLoop(loop).run { loop.closeListener(UInt16(index)) }
    }
    listenerIndices.bitwiseAnd(~(1 << UInt64(index)), ordering: .acquiringAndReleasing)
  }

  // MARK: Connecting

  /// Connects, on the given loop or the next in turn, and tells `handler` of what happens. Answers
  /// once the connection is open; the handler has heard `opened` by then.
  ///
  /// - Parameter local: the address to connect from; the system chooses when it is nil.
  /// - Throws: `system` (`ECONNREFUSED` …) with the reason, `closed`, `invalidOption`.
  public func connect(
    to address: SocketAddress, from local: SocketAddress? = nil,
    options: ConnectionOptions = .init(), on loop: EventLoop? = nil,
    handler: some ConnectionHandler
  ) async throws -> Connection {
    let adapter = HandlerAdapter(handler, settings: try options.settings())
    return try await connect(to: address, from: local, on: loop, then: adapter)
  }

  func connect(
    to address: SocketAddress, from local: SocketAddress?, on loop: EventLoop?,
    then handler: AloftEngine.ConnectionHandler
  ) async throws -> Connection {
    let core = (loop ?? nextEventLoop()).core
    return unsafe try await withUnsafeThrowingContinuation { continuation in
      let reply = unsafe Reply(continuation)
      let waiting = ConnectingHandler(address: address, reply: reply, then: handler)
      core.executeUnrefused {
        do throws(EngineError) {
          _ = try core.connect(to: address.value, from: local?.value, handler: waiting)
        } catch {
          reply.resume(with: .failure(AloftError(error)))
        }
      }
    }
  }

  // MARK: The end

  /// Shuts the supervisors down, closes all listeners, tells every connection's handler `draining`,
  /// waits until the connections are gone or `limit` is over, then closes the rest and ends the
  /// loops. Idempotent. Not to be awaited on a loop's executor.
  public func shutdown(within limit: Duration) async {
    guard !isShutDown.exchange(true, ordering: .acquiringAndReleasing) else { return }
    await shutDownSupervisors(within: limit)
    await withTaskGroup { tasks in
      for loop in group.loops {
        tasks.addTask { try? await Self.drain(loop, within: limit) }
      }
    }
    unsafe await withUnsafeContinuation { continuation in
      group.whenEnded { unsafe continuation.resume() }
      group.requestStop()
    }
    group.stopAndJoin()
  }

  private static func drain(_ loop: AloftEngine.EventLoop, within limit: Duration) async throws {
    unsafe try await withUnsafeThrowingContinuation { continuation in
      let reply = unsafe Reply<Void>(continuation)
      loop.executeUnrefused {
        loop.drain()
        loop.whenEmpty { reply.resume(with: .success(())) }
        let wait = UInt64(max(0, limit.milliseconds))
        _ = loop.startTimer(afterMilliseconds: wait, period: 0, beyondLimit: true) {
          reply.resume(with: .success(()))
        }
      }
    }
  }
}

/// Where connections arrive.
public final class Listener: Sendable {
  private let runtime: Runtime
  private let index: Int
  private let isClosed = Atomic<Bool>(false)
  /// The address in fact: with the port that the system chose for port 0.
  public let address: SocketAddress

  init(runtime: Runtime, index: Int, address: SocketAddress) {
    self.runtime = runtime
    self.index = index
    self.address = address
  }

  /// Accepts no more; open connections stay. Idempotent. A listener that is merely released goes on
  /// until the runtime ends.
  public func close() async {
    guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    await runtime.closeListener(index)
  }
}

/// Counters of a runtime.
public struct Statistics: Sendable, Hashable {
  public let accepted: UInt64
  public let connected: UInt64
  /// Connections that had to be turned away.
  public let refused: UInt64
  public let closed: UInt64
  public let bytesReceived: UInt64
  /// Bytes accepted for writing.
  public let bytesWritten: UInt64
  /// Receive calls that brought bytes.
  public let receives: UInt64
  public let turns: UInt64
  public let sleeps: UInt64
  public let timersFired: UInt64
  /// `Connection.takeReceived`: messages that refer to what was received; copies of few bytes; and
  /// copies because messages hold as much of the receive memory as they may.
  public let messagesTakenOver: UInt64
  public let messagesCopied: UInt64
  public let messagesCopiedAtLimit: UInt64
  /// Messages written to connections: sent from where they lie, and put together with others.
  public let messagesWrittenInPlace: UInt64
  public let messagesWrittenTogether: UInt64

  init(_ s: StatisticsSnapshot) {
    accepted = s.accepted
    connected = s.connected
    refused = s.refused
    closed = s.closed
    bytesReceived = s.bytesReceived
    bytesWritten = s.bytesWritten
    receives = s.receives
    turns = s.turns
    sleeps = s.sleeps
    timersFired = s.timersFired
    messagesTakenOver = s.takenOver
    messagesCopied = s.takenCopied
    messagesCopiedAtLimit = s.takenAtLimit
    messagesWrittenInPlace = s.messagesPointed
    messagesWrittenTogether = s.messagesStaged
    open = Int(s.open)
  }

  /// Connections open, or on their way to it.
  public let open: Int
}
