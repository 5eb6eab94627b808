@testable import AloftAtomics

/// The small cases of pools that the checker walks through. Messages, which are other bricks' and
/// checked with them, are a step each here: who waits adds a bit to the home's word, and so does
/// whoever has something for it.
///
/// A resource is a plain word: two borrowers at a time, or one that doesn't see what the last one
/// did, are a race. A borrower that is never served waits for ever: a lost wake-up is a deadlock,
/// or, for the loop, which serves others while it waits, a lease too few.
final class LeaseCase {
  typealias Table = LeaseTableCore<ModelMemory>

  /// A version of the protocol that is wrong in one way.
  enum Fault {
    case none
    /// A returner doesn't look at the gate once its resource is on the shelf.
    case noSecondLook
    /// Whoever clears a stale bit doesn't look at the slot afterwards.
    case noLookAfterClearing
    /// A taker doesn't look at the gate.
    case cutsInLine
    /// Home doesn't ask the loops for what they keep.
    case asksNoLoop
    /// A return sets the bit of whatever slot it names: the mask, not the slot's word, is the
    /// truth.
    case maskIsTruth
  }

  enum Borrower {
    /// Any thread.
    case foreign
    /// The one loop beside the home.
    case loop
  }

  static let slots = 2
  let model: Model
  let table: Table
  let fault: Fault
  private let loops: Int
  private let borrowers: [Borrower]
  private let leases: Int
  private let open: Int
  private let returnsTwice: Bool
  /// The second borrower comes when it has heard from the first one that it waits.
  private let lateComer: Bool

  // Words behind the table's.
  private let inbox: Int
  private let first: Int
  private func resource(_ slot: Int) -> Int { first + slot }
  /// What home sends a borrower: a lease, or, to the loop, the request to bring what it keeps.
  private func grant(_ borrower: Int) -> Int { first + Self.slots + borrower }
  private static let flush: UInt = 1 << 60

  // Bits of the home's inbox.
  private func waits(_ borrower: Int) -> UInt { 1 << UInt(borrower) }
  private func cameHome(_ slot: Int) -> UInt { 1 << UInt(16 + slot) }
  private static let poke: UInt = 1 << 24

  /// `open` resources are there from the start; each borrower takes and returns `leases` times.
  init(
    _ borrowers: [Borrower], open: Int = 1, leases: Int = 1, share: Int = 1,
    returnsTwice: Bool = false, lateComer: Bool = false, fault: Fault = .none
  ) {
    self.lateComer = lateComer
    self.returnsTwice = returnsTwice
    self.borrowers = borrowers
    self.leases = leases
    self.open = open
    self.fault = fault
    loops = borrowers.contains(.loop) ? 1 : 0
    let words = Table.words(slots: Self.slots, loops: loops, share: share)
    inbox = words
    first = words + 1
    model = Model(words: first + Self.slots + borrowers.count)
    table = Table(memory: model.memory, slots: Self.slots, loops: loops, share: share)
    for index in borrowers.indices {
      model.thread("\(borrowers[index]) \(index)", mayRest: borrowers[index] == .loop) {
        [unowned self] in borrow(index)
      }
    }
    model.thread("home", mayRest: true) { [unowned self] in home() }
  }

  // MARK: Messages

  private func send(_ bit: UInt) {
    model.post(inbox, bit)
  }

  // MARK: A borrower

  private func borrow(_ me: Int) {
    let isLoop = borrowers[me] == .loop
    if lateComer, me == 1 { _ = model.receive(grant(1)) }
    for _ in 0..<leases {
      let lease = LeaseHandle(rawValue: take(me, isLoop))
      let word = resource(lease.slot)
      let uses = model.memory.read(word) + 1
      model.memory.write(word, uses)
      model.record(UInt(lease.slot) << 8 | uses)
      let result = isLoop ? table.giveBack(lease, on: 0) : giveBack(lease)
      finish(result, lease)
      // A borrower that is wrong itself: it harms nobody.
      if me == 0, returnsTwice {
        let again = giveBack(lease)
        if fault == .none, again != .stale { model.fail("returned twice: \(again)") }
      }
    }
    // A loop takes turns for as long as the process lives.
    while isLoop {
      if model.receive(grant(me)) & Self.flush != 0 { table.flush(0) { send(cameHome($0)) } }
    }
  }

  private func take(_ me: Int, _ isLoop: Bool) -> UInt64 {
    if isLoop {
      let lease = table.takeKept(by: 0)
      if lease != 0 { return lease }
    }
    if lateComer, me == 0 {
      table.beginWaiting()
      send(waits(me))
      model.post(grant(1), 1)
      return UInt64(model.receive(grant(me)))
    }
    let lease =
      switch fault {
      case .cutsInLine: table.take(from: 0, leaving: LeaseWord.lent)
      case .noLookAfterClearing: takeAndClearBlindly()
      default: table.takeShared(from: 0)
      }
    if lease != 0 && lease != UInt64.max { return lease }
    table.beginWaiting()
    send(waits(me))
    while true {
      let word = model.receive(grant(me))
      if word & Self.flush != 0 { table.flush(0) { send(cameHome($0)) } }
      if word & ~Self.flush != 0 { return UInt64(word & ~Self.flush) }
    }
  }

  private func takeAndClearBlindly() -> UInt64 {
    if !table.isOpen { return 0 }
    for slot in 0..<Self.slots
    where table.memory.loadSequential(table.mask(slot)) & table.bit(slot) != 0 {
      let word = LeaseWord(rawValue: table.memory.loadRelaxed(table.state(slot)))
      let taken = word.next(holder: LeaseWord.lent)
      if word.holder == LeaseWord.shelved,
        table.memory.compareExchangeSequential(
          table.state(slot), word.rawValue, taken.rawValue) == word.rawValue
      {
        return LeaseHandle(pool: 0, slot: slot, generation: taken.generation).rawValue
      }
      let bit = table.bit(slot)
      _ = table.change(table.mask(slot)) { $0 & ~bit }
    }
    return 0
  }

  private func giveBack(_ lease: LeaseHandle) -> LeaseReturn {
    switch fault {
    case .maskIsTruth:
      let word = LeaseWord(generation: lease.generation, holder: LeaseWord.shelved)
      table.memory.storeSequential(table.state(lease.slot), word.rawValue)
      return table.publish(lease.slot)
    case .noSecondLook:
      let result = table.giveBack(lease)
      return result == .mustPoke ? .idle : result
    default: return table.giveBack(lease)
    }
  }

  private func finish(_ result: LeaseReturn, _ lease: LeaseHandle) {
    switch result {
    case .idle: break
    case .mustPoke: if table.claimPoke() { send(Self.poke) }
    case .mustSendHome: send(cameHome(lease.slot))
    case .mustForward, .stale: model.fail("\(result)")
    }
  }

  // MARK: The loop

  private func askLoopToFlush() { model.post(grant(borrowers.firstIndex(of: .loop)!), Self.flush) }

  // MARK: The home

  private func home() {
    // Those who wait, four bits each, the first lowest: an array would be left behind when the
    // execution is cut short.
    var queue: UInt = 0
    for slot in 0..<open { _ = table.shelve(slot) }
    while true {
      let news = model.receive(inbox)
      if news & Self.poke != 0 { table.endPoke() }
      for index in borrowers.indices where news & waits(index) != 0 { append(index, &queue) }
      for slot in 0..<Self.slots where news & cameHome(slot) != 0 { place(slot, &queue) }
      while queue != 0, let slot = table.takeHome() { place(slot, &queue) }
      if queue != 0, loops > 0, fault != .asksNoLoop { askLoop() }
    }
  }

  private func append(_ borrower: Int, _ queue: inout UInt) {
    var place: UInt = 0
    while queue >> place != 0 { place += 4 }
    queue |= UInt(borrower + 1) << place
  }

  private func askLoop() {
    if table.requestFlush(of: 0) { askLoopToFlush() }
  }

  private func place(_ slot: Int, _ queue: inout UInt) {
    if queue == 0 {
      if table.shelve(slot) == .mustPoke, table.claimPoke() { send(Self.poke) }
      return
    }
    let borrower = Int(queue & 15) - 1
    queue >>= 4
    let lease = table.lend(slot)
    _ = table.endWaiting()
    model.post(grant(borrower), UInt(lease.rawValue))
  }

  /// Resources were used as often as leases were taken.
  func explore() -> Model.Result {
    let total = UInt(borrowers.count * leases)
    model.finally { [lateComer] records in
      if lateComer, records[0] != [1] { return "overtaken: \(records)" }
      let used = (0..<Self.slots).reduce(UInt(0)) { sum, slot in
        sum + (records.joined().filter { $0 >> 8 == slot }.map { $0 & 0xFF }.max() ?? 0)
      }
      return used == total ? nil : "\(used) uses for \(total) leases"
    }
    return model.explore()
  }
}

extension LeaseCase {
  /// One resource, lent; at once its borrower returns it, another thread tries to take it, and a
  /// third one begins to wait and looks, as home does for it. In the end one of them has it, or
  /// the returner was told to tell home; and if it is on the shelf, its bit is set.
  static func encounter(hasTaker: Bool) -> Model {
    let words = Table.words(slots: slots, loops: 0, share: 0)
    let model = Model(words: words + 2)
    let table = Table(memory: model.memory, slots: slots, loops: 0, share: 0)
    model.thread("returner") { [unowned model] in
      _ = table.shelve(0)
      let lease = LeaseHandle(rawValue: table.takeShared(from: 0))
      model.post(words, 1)
      if hasTaker { model.post(words + 1, 1) }
      let result = table.giveBack(lease)
      model.record(result == .idle ? 0 : 1)
    }
    model.thread("waiter") { [unowned model] in
      _ = model.receive(words)
      table.beginWaiting()
      model.record(table.takeHome() == nil ? 0 : 1)
    }
    if hasTaker {
      model.thread("taker") { [unowned model] in
        _ = model.receive(words + 1)
        model.record(table.takeShared(from: 0) == 0 ? 0 : 1)
      }
    }
    model.finally { [unowned model] records in
      let holders = records[1][0] + (hasTaker ? records[2][0] : 0)
      if holders > 1 { return "lent twice" }
      if holders == 0, records[0][0] == 0 { return "idle, and nobody was told" }
      let isShelved = LeaseWord(rawValue: model.newest(table.state(0))).holder == LeaseWord.shelved
      if isShelved, model.newest(table.mask(0)) & 1 == 0 { return "idle, and out of sight" }
      return nil
    }
    return model
  }
}
