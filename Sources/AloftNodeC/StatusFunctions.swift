import AloftC
import AloftCluster
import AloftEngine
import AloftMembership
public import CAloft

// `aloft_node.h` is the manual of all of these.

@c @implementation
public func aloft_node_status_get(
  _ node: OpaquePointer!, _ status: UnsafeMutablePointer<aloft_node_status>!
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    guard let status = unsafe status else { throw .null("status") }
    let known = try handle.ask { (node) throws(Failure) in node.core.status }
    try unsafe write(aloft_node_status(known), to: status, "aloft_node_status")
    return Code.success
  }
}

extension aloft_node_status {
  fileprivate init(_ status: ClusterStatus) {
    self.init()
    node = UInt32(status.identity.id.rawValue)
    leader = UInt32(status.leader?.rawValue ?? 0)
    incarnation = status.identity.incarnation.rawValue
    term = status.term.rawValue
    epoch = status.epoch.rawValue
    is_member = status.isMember ? 1 : 0
    is_accepting = status.isAccepting ? 1 : 0
    members = UInt32(status.members.count)
  }
}

@c @implementation
public func aloft_node_for_each_member(
  _ node: OpaquePointer!,
  _ visit: (@convention(c) (UnsafePointer<aloft_node_member>?, UnsafeMutableRawPointer?) -> Int32)!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    guard let visit = unsafe visit else { throw .null("visit") }
    let status = try handle.ask { (node) throws(Failure) in node.core.status }
    for member in status.members.sorted(by: { $0.id < $1.id }) {
      let goesOn = unsafe withStruct(member, in: status) { unsafe visit($0, context) != 0 }
      if !goesOn { break }
    }
    return Int32(status.members.count)
  }
}

private func withStruct(
  _ member: Member, in status: ClusterStatus, _ body: (UnsafePointer<aloft_node_member>) -> Bool
) -> Bool {
  var told = unsafe aloft_node_member()
  unsafe told.struct_size = MemoryLayout<aloft_node_member>.size
  unsafe told.node = UInt32(member.id.rawValue)
  unsafe told.state =
    switch member.status {
    case .up: UInt32(ALOFT_MEMBER_UP)
    case .leaving: UInt32(ALOFT_MEMBER_LEAVING)
    case .down: UInt32(ALOFT_MEMBER_DOWN)
    case .left: UInt32(ALOFT_MEMBER_LEFT)
    }
  unsafe told.incarnation = member.incarnation.rawValue
  unsafe told.weight = UInt32(member.description.weight)
  unsafe told.role =
    switch member.description.role {
    case .voter: UInt32(ALOFT_ROLE_VOTER)
    case .standby: UInt32(ALOFT_ROLE_STANDBY)
    case .witness: UInt32(ALOFT_ROLE_WITNESS)
    }
  unsafe told.slots = UInt32(status.slotCounts[Int(member.id.rawValue)])
  unsafe told.is_voter = status.roles[member.id] == .voter ? 1 : 0
  unsafe told.is_draining = member.isDraining ? 1 : 0
  unsafe told.is_suspected = status.suspects.contains(member.id) ? 1 : 0
  return unsafe member.name.withCString { name in
    unsafe member.description.address.withCString { address in
      unsafe member.description.zone.withCString { zone in
        unsafe told.name = unsafe name
        unsafe told.address = unsafe address
        unsafe told.zone = unsafe zone
        return unsafe body(&told)
      }
    }
  }
}

@c @implementation
public func aloft_node_slot_owner(_ node: OpaquePointer!, _ slot: UInt32) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    guard slot < Slot.count else {
      throw Failure(Code.invalid, "slot is \(slot); there are \(Slot.count)")
    }
    return Int32(handle.owners[Int(slot)])
  }
}

@c @implementation
public func aloft_node_address(
  _ node: OpaquePointer!, _ text: UnsafeMutablePointer<CChar>!, _ size: Int
) -> Int32 {
  reporting { () throws(Failure) in
    unsafe try copy(ClusterHandle.of(node).address, to: text, size)
  }
}

@c @implementation
public func aloft_node_statistics_get(
  _ node: OpaquePointer!, _ statistics: UnsafeMutablePointer<aloft_node_statistics>!
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try ClusterHandle.of(node)
    guard let statistics = unsafe statistics else { throw .null("statistics") }
    let counts = try handle.ask { (node) throws(Failure) in
      aloft_node_statistics(node.linkStatistics, node.statistics)
    }
    try unsafe write(counts, to: statistics, "aloft_node_statistics")
    return Code.success
  }
}

extension aloft_node_statistics {
  fileprivate init(_ links: LinkStatistics, _ messages: NodeStatistics) {
    self.init()
    self.links = links.linksUp - links.linksDown
    links_up = links.linksUp
    links_refused = links.refused.values.reduce(0, +)
    bytes_sent = links.bytesSent
    bytes_received = links.bytesReceived
    messages_sent = messages.messagesOut
    messages_received = messages.messagesIn
    messages_dropped = messages.messagesDropped
    calls_started = links.callsStarted
    calls_answered = links.callsAnswered
    calls_timed_out = links.callsTimedOut
    answers_late = links.answersLate
    heartbeats_sent = links.heartbeatsSent
    heartbeats_received = links.heartbeatsReceived
  }
}
