/// Which node owns each slot.
package struct SlotTable: Hashable, Sendable {
  /// By slot; 0 for nobody's.
  package private(set) var owners: [UInt8]

  /// Nobody's, all of them.
  package init() { owners = Array(repeating: 0, count: Slot.count) }

  package subscript(slot: Slot) -> NodeID {
    get { NodeID(rawValue: owners[Int(slot.rawValue)]) }
    set { owners[Int(slot.rawValue)] = newValue.rawValue }
  }

  /// How many slots each node has, by its number.
  package var counts: [Int] {
    var counts = Array(repeating: 0, count: 256)
    for owner in owners { counts[Int(owner)] += 1 }
    return counts
  }

  package func count(of node: NodeID) -> Int {
    owners.reduce(0) { $1 == node.rawValue ? $0 + 1 : $0 }
  }

  package func owns(_ node: NodeID) -> Bool { owners.contains(node.rawValue) }

  package mutating func assign(_ run: SlotRun) {
    let first = Int(run.first.rawValue)
    for slot in first..<first + Int(run.count) { owners[slot] = run.owner.rawValue }
  }

  /// What turns `old` into this table.
  package func changes(since old: SlotTable) -> [SlotRun] {
    runs { old.owners[$0] != owners[$0] }
  }

  /// The slots that `isWanted`, neighbours of one owner together.
  private func runs(_ isWanted: (Int) -> Bool) -> [SlotRun] {
    var runs: [SlotRun] = []
    var end = -1
    for slot in 0..<Slot.count where isWanted(slot) {
      if slot == end, runs[runs.count - 1].owner.rawValue == owners[slot] {
        runs[runs.count - 1].count += 1
      } else {
        let owner = NodeID(rawValue: owners[slot])
        runs.append(SlotRun(first: Slot(rawValue: UInt16(slot)), count: 1, owner: owner))
      }
      end = slot + 1
    }
    return runs
  }

  func write(_ writer: inout ByteWriter) {
    let runs = runs { _ in true }
    writer.put(UInt16(runs.count))
    for run in runs { run.write(&writer) }
  }

  init(_ reader: inout ByteReader) throws(MalformedBytes) {
    self.init()
    var next = 0
    for _ in 0..<Int(try reader.short()) {
      let run = try SlotRun(&reader)
      guard Int(run.first.rawValue) == next else { throw MalformedBytes() }
      assign(run)
      next += Int(run.count)
    }
    guard next == Slot.count else { throw MalformedBytes() }
  }
}
