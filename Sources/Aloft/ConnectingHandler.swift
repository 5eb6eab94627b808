internal import AloftEngine

/// Waits for the outcome of an attempt to connect; then the real handler takes over.
final class ConnectingHandler: AloftEngine.ConnectionHandler, @unchecked Sendable {
  // @unchecked: all stored properties are immutable and Sendable.
  private let address: SocketAddress
  private let reply: Reply<Connection>
  private let next: AloftEngine.ConnectionHandler

  init(address: SocketAddress, reply: Reply<Connection>, then next: AloftEngine.ConnectionHandler) {
    self.address = address
    self.reply = reply
    self.next = next
    super.init(settings: next.settings)
  }

  override func opened(_ id: ConnectionID) {
    AloftEngine.EventLoop.owner(of: id)?.setHandler(id, next)
    next.opened(id)
    reply.resume(with: .success(Connection(id)))
  }

  override func closed(_ id: ConnectionID, _ reason: AloftEngine.CloseReason) {
    let error =
      switch reason {
      case .system(let errno):
        AloftError(.system, errno: errno, "connect to \(address): \(describeErrno(errno))")
      case .connectTimeout:
        AloftError(
          .system, errno: 110,
          "connect to \(address): no answer for \(settings.connectTimeout) ms")
      default:
        AloftError(.closed, "connect to \(address): the runtime has been shut down")
      }
    reply.resume(with: .failure(error))
  }
}
