package import AloftMembership

/// What has become of a slot.
package enum SlotEvent: Hashable, Sendable {
  /// It's this node's, and nobody serves it any more who had it before.
  case ready(Slot)
  case lost(Slot)
}

/// Which slots this node owns, and which of them it may serve.
///
/// A slot that changes hands is served by its new owner once nobody else can believe it's his: all
/// lives that ever owned slots have said that they know of the change, or are over, and then for as
/// long as a lease lasts, unless their process is known to be gone.
struct OwnedSlots {
  enum Standing: UInt8 { case foreign, waiting, ready }

  private(set) var standings = Array(repeating: Standing.foreign, count: Slot.count)
  var events = Drain<SlotEvent>()
  /// Slots that came with a change, and may not be served yet.
  private var waiting: [(epoch: Epoch, slots: [Slot])] = []
  /// Lives that may believe that they own something.
  private var lives: [Incarnation: NodeID] = [:]
  /// What each life has said that it knows.
  private var known: [Incarnation: Epoch] = [:]
  /// Those of them that are over: when none can serve any more.
  private var ended: [Incarnation: UInt64] = [:]
  private var gone: Set<Incarnation> = []

  @inline(__always)
  subscript(slot: Slot) -> Standing { standings[Int(slot.rawValue)] }

  var isWaiting: Bool { !waiting.isEmpty }

  var owned: [Slot] {
    standings.indices.lazy.filter { standings[$0] != .foreign }.map {
      Slot(rawValue: UInt16($0))
    }
  }

  mutating func lose(_ slot: Slot) {
    if standings[Int(slot.rawValue)] == .ready { events.add(.lost(slot)) }
    standings[Int(slot.rawValue)] = .foreign
  }

  mutating func gain(_ slots: [Slot], _ epoch: Epoch) {
    guard !slots.isEmpty else { return }
    for slot in slots { standings[Int(slot.rawValue)] = .waiting }
    waiting.append((epoch, slots))
  }

  // MARK: The others

  mutating func note(_ node: NodeID, _ incarnation: Incarnation) {
    lives[incarnation] = node
  }

  mutating func announced(_ incarnation: Incarnation, _ epoch: Epoch) {
    // Whoever isn't let in yet, as far as this node knows, may say so too.
    if known.count > 1_024 { known = known.filter { lives[$0.key] != nil } }
    known[incarnation] = max(known[incarnation] ?? epoch, epoch)
  }

  func isKnownGone(_ incarnation: Incarnation) -> Bool { gone.contains(incarnation) }

  mutating func isGone(_ incarnation: Incarnation) {
    if gone.count > 1_024 { gone = [] }
    gone.insert(incarnation)
  }

  /// Those whose life is over, from now on. One that a later life of the same node followed knows
  /// so itself.
  mutating func endLives(now: UInt64, lease: UInt64, current: [UInt64]) {
    for (incarnation, node) in lives {
      let life = current[Int(node.rawValue)]
      guard life != incarnation.rawValue else { continue }
      if life != 0 { gone.insert(incarnation) }
      if ended[incarnation] == nil { ended[incarnation] = now + lease }
    }
    for (incarnation, until) in ended where until <= now || gone.contains(incarnation) {
      ended[incarnation] = nil
      lives[incarnation] = nil
      known[incarnation] = nil
    }
  }

  private func knows(_ incarnation: Incarnation) -> UInt64 { known[incarnation]?.rawValue ?? 0 }

  /// Until when slots wait for somebody at most; nil when that depends on others.
  func wait(now: UInt64, own: Incarnation) -> UInt64? {
    for incarnation in lives.keys where incarnation != own && ended[incarnation] == nil {
      if waiting.contains(where: { $0.epoch.rawValue > knows(incarnation) }) { return nil }
    }
    return ended.values.max() ?? now
  }

  /// What may be served from now on.
  mutating func settle(own: Incarnation, isHasty: Bool) -> [Slot] {
    guard !waiting.isEmpty else { return [] }
    let isOver = ended.isEmpty || isHasty
    var ready: [Slot] = []
    var left: [(epoch: Epoch, slots: [Slot])] = []
    for change in waiting {
      let isKnown = lives.keys.allSatisfy { incarnation in
        incarnation == own || ended[incarnation] != nil
          || knows(incarnation) >= change.epoch.rawValue
      }
      guard isOver, isKnown || isHasty else {
        left.append(change)
        continue
      }
      for slot in change.slots where standings[Int(slot.rawValue)] == .waiting {
        standings[Int(slot.rawValue)] = .ready
        ready.append(slot)
      }
    }
    waiting = left
    return ready
  }
}
