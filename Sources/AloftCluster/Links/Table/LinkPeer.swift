package import AloftEngine
package import AloftMembership

/// A node as links know it: one life of one name. It outlasts its links, so that what was sent on
/// acknowledged streams is sent again on the next. Touched on the table's loop alone.
@safe
package final class LinkPeer: @unchecked Sendable {
  // @unchecked: for closures that go to the loop; see above.
  package let name: String
  /// Which process of the node: drawn anew by each.
  package let life: UInt64
  /// Where it was reached, or came from.
  package internal(set) var address: SocketAddress?
  /// The client's own.
  package var context: UInt = 0
  let state: UnsafeMutablePointer<PeerState>
  /// Until it ends.
  var heartbeats: LinkConnection?
  var heartbeatAttempts: UInt32 = 0
  /// Sent since something came.
  var silentHeartbeats: UInt32 = 0

  init(_ hello: Hello, number: UInt32, address: SocketAddress?) {
    name = hello.name
    life = hello.life
    self.address = address
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(
      to: PeerState(
        number: number, id: hello.id, incarnation: hello.incarnation, epoch: hello.epoch))
    unsafe state.pointee.peer = .passUnretained(self)
  }

  deinit {
    unsafe state.pointee.releaseAll()
    unsafe state.deinitialize(count: 1)
    unsafe state.deallocate()
  }

  /// 0 until it has a number.
  package var id: NodeID { unsafe state.pointee.id }
  package var incarnation: Incarnation { unsafe state.pointee.incarnation }
  /// The epoch that it was in when it sent what was received last.
  package var epoch: Epoch { unsafe state.pointee.epoch }
  package var isUp: Bool { unsafe state.pointee.isUp }
}
