package import AloftEngine
internal import AloftUV

// What the rim's module for clusters needs of the inside.

extension Runtime {
  package var engineNames: Names { group.names }

  /// A number for a listener on loop 0; given back by `closeListener`.
  package func claimListener() throws(AloftError) -> Int { try claimListenerIndex() }
}

extension EventLoop {
  package var engineLoop: AloftEngine.EventLoop { core }
}

extension SocketAddress {
  package var engineAddress: AloftEngine.SocketAddress { value }
  package init(engineAddress: AloftEngine.SocketAddress) { self.init(engineAddress) }
}
