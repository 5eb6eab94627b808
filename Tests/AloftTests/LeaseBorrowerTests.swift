import Aloft
import Testing

/// A lease for a mailbox, a connection or a loop is taken back when that ends, and not before; one
/// that was returned is left alone, whoever has its resource by then.
@Suite(.timeLimit(.minutes(1))) struct LeaseBorrowerTests {
  typealias Factory = PoolTests.Factory

  final class Sink: MailboxHandler {
    func received(_ mailbox: Mailbox, _ message: consuming Message) throws {}
  }

  private static func isStale(_ lease: consuming Lease<PoolTests.Thing>) -> Bool {
    PoolTests.end(lease) == .staleLease
  }

  /// A lease to be handed about.
  final class Held: Sendable {
    let lease: Lease<PoolTests.Thing>
    init(_ lease: consuming Lease<PoolTests.Thing>) { self.lease = lease }

    func isStale(_ runtime: Runtime) -> Bool {
      do throws(PoolError) {
        try lease.bind(to: .eventLoop(runtime.eventLoops[0]))
        return false
      } catch {
        return error.code == .staleLease
      }
    }
  }

  @Test("A mailbox's end gives its resource up to whoever waits", arguments: [0, 1])
  func mailbox(loop: Int) async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let pool = try factory.pool(runtime, .init(size: 1))
      let mailbox = try await runtime.mailbox(on: runtime.eventLoops[loop], handler: Sink())
      let lease = try await pool.lease(for: .mailbox(mailbox))
      let next = Task { try await pool.withLease(waitMax: .seconds(30)) { $0.number } }
      try await until("somebody waits") { try await pool.statistics.waiting == 1 }
      #expect(try await pool.statistics.reclaimed == 0)
      mailbox.close()
      #expect(try await next.value == 2)
      #expect(try await pool.statistics.reclaimed == 1)
      let isStale = Self.isStale(lease)
      #expect(isStale)
    }
    #expect(factory.open.load(ordering: .relaxed) == 0)
  }

  @Test("A lease that a loop lent out of its own is taken back, too", arguments: [0, 1])
  func kept(loop: Int) async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      var options = PoolOptions(size: 2)
      options.keptPerLoop = 2
      let pool = try factory.pool(runtime, options)
      let mailbox = try await runtime.mailbox(on: runtime.eventLoops[1 - loop], handler: Sink())
      let executor = runtime.eventLoops[loop].executor
      let lease = try await withTaskExecutorPreference(executor) {
        // From here on the loop keeps it.
        try await pool.withLease { _ in }
        return Held(try await pool.lease(for: .mailbox(mailbox)))
      }
      #expect(!lease.isStale(runtime))
      _ = await mailbox.statistics()
      mailbox.close()
      try await until("it is taken back") { try await pool.statistics.reclaimed == 1 }
      #expect(lease.isStale(runtime))
      #expect(try await pool.statistics.inUse == 0)
    }
  }

  @Test("A connection's end ends its leases")
  func connection() async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let pool = try factory.pool(runtime, .init(size: 2))
      let listener = try await runtime.listen(on: .init("127.0.0.1", 0)) { connection in
        for try await _ in connection.messages {}
      }
      let lease = try await runtime.withConnection(to: listener.address) { open in
        let lease = Held(try await pool.lease(for: .connection(open.connection)))
        #expect(try await pool.statistics.inUse == 1)
        return lease
      }
      try await until("it is taken back") { try await pool.statistics.reclaimed == 1 }
      #expect(lease.isStale(runtime))
    }
  }

  @Test("A borrower that had ended has no lease")
  func ended() async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let pool = try factory.pool(runtime, .init(size: 3))
      let mailbox = try await runtime.mailbox(handler: Sink())
      mailbox.close()
      try await until("it has ended") { await mailbox.statistics() == nil }
      let first = try await pool.lease(for: .mailbox(mailbox))
      let forged = try await pool.lease(for: .mailbox(Mailbox(rawValue: .max)))
      try await until("both are taken back") { try await pool.statistics.reclaimed == 2 }
      let areStale = (Self.isStale(first), Self.isStale(forged))
      #expect(areStale.0 && areStale.1)
    }
  }

  @Test("What was returned is left alone: its next borrower keeps it")
  func returned() async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let pool = try factory.pool(runtime, .init(size: 1))
      let mailbox = try await runtime.mailbox(handler: Sink())
      for _ in 0..<1_000 { try await pool.lease(for: .mailbox(mailbox)).end() }
      let lease = try await pool.lease()
      mailbox.close()
      try await until("it has ended") { await mailbox.statistics() == nil }
      let number = lease.resource.number
      #expect(number == 1)
      try lease.end()
      #expect(try await pool.statistics.reclaimed == 0)
      #expect(factory.opened.load(ordering: .relaxed) == 1)
    }
  }

  @Test("With a loop its leases end, wherever the pool is at home", arguments: [0, 1])
  func loop(index: Int) async throws {
    let factory = Factory()
    let runtime = try Runtime(.init(eventLoops: 2))
    let pool = try factory.pool(runtime, .init(size: 2))
    let lease = try await pool.lease(for: .eventLoop(runtime.eventLoops[index]))
    try await runtime.eventLoops[index].run {}
    #expect(factory.open.load(ordering: .relaxed) == 1)
    await runtime.shutdown(within: .zero)
    try await until("it is closed") { factory.open.load(ordering: .relaxed) == 0 }
    let isStale = Self.isStale(lease)
    #expect(isStale)
  }

  @Test("A lease that is over is bound to nobody")
  func stale() async throws {
    let factory = Factory()
    try await Runtime.with { runtime in
      var options = PoolOptions(size: 1)
      options.leaseMax = .milliseconds(10)
      let pool = try factory.pool(runtime, options)
      let lease = try await pool.lease()
      try await until("it is taken back") { try await pool.statistics.reclaimed == 1 }
      let loop = runtime.eventLoops[0]
      #expect(throws: PoolError.self) { try lease.bind(to: .eventLoop(loop)) }
    }
  }
}
