internal import AloftEngine
import Synchronization

/// Turns a connection's events into what an `async` reader and writer wait for. All state belongs
/// to the connection's loop.
final class ConnectionStream: AloftEngine.ConnectionHandler, @unchecked Sendable {
  // @unchecked: every access is on the loop's thread; the entries for tasks see to that.
  private var id: ConnectionID?
  private var messages: [[UInt8]] = []
  private var head = 0
  private var bytesWaiting = 0
  private var isPaused = false
  /// The peer has finished, or the connection is gone.
  private var hasEnded = false
  private var failure: AloftError?
  private var reader: Waiter<[UInt8]?>?
  private var writers: [(bytes: [UInt8], waiter: Waiter<Void>)] = []

  /// A task that waits, and can give up.
  private final class Waiter<Value: Sendable> {
    let reply: Reply<Value>
    init(_ reply: Reply<Value>) { self.reply = reply }
  }

  // MARK: From the loop

  override func opened(_ id: ConnectionID) { self.id = id }

  override func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    self.id = id
    let message = unsafe Array(bytes)
    if let reader {
      self.reader = nil
      reader.reply.resume(with: .success(message))
      return
    }
    messages.append(message)
    bytesWaiting += message.count
    if bytesWaiting >= Int(settings.highWater), !isPaused {
      isPaused = true
      AloftEngine.EventLoop.owner(of: id)?.pauseReading(id)
    }
  }

  override func ended(_ id: ConnectionID) { finish(nil) }

  override func writable(_ id: ConnectionID) {
    guard let loop = AloftEngine.EventLoop.owner(of: id) else { return }
    var sent = 0
    while sent < writers.count {
      let (bytes, waiter) = writers[sent]
      let result = write(bytes, id, loop)
      if result == .wouldBlock { break }
      waiter.reply.resume(with: result == .accepted ? .success(()) : .failure(closedError))
      sent += 1
    }
    writers.removeFirst(sent)
  }

  override func draining(_ id: ConnectionID) {
    AloftEngine.EventLoop.owner(of: id)?.close(id)
    finish(nil)
  }

  override func closed(_ id: ConnectionID, _ reason: AloftEngine.CloseReason) {
    failure = failure ?? Self.error(reason)
    finish(failure)
    for (_, waiter) in writers { waiter.reply.resume(with: .failure(closedError)) }
    writers = []
  }

  private func finish(_ error: AloftError?) {
    hasEnded = true
    guard let reader else { return }
    self.reader = nil
    reader.reply.resume(with: error.map { .failure($0) } ?? .success(nil))
  }

  /// Nil for an end that is no failure.
  private static func error(_ reason: AloftEngine.CloseReason) -> AloftError? {
    switch reason {
    case .local, .peer: nil
    case .system(let errno):
      AloftError(.system, errno: errno, "connection: \(describeErrno(errno))")
    case .idleTimeout: AloftError(.closed, "connection closed: idle for too long")
    case .connectTimeout: AloftError(.closed, "connection closed: no answer")
    case .writeStalled: AloftError(.closed, "connection reset: the peer took nothing for too long")
    case .frameTooLarge(let bytes):
      AloftError(.messageTooLarge, "connection reset: the peer announced \(bytes) bytes")
    case .shutdown: AloftError.runtimeClosed
    }
  }

  private var closedError: AloftError {
    failure ?? AloftError(.closed, "the connection is not open for writing")
  }

  // MARK: Reading, on the loop

  /// The next message that is there, without waiting.
  func take() -> [UInt8]? {
    guard head < messages.count else { return nil }
    let message = messages[head]
    messages[head] = []
    head += 1
    if head == messages.count {
      messages.removeAll(keepingCapacity: true)
      head = 0
    }
    bytesWaiting -= message.count
    if isPaused, bytesWaiting <= Int(settings.lowWater), let id {
      isPaused = false
      AloftEngine.EventLoop.owner(of: id)?.resumeReading(id)
    }
    return message
  }

  private func wait(_ waiter: Waiter<[UInt8]?>) {
    precondition(reader == nil, "two tasks iterate over one connection's messages")
    if let message = take() {
      waiter.reply.resume(with: .success(message))
    } else if let failure {
      waiter.reply.resume(with: .failure(failure))
    } else if hasEnded {
      waiter.reply.resume(with: .success(nil))
    } else {
      reader = waiter
    }
  }

  func next(on loop: EventLoop) async throws -> [UInt8]? {
    try await waiting(on: loop) {
      self.wait($0)
    } cancelled: { waiter in
      if self.reader === waiter { self.reader = nil }
    }
  }

  // MARK: Writing, on the loop

  /// False when it has to wait its turn.
  func tryWrite(_ bytes: [UInt8]) throws -> Bool {
    try checkSize(bytes)
    guard writers.isEmpty, let id, let loop = AloftEngine.EventLoop.owner(of: id) else {
      if failure != nil || hasEnded && id == nil { throw closedError }
      return false
    }
    switch write(bytes, id, loop) {
    case .accepted: return true
    case .wouldBlock: return false
    case .closed: throw closedError
    }
  }

  private func checkSize(_ bytes: [UInt8]) throws {
    guard case .lengthPrefixed(let max) = settings.framing, bytes.count > Int(max) else { return }
    throw AloftError(
      .messageTooLarge, "a message of \(bytes.count) bytes; the frame limit is \(max)")
  }

  private func write(
    _ bytes: [UInt8], _ id: ConnectionID, _ loop: AloftEngine.EventLoop
  ) -> AloftEngine.WriteResult {
    unsafe bytes.withUnsafeBytes { buffer in
      if case .none = settings.framing { return unsafe loop.write(id, buffer) }
      return unsafe loop.writeFrame(id, buffer)
    }
  }

  func write(_ bytes: [UInt8], on loop: EventLoop) async throws {
    try checkSize(bytes)
    try await waiting(on: loop) { (waiter: Waiter<Void>) in
      do {
        if try self.tryWrite(bytes) {
          waiter.reply.resume(with: .success(()))
        } else {
          self.writers.append((bytes, waiter))
        }
      } catch {
        waiter.reply.resume(with: .failure(error))
      }
    } cancelled: { waiter in
      self.writers.removeAll { $0.waiter === waiter }
    }
  }

  // MARK: Waiting

  /// Suspends until the waiter is answered. `begin` and `cancelled` run on the loop, in this order.
  private func waiting<Value: Sendable>(
    on loop: EventLoop, _ begin: @escaping (Waiter<Value>) -> Void,
    cancelled: @escaping (Waiter<Value>) -> Void
  ) async throws -> Value {
    let wait = CancellableWait<Waiter<Value>>()
    nonisolated(unsafe) let begin = begin
    nonisolated(unsafe) let cancelled = cancelled
    return try await withTaskCancellationHandler {
      unsafe try await withUnsafeThrowingContinuation { continuation in
        let waiter = Waiter(unsafe Reply(continuation))
        Self.run(on: loop, else: waiter) {
          guard !wait.isCancelled.load(ordering: .acquiring) else {
            waiter.reply.resume(with: .failure(CancellationError()))
            return
          }
          wait.waiter = waiter
          unsafe begin(waiter)
        }
      }
    } onCancel: {
      // Either the beginning is still to come and sees the flag, or this comes behind it.
      wait.isCancelled.store(true, ordering: .releasing)
      loop.core.executeUnrefused {
        guard let waiter = wait.waiter else { return }
        unsafe cancelled(waiter)
        waiter.reply.resume(with: .failure(CancellationError()))
      }
    }
  }

  private static func run<Value>(
    on loop: EventLoop, else waiter: Waiter<Value>, _ body: @escaping () -> Void
  ) {
    if loop.isCurrent { return body() }
    nonisolated(unsafe) let body = body
    loop.core.executeUnrefused { unsafe body() }
  }
}

/// What the two ends of a cancellable wait share.
private final class CancellableWait<Waiter>: @unchecked Sendable {
  // @unchecked: `waiter` is read and written on the loop alone.
  let isCancelled = Atomic<Bool>(false)
  var waiter: Waiter?
}
