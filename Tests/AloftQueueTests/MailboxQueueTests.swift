import AloftQueue
import Testing

/// The four lists of a mailbox beside a plain model of them, told the same random stories; and
/// wrong versions, which must be found.
struct MailboxQueueTests {
  /// Which mistake is put in.
  enum Fault: CaseIterable {
    case none
    /// A list of which one was taken still has that one as its oldest.
    case notRelinked
    /// What is dropped for a newcomer's sake is the newest of its class.
    case dropsNewest
    /// It goes uncounted.
    case dropUncounted
    /// The less urgent is never served while more urgent ones wait.
    case starves
  }

  /// What is expected, as arrays.
  struct Model {
    var classes: [[(number: UInt64, arrived: UInt32)]] = [[], [], [], []]
    var passes = 0
    var depth: Int { classes.reduce(0) { $0 + $1.count } }

    mutating func pop() -> UInt64? {
      let waiting = (0..<4).filter { !classes[$0].isEmpty }
      guard let first = waiting.first else { return nil }
      if waiting.count == 1 {
        passes = 0
        return classes[first].removeFirst().number
      }
      guard passes == 31 else {
        passes += 1
        return classes[first].removeFirst().number
      }
      passes = 0
      let oldest = waiting.reversed().min { classes[$0][0].arrived < classes[$1][0].arrived }!
      return classes[oldest].removeFirst().number
    }

    mutating func dropOldest() -> UInt64? {
      guard let last = (0..<4).last(where: { !classes[$0].isEmpty }) else { return nil }
      return classes[last].removeFirst().number
    }
  }

  /// The queue with a mistake.
  struct Subject {
    var queue = MailboxQueue()
    let fault: Fault
    var uncounted = 0

    init(fault: Fault) { self.fault = fault }

    var depth: Int { queue.depth + uncounted }

    mutating func pop() -> MessageBlock? {
      if fault == .starves { queue.forgetPasses() }
      guard let block = queue.pop() else { return nil }
      if fault == .notRelinked, let next = queue.first {
        // As if the newest still led to what was taken.
        let link = next.header.pointee.link
        next.header.pointee.link = block.header.pointee.link
        _ = link
      }
      return block
    }

    mutating func dropOldest() -> MessageBlock? {
      if fault == .dropUncounted { uncounted += 1 }
      guard fault == .dropsNewest else { return queue.dropOldest() }
      var all: [MessageBlock] = []
      while let block = queue.dropOldest() { all.append(block) }
      guard let last = all.firstIndex(where: { $0.rank != all[0].rank }) ?? all.indices.last
      else { return nil }
      let newest = all.remove(at: all[last].rank == all[0].rank ? last : last - 1)
      for block in all { queue.push(block) }
      return newest
    }
  }

  /// Answers what does not hold.
  func story(seed: UInt64, fault: Fault) -> String? {
    var random = SplitMix(state: seed)
    var subject = Subject(fault: fault)
    var model = Model()
    var spare = (0..<200).map { _ in MessageBlock.allocate(count: 8) }
    let all = spare
    defer { for block in all { MessageBlock.release(block) } }
    var number: UInt64 = 0
    for step in 0..<2_000 {
      let lot = random.next() % 100
      if lot < 55, let block = spare.popLast() {
        number += 1
        let rank = Int(random.next() % (seed % 3 == 0 ? 1 : 4))
        block.header.pointee.priority = UInt8(rank)
        block.header.pointee.tag = number
        block.header.pointee.arrived = UInt32(step)
        subject.queue.push(block)
        model.classes[rank].append((number, UInt32(step)))
      } else {
        let (got, wanted) =
          lot < 97
          ? (subject.pop(), model.pop()) : (subject.dropOldest(), model.dropOldest())
        if got?.header.pointee.tag != wanted { return "step \(step): not \(wanted ?? 0)" }
        if let got { spare.append(got) }
      }
      if subject.depth != model.depth { return "step \(step): depth \(subject.depth)" }
      let oldest = model.classes.compactMap { $0.first?.arrived }.min()
      if subject.queue.oldestArrival != oldest { return "step \(step): oldest" }
    }
    return nil
  }

  @Test("Random stories end as the model says", arguments: UInt64(1)...40)
  func stories(seed: UInt64) { #expect(story(seed: seed, fault: .none) == nil) }

  @Test("A wrong version is found", arguments: Fault.allCases.filter { $0 != .none })
  func faults(fault: Fault) {
    let found = (UInt64(1)...40).filter { story(seed: $0, fault: fault) != nil }.count
    #expect(found > 10, "\(found) of 40 stories show it")
  }

  @Test("One in 32 is the one that has waited longest, so that nobody starves")
  func starvation() {
    var queue = MailboxQueue()
    var blocks: [MessageBlock] = []
    func push(_ rank: UInt8, _ arrived: UInt32) {
      let block = MessageBlock.allocate(count: 0)
      block.header.pointee.priority = rank
      block.header.pointee.arrived = arrived
      blocks.append(block)
      queue.push(block)
    }
    for index in 0..<4 { push(3, UInt32(index)) }
    for index in 0..<200 { push(0, UInt32(100 + index)) }
    var ranks: [UInt8] = []
    while let block = queue.pop() { ranks.append(block.header.pointee.priority) }
    #expect(ranks.enumerated().filter { $0.element == 3 }.map(\.offset) == [31, 63, 95, 127])
    for block in blocks { MessageBlock.release(block) }
  }
}

extension MessageBlock {
  fileprivate var rank: UInt8 { header.pointee.priority & 3 }
}

private struct SplitMix {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
