import AloftAtomics

/// The small cases of sleeping and waking: an item left in a ring while the loop sleeps for ever
/// is a lost wake-up, which the checker sees as threads that all wait.
enum SleepCases {
  typealias Inbox = LoopInboxCore<ModelMemory>
  typealias Mailbox = MailboxCore<ModelMemory>

  /// The words whose orders matter.
  static let flag = 0..<1
  static let foreignTail = 32..<33
  static let laneTail = (32 + 48)..<(32 + 49)

  enum Source { case lane, foreign }

  /// Producers push `items` each, through a lane or the foreign ring, and wake the loop when
  /// told to; the loop sleeps whenever it may. `capacity` holds all of them. With `looksAgain`
  /// off the loop goes to sleep without its last look, which loses wake-ups.
  static func inbox(_ sources: [Source], items: Int, looksAgain: Bool = true) -> Model {
    let lanes = sources.filter { $0 == .lane }.count
    let words = Inbox.words(lanes: lanes, laneCapacity: 2, foreignCapacity: 4)
    let event = words
    let model = Model(words: words + 1)
    let inbox = Inbox(memory: model.memory, lanes: lanes, laneCapacity: 2, foreignCapacity: 4)
    let flag = SleepFlagCore(memory: model.memory)
    var lane = 0
    for (index, source) in sources.enumerated() {
      let mine = lane
      if source == .lane { lane += 1 }
      model.thread("\(source) \(index)") { [unowned model] in
        for item in 1...items {
          let word = UInt(index * 10 + item)
          let result =
            switch source {
            case .lane: inbox.push(word, lane: mine)
            case .foreign: inbox.pushForeign(word)
            }
          switch result {
          case .accepted: break
          case .acceptedMustWake:
            model.record(word)
            model.wake(event)
          case .full: model.fail("full, with room for all")
          }
        }
      }
    }
    let buffer = ModelBuffer(Array(repeating: 0, count: 8))
    model.thread("loop") { [unowned model] in
      var got = 0
      while got < sources.count * items {
        let count = model.attempt { () -> Int? in
          let maySleep: Bool
          if looksAgain {
            maySleep = inbox.prepareToSleep()
          } else {
            flag.announce()
            maySleep = true
          }
          if maySleep { model.sleep(event) }
          inbox.awake()
          let count = inbox.drain(into: buffer.start, limit: 8)
          // Nothing, though it mustn't sleep: an item is claimed and not yet filled. The loop
          // would poll its sockets and come back.
          return count == 0 && !maySleep ? nil : count
        }
        for i in 0..<count { model.record(buffer.start[i]) }
        got += count
      }
    }
    model.finally { records in
      let consumed = records[sources.count]
      for index in sources.indices {
        let mine = consumed.filter { Int($0) / 10 == index }
        if mine != (1...items).map({ UInt(index * 10 + $0) }) { return "consumed \(consumed)" }
      }
      return nil
    }
    return model
  }

  /// The flag alone: two producers that both find the loop asleep, one of whom must wake it.
  static func coalescing() -> Model {
    let model = Model(words: 64)
    let flag = SleepFlagCore(memory: model.memory)
    for index in 1...2 {
      model.thread("producer \(index)") { [unowned model] in
        model.memory.storeSequential(16 * index, 1)
        if flag.mustWake() { model.record(1) }
      }
    }
    model.thread("loop") { [unowned model] in
      flag.announce()
      if model.memory.loadSequential(16) == 0 && model.memory.loadSequential(32) == 0 {
        model.record(1)
      }
    }
    model.finally { records in
      let wakes = records[0].count + records[1].count
      if wakes > 1 { return "\(wakes) wake-ups for one sleep" }
      return wakes < records[2].count ? "asleep with an item and no wake-up" : nil
    }
    return model
  }

  /// Pushers push `nodes` each and schedule the owner when told to; the owner drains when it is
  /// scheduled, and only then.
  static func mailbox(pushers: Int, nodes: Int) -> Model {
    let event = 1
    let model = Model(words: 64)
    let mailbox = Mailbox(memory: model.memory)
    for pusher in 0..<pushers {
      model.thread("pusher \(pusher)") { [unowned model] in
        for index in 0..<nodes {
          // A node's first word is its link, its second a message.
          let node = 16 * (pusher + 1) + 2 * index
          model.memory.write(node + 1, UInt(node))
          if mailbox.push(UInt(node)) { model.wake(event) }
        }
      }
    }
    model.thread("owner") { [unowned model] in
      var got = 0
      while got < pushers * nodes {
        model.sleep(event)
        var node = mailbox.drain()
        while node != 0 {
          model.record(model.memory.read(Int(node) + 1))
          node = model.memory.readLink(of: node)
          got += 1
        }
      }
    }
    model.finally { records in
      let consumed = records[pushers].map { Int($0) }
      for pusher in 0..<pushers {
        let mine = consumed.filter { $0 / 16 == pusher + 1 }
        let expected = (0..<nodes).map { 16 * (pusher + 1) + 2 * $0 }
        if mine != expected { return "consumed \(consumed)" }
      }
      return nil
    }
    return model
  }
}
