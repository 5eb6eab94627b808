package import AloftEngine
package import AloftMembership
import CAloftRaft
import Glibc

/// A replicated log kept by libraft, on a thread of its own.
///
/// Everything here belongs to the home loop's thread. What happens on the log's own thread comes
/// over in batches: one job of the loop for all that waits. Messages between members leave through
/// the client and come in through `receive`; the log makes no connection.
@safe
package final class RaftLog: ReplicatedLog, @unchecked Sendable {
  // @unchecked: used on the home loop only, but for `loop`, which never changes, and the shim's
  // own wake-up, which is made for its thread.
  package let options: RaftLogOptions
  /// Called when the thread has ended and the directory is free again.
  package var onStopped: (() -> Void)?
  /// Why the log has ended, once it has.
  package private(set) var endReason: String?
  private let loop: EventLoop
  private var client: (any ReplicatedLogClient)?
  private var raft: OpaquePointer?
  private var isStopping = false
  /// Answers that the shim had no room for; told by a job of their own.
  private var refusals: [(token: UInt64, outcome: LogOutcome)] = []

  /// Checks and locks the directory and starts the thread, which then reads the log. On the home
  /// loop. The client is kept until the log has stopped.
  package init(
    _ options: RaftLogOptions, on loop: EventLoop, client: any ReplicatedLogClient
  ) throws(RaftLogError) {
    self.options = options
    self.loop = loop
    self.client = client
    if let complaint = options.complaint { throw RaftLogError(errno: 0, message: complaint) }
    var shimOptions = options.forShim
    var text = [CChar](repeating: 0, count: Int(ALOFT__RAFT_TEXT))
    var opened: OpaquePointer?
    // Kept by the shim until its thread has ended.
    let context = unsafe Unmanaged.passRetained(self)
    let status = unsafe text.withUnsafeMutableBufferPointer { text in
      unsafe aloft__raft_open(
        &opened, &shimOptions, options.directory, { unsafe RaftLog.wake($0) }, context.toOpaque(),
        text.baseAddress)
    }
    guard status == 0 else {
      unsafe context.release()
      let message = unsafe text.withUnsafeBufferPointer { unsafe String(cString: $0.baseAddress!) }
      throw RaftLogError(errno: -status, message: message)
    }
    unsafe raft = unsafe opened
  }

  /// On the log's thread, once per batch.
  private static func wake(_ context: UnsafeMutableRawPointer?) {
    let log = unsafe Unmanaged<RaftLog>.fromOpaque(context!)._withUnsafeGuaranteedRef { $0 }
    log.loop.executeUnrefused { log.drain() }
  }

  package func propose(_ entry: [UInt8], token: UInt64) {
    unsafe entry.withUnsafeBytes { unsafe propose($0, token: token) }
  }

  /// The same for bytes that lie anywhere; they are copied.
  package func propose(_ entry: UnsafeRawBufferPointer, token: UInt64) {
    guard let raft = unsafe live(token) else { return }
    let bytes = unsafe entry.assumingMemoryBound(to: UInt8.self)
    let status = unsafe aloft__raft_propose(raft, bytes.baseAddress, bytes.count, token)
    if status == -EMSGSIZE {
      refuse(
        token,
        .failed("An entry has \(entry.count) bytes; at most \(options.entryBytesMax) are taken."))
    } else {
      refuse(token, status)
    }
  }

  package func barrier(token: UInt64) {
    guard let raft = unsafe live(token) else { return }
    refuse(token, unsafe aloft__raft_barrier(raft, token))
  }

  package func change(_ change: LogChange, token: UInt64) {
    guard let raft = unsafe live(token) else { return }
    let (kind, node, role) =
      switch change {
      case .add(let node, let role): (ALOFT__RAFT_ADD, node, role)
      case .assign(let node, let role): (ALOFT__RAFT_ASSIGN, node, role)
      case .remove(let node): (ALOFT__RAFT_REMOVE, node, LogRole.spare)
      }
    let status = unsafe aloft__raft_change(
      raft, UInt8(kind), node.rawValue, role.rawValue, token)
    if status == -EINVAL {
      refuse(token, .failed("A member has a number from 1 to 255."))
    } else {
      refuse(token, status)
    }
  }

  package func transferLeadership(to node: NodeID) {
    guard let raft = unsafe raft else { return }
    _ = unsafe aloft__raft_transfer(raft, node.rawValue)
  }

  /// There is a way to a node, or one again: what a leader has for it goes there at once.
  package func reach(_ node: NodeID) {
    guard let raft = unsafe raft else { return }
    _ = unsafe aloft__raft_reach(raft, node.rawValue)
  }

  /// The process of a node is dead: if it led, another is elected at once.
  package func isGone(_ node: NodeID) {
    guard let raft = unsafe raft else { return }
    _ = unsafe aloft__raft_lost(raft, node.rawValue)
  }

  package func receive(from node: NodeID, message: UnsafeRawBufferPointer) {
    guard let raft = unsafe raft else { return }
    let bytes = unsafe message.assumingMemoryBound(to: UInt8.self)
    // A message that finds no room is lost, as it might be on its way.
    _ = unsafe aloft__raft_receive(raft, node.rawValue, bytes.baseAddress, bytes.count)
  }

  /// Writes under way finish, then the thread ends; `onStopped` tells. What is in flight is
  /// answered `unknown`.
  package func stop() {
    guard let raft = unsafe raft, !isStopping else { return }
    isStopping = true
    unsafe aloft__raft_stop(raft)
  }

  package var statistics: RaftLogStatistics {
    guard let raft = unsafe raft else { return RaftLogStatistics() }
    var numbers = aloft__raft_statistics()
    unsafe aloft__raft_read_statistics(raft, &numbers)
    return RaftLogStatistics(numbers)
  }

  /// For tests: the shim's own handle, while the thread lives.
  package var shim: OpaquePointer? { unsafe raft }

  private func live(_ token: UInt64) -> OpaquePointer? {
    if let reason = endReason {
      refuse(token, .failed(reason))
    } else if isStopping {
      refuse(token, .failed("The log has been stopped."))
    } else {
      return unsafe raft
    }
    return nil
  }

  private func refuse(_ token: UInt64, _ status: Int32) {
    switch status {
    case 0: break
    case -ESHUTDOWN: refuse(token, .failed("The log has ended."))
    default: refuse(token, .busy)
    }
  }

  private func refuse(_ token: UInt64, _ outcome: LogOutcome) {
    refusals.append((token, outcome))
    guard refusals.count == 1 else { return }
    loop.executeUnrefused { [self] in
      let told = refusals
      refusals = []
      for refusal in told { client?.proposed(token: refusal.token, refusal.outcome) }
    }
  }

  private func drain() {
    guard let raft = unsafe raft else { return }
    let blocks = unsafe aloft__raft_take(raft)
    var next = unsafe blocks
    var hasStopped = false
    while let block = unsafe next {
      var event = unsafe UnsafeRawPointer(block) + MemoryLayout<aloft__raft_block>.size
      let end = unsafe event + Int(block.pointee.used)
      while unsafe event < end {
        let record = unsafe event.assumingMemoryBound(to: aloft__raft_event.self)
        if unsafe Int(record.pointee.kind) == ALOFT__RAFT_STOPPED { hasStopped = true }
        unsafe deliver(record)
        unsafe event += Int(record.pointee.size)
      }
      unsafe next = unsafe block.pointee.next
    }
    unsafe aloft__raft_give_back(raft, blocks)
    if hasStopped { finish() }
  }

  private func deliver(_ event: UnsafePointer<aloft__raft_event>) {
    guard let client else { return }
    let index = unsafe event.pointee.index
    let token = unsafe event.pointee.token
    let node = unsafe NodeID(rawValue: event.pointee.node)
    let term = unsafe Term(rawValue: event.pointee.term)
    let bytes = unsafe UnsafeRawBufferPointer(
      start: event.pointee.data, count: Int(event.pointee.length))
    switch unsafe Int(event.pointee.kind) {
    case ALOFT__RAFT_APPLIED:
      unsafe client.apply(index: index, term: term, entry: bytes)
      if unsafe event.pointee.flag != 0 { client.proposed(token: token, .committed(index: index)) }
    case ALOFT__RAFT_OUTCOME:
      client.proposed(token: token, unsafe outcome(event.pointee.outcome, index, node, bytes))
    case ALOFT__RAFT_SEND:
      unsafe client.send(to: node, message: bytes)
    case ALOFT__RAFT_LEADER:
      let leader = node.rawValue == 0 ? nil : node
      client.leaderChanged(leader: leader, term: term, isSelf: unsafe event.pointee.flag != 0)
    case ALOFT__RAFT_SNAPSHOT:
      makeSnapshot(client, index)
    case ALOFT__RAFT_RESTORE:
      unsafe client.restore(index: index, snapshot: bytes)
    case ALOFT__RAFT_MEMBERS:
      client.membersChanged(unsafe members(bytes))
    case ALOFT__RAFT_ENDED:
      let reason = unsafe String(decoding: bytes, as: UTF8.self)
      endReason = reason
      client.ended(reason: reason)
    default:
      break
    }
  }

  private func makeSnapshot(_ client: any ReplicatedLogClient, _ index: UInt64) {
    if let snapshot = client.makeSnapshot(index: index) { giveSnapshot(index: index, snapshot) }
  }

  /// The snapshot that the client was asked for and had not made at once. Entries go on being
  /// applied meanwhile; one that nobody waits for any more is dropped.
  package func giveSnapshot(index: UInt64, _ snapshot: [UInt8]) {
    guard let raft = unsafe raft else { return }
    unsafe snapshot.withUnsafeBufferPointer { bytes in
      // An empty array may have no address, which would mean that there is no snapshot.
      var none: UInt8 = 0
      let status =
        if let base = bytes.baseAddress {
          unsafe aloft__raft_snapshot(raft, index, base, bytes.count)
        } else {
          unsafe aloft__raft_snapshot(raft, index, &none, 0)
        }
      // Without room the log is asked to do without this one.
      if status == -EAGAIN { _ = unsafe aloft__raft_snapshot(raft, index, nil, 0) }
    }
  }

  /// The same, put together in pieces.
  func giveSnapshot(index: UInt64, _ image: LogImage) {
    guard let raft = unsafe raft else { return }
    var status = -EAGAIN
    if let image = unsafe image.take() {
      status = unsafe aloft__raft_snapshot_image(raft, index, image)
    }
    // Without room, or memory, the log is asked to do without this one.
    if status != 0 { _ = unsafe aloft__raft_snapshot(raft, index, nil, 0) }
  }

  private func outcome(
    _ code: UInt8, _ index: UInt64, _ leader: NodeID, _ text: UnsafeRawBufferPointer
  ) -> LogOutcome {
    switch Int(code) {
    case ALOFT__RAFT_COMMITTED: .committed(index: index)
    case ALOFT__RAFT_NOT_LEADER:
      .notLeader(leader: leader.rawValue == 0 || leader == options.node ? nil : leader)
    case ALOFT__RAFT_UNKNOWN: .unknown
    case ALOFT__RAFT_BUSY: .busy
    default: .failed(unsafe String(decoding: text, as: UTF8.self))
    }
  }

  private func members(_ pairs: UnsafeRawBufferPointer) -> [LogMember] {
    stride(from: 0, to: pairs.count - 1, by: 2).map { at in
      LogMember(
        id: NodeID(rawValue: unsafe pairs[at]),
        role: LogRole(rawValue: unsafe pairs[at + 1]) ?? .spare)
    }
  }

  private func finish() {
    guard let ended = unsafe raft else { return }
    unsafe raft = nil
    isStopping = true
    unsafe aloft__raft_free(ended)
    let told = onStopped
    client = nil
    onStopped = nil
    told?()
    unsafe Unmanaged.passUnretained(self).release()
  }
}
