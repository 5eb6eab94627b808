import AloftAtomics
import ModelFibers
import Testing

/// Each broken twin goes through the checker, which must find its fault.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct BrokenTwinTests {
  @Test("A ring that overwrites an item which nobody has taken: a race, or a wrong item")
  func overwriting() {
    let model = Model(words: 64)
    let ring = OverwritingRing(memory: model.memory, mask: 1)
    let real = SPSCRingCore(memory: model.memory, capacity: 2)
    model.thread("producer") { for item: UInt in 1...3 { _ = ring.push(item) } }
    model.thread("consumer") { [unowned model] in
      for _ in 1...3 { model.record(model.attempt { real.pop() }) }
    }
    model.finally { $0[1] == [1, 2, 3] ? nil : "consumed \($0[1])" }
    #expect(model.explore().fault != nil)
  }

  @Test("A ring that takes a stale index for full, though there was always room")
  func unsignedRoom() {
    let model = Model(words: 64)
    let ring = UnsignedRoomRing(memory: model.memory, capacity: 2)
    let real = MPSCRingCore(memory: model.memory, capacity: 2)
    for producer: UInt in 1...2 {
      model.thread("producer \(producer)") { [unowned model] in
        if !ring.push(producer) { model.fail("full, with room for both") }
      }
    }
    model.thread("consumer") { [unowned model] in
      for _ in 1...2 { model.record(model.attempt { real.pop() }) }
    }
    #expect(model.explore().fault == .failure("full, with room for both"))
  }

  @Test("A ring whose consumer takes what is claimed and not yet filled: a race")
  func claimIsPublication() {
    let model = Model(words: 64)
    let ring = ClaimIsPublicationRing(memory: model.memory, mask: 1)
    model.thread("producer") { _ = ring.push(7) }
    model.thread("consumer") { [unowned model] in
      model.record(model.attempt { ring.pop() })
    }
    #expect(model.explore().fault == .race("consumer reads word 32 while another writes it"))
  }

  @Test("A stack that pops single nodes: the top that went and came back leads to a lost node")
  func topThatCameBack() {
    let model = Model(words: 64)
    let stack = PoppingStack(memory: model.memory)
    // Three nodes lie on the stack. One thread pops one; the other pops two and puts the first
    // back. A node that is popped twice is the fault.
    model.thread("owner") { [unowned model] in
      for node: UInt in [16, 17, 18] { stack.push(node) }
      model.memory.storeRelease(1, 1)
      if let first = stack.pop() {
        if let second = stack.pop() { model.record(second) }
        stack.push(first)
      }
    }
    model.thread("other") { [unowned model] in
      model.attempt { model.memory.loadAcquire(1) == 1 ? () : nil }
      for _ in 1...2 { if let node = stack.pop() { model.record(node) } }
    }
    model.finally { records in
      let taken = records.flatMap { $0 }
      return Set(taken).count == taken.count ? nil : "taken \(taken)"
    }
    if case .failure = model.explore().fault {} else { Issue.record("not found") }
  }

  @Test("A flag that lets every producer wake the loop: two wake-ups for one sleep")
  func eagerFlag() {
    let model = Model(words: 64)
    let flag = EagerFlag(memory: model.memory)
    let real = SleepFlagCore(memory: model.memory)
    for producer in 1...2 {
      model.thread("producer \(producer)") { [unowned model] in
        model.memory.storeSequential(16 * producer, 1)
        if flag.mustWake() { model.record(1) }
      }
    }
    model.thread("loop") { real.announce() }
    model.finally { $0[0].count + $0[1].count > 1 ? "two wake-ups for one sleep" : nil }
    #expect(model.explore().fault == .failure("two wake-ups for one sleep"))
  }
}
