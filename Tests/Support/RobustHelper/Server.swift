import Aloft
import Foundation
import Synchronization

/// What the handlers have been told, over all connections.
final class Counts: Sendable {
  let opened = Atomic<Int>(0)
  let closed = Atomic<Int>(0)
  let refused = Atomic<Int>(0)
  let blocked = Atomic<Int>(0)
  let stalled = Atomic<Int>(0)
  /// The last refusal was for want of connections, or of descriptors.
  let connectionLimit = Atomic<Int>(0)
  let descriptorLimit = Atomic<Int>(0)

  var text: String {
    """
    opened=\(opened.load(ordering: .relaxed)) closed=\(closed.load(ordering: .relaxed)) \
    toldRefused=\(refused.load(ordering: .relaxed)) blocked=\(blocked.load(ordering: .relaxed)) \
    stalled=\(stalled.load(ordering: .relaxed)) \
    connectionLimit=\(connectionLimit.load(ordering: .relaxed)) \
    descriptorLimit=\(descriptorLimit.load(ordering: .relaxed))
    """
  }
}

final class Server: ConnectionHandler {
  enum Mode: String {
    case echo
    /// Sends without end to whoever sends a byte; who sends none is echoed nothing.
    case push
    /// Neither answers nor closes by itself.
    case linger
  }

  private let mode: Mode
  private let counts: Counts
  private let block = [UInt8](repeating: 9, count: 16 << 10)

  init(_ mode: Mode, _ counts: Counts) {
    self.mode = mode
    self.counts = counts
  }

  func opened(_ connection: Connection) {
    counts.opened.add(1, ordering: .relaxed)
  }

  func received(_ connection: Connection, _ bytes: RawSpan) {
    switch mode {
    case .echo: connection.write(bytes)
    // 'p' asks for the flood, all else is echoed.
    case .push where bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == 0x70: push(connection)
    case .push: connection.write(bytes)
    case .linger: break
    }
  }

  private func push(_ connection: Connection) {
    while connection.write(block) == .accepted {}
    counts.blocked.add(1, ordering: .relaxed)
  }

  func writable(_ connection: Connection) { push(connection) }

  func readClosed(_ connection: Connection) { if mode != .linger { connection.close() } }

  func draining(_ connection: Connection) { if mode != .linger { connection.close() } }

  func closed(_ connection: Connection, reason: CloseReason) {
    counts.closed.add(1, ordering: .relaxed)
    if reason == .writeStalled { counts.stalled.add(1, ordering: .relaxed) }
  }

  func refused(_ error: AloftError) {
    counts.refused.add(1, ordering: .relaxed)
    if error.code == .connectionLimit { counts.connectionLimit.add(1, ordering: .relaxed) }
    if error.code == .descriptorLimit { counts.descriptorLimit.add(1, ordering: .relaxed) }
  }
}
