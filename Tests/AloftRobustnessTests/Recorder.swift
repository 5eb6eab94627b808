import Aloft
import Foundation
import Testing

/// A value behind a lock.
final class Locked<Value: Sendable>: @unchecked Sendable {
  // @unchecked: every access holds the lock.
  private let lock = NSLock()
  private var stored: Value

  init(_ value: Value) { stored = value }

  func with<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    lock.lock()
    defer { lock.unlock() }
    return try body(&stored)
  }

  var value: Value { with { $0 } }
}

/// Notes what a handler is told, and does what the test asks for.
final class Recorder: ConnectionHandler {
  struct Log: Sendable {
    var opened: [Connection] = []
    var closed: [Connection: [CloseReason]] = [:]
    var readClosed = 0
    var writable = 0
    var bytes = 0
    var refused: [AloftError] = []

    var reasons: [CloseReason] { closed.values.flatMap { $0 } }
  }

  let log = Locked(Log())
  private let onOpened: @Sendable (Connection) -> Void
  private let onReceived: @Sendable (Connection, RawSpan) -> Void
  private let onReadClosed: @Sendable (Connection) -> Void

  /// Echoes and closes with the peer unless told otherwise.
  init(
    opened: @escaping @Sendable (Connection) -> Void = { _ in },
    received: @escaping @Sendable (Connection, RawSpan) -> Void = { $0.write($1) },
    readClosed: @escaping @Sendable (Connection) -> Void = { $0.close() }
  ) {
    onOpened = opened
    onReceived = received
    onReadClosed = readClosed
  }

  func opened(_ connection: Connection) {
    log.with { $0.opened.append(connection) }
    onOpened(connection)
  }

  func received(_ connection: Connection, _ bytes: RawSpan) {
    log.with { $0.bytes += bytes.byteCount }
    onReceived(connection, bytes)
  }

  func readClosed(_ connection: Connection) {
    log.with { $0.readClosed += 1 }
    onReadClosed(connection)
  }

  func writable(_ connection: Connection) { log.with { $0.writable += 1 } }

  func closed(_ connection: Connection, reason: CloseReason) {
    log.with { $0.closed[connection, default: []].append(reason) }
  }

  func refused(_ error: AloftError) { log.with { $0.refused.append(error) } }

  /// Writes until the queue is full.
  static func fill(_ connection: Connection) {
    let block = [UInt8](repeating: 5, count: 16 << 10)
    while connection.write(block) == .accepted {}
  }
}

/// Waits until `condition` holds, and says what did not come about.
func eventually(
  _ what: String, within limit: Duration = .seconds(20),
  sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + limit
  while try await !condition() {
    guard ContinuousClock.now < end else {
      Issue.record("not within \(limit): \(what)", sourceLocation: sourceLocation)
      return
    }
    try await Task.sleep(for: .milliseconds(1))
  }
}

/// All tests of this target, one at a time: they measure time and load two cores.
@Suite(.serialized) struct Robustness {}

extension SocketAddress {
  static var anyLocal: SocketAddress { SocketAddress("127.0.0.1", 0) }
}
