import AloftAtomics

/// The small cases of waiting at a ring: who waits sleeps on an event until it is served. A wake-up
/// that gets lost is a thread that sleeps for ever.
enum WaiterCases {
  typealias Ring = MPMCRingCore<ModelMemory>

  /// What is wrong with a case on purpose.
  enum Fault: Sendable {
    case none
    /// The first waiter is entered without asking whether things have changed since its last try.
    case asksNobody
    /// It announces itself without regard to what is inside.
    case announcesBlindly
    /// Who is told to serve serves one waiter, however many items there are.
    case servesOnce
    /// Who closes leaves the waiters alone.
    case closesSilently
  }

  /// The words of a case: the ring, then the lock, the list of waiters and what each is given.
  private struct Place {
    let model: Model
    let ring: Ring
    let lock: Int
    /// How many have been entered and how many of them served, under the lock.
    let entered: Int
    let served: Int
    /// An event and a gift for each waiter, in the order of entry.
    let events: Int
    let gifts: Int
    let fault: Fault

    init(_ model: Model, capacity: Int, _ fault: Fault) {
      let words = Ring.words(capacity: capacity)
      self.model = model
      ring = Ring(memory: model.memory, capacity: capacity)
      (lock, entered, served, events, gifts) = (words, words + 1, words + 2, words + 3, words + 7)
      self.fault = fault
    }

    func locked(_ body: () -> Void) {
      model.attempt { model.memory.compareExchange(lock, 0, 1, .acquire) == 0 ? () : nil }
      body()
      model.memory.storeRelease(lock, 0)
    }

    /// With the lock held.
    func serve() {
      let memory = model.memory
      var next = Int(memory.read(served))
      var waiting = Int(memory.read(entered)) - next
      if fault == .servesOnce { waiting = min(waiting, 1) }
      _ = ring.serveItems(&waiting) { item in
        memory.storeRelease(gifts + next, item ?? 99)
        model.wake(events + next)
        next += 1
      }
      memory.write(served, UInt(next))
    }

    /// Takes an item, waiting for it; 99 stands for the end.
    func take(_ item: inout UInt) -> UInt {
      let memory = model.memory
      while true {
        let answer = model.attempt { () -> RingPop? in
          let answer = ring.pop(&item, exactly: true)
          return answer == .busy ? nil : answer
        }
        if answer == .item { return item }
        if answer == .closed { return 99 }
        var place = -1
        locked {
          let count = memory.read(entered)
          let isFirst = count == memory.read(served)
          if isFirst && !expects() { return }
          memory.write(entered, count + 1)
          place = Int(count)
        }
        if place >= 0 {
          model.sleep(events + place)
          // The event orders nothing, so the gift does.
          return model.attempt {
            let gift = memory.loadAcquire(gifts + place)
            return gift == 0 ? nil : gift
          }
        }
      }
    }

    private func expects() -> Bool {
      switch fault {
      case .asksNobody: return true
      case .announcesBlindly:
        let tail = model.memory.loadRelaxed(0)
        return model.memory.compareExchangeSequential(0, tail, tail | 1 << 62) == tail
      case .none, .servesOnce, .closesSilently: return ring.expectItems()
      }
    }

    func push(_ item: UInt) {
      switch ring.push(item) {
      case .accepted: break
      case .acceptedMustServe: locked { serve() }
      case .full, .busy, .closed: model.fail("no room, with room for all")
      }
    }
  }

  /// Each of `pushers` pushes `items`; each of `waiters` takes one, waiting for it.
  static func waiting(
    pushers: Int, items: Int = 1, waiters: Int, fault: Fault = .none
  ) -> Model {
    let model = Model(words: Ring.words(capacity: 2) + 16)
    for pusher in 0..<pushers {
      model.thread("pusher \(pusher)") { [unowned model] in
        let place = Place(model, capacity: 2, fault)
        for item in 0..<items { place.push(UInt(pusher * items + item + 1)) }
      }
    }
    for waiter in 0..<waiters {
      let item = ModelBuffer([0])
      model.thread("waiter \(waiter)") { [unowned model] in
        model.record(Place(model, capacity: 2, fault).take(&item.start[0]))
      }
    }
    model.finally { records in
      let got = records[pushers...].flatMap { $0 }
      let isRight = got.count == waiters && Set(got).count == waiters
      return isRight && got.allSatisfy { 1...UInt(pushers * items) ~= $0 } ? nil : "got \(got)"
    }
    return model
  }

  /// A pusher, one who closes, and a waiter that takes until it hears of the end.
  static func closing(pushes: Bool, fault: Fault = .none) -> Model {
    let model = Model(words: Ring.words(capacity: 2) + 16)
    model.thread("pusher") { [unowned model] in
      guard pushes else { return }
      let place = Place(model, capacity: 2, fault)
      switch place.ring.push(1) {
      case .accepted: model.record(1)
      case .acceptedMustServe:
        model.record(1)
        place.locked { place.serve() }
      case .full, .busy: model.fail("no room, with room for all")
      case .closed: break
      }
    }
    model.thread("closer") { [unowned model] in
      let place = Place(model, capacity: 2, fault)
      if place.ring.close(), fault != .closesSilently { place.locked { place.serve() } }
    }
    let item = ModelBuffer([0])
    model.thread("waiter") { [unowned model] in
      let place = Place(model, capacity: 2, fault)
      var got: UInt = 0
      while got != 99 {
        got = place.take(&item.start[0])
        if got != 99 { model.record(got) }
      }
    }
    model.finally { $0[0] == $0[2] ? nil : "accepted \($0[0]), delivered \($0[2])" }
    return model
  }
}
