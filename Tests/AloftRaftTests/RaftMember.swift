import AloftCluster
import AloftEngine
import AloftMembership
import Testing

/// A member's state machine: all entries by index. Touched on the home loop only.
final class RaftMember: ReplicatedLogClient, @unchecked Sendable {
  // @unchecked: see above.
  let node: UInt8
  let world: RaftWorld
  var log: RaftLog?
  var applied: [UInt64: [UInt8]] = [:]
  var lastIndex: UInt64 = 0
  var restores: [UInt64] = []
  var snapshots = 0
  var leader: UInt8?
  var term: UInt64 = 0
  var isSelf = false
  /// Each time that it was told to serve, and by then applied.
  var served: [(term: UInt64, lastIndex: UInt64)] = []
  var configuration: [LogMember] = []
  var outcomes: [UInt64: LogOutcome] = [:]
  var outcomeOrder: [UInt64] = []
  var ended: String?
  /// Beyond the others' sight: nothing out of order, nothing twice.
  var complaints: [String] = []

  init(_ node: UInt8, _ world: RaftWorld) {
    self.node = node
    self.world = world
  }

  func open(_ options: RaftLogOptions) throws {
    applied = [:]
    lastIndex = 0
    ended = nil
    isSelf = false
    leader = nil
    let log = try RaftLog(options, on: world.loop, client: self)
    log.onStopped = { [self] in
      self.log = nil
      isSelf = false
      world.noteChange()
    }
    self.log = log
  }

  func apply(index: UInt64, term: Term, entry: UnsafeRawBufferPointer) {
    if index <= lastIndex { complaints.append("\(index) after \(lastIndex)") }
    if term.rawValue == 0 { complaints.append("\(index) without a term") }
    lastIndex = index
    applied[index] = Array(entry)
    world.noteChange()
  }

  func restore(index: UInt64, snapshot: UnsafeRawBufferPointer) {
    restores.append(index)
    applied = Self.decode(snapshot)
    lastIndex = index
    world.noteChange()
  }

  func makeSnapshot(index: UInt64) -> [UInt8]? {
    snapshots += 1
    return Self.encode(applied)
  }

  func leaderChanged(leader: NodeID?, term: Term, isSelf: Bool) {
    self.leader = leader?.rawValue
    if term.rawValue < self.term { complaints.append("term \(term) after \(self.term)") }
    self.term = term.rawValue
    self.isSelf = isSelf
    if isSelf { served.append((term.rawValue, lastIndex)) }
    world.noteChange()
  }

  func proposed(token: UInt64, _ outcome: LogOutcome) {
    if outcomes[token] != nil { complaints.append("token \(token) answered twice") }
    outcomes[token] = outcome
    outcomeOrder.append(token)
    world.noteChange()
  }

  func send(to: NodeID, message: UnsafeRawBufferPointer) {
    world.carry(from: node, to: to.rawValue, Array(message))
  }

  func membersChanged(_ members: [LogMember]) {
    configuration = members.sorted { $0.id < $1.id }
    world.noteChange()
  }

  func ended(reason: String) {
    if ended != nil { complaints.append("ended twice") }
    ended = reason
    world.noteChange()
  }

  static func encode(_ entries: [UInt64: [UInt8]]) -> [UInt8] {
    var bytes: [UInt8] = []
    for (index, entry) in entries.sorted(by: { $0.key < $1.key }) {
      withUnsafeBytes(of: index.littleEndian) { bytes += $0 }
      withUnsafeBytes(of: UInt32(entry.count).littleEndian) { bytes += $0 }
      bytes += entry
    }
    return bytes
  }

  static func decode(_ bytes: UnsafeRawBufferPointer) -> [UInt64: [UInt8]] {
    var entries: [UInt64: [UInt8]] = [:]
    var at = 0
    while at < bytes.count {
      let index = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      let count = Int(
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at + 8, as: UInt32.self)))
      entries[index] = Array(bytes[(at + 12)..<(at + 12 + count)])
      at += 12 + count
    }
    return entries
  }
}
