import AloftAtomics

/// The small cases of a mailbox's gate that the checker walks through.
enum GateCases {
  typealias Gate = MailboxGateCore<ModelMemory>

  static let gate = 0..<1
  private static let generation: UInt32 = 3

  /// A mistake to be found.
  enum Fault { case none, givesBackTwice }

  /// Senders take credits, hold them, and give them back, `rounds` times each; at no time may more
  /// be held than there are, and in the end all must be there again.
  static func credits(
    senders: Int, capacity: UInt32, wanted: UInt32, rounds: Int, fault: Fault = .none
  ) -> Model {
    let model = Model(words: 1 + senders)
    let gate = Gate(memory: model.memory)
    model.initial[0] = Gate.word(generation: generation, capacity: capacity, shareLog2: 0)
    for sender in 0..<senders {
      model.thread("sender \(sender)") {
        for _ in 0..<rounds {
          guard case .credits(let count) = gate.reserve(generation: generation, wanted: wanted)
          else { continue }
          gate.giveBack(generation: generation, credits: count)
          if fault == .givesBackTwice {
            gate.giveBack(generation: generation, credits: count)
          }
        }
      }
    }
    model.thread("onlooker") { [unowned model] in
      if gate.load().credits > capacity { model.fail("more credits than the capacity") }
    }
    model.finally { [unowned model] _ in
      let left = MailboxGateWord(word: model.newest(0)).credits
      return left == capacity ? nil : "\(left) credits of \(capacity) at the end"
    }
    return model
  }

  /// A sender and the owner who closes: what the sender got in it got in before the end, and a
  /// credit that comes back later is void.
  static func closing() -> Model {
    let model = Model(words: 1)
    let gate = Gate(memory: model.memory)
    model.initial[0] = Gate.word(generation: generation, capacity: 2, shareLog2: 0)
    model.thread("sender") { [unowned model] in
      if case .credits(let count) = gate.reserve(generation: generation, wanted: 1) {
        model.record(1)
        gate.giveBack(generation: generation, credits: count)
      }
    }
    model.thread("owner") { _ = gate.close(generation: generation) }
    model.finally { [unowned model] _ in
      let end = MailboxGateWord(word: model.newest(0))
      if end.isOpen(generation) { return "open after the end" }
      return end.credits == 0 ? nil : "\(end.credits) credits of the dead"
    }
    return model
  }

  /// Whoever asks to be told writes down for whom, then asks; the closer who finds the wish reads
  /// the note. `true` is a promise: then the closer must have found it.
  static func watching(watchers: Int) -> Model {
    let model = Model(words: 1 + watchers)
    let gate = Gate(memory: model.memory)
    model.initial[0] = Gate.word(generation: generation, capacity: nil, shareLog2: 0)
    for watcher in 0..<watchers {
      model.thread("watcher \(watcher)") { [unowned model] in
        model.memory.write(1 + watcher, 7)
        if gate.watch(generation: generation) { model.record(1) }
      }
    }
    model.thread("owner") { [unowned model] in
      if gate.close(generation: generation) {
        model.record(1)
        // The only one who may have asked: its note is there.
        if watchers == 1, model.memory.read(1) != 7 { model.fail("the wish without the note") }
      }
    }
    model.finally { records in
      let promised = records.dropLast().contains { !$0.isEmpty }
      return promised == !records.last!.isEmpty ? nil : "promised \(promised), told otherwise"
    }
    return model
  }
}
