/// Credit by hand: for a client that can't be done with bytes when `received` returns.
extension LinkTable {
  /// From here on, what comes on this stream costs the peer credit until `giveCredit`.
  package func holdCredit(of peer: LinkPeer, stream: UInt16) {
    unsafe peer.state.pointee.inward.find(stream).pointee.isHeld = true
  }

  /// The client is done with so many bytes of messages on the stream; with all when `bytes` is nil,
  /// and then credit is given by itself again.
  package func giveCredit(to peer: LinkPeer, stream: UInt16, bytes: Int?) {
    let state = unsafe peer.state
    let entry = unsafe state.pointee.inward.find(stream)
    let open = unsafe entry.pointee.received - entry.pointee.consumed
    // Headers cost, too: the last byte gives back what is left of them.
    let given = bytes.map { min(UInt64($0), open) } ?? open
    unsafe entry.pointee.consumed += given
    if bytes == nil { unsafe entry.pointee.isHeld = false }
    if unsafe entry.pointee.consumed > entry.pointee.granted {
      unsafe makeDue(state, stream, entry)
    }
  }
}
