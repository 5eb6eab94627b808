/// What a member may be to the log, by the wish of whoever runs it.
package enum MemberRole: UInt8, Hashable, Sendable {
  /// May vote, and owns slots.
  case voter
  /// Never votes; gets the log, and owns slots.
  case standby
  /// May vote, and owns no slots: the odd one in a third zone.
  case witness
}

package enum MemberStatus: UInt8, Hashable, Sendable {
  case up
  /// Wants to go: gets no slots any more, and goes once it has none.
  case leaving
  /// Convicted: this life of it is over. It may come back under a new incarnation.
  case down
  /// Gone for good; its number is remembered until it is needed.
  case left
}

/// What a node says about itself when it asks to be let in.
package struct MemberDescription: Hashable, Sendable {
  /// 1...64 bytes, one node's in its cluster.
  package var name: String
  /// Where its peers reach it: 1...128 bytes.
  package var address: String
  /// What fails together has the same zone: 0...64 bytes.
  package var zone: String
  /// Its share of the slots, against the others'; 0 for none.
  package var weight: UInt16
  package var role: MemberRole

  package init(
    name: String, address: String, zone: String = "", weight: UInt16 = 100,
    role: MemberRole = .voter
  ) {
    self.name = name
    self.address = address
    self.zone = zone
    self.weight = weight
    self.role = role
  }

  package var isValid: Bool {
    (1...64).contains(name.utf8.count) && (1...128).contains(address.utf8.count)
      && zone.utf8.count <= 64
  }

  func write(_ writer: inout ByteWriter) {
    writer.put(name)
    writer.put(address)
    writer.put(zone)
    writer.put(weight)
    writer.put(role.rawValue)
  }

  init(_ reader: inout ByteReader) throws(MalformedBytes) {
    name = try reader.text()
    address = try reader.text()
    zone = try reader.text()
    weight = try reader.short()
    role = try reader.value(MemberRole.self)
  }
}

/// Which life of which node of which cluster: what a node keeps beside its log, and shows when it
/// comes back. All 0 before it was ever let in.
package struct NodeIdentity: Hashable, Sendable {
  package var cluster: UInt64
  package var id: NodeID
  package var incarnation: Incarnation

  package init(cluster: UInt64, id: NodeID, incarnation: Incarnation) {
    self.cluster = cluster
    self.id = id
    self.incarnation = incarnation
  }

  package static let none = NodeIdentity(
    cluster: 0, id: NodeID(rawValue: 0), incarnation: Incarnation(rawValue: 0))
}

/// A node as all nodes know it.
package struct Member: Hashable, Sendable {
  package let id: NodeID
  package internal(set) var incarnation: Incarnation
  /// Chosen at random by this life of the node when it asked to be let in, so that asking twice
  /// lets it in once.
  package internal(set) var birth: UInt64
  package internal(set) var description: MemberDescription
  package internal(set) var status: MemberStatus
  package internal(set) var isDraining = false
  /// Log index of the last change of its status.
  package internal(set) var changedAt: UInt64

  package var name: String { description.name }

  /// This life of it is not over, as far as the cluster knows.
  package var isAlive: Bool { status == .up || status == .leaving }

  /// May be given slots.
  package var takesSlots: Bool {
    status == .up && !isDraining && description.role != .witness && description.weight > 0
  }

  func write(_ writer: inout ByteWriter) {
    writer.put(id)
    writer.put(incarnation)
    writer.put(birth)
    description.write(&writer)
    writer.put(status.rawValue)
    writer.put(isDraining)
    writer.put(changedAt)
  }

  init(_ reader: inout ByteReader) throws(MalformedBytes) {
    id = try reader.node()
    incarnation = try reader.incarnation()
    birth = try reader.long()
    description = try MemberDescription(&reader)
    status = try reader.value(MemberStatus.self)
    isDraining = try reader.bool()
    changedAt = try reader.long()
    guard id.rawValue != 0, description.isValid else { throw MalformedBytes() }
  }

  package init(
    id: NodeID, incarnation: Incarnation, birth: UInt64, description: MemberDescription,
    status: MemberStatus = .up
  ) {
    self.id = id
    self.incarnation = incarnation
    self.birth = birth
    self.description = description
    self.status = status
    changedAt = incarnation.rawValue
  }
}
