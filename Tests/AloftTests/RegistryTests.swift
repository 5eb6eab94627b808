import Aloft
import Glibc
import Synchronization
import Testing

/// The registry by its public calls: names for mailboxes and connections on real event loops, from
/// loops and from other threads; and what it says to bad input.
@Suite
struct RegistryTests {
  @Test("Registered, looked up, sent to, taken over and taken away, under every kind of key")
  func life() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let registry = runtime.registry
      let inbox = Inbox()
      let first = try await runtime.mailbox(handler: inbox)
      let second = try await runtime.mailbox(handler: inbox)
      try await Self.life(registry, "orders", first, second)
      try await Self.life(
        registry, try Registry.Name("an order of more than fifteen"), first, second)
      try await Self.life(registry, UInt64(7), first, second)
      try await Self.life(registry, UInt128(7) << 77, first, second)
      #expect(registry.nameCount == 0 && registry.idCount == 0)

      try registry.register("orders", first)
      let orders = try Registry.Name("orders")
      #expect(registry.lookUp(orders) == .mailbox(first))
      #expect(registry.lookUp(StaticString("orders")) == .mailbox(first))
      #expect(registry.lookUp(Array("orders".utf8).span.bytes) == .mailbox(first))
      #expect(registry.send(Message(copying: Array("a".utf8)), to: "orders") == .accepted)
      #expect(registry.send(Message(copying: Array("b".utf8)), to: orders) == .accepted)
      #expect(registry.send(Array("c".utf8).span.bytes, to: "orders") == .accepted)
      try registry.register(UInt64(1), first)
      try registry.register(UInt128(1), first)
      #expect(registry.send(Message(copying: Array("d".utf8)), to: UInt64(1)) == .accepted)
      #expect(registry.send(Message(copying: Array("e".utf8)), to: UInt128(1)) == .accepted)
      #expect(registry.send(Message(copying: Array("f".utf8)), to: "nobody") == .unknown)
      try await inbox.wait(for: 5)
      #expect(inbox.texts == ["a", "b", "c", "d", "e"])
      let many = [orders, try Registry.Name("nobody"), orders]
      let counts = registry.send(toEach: many.span) { Message(copying: Array("\($0)".utf8)) }
      #expect(counts.accepted == 2 && counts.unknown == 1)
      try await inbox.wait(for: 7)
      var found: [Int: Registry.Target] = [:]
      registry.lookUp(each: many.span) { place, target in found[place] = target }
      #expect(found == [0: .mailbox(first), 2: .mailbox(first)])
    }
  }

  private static func life(
    _ registry: Registry, _ key: some RegistryKey & Sendable, _ first: Mailbox, _ second: Mailbox
  ) async throws {
    try registry.register(key, first)
    try registry.register(key, first)
    let taken = #expect(throws: AloftError.self) { try registry.register(key, second) }
    #expect(taken?.code == .nameTaken && taken?.holder == .mailbox(first))
    try registry.replace(key, expected: first, with: second)
    let other = #expect(throws: AloftError.self) { try registry.unregister(key, first) }
    #expect(other?.code == .notOwner && other?.holder == .mailbox(second))
    #expect(try registry.takeOver(key, first) == .mailbox(second))
    try registry.unregister(key, first)
    let gone = #expect(throws: AloftError.self) { try registry.unregister(key, first) }
    #expect(gone?.code == .nameUnknown)
    #expect(try registry.takeOver(key, second) == nil)
    try registry.unregister(key, second)
  }

  @Test("Names go with their mailbox, however it ends, and with their connection")
  func ends() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let registry = runtime.registry
      let inbox = Inbox()
      let mailbox = try await runtime.mailbox(handler: inbox)
      for index in 0..<20 { try registry.register("name \(index)", mailbox) }
      try registry.register(UInt64(5), mailbox)
      try registry.register(UInt128(5), mailbox)
      try registry.group("group").join(mailbox)
      #expect(registry.nameCount == 20 && registry.idCount == 2 && registry.groupCount == 1)
      mailbox.close()
      try await inbox.waitForEnd()
      try await eventually {
        registry.nameCount == 0 && registry.idCount == 0 && registry.groupCount == 0
      }
      #expect(registry.send(Message(copying: [1]), to: "name 1") == .unknown)
      let ended = #expect(throws: AloftError.self) { try registry.register("late", mailbox) }
      #expect(ended?.code == .ownerEnded)

      let talker = Talker()
      let listener = try await runtime.listen(on: .init("127.0.0.1", 0), handler: talker)
      let peer = Talker()
      let client = try await runtime.connect(to: listener.address, handler: peer)
      // From this thread, which is none of the loops.
      try registry.register("client", client)
      try registry.register("client", client)
      #expect(registry.lookUp("client") == .connection(client))
      #expect(registry.send(Message(copying: Array("hello".utf8)), to: "client") == .accepted)
      try await eventually { talker.bytes == 5 }
      // Whoever hears this closes.
      #expect(registry.send(Message(copying: Array("bye".utf8)), to: "client") == .accepted)
      try await eventually { registry.nameCount == 0 }
      #expect(registry.lookUp("client") == nil)
      // One that has ended gets no name for long.
      try? registry.register("client", client)
      try await eventually { registry.nameCount == 0 }
    }
  }

  @Test("Groups: in turn, by the shortest queue, to all; members who end are passed over")
  func groups() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let group = try runtime.registry.group("workers")
      #expect(group.pick() == nil && group.send(Message(copying: [1])) == .unknown)
      let inboxes = (0..<4).map { _ in Inbox() }
      var workers: [Mailbox] = []
      for inbox in inboxes { workers.append(try await runtime.mailbox(handler: inbox)) }
      for worker in workers { try group.join(worker) }
      try group.join(workers[0])
      #expect(group.count == 4 && Set(group.members) == Set(workers.map { .mailbox($0) }))
      for _ in 0..<40 { #expect(group.send(Message(copying: [1])) == .accepted) }
      for inbox in inboxes { try await inbox.wait(for: 10) }
      let all = group.broadcast(Message(copying: Array("all".utf8)))
      #expect(all.accepted == 4 && all.members == 4)
      for inbox in inboxes {
        try await inbox.wait(for: 11)
        #expect(inbox.texts.last == "all")
      }
      workers[2].close()
      try await inboxes[2].waitForEnd()
      for _ in 0..<9 { #expect(group.send(Message(copying: [1]), .leastQueued) == .accepted) }
      try await eventually { group.count == 3 }
      try group.leave(workers[0])
      let error = #expect(throws: AloftError.self) { try group.leave(workers[0]) }
      #expect(error?.code == .notOwner)
      try group.leave(workers[1])
      try group.leave(workers[3])
      #expect(runtime.registry.groupCount == 0)
      let unknown = #expect(throws: AloftError.self) { try group.leave(workers[3]) }
      #expect(unknown?.code == .nameUnknown)
    }
  }

  @Test("The shortest queue is known on its own loop, and from elsewhere")
  func shortestQueue() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let group = try runtime.registry.group("workers")
      let loop = runtime.eventLoops[1]
      let inbox = Inbox()
      let first = try await runtime.mailbox(on: loop, handler: inbox)
      let second = try await runtime.mailbox(on: loop, handler: inbox)
      try group.join(first)
      try group.join(second)
      try await loop.run {}
      let (isFull, isSeen) = (Gate(), Gate())
      try loop.execute {
        for _ in 0..<10 { first.send(Message(copying: [1])) }
        for _ in 0..<4 { #expect(group.pick(.leastQueued) == .mailbox(second)) }
        isFull.open()
        // What waits goes on waiting until the other thread has looked.
        while !isSeen.isOpen { usleep(100) }
      }
      while !isFull.isOpen { usleep(100) }
      for _ in 0..<4 { #expect(group.pick(.leastQueued) == .mailbox(second)) }
      isSeen.open()
      try await inbox.wait(for: 10)
      try await loop.run {}
      let picked = Set((0..<4).compactMap { _ in group.pick(.leastQueued) })
      #expect(picked == [.mailbox(first), .mailbox(second)])
    }
  }

  @Test("A watch tells of each change on its loop, and of none once it is cancelled")
  func watches() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let registry = runtime.registry
      let loop = runtime.eventLoops[1]
      let inbox = Inbox()
      let first = try await runtime.mailbox(handler: inbox)
      let second = try await runtime.mailbox(handler: inbox)
      try registry.register("orders", first)
      let heard = Heard()
      let watch = try registry.watch("orders", on: loop) { change in
        heard.add(change, onLoop: loop.isCurrent)
      }
      #expect(watch.initial == .mailbox(first))
      try registry.replace("orders", expected: first, with: second)
      second.close()
      try await eventually { heard.changes.count == 2 }
      try registry.register("orders", first)
      try await eventually { heard.changes.count == 3 }
      #expect(
        heard.changes.map { [$0.gone, $0.came] } == [
          [.mailbox(first), .mailbox(second)], [.mailbox(second), nil], [nil, .mailbox(first)],
        ])
      #expect(heard.isOnLoop)
      watch.cancel()
      watch.cancel()
      try registry.unregister("orders", first)
      try await loop.run {}
      #expect(heard.changes.count == 3)
      #expect(registry.nameCount == 0)
    }
  }

  @Test("Names that are empty or too long, targets of others and of nobody: typed errors")
  func badInput() async throws {
    try await Runtime.with(.init(eventLoops: 1)) { runtime in
      let registry = runtime.registry
      let mailbox = try await runtime.mailbox(handler: Inbox())
      let longest = String(repeating: "n", count: 255)
      let tooLong = longest + "n"
      try registry.register(longest, mailbox)
      #expect(registry.lookUp(longest) == .mailbox(mailbox))
      var error = #expect(throws: AloftError.self) { try registry.register(tooLong, mailbox) }
      #expect(error?.code == .nameTooLong && error?.message.contains("256") == true)
      error = #expect(throws: AloftError.self) { try registry.register("", mailbox) }
      #expect(error?.code == .nameEmpty)
      error = #expect(throws: AloftError.self) { try Registry.Name(tooLong) }
      #expect(error?.code == .nameTooLong)
      error = #expect(throws: AloftError.self) { try registry.group("") }
      #expect(error?.code == .nameEmpty)
      #expect(registry.lookUp("") == nil && registry.lookUp(tooLong) == nil)
      #expect(registry.send(Message(copying: [1]), to: tooLong) == .unknown)

      // Forged: no loop, no slot, no generation of this runtime; and one of another's.
      for raw in [
        0, 1, 2, UInt64.max, mailbox.rawValue ^ 2, mailbox.rawValue | 1 << 40, 0xFF << 48,
      ] {
        error = #expect(throws: AloftError.self) {
          try registry.register("forged", Mailbox(rawValue: raw))
        }
        #expect([.ownerEnded, .foreignOwner].contains(error?.code), "\(raw)")
      }
      try await Runtime.with(.init(eventLoops: 1)) { other in
        let stranger = try await other.mailbox(handler: Inbox())
        error = #expect(throws: AloftError.self) { try registry.register("other", stranger) }
        #expect(error?.code == .foreignOwner)
      }
      #expect(registry.nameCount == 1)
    }
  }
}

/// Writes down what arrives.
private final class Inbox: MailboxHandler, @unchecked Sendable {
  // @unchecked: written on one loop, read through the count that is stored after.
  private var received: [String] = []
  private let count = Atomic<Int>(0)
  private let hasEnded = Atomic<Bool>(false)

  var texts: [String] { received }

  func received(_ mailbox: Mailbox, _ message: consuming Message) throws {
    received.append(message.withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
    count.add(1, ordering: .releasing)
  }

  func closed(_ mailbox: Mailbox, reason: MailboxCloseReason) {
    hasEnded.store(true, ordering: .releasing)
  }

  func wait(for wanted: Int) async throws {
    try await eventually { self.count.load(ordering: .acquiring) >= wanted }
  }

  func waitForEnd() async throws {
    try await eventually { self.hasEnded.load(ordering: .acquiring) }
  }
}

private final class Gate: Sendable {
  private let value = Atomic<Bool>(false)
  var isOpen: Bool { value.load(ordering: .acquiring) }
  func open() { value.store(true, ordering: .releasing) }
}

private final class Heard: @unchecked Sendable {
  // @unchecked: written on one loop, each place once, and read behind the count.
  private static let changesMax = 16
  private let places = UnsafeMutablePointer<(change: Registry.Change, onLoop: Bool)>
    .allocate(capacity: changesMax)
  private let count = Atomic<Int>(0)

  deinit {
    places.deinitialize(count: count.load(ordering: .acquiring))
    places.deallocate()
  }

  func add(_ change: Registry.Change, onLoop: Bool) {
    let index = count.load(ordering: .relaxed)
    precondition(index < Self.changesMax, "more than \(Self.changesMax) changes")
    (places + index).initialize(to: (change, onLoop))
    count.store(index + 1, ordering: .releasing)
  }

  private var all: UnsafeBufferPointer<(change: Registry.Change, onLoop: Bool)> {
    UnsafeBufferPointer(start: places, count: count.load(ordering: .acquiring))
  }
  var changes: [Registry.Change] { all.map(\.change) }
  var isOnLoop: Bool { all.allSatisfy(\.onLoop) }
}

private final class Talker: ConnectionHandler {
  private let count = Atomic<Int>(0)
  var bytes: Int { count.load(ordering: .acquiring) }
  func received(_ connection: Connection, _ bytes: RawSpan) {
    count.add(bytes.byteCount, ordering: .releasing)
    if bytes.byteCount == 3 { connection.close() }
  }
}

/// Waits until something has come to be, for ten seconds at most.
private func eventually(_ isSo: @escaping () -> Bool) async throws {
  for _ in 0..<10_000 {
    if isSo() { return }
    try await Task.sleep(for: .milliseconds(1))
  }
  Issue.record("it did not come to be")
}
