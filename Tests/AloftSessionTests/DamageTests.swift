import AloftMembership
import AloftSim
import Testing

@testable import AloftSession

/// Bytes that nobody of ours writes: entries, requests, verdicts and snapshots that were cut,
/// changed or made up are refused or do no harm.
struct DamageTests {
  private static func damaged(_ bytes: [UInt8], _ random: inout SimRandom) -> [UInt8] {
    var bytes = bytes
    switch random.below(4) {
    case 0: bytes.removeLast(random.in(1...bytes.count))
    case 1: bytes.append(UInt8(truncatingIfNeeded: random.word()))
    default:
      for _ in 0...random.below(3) where !bytes.isEmpty {
        let edges: [UInt8] = [0, 1, 0x7f, 0x80, 0xff]
        let value =
          random.chance(50) ? edges[random.below(5)] : UInt8(truncatingIfNeeded: random.word())
        bytes[random.below(bytes.count)] = value
      }
    }
    return bytes
  }

  @Test("Damaged entries are refused, or done as they say, alike on all nodes")
  func entries() throws {
    var random = SimRandom(seed: 3)
    for seed in 1...UInt64(12) {
      let story = SessionStory(seed: seed)
      #expect(story.run(steps: 120) == nil)
      let world = story.world
      let entries = world.log.filter { $0.first == LogEntryKind.session }
      guard !entries.isEmpty else { continue }
      for _ in 0..<150 {
        // As if its owner had put it there next, so that it isn't turned away by its number.
        var entry = entries[random.below(entries.count)]
        let node = world.nodes[random.below(world.nodes.count)]
        let header = SessionEntryHeader(
          origin: node.identity.id, incarnation: node.identity.incarnation,
          sequence: world.nodes[0].store.fence.sequence(of: node.identity.id) + 1,
          epoch: Epoch(rawValue: UInt64(world.log.count)),
          operations: try entry.withUnsafeBytes { try SessionEntryHeader(entry: $0) }.operations)
        var writer = RawWriter()
        header.write(&writer)
        writer.put(raw: Array(entry.dropFirst(writer.count)))
        entry = Self.damaged(writer.take(), &random)
        world.log.append(entry)
        let index = UInt64(world.log.count)
        let verdicts = world.nodes.map { node in
          entry.withUnsafeBytes { node.store.apply(index: index, entry: $0) { _, _ in } }
        }
        #expect(verdicts.allSatisfy { $0 == verdicts[0] })
      }
      let states = world.nodes.map(\.store.plain)
      #expect(states.allSatisfy { $0 == states[0] })
    }
  }

  @Test("Damaged requests, outcomes and verdicts are errors, and whole ones come back")
  func messages() throws {
    var random = SimRandom(seed: 4)
    let options = SessionOptions(phase: .negotiating, idleTimeoutMs: 5, stateMax: 99, keysMax: 3)
    let operations: [SessionOperation] = [
      .create(options, name: [1, 2], state: [3, 4, 5]),
      .create(SessionOptions(), name: [], state: []),
      .put([1]), .append([]), .setPhase(.suspended), .publish([9]), .acknowledge(through: 7),
      .close,
      .patch([SessionField(name: [1], value: [2]), SessionField(name: [3], value: nil)]),
    ]
    let owner = SessionWorld().nodes[0].owner
    for operation in operations {
      for (key, expected) in [(0, nil), (5, 6)] as [(UInt64, UInt64?)] {
        let request = SessionRequest(
          id: SessionID(high: 1, low: 2, slot: Slot(rawValue: 3)),
          principal: Principal(high: 4, low: 5), key: key, expected: expected,
          operation: operation)
        #expect(try SessionRequest(bytes: request.bytes) == request)
        for _ in 0..<500 {
          let bytes = Self.damaged(request.bytes, &random)
          _ = try? SessionRequest(bytes: bytes)
          _ = bytes.withUnsafeBytes { owner.submit(bytes: $0, token: 1, now: 2_000_000_000) }
        }
      }
    }
    let outcome = SessionOutcome(.conflict, version: 1 << 40, number: 3)
    #expect(try SessionOutcome(bytes: outcome.bytes) == outcome)
    let verdict = SessionVerdict(index: 9, kind: .applied, refused: [1, 5])
    #expect(try SessionVerdict(bytes: verdict.bytes) == verdict)
    #expect(throws: MalformedBytes.self) { try SessionOutcome(bytes: [255]) }
    #expect(throws: MalformedBytes.self) {
      try SessionVerdict(
        bytes: SessionVerdict(index: 9, kind: .applied, refused: [5, 1]).bytes)
    }
    for _ in 0..<2_000 {
      _ = try? SessionOutcome(bytes: Self.damaged(outcome.bytes, &random))
      _ = try? SessionVerdict(bytes: Self.damaged(verdict.bytes, &random))
    }
  }

  @Test("Damaged snapshots are errors, or whole stores")
  func snapshots() throws {
    var random = SimRandom(seed: 5)
    for seed in 1...UInt64(8) {
      let story = SessionStory(seed: seed)
      #expect(story.run(steps: 200) == nil)
      let store = story.world.nodes[0].store
      store.beginSnapshot()
      var pieces: [[UInt8]] = []
      while let piece = store.nextPiece(bytesMax: 500) { pieces.append(piece) }
      for _ in 0..<60 {
        var copy = pieces
        switch random.below(4) {
        case 0: copy.remove(at: random.below(copy.count))
        case 1: copy.swapAt(0, copy.count - 1)
        default:
          let position = random.below(copy.count)
          copy[position] = Self.damaged(copy[position], &random)
        }
        var restorer = SessionRestorer(limits: story.world.limits)
        do {
          for piece in copy { try piece.withUnsafeBytes { try restorer.take($0) } }
          _ = try restorer.finish().plain
        } catch is MalformedBytes {}
      }
    }
  }
}
