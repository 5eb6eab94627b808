/// Whose an entry of the log is: its first byte.
package enum LogEntryKind {
  package static let cluster: UInt8 = 1
  package static let session: UInt8 = 2
}

extension ClusterProposal {
  private static let version: UInt8 = 1

  private enum Tag: UInt8 {
    case found = 1
    case admit, convict, leave, depart, forget, setDraining, setWeight, assignSlots
  }

  /// The entry for the log.
  package var bytes: [UInt8] {
    var writer = ByteWriter()
    writer.put(LogEntryKind.cluster)
    writer.put(Self.version)
    writer.put(proposer)
    writer.put(sequence)
    write(command, to: &writer)
    return writer.bytes
  }

  private func write(_ command: ClusterCommand, to writer: inout ByteWriter) {
    func put(_ tag: Tag) { writer.put(tag.rawValue) }
    switch command {
    case .found(let cluster, let description, let birth):
      put(.found)
      writer.put(cluster)
      description.write(&writer)
      writer.put(birth)
    case .admit(let description, let birth, let former):
      put(.admit)
      description.write(&writer)
      writer.put(birth)
      former.write(&writer)
    case .convict(let incarnation):
      put(.convict)
      writer.put(incarnation)
    case .leave(let incarnation):
      put(.leave)
      writer.put(incarnation)
    case .depart(let incarnation):
      put(.depart)
      writer.put(incarnation)
    case .forget(let incarnation):
      put(.forget)
      writer.put(incarnation)
    case .setDraining(let incarnation, let isDraining):
      put(.setDraining)
      writer.put(incarnation)
      writer.put(isDraining)
    case .setWeight(let incarnation, let weight):
      put(.setWeight)
      writer.put(incarnation)
      writer.put(weight)
    case .assignSlots(let base, let runs):
      put(.assignSlots)
      writer.put(base)
      writer.put(UInt16(runs.count))
      for run in runs { run.write(&writer) }
    }
  }

  /// Nil when it isn't one of ours, or not as we write them.
  package init(bytes: [UInt8]) throws(MalformedBytes) {
    var reader = ByteReader(bytes)
    guard try reader.byte() == LogEntryKind.cluster, try reader.byte() == Self.version else {
      throw MalformedBytes()
    }
    proposer = try reader.incarnation()
    sequence = try reader.long()
    command = try Self.command(&reader)
    try reader.end()
  }

  private static func command(_ reader: inout ByteReader) throws(MalformedBytes) -> ClusterCommand {
    switch try reader.value(Tag.self) {
    case .found:
      .found(
        cluster: try reader.long(), try MemberDescription(&reader), birth: try reader.long())
    case .admit:
      .admit(
        try MemberDescription(&reader), birth: try reader.long(), former: try NodeIdentity(&reader))
    case .convict: .convict(try reader.incarnation())
    case .leave: .leave(try reader.incarnation())
    case .depart: .depart(try reader.incarnation())
    case .forget: .forget(try reader.incarnation())
    case .setDraining: .setDraining(try reader.incarnation(), try reader.bool())
    case .setWeight: .setWeight(try reader.incarnation(), try reader.short())
    case .assignSlots: .assignSlots(base: try reader.epoch(), try runs(&reader))
    }
  }

  private static func runs(_ reader: inout ByteReader) throws(MalformedBytes) -> [SlotRun] {
    let count = Int(try reader.short())
    guard count <= Slot.count, count * SlotRun.byteCount <= reader.remaining else {
      throw MalformedBytes()
    }
    var runs: [SlotRun] = []
    runs.reserveCapacity(count)
    for _ in 0..<count { runs.append(try SlotRun(&reader)) }
    return runs
  }
}

extension SlotRun {
  static let byteCount = 5

  func write(_ writer: inout ByteWriter) {
    writer.put(first.rawValue)
    writer.put(count)
    writer.put(owner)
  }

  init(_ reader: inout ByteReader) throws(MalformedBytes) {
    first = Slot(rawValue: try reader.short())
    count = try reader.short()
    owner = try reader.node()
    guard count > 0, Int(first.rawValue) + Int(count) <= Slot.count else { throw MalformedBytes() }
  }
}

extension NodeIdentity {
  func write(_ writer: inout ByteWriter) {
    writer.put(cluster)
    writer.put(id)
    writer.put(incarnation)
  }

  init(_ reader: inout ByteReader) throws(MalformedBytes) {
    cluster = try reader.long()
    id = try reader.node()
    incarnation = try reader.incarnation()
  }
}
