internal import AloftAtomics
internal import AloftEngine

/// Who a lease is for, if it is to end with them.
public enum LeaseBorrower: Hashable, Sendable {
  case mailbox(Mailbox)
  case connection(Connection)
  case eventLoop(EventLoop)

  var home: PoolHome.Borrower {
    switch self {
    case .mailbox(let mailbox): .mailbox(mailbox.id)
    case .connection(let connection): .connection(connection.id)
    case .eventLoop(let loop): .loop(loop.core)
    }
  }
}

extension Pool {
  /// A lease that is taken back when its borrower ends, if it hasn't ended by then: its resource is
  /// closed, for nobody knows how it was left, and whoever still has the lease finds it stale.
  ///
  /// ```swift
  /// let lease = try await pool.lease(for: .connection(client))
  /// ```
  /// Throws as `lease(waitMax:)` does. For a borrower that has ended already the lease is taken
  /// back at once. Such a lease costs a message to the borrower's loop more than another; a lease
  /// for nobody costs nothing for it.
  public nonisolated(nonsending) func lease(
    for borrower: LeaseBorrower, waitMax: Duration? = nil
  ) async throws -> Lease<Resource> {
    let lease = try await lease(waitMax: waitMax)
    try lease.bind(to: borrower)
    return lease
  }
}

extension Lease {
  /// Has the lease taken back when `borrower` ends, or at once when it has ended. With several
  /// borrowers the first end counts. Any thread; O(1).
  ///
  /// From then on the lease is stale: `end` says so, and `resource`, which may be closed or lent to
  /// somebody else by then, is not to be asked for.
  /// - Throws: `staleLease` when it has been taken back already.
  public borrowing func bind(to borrower: LeaseBorrower) throws(PoolError) {
    let (lease, borrower) = (rawValue, borrower.home)
    let isLent = unsafe store._withUnsafeGuaranteedRef {
      $0.home.bind(LeaseHandle(rawValue: lease), to: borrower)
    }
    if !isLent { throw PoolError.stale(lease) }
  }
}
