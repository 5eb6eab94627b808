import AloftAtomics

/// The small cases of the rings that the checker walks through.
enum RingCases {
  typealias SPSC = SPSCRingCore<ModelMemory>
  typealias MPSC = MPSCRingCore<ModelMemory>

  /// The words of a ring whose orders matter.
  static let tail = 0..<1
  static let headSeen = 1..<2
  static let head = 16..<17
  static let slots = 32..<48

  /// One producer pushes `items` through a ring of `capacity`, one by one or by `bulk`; one
  /// consumer takes them out. Both wait where they must, and both must come to their end.
  static func single(capacity: Int, items: Int, bulk: Int? = nil) -> Model {
    let model = Model(words: SPSC.words(capacity: capacity))
    let ring = SPSC(memory: model.memory, capacity: capacity)
    let outgoing = ModelBuffer((1...items).map { UInt($0) })
    let incoming = ModelBuffer(Array(repeating: 0, count: items))
    model.thread("producer") { [unowned model] in
      var sent = 0
      while sent < items {
        sent += model.attempt {
          guard let bulk else { return ring.push(UInt(sent + 1), .release) ? 1 : nil }
          let part = outgoing.part(sent, min(bulk, items - sent))
          return notNone(ring.push(contentsOf: part, .release))
        }
      }
    }
    model.thread("consumer") { [unowned model] in
      var got = 0
      while got < items {
        let count = model.attempt {
          if let bulk { return notNone(ring.pop(into: incoming.start, limit: bulk)) }
          guard let item = ring.pop() else { return nil }
          incoming.start[0] = item
          return 1
        }
        for i in 0..<count { model.record(incoming.start[i]) }
        got += count
      }
    }
    model.finally { records in
      let expected = (1...items).map { UInt($0) }
      return records[1] == expected ? nil : "consumed \(records[1])"
    }
    return model
  }

  /// Each producer pushes `items` with a message in plain memory behind each; the consumer takes
  /// all and reads each message. A producer that finds the ring full waits for room.
  static func several(
    producers: Int, capacity: Int, items: Int, bulk: Bool = false
  ) -> Model {
    let messages = MPSC.words(capacity: capacity)
    let model = Model(words: messages + producers * 8)
    let ring = MPSC(memory: model.memory, capacity: capacity)
    for producer in 0..<producers {
      let mine = (1...items).map { UInt(messages + producer * 8 + $0 - 1) }
      let outgoing = ModelBuffer(mine)
      model.thread("producer \(producer)") { [unowned model] in
        var sent = 0
        for i in 0..<items { model.memory.write(Int(outgoing.start[i]), 100 + UInt(i)) }
        while sent < items {
          sent += model.attempt {
            if !bulk { return ring.push(outgoing.start[sent]) ? 1 : nil }
            return notNone(ring.push(contentsOf: outgoing.part(sent, items - sent)))
          }
        }
      }
    }
    let incoming = ModelBuffer(Array(repeating: 0, count: capacity))
    model.thread("consumer") { [unowned model] in
      var got = 0
      while got < producers * items {
        let count = model.attempt {
          if bulk { return notNone(ring.pop(into: incoming.start, limit: capacity)) }
          guard let item = ring.pop() else { return nil }
          incoming.start[0] = item
          return 1
        }
        for i in 0..<count {
          let item = incoming.start[i]
          model.record(item)
          if model.memory.read(Int(item)) < 100 { model.fail("item without its message") }
        }
        got += count
      }
    }
    model.finally { records in
      judge(records[producers], producers: producers, items: items, from: messages)
    }
    return model
  }

  /// Each item once, and those of one producer in order.
  private static func judge(
    _ consumed: [UInt], producers: Int, items: Int, from messages: Int
  ) -> String? {
    var next = Array(repeating: 0, count: producers)
    for item in consumed {
      let (producer, index) = (Int(item) - messages).quotientAndRemainder(dividingBy: 8)
      if producer < 0 || producer >= producers || index != next[producer] {
        return "consumed \(consumed)"
      }
      next[producer] += 1
    }
    return next.allSatisfy { $0 == items } ? nil : "consumed \(consumed)"
  }
}

/// A failed attempt, where a brick says how many.
func notNone(_ count: Int) -> Int? { count == 0 ? nil : count }

/// Words outside the model that one thread of a case works in: its arguments and results.
/// Never freed while the test process lives; executions that are cut short hold no reference.
struct ModelBuffer {
  let start: UnsafeMutablePointer<UInt>

  init(_ words: [UInt]) {
    start = .allocate(capacity: max(words.count, 1))
    for (i, word) in words.enumerated() { (start + i).initialize(to: word) }
  }

  func part(_ first: Int, _ count: Int) -> UnsafeBufferPointer<UInt> {
    UnsafeBufferPointer(start: start + first, count: count)
  }
}
