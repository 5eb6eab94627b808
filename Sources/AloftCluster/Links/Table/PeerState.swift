import AloftEngine
import AloftMembership
import AloftQueue

/// Peers' states by their places in the table.
@safe
struct PeerNumbers: ~Copyable {
  private var places: UnsafeMutablePointer<UnsafeMutablePointer<PeerState>?>
  private var capacity = 16

  init() {
    unsafe places = .allocate(capacity: 16)
    unsafe places.initialize(repeating: nil, count: 16)
  }

  deinit { unsafe places.deallocate() }

  @inline(__always)
  func find(_ number: UInt32) -> UnsafeMutablePointer<PeerState>? {
    Int(number) < capacity ? unsafe places[Int(number)] : nil
  }

  mutating func set(_ number: UInt32, _ state: UnsafeMutablePointer<PeerState>?) {
    while Int(number) >= capacity { grow() }
    unsafe places[Int(number)] = unsafe state
  }
}

extension PeerNumbers {
  private mutating func grow() {
    let larger = UnsafeMutablePointer<UnsafeMutablePointer<PeerState>?>.allocate(
      capacity: capacity * 2)
    unsafe larger.update(from: places, count: capacity)
    unsafe (larger + capacity).initialize(repeating: nil, count: capacity)
    unsafe places.deallocate()
    unsafe places = unsafe larger
    capacity *= 2
  }
}

/// What a message to or from a peer touches, in one place behind one pointer: class properties
/// would pay for an exclusivity check at each access.
@safe
struct PeerState: ~Copyable {
  /// Its place in the table, and the count of its links: names of calls carry both.
  let number: UInt32
  var link: UInt32 = 0
  /// The object of the peer, which owns this.
  var peer: Unmanaged<LinkPeer>?
  /// The data connection while the link is up.
  var connection = ConnectionID(rawValue: 0)
  var carrier: Unmanaged<LinkConnection>?
  var isUp = false

  // What is sent.
  /// Records of small messages are gathered here, and leave when it is full or the turn ends.
  var staging: MessageBlock?
  var staged = 0
  /// Room in `staging`; 0 while nothing can be sent, so that one comparison tells all.
  var stagingMax = 0
  // A record of posts that is open for more. It is the last in `staging` as long as `staged` is
  // where it ends.
  var openEnd = 0
  var openStart = 0
  /// Where it has to end; 0 when there is none.
  var openMax = 0
  var openStream: UInt16 = 0
  /// The mailbox that its last message is for.
  var openMailbox: UInt64 = 0
  /// The block of posts that was the last to be begun, as long as it waits; and its last mailbox.
  var waitingPosts: Waiting?
  var waitingMailbox: UInt64 = 0
  /// Asked to be told of the turn's end.
  var isDirty = false
  /// Blocks that the connection had no room for.
  var outbox: [MessageBlock] = []
  var isBlocked = false
  /// What was agreed: most payload bytes of a record and bytes of a message, and the peer's room.
  var frameMax = 0
  /// Bytes of a record that is written into the staging block as it is sent.
  var wholeMax = 0
  var messageMax = 0
  var windowOut = 0
  var assemblyRoom = 0
  /// Fragment bytes under way.
  var fragmentBytes = 0
  var out = StreamPages<OutStream>(OutStream())
  /// Streams that have something to send, in turn; the head moves along.
  var active: [UInt16] = []
  var activeHead = 0
  /// Streams whose large message waits until others of this link have made room.
  var starved: [UInt16] = []
  /// Streams of which a send was answered `wouldBlock`.
  var awaited: [UInt16] = []
  /// Identity or epoch is to be told.
  var owesIdentity = false
  var owesEpoch = false

  // What comes.
  var inward = StreamPages<InStream>(InStream())
  var due: [UInt16] = []
  /// Bytes taken for large messages under way.
  var assembling = 0
  var lastHeard: UInt64 = 0

  // Who it is.
  var id: NodeID
  var incarnation: Incarnation
  var epoch: Epoch
  /// See `Handshake.Memory`.
  var memory = Handshake.Memory()
  var linkNumber: UInt64 = 0
  /// Whether this side began the link.
  var isDialledHere = false

  init(number: UInt32, id: NodeID, incarnation: Incarnation, epoch: Epoch) {
    self.number = number
    self.id = id
    self.incarnation = incarnation
    self.epoch = epoch
  }

  /// Gives back what it refers to, before its end.
  func releaseAll() {
    if let staging { MessageBlock.release(staging) }
    for block in outbox { MessageBlock.release(block) }
    unsafe out.forEach { _, stream in
      while let waiting = unsafe stream.pointee.removeFirst() {
        MessageBlock.release(waiting.block)
      }
    }
    unsafe inward.forEach { _, stream in
      if let assembly = unsafe stream.pointee.assembly { MessageBlock.release(assembly) }
    }
    out.deallocate()
    inward.deallocate()
  }
}
