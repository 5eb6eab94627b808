package import AloftEngine

/// What came of a send.
package enum LinkSendResult: Hashable, Sendable {
  /// Taken whole, on its way when this turn ends at the latest.
  case accepted
  /// Nothing was taken: the stream is out of credit, or the connection full. `writable` follows.
  case wouldBlock
  /// Nothing was taken: there is no link to that node.
  case noLink
  /// Nothing was taken: it is longer than either side's `messageMax`.
  case tooLarge
}

/// Numbers of streams. Order is kept within one; each has its own credit in each direction.
package enum LinkStream {
  /// Streams from here on are acknowledged: what is sent on them is kept until the peer has it,
  /// sent again after a reconnection, and told of once. Others are at most once.
  package static let acknowledged: UInt16 = 0x8000

  package static func isAcknowledged(_ stream: UInt16) -> Bool { stream & acknowledged != 0 }
}

/// Why a link came to its end.
package enum LinkEnd: Hashable, Sendable, CustomStringConvertible {
  /// The socket closed without a word.
  case socket(CloseReason)
  /// `close` was called here, with this code.
  case local(UInt8)
  /// The peer said goodbye, with this code.
  case peer(UInt8)
  /// What came was no link's talk.
  case fault(WireFault)
  /// The encryption failed.
  case encryption(String)
  /// The peer has begun another link, for which it must have seen this one end.
  case replaced
  /// A later life of the same node has come.
  case superseded
  /// Nothing came for `silentHeartbeatsMax`.
  case silent
  /// The table was stopped.
  case stopped

  package var description: String {
    switch self {
    case .socket(let reason): "the socket closed: \(reason)"
    case .silent: "nothing came for too long"
    case .local(let code): "closed here, code \(code)"
    case .peer(let code): "the peer closed, code \(code)"
    case .fault(let fault): "broken talk: \(fault)"
    case .encryption(let message): "encryption failed: \(message)"
    case .replaced: "the peer began another link"
    case .superseded: "a later life of the node has come"
    case .stopped: "the links were stopped"
    }
  }
}

/// A call of which the answer is awaited, named by value.
package struct CallID: Hashable, Sendable {
  package let rawValue: UInt64
}

/// What came of a call.
@safe
public enum CallOutcome {
  /// The bytes lie where they arrived, until the closure returns.
  case reply(UnsafeRawBufferPointer)
  /// The other side's refusal.
  case failed(code: UInt8, UnsafeRawBufferPointer)
  /// No answer within the time. It may have been carried out, or still be.
  case timedOut
  /// The link ended meanwhile. It may have been carried out.
  case linkDown
}

/// Who takes all calls that come on a stream, and makes many, each of which it knows by a word.
///
/// A class to inherit from, and so public with what it is told, for the reason that
/// `ConnectionHandler` is: it's told of each call, and counting references would cost a third.
@safe
open class CallTaker {
  let stream: UInt16

  public init(stream: UInt16) { self.stream = stream }

  /// A call of the node with this number, to be answered with the table's `reply` or `fail`, now or
  /// later.
  open func called(_ call: IncomingCall, from: UInt8, _ bytes: UnsafeRawBufferPointer) {}
  /// What came of a call, once.
  open func ended(_ word: UInt32, _ outcome: CallOutcome) {}
}

/// Whether a call is on its way. Unless it is, its closure is not called.
package enum CallStart: Hashable, Sendable {
  case started(CallID)
  case wouldBlock
  case noLink
  case tooLarge
  /// As many calls as `callsMax` are under way.
  case tooMany
}

/// A call of a peer's, to be answered once.
public struct IncomingCall: Hashable, Sendable {
  /// The peer's number in the table and the link's, so that an answer never goes astray.
  let peer: UInt32
  let link: UInt32
  let number: UInt64
  package let stream: UInt16
  package let kind: UInt8
  /// Milliseconds that the caller waits for the answer, as of the call's arrival.
  package let timeout: UInt32
}

/// What links tell. Called on the loop of the table, and must not block. A peer's calls come in
/// this order: `linkUp`, whatever, `linkDown`.
package protocol LinkClient: AnyObject {
  func linkUp(_ peer: LinkPeer)
  func linkDown(_ peer: LinkPeer, reason: LinkEnd)
  /// A message: in place, good until the call returns.
  func received(
    _ peer: LinkPeer, stream: UInt16, kind: UInt8, message: UnsafeRawBufferPointer)
  /// Messages for mailboxes, in place, in order: to be read when called.
  func posted(_ peer: LinkPeer, stream: UInt16, _ posts: inout PostReader)
  /// A call, to be answered with `reply` or `fail`, now or later.
  func called(_ peer: LinkPeer, _ call: IncomingCall, message: UnsafeRawBufferPointer)
  /// The caller no longer waits for the answer.
  func cancelled(_ peer: LinkPeer, _ call: IncomingCall)
  /// There is room on a stream on which a send was answered `wouldBlock`.
  func writable(_ peer: LinkPeer, stream: UInt16)
  /// The peer lives: a heartbeat, or the first bytes in a while. Nanoseconds of the loop's clock.
  func heard(_ peer: LinkPeer, at: UInt64)
  /// The peer said who it is now, or which epoch it is in.
  func identified(_ peer: LinkPeer)
  /// Messages of an acknowledged stream that were never acknowledged and won't be sent again, for
  /// the life of the peer that they were for is over.
  func undelivered(_ peer: LinkPeer, stream: UInt16, messages: Int)
  /// A link did not come about, or was turned away. Once for each address
  /// and reason; all are counted.
  func refused(_ address: SocketAddress?, _ reason: LinkRefusal)
}

extension LinkClient {
  package func posted(_ peer: LinkPeer, stream: UInt16, _ posts: inout PostReader) {}
  package func cancelled(_ peer: LinkPeer, _ call: IncomingCall) {}
  package func writable(_ peer: LinkPeer, stream: UInt16) {}
  package func heard(_ peer: LinkPeer, at: UInt64) {}
  package func identified(_ peer: LinkPeer) {}
  package func undelivered(_ peer: LinkPeer, stream: UInt16, messages: Int) {}
  package func refused(_ address: SocketAddress?, _ reason: LinkRefusal) {}
}
