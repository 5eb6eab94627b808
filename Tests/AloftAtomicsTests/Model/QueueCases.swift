import AloftAtomics

/// The small cases of what queues add to their rings: the end, and the water marks.
enum QueueCases {
  /// Pushers, a close, and a consumer that goes on until it hears of the end.
  static func unboundedClose(pushers: Int) -> Model {
    let model = Model(words: 64)
    let queue = UnboundedQueueCore(memory: model.memory)
    for pusher in 0..<pushers {
      model.thread("pusher \(pusher)") { [unowned model] in
        // A node's first word is its link, its second a message.
        let node = 16 * (pusher + 1)
        model.memory.write(node + 1, 7)
        if queue.push(UInt(node)) { model.record(UInt(node)) }
      }
    }
    model.thread("closer") { queue.close() }
    model.thread("consumer") { [unowned model] in
      while true {
        var node = model.attempt { () -> UInt? in
          let node = queue.take()
          return node == 0 ? nil : node
        }
        if node == UnboundedQueueCore<ModelMemory>.end { return }
        while node != 0 {
          model.record(node)
          if model.memory.read(Int(node) + 1) != 7 { model.fail("node without its message") }
          node = model.memory.readLink(of: node)
        }
      }
    }
    model.finally { records in
      let accepted = records[..<pushers].flatMap { $0 }.sorted()
      let taken = records[pushers + 1].sorted()
      return accepted == taken ? nil : "accepted \(accepted), delivered \(taken)"
    }
    return model
  }

  /// One producer that pushes and closes, one consumer that goes on until it hears of the end.
  static func singleClose(items: Int) -> Model {
    let model = Model(words: 96)
    let ring = SPSCRingCore(memory: model.memory, capacity: 2)
    let end = SPSCRingEnd(memory: model.memory.advanced(by: 64))
    model.thread("producer") { [unowned model] in
      for item in 0..<items { if ring.push(UInt(item), .release) { model.record(UInt(item)) } }
      end.close()
    }
    let word = ModelBuffer([0])
    model.thread("consumer") { [unowned model] in
      while true {
        let answer = model.attempt { () -> RingPop? in
          let answer = end.pop(from: ring, &word.start[0])
          return answer == .empty ? nil : answer
        }
        if answer == .closed { return }
        model.record(word.start[0])
      }
    }
    model.finally { $0[0] == $0[1] ? nil : "pushed \($0[0]), popped \($0[1])" }
    return model
  }

  static let isHigh = 80..<81

  /// One pushes up to the high mark, one pops down to the low one: at rest the flag is down, and
  /// whoever was told of a rise is followed by somebody who is told of the fall. With `looksAgain`
  /// off the push doesn't look at the depth again after it has set the flag.
  static func waterMarks(looksAgain: Bool = true) -> Model {
    let model = Model(words: 128)
    let ring = MPMCRingCore(memory: model.memory, capacity: 2)
    let marks = QueueCounters(memory: model.memory.advanced(by: 64), high: 1, low: 0)
    model.thread("producer") { [unowned model] in
      _ = ring.push(7)
      if looksAgain {
        if marks.pushed({ ring.count }) { model.record(1) }
      } else if ring.count >= 1, !marks.isAboveHighWater {
        model.memory.storeSequential(80, 1)
        model.record(1)
      }
    }
    let item = ModelBuffer([0])
    model.thread("consumer") { [unowned model] in
      model.attempt { ring.pop(&item.start[0]).isItem ? () : nil }
      if marks.popped({ ring.count }) { model.record(1) }
    }
    model.finally { [unowned model] records in
      if model.newest(80) != 0 { return "above high water, and empty" }
      return records[0].count == records[1].count ? nil : "\(records)"
    }
    return model
  }
}
