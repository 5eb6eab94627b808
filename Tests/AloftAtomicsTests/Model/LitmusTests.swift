import ModelFibers
import Testing

/// The checker itself is held against textbook cases: for each, exactly those outcomes must be
/// reachable that C++20 allows. A checker that shows too few would bless broken code, one that
/// shows too many would blame good code.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct LitmusTests {
  /// Runs the threads through all executions and gathers what they recorded, in order of
  /// threads, as text.
  private func outcomes(_ bodies: [(Model) -> Void]) -> Set<String> {
    let model = Model(words: 8)
    var outcomes: Set<String> = []
    for (index, body) in bodies.enumerated() {
      model.thread("t\(index)") { [unowned model] in body(model) }
    }
    model.finally { records in
      outcomes.insert(records.flatMap { $0 }.map(String.init).joined())
      return nil
    }
    let result = model.explore()
    #expect(result.fault == nil, "\(result)")
    return outcomes
  }

  @Test("Store buffering: only sequential operations forbid that both miss the other's store")
  func storeBuffering() {
    func run(_ store: Operation.Order, _ load: Operation.Order, fence: Bool = false)
      -> Set<String>
    {
      outcomes(
        [(0, 1), (1, 0)].map { mine, other in
          { model in
            model.memory.store(mine, 1, store)
            if fence { model.fence(.sequential) }
            model.record(model.memory.load(other, load))
          }
        })
    }
    #expect(run(.release, .acquire) == ["00", "01", "10", "11"])
    #expect(run(.sequential, .acquire) == ["00", "01", "10", "11"])
    #expect(run(.release, .sequential) == ["00", "01", "10", "11"])
    #expect(run(.sequential, .sequential) == ["01", "10", "11"])
    #expect(run(.relaxed, .relaxed, fence: true) == ["01", "10", "11"])
  }

  @Test("Message passing: release and acquire forbid a flag without its message")
  func messagePassing() {
    func run(_ store: Operation.Order, _ load: Operation.Order) -> Set<String> {
      outcomes([
        { model in
          model.memory.store(0, 1, .relaxed)
          model.memory.store(1, 1, store)
        },
        { model in
          model.record(model.memory.load(1, load))
          model.record(model.memory.load(0, .relaxed))
        },
      ])
    }
    #expect(run(.release, .acquire) == ["00", "01", "11"])
    #expect(run(.relaxed, .acquire) == ["00", "01", "10", "11"])
    #expect(run(.release, .relaxed) == ["00", "01", "10", "11"])
    #expect(run(.sequential, .sequential) == ["00", "01", "11"])
  }

  @Test("Message passing through fences, and through an exchange by a third thread")
  func indirectMessagePassing() {
    let fences = outcomes([
      { model in
        model.memory.store(0, 1, .relaxed)
        model.fence(.release)
        model.memory.store(1, 1, .relaxed)
      },
      { model in
        model.record(model.memory.load(1, .relaxed))
        model.fence(.acquire)
        model.record(model.memory.load(0, .relaxed))
      },
    ])
    #expect(fences == ["00", "01", "11"])

    let sequence = outcomes([
      { model in
        model.memory.store(0, 1, .relaxed)
        model.memory.store(1, 1, .release)
      },
      { model in _ = model.memory.compareExchange(1, 1, 2, .relaxed) },
      { model in
        model.record(model.memory.load(1, .acquire))
        model.record(model.memory.load(0, .relaxed))
      },
    ])
    #expect(sequence == ["00", "01", "11", "21"])
  }

  @Test("Four threads that read two independent writes agree on their order if sequential")
  func independentReads() {
    func run(_ store: Operation.Order, _ load: Operation.Order) -> Set<String> {
      outcomes([
        { model in model.memory.store(0, 1, store) },
        { model in model.memory.store(1, 1, store) },
        { model in
          model.record(model.memory.load(0, load))
          model.record(model.memory.load(1, load))
        },
        { model in
          model.record(model.memory.load(1, load))
          model.record(model.memory.load(0, load))
        },
      ])
    }
    #expect(run(.release, .acquire).contains("1010"))
    let sequential = run(.sequential, .sequential)
    #expect(sequential.count == 15 && !sequential.contains("1010"))
  }

  @Test("Coherence: a word's values never go back, and each exchange finds another value")
  func coherence() {
    let reads = outcomes([
      { model in
        model.memory.store(0, 1, .relaxed)
        model.memory.store(0, 2, .relaxed)
      },
      { model in
        model.record(model.memory.load(0, .relaxed))
        model.record(model.memory.load(0, .relaxed))
      },
    ])
    #expect(reads == ["00", "01", "02", "11", "12", "22"])

    let exchanges = outcomes(
      [1, 2].map { value in
        { model in model.record(model.memory.exchange(0, value, .relaxed)) }
      })
    #expect(exchanges == ["01", "20"])
  }

  @Test("Two words written crosswise: only relaxed stores may both end with their first value")
  func crosswiseWrites() {
    func ends(_ order: Operation.Order) -> Set<String> {
      let model = Model(words: 8)
      var ends: Set<String> = []
      for (first, second) in [(0, 1), (1, 0)] {
        model.thread("t\(first)") { [unowned model] in
          model.memory.store(first, 1, order)
          model.memory.store(second, 2, order)
        }
      }
      model.finally { [unowned model] _ in
        ends.insert("\(model.newest(0))\(model.newest(1))")
        return nil
      }
      #expect(model.explore().fault == nil)
      return ends
    }
    #expect(ends(.release) == ["11", "12", "21", "22"])
    #expect(ends(.sequential) == ["12", "21", "22"])
  }

  @Test("Two plain accesses race unless something orders them")
  func races() {
    func fault(_ store: Operation.Order, _ load: Operation.Order) -> Fault? {
      let model = Model(words: 8)
      model.thread("writer") { [unowned model] in
        model.memory.write(4, 7)
        model.memory.store(0, 1, store)
      }
      model.thread("reader") { [unowned model] in
        if model.memory.load(0, load) == 1 { model.record(model.memory.read(4)) }
      }
      return model.explore().fault
    }
    #expect(fault(.release, .acquire) == nil)
    #expect(fault(.relaxed, .acquire) == .race("reader reads word 4 while another writes it"))
    #expect(fault(.release, .relaxed) == .race("reader reads word 4 while another writes it"))
  }

  @Test("A bound of preemptions leaves out schedules: none, some, more")
  func preemptionBound() {
    func schedules(_ bound: Int) -> Int {
      let model = Model(words: 8)
      model.preemptionsMax = bound
      for word in 0...1 {
        model.thread("t\(word)") { [unowned model] in
          for value: UInt in 1...3 { model.memory.store(word, value, .relaxed) }
        }
      }
      let result = model.explore()
      #expect(result.fault == nil)
      return result.executions + result.cutShort
    }
    // One thread after the other, in either order.
    #expect(schedules(0) == 2)
    #expect(schedules(1) > schedules(0) && schedules(3) > schedules(1))
  }

  @Test("A thread that waits for what nobody does is found")
  func deadlock() {
    let model = Model(words: 8)
    model.thread("sleeper") { [unowned model] in
      if model.memory.load(0, .acquire) == 0 { model.sleep(1) }
    }
    model.thread("waker") { [unowned model] in
      model.memory.store(0, 1, .release)
    }
    #expect(model.explore().fault == .deadlock("sleeper waits in sleep"))
  }
}
