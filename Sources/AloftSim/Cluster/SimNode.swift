internal import AloftMembership

/// A process of a simulated cluster, and the disk that outlives it.
final class SimNode {
  let number: Int
  var description: MemberDescription
  /// Of its name: one up each time that it is given another.
  var generation = 1
  /// It has asked to leave.
  var isLeaving = false
  var disk = SimDisk()
  /// One up at each start and end of the process.
  var life = 0
  var isUp = false
  /// Stopped until then, as by SIGSTOP or a machine that is busy.
  var pausedUntil: UInt64 = 0
  var core: ClusterCore?
  var raft: SimRaft?
  var diskFreeAt: UInt64 = 0
  var heartbeatAt: UInt64 = 0
  /// To whom links are wanted, and which stand, to which life of which process.
  var wanted: [NodeID: Contact] = [:]
  var linked: [NodeID: (incarnation: Incarnation, node: Int, life: Int)] = [:]
  /// From where nodes were last heard: a link serves both ways.
  var origins: [NodeID: Int] = [:]
  /// Data messages that were taken, by who sent them.
  var taken: Set<UInt64> = []
  var waitsForData: [UInt64: (to: NodeID, Incarnation, tries: Int)] = [:]
  var sessions: SimSessions?
  /// The node has ended for good.
  var end: ClusterEnd?

  init(number: Int, zone: String, role: MemberRole) {
    self.number = number
    description = MemberDescription(
      name: "n\(number)", address: "\(number)", zone: zone, role: role)
  }
}

enum SimPacket {
  case cluster(ClusterEnvelope, from: Int, id: NodeID)
  case log(SimLogMessage, from: NodeID, at: Int, to: NodeID, cluster: UInt64)
  case heartbeat(NodeID, Incarnation)
  case data(UInt64, slot: Slot, NodeIdentity, Epoch, to: NodeID, Incarnation)
  case dataTaken(UInt64)
  case session(SimSessionPacket)
}

enum SimEvent {
  case tick(Int, life: Int)
  case arrive(Int, SimPacket)
  case written(Int, life: Int, last: UInt64, term: UInt64)
  case dial(Int, life: Int, NodeID)
  case closed(Int, life: Int, NodeID, Incarnation, peerLife: Int)
  case probed(Int, life: Int, NodeID, Incarnation, Int)
  case retry(Int, life: Int, UInt64, Slot)
  case restart(Int)
  /// A life is to end, and the disk with it.
  case strike(Int, life: Int)
  case misfortune
  case client
  case session(SimSessionEvent)
}

/// What is still to happen, earliest first.
struct SimEvents {
  private var heap: [(time: UInt64, number: UInt64, event: SimEvent)] = []
  private var number: UInt64 = 0

  mutating func add(_ event: SimEvent, at time: UInt64) {
    number += 1
    heap.append((time, number, event))
    var child = heap.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func popFirst() -> (time: UInt64, number: UInt64, event: SimEvent)? {
    guard heap.count > 1 else { return heap.popLast() }
    heap.swapAt(0, heap.count - 1)
    let first = heap.removeLast()
    var parent = 0
    while 2 * parent + 1 < heap.count {
      var least = 2 * parent + 1
      if least + 1 < heap.count, isBefore(least + 1, least) { least += 1 }
      guard isBefore(least, parent) else { break }
      heap.swapAt(least, parent)
      parent = least
    }
    return first
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool {
    (heap[a].time, heap[a].number) < (heap[b].time, heap[b].number)
  }
}
