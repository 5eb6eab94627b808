import Aloft
import AloftNode
import Synchronization
import Testing

/// Handlers of sessions, and programs that wait for events, at nodes in one process.
@Suite(.serialized)
struct SessionHandlerStories {
  @Test("Each session is started at one node, and at another with its state when that one dies")
  func handlers() async throws {
    // Not so fast that a busy machine has one taken for dead.
    try await withCluster(["a", "b", "c"], timing: .standard) { nodes, _ in
      for node in nodes {
        try await eventually("all vote, as far as \(node.node.name) knows") {
          await node.node.status()?.members.filter { $0.isVoter && $0.slots > 0 }.count == 3
        }
      }
      // A node makes sessions at itself, as long as others have no fewer to speak of. Some are
      // older than the handlers.
      var made: [Session] = []
      func make(_ number: Int) async throws {
        let sessions = nodes[number % 3].node.sessions
        made.append(try await sessions.create(state: [UInt8(number)]))
      }
      for number in 0..<15 { try await make(number) }
      let books = nodes.map { _ in Book() }
      for (node, book) in zip(nodes, books) { await node.node.sessions.serve(book) }
      for number in 15..<30 { try await make(number) }
      let all = Set(made.map(\.id))
      try await eventually("all are started") {
        books.reduce(into: Set()) { $0.formUnion($1.running.keys) } == all
      }
      #expect(books.reduce(0) { $0 + $1.running.count } == 30)
      #expect(books.reduce(0) { $0 + $1.told.count { $0.hasPrefix("new") } } == 15)
      for session in made { try await session.append([100]) }
      try await made[0].publish([1])
      try await eventually("changes are told of") {
        books.flatMap(\.told).count { $0 == "changed" } == 30
      }
      try await eventually("an event is told of") {
        books.flatMap(\.told).contains("published 1")
      }
      let (victim, other) = books[2].running.isEmpty ? (1, 2) : (2, 1)
      let lost = Set(books[victim].running.keys)
      #expect(!lost.isEmpty)
      await nodes[victim].end()
      #expect(books[victim].running.isEmpty, "they are stopped where the node has ended")
      try await eventually("those of the dead node are started elsewhere") {
        books[0].running.count + books[other].running.count == 30
      }
      for (number, session) in made.enumerated() where lost.contains(session.id) {
        let state = books[0].running[session.id] ?? books[other].running[session.id]
        #expect(state == [UInt8(number), 100])
      }
      for session in made.prefix(5) {
        try await nodes[other].node.sessions.get(session.id)?.close()
      }
      try await eventually("ends are told of") {
        books[0].running.count + books[other].running.count == 25
      }
      await nodes[0].node.sessions.serve(nil)
      #expect(books[0].running.isEmpty)
    }
  }

  @Test("Events come to a node's own program, wherever they are published")
  func outbox() async throws {
    try await withCluster(["a", "b"]) { nodes, _ in
      for node in nodes {
        try await eventually("both are there") {
          await node.node.status()?.members.count == 2
        }
      }
      let options = SessionOptions(durability: .durable)
      let made = try await nodes[0].node.sessions.create(options: options)
      try await made.publish([0])
      let other = try #require(try await nodes[1].node.sessions.get(made.id))
      var events = try await other.subscribe().makeAsyncIterator()
      #expect(try await events.next()?.bytes == [0])
      for number in 1..<5 {
        let published = try await made.publish([UInt8(number)])
        let event = try await events.next()
        #expect(event?.number == published)
        #expect(event?.bytes == [UInt8(number)])
      }
      try await made.close()
      await #expect(throws: SessionFailure.self) { _ = try await events.next() }
    }
  }
}

/// What a handler was told.
private final class Book: SessionHandler {
  private let list = Mutex<[String]>([])
  private let states = Mutex<[SessionID: [UInt8]]>([:])

  var told: [String] { list.withLock { $0 } }
  var running: [SessionID: [UInt8]] { states.withLock { $0 } }

  private func note(_ text: String) { list.withLock { $0.append(text) } }

  func started(_ session: Session, _ contents: Session.Contents, isNew: Bool) {
    note(isNew ? "new" : "taken")
    states.withLock { $0[session.id] = contents.state }
  }

  func changed(_ session: Session, _ contents: Session.Contents) {
    note("changed")
    states.withLock { $0[session.id] = contents.state }
  }

  func published(_ session: Session, number: UInt64) { note("published \(number)") }

  func ended(_ session: Session, isExpired: Bool) {
    note("ended")
    states.withLock { $0[session.id] = nil }
  }

  func stopped(_ session: Session) {
    note("stopped")
    states.withLock { $0[session.id] = nil }
  }
}
