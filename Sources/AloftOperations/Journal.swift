public import AloftNode
import Glibc
import Synchronization

/// The last things that happened to a cluster, as one node came to know of them, and how long it
/// took until the work of nodes that died was somebody else's.
///
/// ```swift
/// let journal = Journal()
/// let node = try await runtime.join(options) { journal.note($0) }
/// ```
public final class Journal: Sendable {
  /// As many as fit a screen or two.
  private static let entriesMax = 64

  struct Entry {
    /// Milliseconds since 1970.
    let time: Int64
    let event: Node.Event
  }

  /// A node died, and its slots have new owners.
  struct Failover {
    let time: Int64
    let peer: Node.Peer
    /// From the news of the death to that of the new owners, on this node.
    let took: Duration
  }

  private struct State {
    var entries: [Entry] = []
    var failovers: [Failover] = []
    var failoversCount: UInt64 = 0
    /// Found dead, their slots not yet dealt out.
    var dying: [Node.Peer: ContinuousClock.Instant] = [:]
  }

  private let state = Mutex(State())

  public init() {}

  /// Any thread; doesn't block.
  public func note(_ event: Node.Event) {
    note(event, at: .now, time: Self.wallClock())
  }

  func note(_ event: Node.Event, at instant: ContinuousClock.Instant, time: Int64) {
    state.withLock { state in
      switch event {
      case .dead(let peer), .down(let peer):
        state.dying[peer] = state.dying[peer] ?? instant
      case .up(let peer), .cleared(let peer), .left(let peer):
        state.dying = state.dying.filter { $0.key.node != peer.node }
      case .slotsChanged:
        for (peer, since) in state.dying.sorted(by: { $0.value < $1.value }) {
          let took = since.duration(to: instant)
          Self.append(Failover(time: time, peer: peer, took: took), to: &state.failovers)
          state.failoversCount += 1
        }
        state.dying = [:]
        // Too many to be news.
        return
      default: break
      }
      Self.append(Entry(time: time, event: event), to: &state.entries)
    }
  }

  private static func append<Item>(_ item: Item, to list: inout [Item]) {
    if list.count == entriesMax { list.removeFirst() }
    list.append(item)
  }

  static func wallClock() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// Oldest first.
  var entries: [Entry] { state.withLock { $0.entries } }
  var failovers: [Failover] { state.withLock { $0.failovers } }
  var failoversCount: UInt64 { state.withLock { $0.failoversCount } }
}
