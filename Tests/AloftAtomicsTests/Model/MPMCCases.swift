import AloftAtomics

/// The small cases of the ring of several producers and consumers.
enum MPMCCases {
  typealias Ring = MPMCRingCore<ModelMemory>

  /// The words whose orders matter.
  static let tail = 0..<1
  static let head = 16..<17
  static let slots = 32..<64

  /// Each producer pushes `items`, each with a message in plain memory behind it; the consumers
  /// take the same number each and read the messages.
  static func several(
    producers: Int, consumers: Int, capacity: Int, items: Int, bulk: Bool = false
  ) -> Model {
    let messages = Ring.words(capacity: capacity)
    let model = Model(words: messages + producers * 8)
    let ring = Ring(memory: model.memory, capacity: capacity)
    for producer in 0..<producers {
      let outgoing = ModelBuffer((0..<items).map { UInt(messages + producer * 8 + $0) })
      model.thread("producer \(producer)") { [unowned model] in
        for i in 0..<items { model.memory.write(Int(outgoing.start[i]), 100) }
        var sent = 0
        while sent < items {
          sent += model.attempt {
            if !bulk { return ring.push(outgoing.start[sent]) == .accepted ? 1 : nil }
            var serve = false
            return notNone(
              ring.push(contentsOf: outgoing.part(sent, items - sent), mustServe: &serve))
          }
        }
      }
    }
    let quota = producers * items / consumers
    for consumer in 0..<consumers {
      let incoming = ModelBuffer(Array(repeating: 0, count: quota))
      model.thread("consumer \(consumer)") { [unowned model] in
        var got = 0
        while got < quota {
          let count = model.attempt { () -> Int? in
            if !bulk { return ring.pop(&incoming.start[0]) == .item ? 1 : nil }
            var serve = false
            return notNone(ring.pop(into: incoming.start, limit: quota - got, mustServe: &serve))
          }
          for i in 0..<count {
            model.record(incoming.start[i])
            if model.memory.read(Int(incoming.start[i])) != 100 {
              model.fail("item without its message")
            }
          }
          got += count
        }
      }
    }
    model.finally { judge($0[producers...], producers: producers, items: items, from: messages) }
    return model
  }

  /// Each item once, and with one consumer those of one producer in order, with several at least
  /// in each one's eyes.
  private static func judge(
    _ consumers: ArraySlice<[UInt]>, producers: Int, items: Int, from messages: Int
  ) -> String? {
    let all = consumers.flatMap { $0 }
    if Set(all).count != producers * items { return "consumed \(all)" }
    for taken in consumers {
      for producer in 0..<producers {
        let mine = taken.filter { (Int($0) - messages) / 8 == producer }
        if mine != mine.sorted() { return "consumed \(taken)" }
      }
    }
    return nil
  }

  /// What a pop answered that was asked to be exact.
  private static func outcome(_ ring: Ring) -> UInt {
    var item: UInt = 0
    return UInt(ring.pop(&item, exactly: true).rawValue)
  }

  /// One thread pushes and pops, another pops: one of them has the item, and nobody says "empty"
  /// unless the other one has it.
  static func exactlyEmpty() -> Model {
    let model = Model(words: Ring.words(capacity: 1))
    let ring = Ring(memory: model.memory, capacity: 1)
    model.thread("owner") { [unowned model] in
      _ = ring.push(7)
      model.record(outcome(ring))
    }
    model.thread("other") { [unowned model] in model.record(outcome(ring)) }
    model.finally { records in
      let (owner, other) = (RingPop(rawValue: UInt8(records[0][0]))!, records[1][0])
      let otherHasIt = other == UInt(RingPop.item.rawValue)
      if owner == .item { return otherHasIt ? "one item, twice" : nil }
      return otherHasIt ? nil : "an item inside, and both say \(owner)"
    }
    return model
  }

  /// A push beside a close, and a consumer that goes on until it hears of the end.
  static func closing(capacity: Int, producers: Int) -> Model {
    let model = Model(words: Ring.words(capacity: capacity))
    let ring = Ring(memory: model.memory, capacity: capacity)
    for producer in 0..<producers {
      model.thread("producer \(producer)") { [unowned model] in
        switch ring.push(UInt(producer)) {
        case .accepted: model.record(1)
        case .acceptedMustServe: model.fail("nobody waits")
        case .full, .busy, .closed: break
        }
      }
    }
    model.thread("closer") { if !ring.close() { model.fail("closed by nobody") } }
    let item = ModelBuffer([0])
    model.thread("consumer") { [unowned model] in
      var isOpen = true
      while isOpen {
        let answer = model.attempt { () -> RingPop? in
          let answer = ring.pop(&item.start[0], exactly: true)
          return answer == .empty || answer == .busy ? nil : answer
        }
        isOpen = answer == .item
        if isOpen { model.record(item.start[0]) }
      }
    }
    model.finally { records in
      let accepted = records[..<producers].reduce(0) { $0 + $1.count }
      let taken = records[producers + 1].count
      return accepted == taken ? nil : "\(accepted) accepted, \(taken) delivered"
    }
    return model
  }
}
