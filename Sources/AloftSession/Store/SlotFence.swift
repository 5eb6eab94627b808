internal import AloftMembership

/// Whose operations count, as of the last change of members or slots that was applied: a slot's
/// owner's, in his current life, and only those that he was asked for when he had the slot already.
/// All nodes that come to the same entry have the same fence, so all refuse the same operations.
struct SlotFence {
  /// By slot: the owner's number.
  private(set) var owners = Array(repeating: UInt8(0), count: Slot.count)
  /// By slot: the log index since which that life of that node has it.
  private(set) var since = Array(repeating: UInt64(0), count: Slot.count)
  /// By node: its current life; 0 for none that is not over.
  private(set) var lives = Array(repeating: UInt64(0), count: 256)
  /// By node: the last entry of its current life that was applied.
  private(set) var sequences = Array(repeating: UInt64(0), count: 256)

  @inline(__always)
  func isCurrent(_ origin: NodeID, _ incarnation: Incarnation) -> Bool {
    incarnation.rawValue != 0 && lives[Int(origin.rawValue)] == incarnation.rawValue
  }

  @inline(__always)
  func passes(_ slot: Slot, of origin: NodeID, epoch: Epoch) -> Bool {
    owners[Int(slot.rawValue)] == origin.rawValue
      && since[Int(slot.rawValue)] <= epoch.rawValue
  }

  func sequence(of origin: NodeID) -> UInt64 { sequences[Int(origin.rawValue)] }

  @inline(__always)
  mutating func count(_ origin: NodeID, _ sequence: UInt64) {
    sequences[Int(origin.rawValue)] = sequence
  }

  /// The cluster is now this, since the entry of this index: the slots that another node has, or
  /// another life of the same one.
  mutating func change(to state: ClusterState, index: UInt64) -> [Int] {
    var current = Array(repeating: UInt64(0), count: 256)
    for member in state.members where member.isAlive {
      current[Int(member.id.rawValue)] = member.incarnation.rawValue
    }
    var changed = differences(from: state.slots.owners)
    if current != lives {
      let isOther = (0..<256).map { current[$0] != lives[$0] }
      for (slot, owner) in state.slots.owners.enumerated()
      where isOther[Int(owner)] && owners[slot] == owner {
        changed.append(slot)
      }
      for node in 0..<256 where isOther[node] { sequences[node] = 0 }
      lives = current
    }
    for slot in changed { since[slot] = index }
    owners = state.slots.owners
    return changed
  }

  /// Eight at a time: most changes are of few slots.
  private func differences(from others: [UInt8]) -> [Int] {
    var slots: [Int] = []
    unsafe owners.withUnsafeBytes { old in
      unsafe others.withUnsafeBytes { new in
        for start in stride(from: 0, to: Slot.count, by: 8) {
          let (a, b) = unsafe (
            old.loadUnaligned(fromByteOffset: start, as: UInt64.self),
            new.loadUnaligned(fromByteOffset: start, as: UInt64.self)
          )
          if a == b { continue }
          for slot in start..<start + 8 where unsafe old[slot] != new[slot] { slots.append(slot) }
        }
      }
    }
    return slots
  }

  /// The lives that have slots.
  var holders: [(NodeID, Incarnation)] {
    var nodes = Array(repeating: false, count: 256)
    for owner in owners { nodes[Int(owner)] = true }
    return (1..<256).filter { nodes[$0] && lives[$0] != 0 }.map {
      (NodeID(rawValue: UInt8($0)), Incarnation(rawValue: lives[$0]))
    }
  }

  // MARK: In a snapshot

  func write(_ writer: inout RawWriter) {
    let runs = runs()
    writer.put(UInt16(runs.count))
    for run in runs {
      writer.put(UInt16(run.count))
      writer.put(owners[run.lowerBound])
      writer.put(since[run.lowerBound])
    }
    for node in 0..<256 {
      writer.put(lives[node])
      writer.put(sequences[node])
    }
  }

  /// Neighbours of one owner since one index.
  private func runs() -> [Range<Int>] {
    var runs: [Range<Int>] = []
    var first = 0
    for slot in 1...Slot.count {
      if slot < Slot.count, owners[slot] == owners[first], since[slot] == since[first] { continue }
      runs.append(first..<slot)
      first = slot
    }
    return runs
  }

  init() {}

  init(_ reader: inout RawReader) throws(MalformedBytes) {
    var next = 0
    for _ in 0..<Int(try reader.short()) {
      let count = Int(try reader.short())
      guard count > 0, next + count <= Slot.count else { throw MalformedBytes() }
      let (owner, index) = (try reader.byte(), try reader.long())
      for slot in next..<next + count { (owners[slot], since[slot]) = (owner, index) }
      next += count
    }
    guard next == Slot.count else { throw MalformedBytes() }
    for node in 0..<256 { (lives[node], sequences[node]) = (try reader.long(), try reader.long()) }
  }
}
