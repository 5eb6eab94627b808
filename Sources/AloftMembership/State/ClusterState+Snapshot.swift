extension ClusterState {
  private static let version: UInt8 = 1

  /// The whole state, as `init(snapshot:)` takes it.
  package var snapshot: [UInt8] {
    var writer = ByteWriter()
    writer.put(Self.version)
    writer.put(cluster)
    writer.put(epoch)
    writer.put(slotsEpoch)
    writer.put(refusals)
    writer.put(malformed)
    writer.put(appliedIndex)
    writer.put(lastID)
    writer.put(UInt16(members.count))
    for member in members { member.write(&writer) }
    // In one order on all nodes.
    writer.put(UInt16(windows.count))
    for (incarnation, window) in windows.sorted(by: { $0.key < $1.key }) {
      writer.put(incarnation)
      window.write(&writer)
    }
    slots.write(&writer)
    return writer.bytes
  }

  package init(snapshot: [UInt8]) throws(MalformedBytes) {
    var reader = ByteReader(snapshot)
    guard try reader.byte() == Self.version else { throw MalformedBytes() }
    cluster = try reader.long()
    epoch = try reader.epoch()
    slotsEpoch = try reader.epoch()
    refusals = try reader.long()
    malformed = try reader.long()
    appliedIndex = try reader.long()
    lastID = try reader.byte()
    for _ in 0..<Int(try reader.short()) {
      let member = try Member(&reader)
      guard members.last.map({ $0.id < member.id }) ?? true else { throw MalformedBytes() }
      members.append(member)
    }
    for _ in 0..<Int(try reader.short()) {
      windows[try reader.incarnation()] = try ProposalWindow(&reader)
    }
    slots = try SlotTable(&reader)
    try reader.end()
  }
}
