import AloftEngine
import AloftMembership
import Glibc

/// Finds out whether anybody listens at an address, by a fresh connection that says nothing.
///
/// A connection that comes about is no answer yet: the listener of a process that is just dying may
/// take it, and drop it a moment later. Who lives says a word, or at least keeps it.
final class Probe: ConnectionHandler, @unchecked Sendable {
  // @unchecked: used on the home loop alone.
  private let loop: EventLoop
  private let address: SocketAddress
  private let answer: (Probe, ProbeResult) -> Void
  private var connection: ConnectionID?
  private var attempts: UInt64 = 0
  private var timer: TimerID?
  private var hasEnded = false

  /// After so many connections that were dropped, nothing can be said: 28 ms.
  private static let attemptsMax: UInt64 = 8
  /// Whoever keeps a connection for so long lives.
  private static let patienceMilliseconds: UInt64 = 20

  /// `answer` is called once, unless `end` was.
  init(
    _ loop: EventLoop, _ address: SocketAddress,
    _ answer: @escaping (Probe, ProbeResult) -> Void
  ) {
    self.loop = loop
    self.address = address
    self.answer = answer
    var settings = ConnectionSettings()
    settings.connectTimeout = 500
    super.init(settings: settings)
  }

  func begin() {
    do throws(EngineError) {
      connection = try loop.connect(to: address, handler: self)
    } catch {
      finish(error.errno == ECONNREFUSED ? .refused : .unknown)
    }
  }

  func end() {
    hasEnded = true
    if let timer { loop.cancelTimer(timer) }
    timer = nil
    if let connection { loop.reset(connection) }
    connection = nil
  }

  private func finish(_ result: ProbeResult) {
    if hasEnded { return }
    end()
    answer(self, result)
  }

  private func wait(_ milliseconds: UInt64, _ body: @escaping () -> Void) {
    timer = loop.startTimer(afterMilliseconds: milliseconds) { [weak self] in
      self?.timer = nil
      body()
    }
  }

  override func opened(_ id: ConnectionID) {
    wait(Self.patienceMilliseconds) { [weak self] in self?.finish(.accepted) }
  }

  override func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) { finish(.accepted) }

  override func ended(_ id: ConnectionID) { loop.reset(id) }

  override func closed(_ id: ConnectionID, _ reason: CloseReason) {
    if hasEnded { return }
    connection = nil
    if let timer { loop.cancelTimer(timer) }
    timer = nil
    if case .system(let errno) = reason, errno == ECONNREFUSED { return finish(.refused) }
    if case .connectTimeout = reason { return finish(.unknown) }
    attempts += 1
    guard attempts < Self.attemptsMax else { return finish(.unknown) }
    if attempts == 1 { return begin() }
    wait(attempts - 1) { [weak self] in self?.begin() }
  }
}
