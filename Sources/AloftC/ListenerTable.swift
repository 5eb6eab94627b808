import AloftEngine

/// The listeners of a runtime: the index that the loops know one by, its generation, and where it
/// is bound. Any thread; a short lock, for listening is rare.
package final class ListenerTable: @unchecked Sendable {
  // @unchecked: `entries` is touched under the lock.
  private enum State { case free, opening, open, closing }
  private struct Entry {
    var state = State.free
    var generation: UInt32 = 0
    /// Loops that have still to close it.
    var loopsLeft = 0
    var address = ""
    var port: UInt16 = 0
  }

  private static let listenersMax = 64
  private let lock = Gate()
  private var entries = [Entry](repeating: Entry(), count: listenersMax)

  /// Takes a free index.
  package func claim() throws(Failure) -> Int {
    let claimed: Int? = lock.locked {
      guard let index = entries.firstIndex(where: { $0.state == .free }) else { return nil }
      entries[index].state = .opening
      entries[index].generation = entries[index].generation &+ 1
      return index
    }
    guard let claimed else {
      throw Failure(Code.limit, "\(Self.listenersMax) listeners are open, which is the limit")
    }
    return claimed
  }

  /// Makes a claimed listener known; its handle.
  func open(_ index: Int, _ bound: SocketAddress, as given: SocketAddress) -> UInt64 {
    lock.locked {
      entries[index].state = .open
      switch bound {
      case .ip(_, let port):
        entries[index].address = bound.description
        entries[index].port = port
      case .unix:
        // The system's word for an abstract name would begin with a NUL.
        entries[index].address = given.description
        entries[index].port = 0
      }
      return UInt64(entries[index].generation) << 32 | UInt64(index + 1)
    }
  }

  package func free(_ index: Int) {
    lock.locked { entries[index].state = .free }
  }

  /// Whether the listener that was claimed is not closed again.
  func isWanted(_ index: Int, _ generation: UInt32) -> Bool {
    lock.locked {
      entries[index].generation == generation
        && (entries[index].state == .open || entries[index].state == .opening)
    }
  }

  func generation(_ index: Int) -> UInt32 { lock.locked { entries[index].generation } }

  /// The first to close it gets its index; `loops` have to call `didClose`.
  func beginClose(_ handle: UInt64, loops: Int) throws(Failure) -> Int {
    let index: Int? = lock.locked {
      guard let index = find(handle) else { return nil }
      entries[index].state = .closing
      entries[index].loopsLeft = loops
      return index
    }
    guard let index else { throw .noListener }
    return index
  }

  func didClose(_ index: Int) {
    lock.locked {
      entries[index].loopsLeft -= 1
      if entries[index].loopsLeft == 0 { entries[index].state = .free }
    }
  }

  func name(_ handle: UInt64) throws(Failure) -> (address: String, port: UInt16) {
    let name = lock.locked { find(handle).map { (entries[$0].address, entries[$0].port) } }
    guard let name else { throw .noListener }
    return name
  }

  private func find(_ handle: UInt64) -> Int? {
    let index = Int(handle & 0xFFFF_FFFF) - 1
    guard entries.indices.contains(index), entries[index].state == .open,
      UInt64(entries[index].generation) == handle >> 32
    else { return nil }
    return index
  }
}

extension Failure {
  fileprivate static let noListener = Failure(Code.noEntry, "the listener is closed, or never was")
}
