import Aloft
import AloftDistributed
import AloftNode
import Distributed
import Testing

/// Distributed actors on nodes in one process: calls, what may be in their way, names, and ends.
@Suite(.serialized)
struct ActorStories {
  /// The same actor as another node names it.
  private func remote(_ counter: Counter, on stage: Stage) throws -> Counter {
    let remote = try Counter.resolve(id: counter.id, using: stage.system)
    #expect(__isRemoteActor(remote))
    return remote
  }

  @Test("Calls of an actor of another node are carried out there: values, none, generic, computed")
  func calls() async throws {
    try await withStages { stages in
      let counter = Counter(stages[0].system)
      let remote = try remote(counter, on: stages[1])
      #expect(try await remote.add(40) == 40)
      #expect(try await counter.add(1) == 41)
      #expect(try await remote.add(1) == 42)
      #expect(try await remote.current == 42)
      try await remote.reset()
      #expect(try await remote.current == 0)
      #expect(try await remote.echo(.sample) == .sample)
      #expect(try await remote.first(of: ["a", "b"]) == "a")
      #expect(try await remote.first(of: [Int]()) == nil)
    }
  }

  @Test("A thousand calls at a time are carried out once each")
  func many() async throws {
    try await withStages { stages in
      let counter = Counter(stages[0].system)
      let remote = try remote(counter, on: stages[1])
      let totals = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<1_000 { group.addTask { try await remote.add(1) } }
        return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
      }
      #expect(totals == Set(1...1_000))
    }
  }

  @Test("An error that is Codable arrives as itself, another one as a sentence")
  func errors() async throws {
    try await withStages { stages in
      let counter = Counter(stages[0].system)
      let remote = try remote(counter, on: stages[1])
      await #expect(throws: Complaint(code: 7, words: ["no", "again"])) {
        try await remote.fail(7)
      }
      await #expect {
        try await remote.fail(0)
      } throws: {
        ($0 as? AloftActorError)?.code == .thrown && "\($0)" == "mute"
      }
    }
  }

  private func fails(
    _ code: AloftActorError.Code, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
  ) async {
    await #expect(sourceLocation: sourceLocation) {
      try await body()
    } throws: {
      ($0 as? AloftActorError)?.code == code
    }
  }

  @Test("A call ends after its limit, and with its task; the other side stops working on it")
  func limits() async throws {
    try await withStages { stages in
      let waits = Waits()
      let counter = Counter(stages[0].system, waits)
      let remote = try remote(counter, on: stages[1])
      await fails(.deadline) {
        try await AloftActorSystem.withCallLimit(.milliseconds(30)) { try await remote.wait() }
      }
      try await eventually("the actor's task is cancelled") {
        waits.ended.load(ordering: .relaxed) == 1
      }
      let call = Task { try await remote.wait() }
      try await eventually("it is under way") { waits.begun.load(ordering: .relaxed) == 2 }
      call.cancel()
      await #expect(throws: CancellationError.self) { try await call.value }
      try await eventually("the actor's task is cancelled") {
        waits.ended.load(ordering: .relaxed) == 2
      }
    }
  }

  @Test("Who is gone, of another type, too far away or given too much says so")
  func refusals() async throws {
    try await withStages { stages in
      let (here, there) = (stages[1].system, stages[0].system)
      var counter: Counter? = Counter(there)
      let remote = try remote(counter!, on: stages[1])
      let id = remote.id
      let idler = try Idler.resolve(id: id, using: here)
      await fails(.incompatible) { _ = try await idler.add(1) }
      #expect(throws: AloftActorError.self) { try Idler.resolve(id: id, using: there) }
      await fails(.tooLarge) {
        _ = try await remote.length(Array(repeating: 0, count: 65 << 20))
      }
      #expect(try await remote.length(Array(repeating: 0, count: 1 << 20)) == 1 << 20)
      counter = nil
      await fails(.noSuchActor) { _ = try await remote.add(1) }
      #expect(throws: AloftActorError.self) { try Counter.resolve(id: id, using: there) }
      let elsewhere = try Counter.resolve(id: Self.id(of: id, node: 77), using: here)
      await fails(.unreachable) { _ = try await elsewhere.add(1) }
      let former = try Counter.resolve(
        id: Self.id(of: id, incarnation: id.incarnation + 1), using: here)
      await fails(.noSuchActor) { _ = try await former.add(1) }
    }
  }

  /// A name that no system has given.
  private static func id(
    of id: AloftActorID, node: Int? = nil, incarnation: UInt64? = nil
  ) throws -> AloftActorID {
    let words = Words(
      node: node ?? id.node, incarnation: incarnation ?? id.incarnation, number: id.number)
    return try AloftActorID(from: words)
  }

  @Test("An actor that is passed on stands for the same actor, wherever it arrives")
  func passing() async throws {
    try await withStages(["a", "b", "c"]) { stages in
      let first = Counter(stages[0].system)
      let second = Counter(stages[1].system)
      let third = Counter(stages[2].system)
      // c asks a to call b, then a, then c itself.
      let asked = try remote(first, on: stages[2])
      #expect(try await asked.pass(5, to: try remote(second, on: stages[2])) == 5)
      #expect(try await second.current == 5)
      #expect(try await asked.pass(6, to: asked) == 6)
      #expect(try await first.current == 6)
      #expect(try await asked.pass(7, to: third) == 7)
      #expect(try await third.current == 7)
    }
  }

  @Test("A name is found from all nodes, is one actor's, and goes when it is checked out")
  func names() async throws {
    try await withStages(["a", "b", "c"]) { stages in
      let counter = Counter(stages[0].system)
      #expect(try await stages[1].system.lookUp(Counter.self, "counter") == nil)
      try await stages[0].system.checkIn(counter, as: "counter")
      for stage in stages {
        let found = try await stage.system.lookUp(Counter.self, "counter", within: .seconds(20))
        #expect(found?.id == counter.id)
        _ = try await found?.add(1)
      }
      #expect(try await counter.current == 3)
      await fails(.nameTaken) {
        try await stages[0].system.checkIn(Counter(stages[0].system), as: "counter")
      }
      await fails(.nameTaken) {
        try await stages[1].system.checkIn(Counter(stages[1].system), as: "counter")
      }
      await fails(.incompatible) {
        _ = try await stages[2].system.lookUp(Idler.self, "counter")
      }
      await fails(.noSuchActor) {
        try await stages[1].system.checkIn(try remote(counter, on: stages[1]), as: "mine")
      }
      #expect(stages[0].system.checkOut("counter"))
      #expect(!stages[0].system.checkOut("counter"))
      try await eventually("the name has gone") {
        try await stages[2].system.lookUp(Counter.self, "counter") == nil
      }
    }
  }

  @Test("An actor that is checked in is kept; one that isn't goes with its last reference")
  func keeping() async throws {
    try await withStages { stages in
      let system = stages[0].system
      let kept = try await Self.checkInOne(system)
      #expect(try await stages[1].system.lookUp(Counter.self, "kept", within: .seconds(20)) != nil)
      let remote = try Counter.resolve(id: kept, using: stages[1].system)
      #expect(try await remote.add(1) == 1)
      system.checkOut("kept")
      await fails(.noSuchActor) { _ = try await remote.add(1) }
    }
  }

  private static func checkInOne(_ system: AloftActorSystem) async throws -> AloftActorID {
    let counter = Counter(system)
    try await system.checkIn(counter, as: "kept")
    return counter.id
  }

  @Test("Calls under way fail at once when the node goes; its names go, and its actors are gone")
  func death() async throws {
    try await withStages(["a", "b", "c"]) { stages in
      let waits = Waits()
      let counter = Counter(stages[2].system, waits)
      try await stages[2].system.checkIn(counter, as: "on c")
      let remote = try remote(counter, on: stages[0])
      #expect(try await stages[0].system.lookUp(Counter.self, "on c", within: .seconds(20)) != nil)
      let start = ContinuousClock.now
      let call = Task {
        try await AloftActorSystem.withCallLimit(.seconds(600)) { try await remote.wait() }
      }
      try await eventually("it is under way") { waits.begun.load(ordering: .relaxed) == 1 }
      await stages[2].end()
      await fails(.linkDown) { try await call.value }
      #expect(ContinuousClock.now - start < .seconds(60))
      await fails(.unreachable) { _ = try await remote.add(1) }
      try await eventually("the name has gone") {
        try await stages[0].system.lookUp(Counter.self, "on c") == nil
      }
    }
  }
}

/// Hands out the words of a name, as a coder would.
private struct Words: Decoder, UnkeyedDecodingContainer {
  var words: [UInt64]
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }
  var count: Int? { words.count }
  var isAtEnd: Bool { currentIndex == words.count }
  var currentIndex = 0

  init(node: Int, incarnation: UInt64, number: UInt64) {
    words = [UInt64(node), incarnation, number]
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    defer { currentIndex += 1 }
    let word = words[currentIndex]
    if let value = word as? Value { return value }
    if let value = Int(word) as? Value { return value }
    throw StageError(text: "no \(type)")
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { self }
  mutating func decodeNil() throws -> Bool { false }
  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    throw StageError(text: "no map")
  }
  func singleValueContainer() throws -> any SingleValueDecodingContainer {
    throw StageError(text: "no value")
  }
  mutating func nestedContainer<Key: CodingKey>(
    keyedBy type: Key.Type
  ) throws -> KeyedDecodingContainer<Key> { throw StageError(text: "no map") }
  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    throw StageError(text: "no array")
  }
  mutating func superDecoder() throws -> any Decoder { throw StageError(text: "no super") }
}
