import AloftEngine

/// A connection as the driver has it.
final class SimSlot {
  enum State { case connecting, open, closing }
  let socket: SimSocket
  var state: State
  var reading: Bool
  /// The peer's end was reported.
  var ended = false
  var broken = false
  private var bytes: [UInt8] = []
  private var head = 0

  init(socket: SimSocket, state: State) {
    self.socket = socket
    self.state = state
    reading = state == .open
  }

  /// Bytes that the peer was too slow to take.
  var queued: Int { bytes.count - head }

  func queue(_ more: UnsafeRawBufferPointer) { unsafe bytes.append(contentsOf: more) }

  func withQueued<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    unsafe bytes.withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[head...])) }
  }

  func advance(_ count: Int) {
    head += count
    if head == bytes.count {
      bytes.removeAll(keepingCapacity: true)
      head = 0
    }
  }

  func loseQueue() {
    bytes = []
    head = 0
  }

  /// Whether a poll with this slot's interest would report it.
  var isReady: Bool {
    switch state {
    case .connecting: return socket.isConnected || socket.error != 0
    case .closing: return false
    case .open:
      if broken { return false }
      let wantsRead = reading && !ended
      if socket.error != 0 { return wantsRead || queued > 0 }
      return queued > 0 && socket.canWrite || wantsRead && socket.canRead
    }
  }
}

/// A listener as the driver has it.
final class SimOwnListener {
  let listener: SimListener
  let handsOver: Bool
  var isPaused = false

  init(_ listener: SimListener, handsOver: Bool) {
    self.listener = listener
    self.handsOver = handsOver
  }

  var isReady: Bool { !isPaused && !listener.queue.isEmpty }
}
