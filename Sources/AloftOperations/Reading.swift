package import Aloft
package import AloftNode

/// A figure as it stood when it was read. Names follow Prometheus' practice: `aloft_` before, the
/// unit and `_total` behind.
package struct Reading: Sendable {
  package enum Value: Sendable {
    /// Only ever grows.
    case total(UInt64)
    case totalSeconds(Double)
    case level(Double)
  }

  package let name: String
  package var labels: [(String, String)] = []
  package let value: Value
  /// What it is, in a sentence.
  package let help: String

  static func total(
    _ name: String, _ value: UInt64, _ help: String, _ labels: [(String, String)] = []
  ) -> Reading {
    Reading(name: "aloft_\(name)_total", labels: labels, value: .total(value), help: help)
  }

  static func level(
    _ name: String, _ value: Int, _ help: String, _ labels: [(String, String)] = []
  ) -> Reading {
    Reading(name: "aloft_\(name)", labels: labels, value: .level(Double(value)), help: help)
  }

  package static func all(of statistics: Statistics) -> [Reading] {
    [
      .level("connections_open", statistics.open, "Connections open, or on their way to it."),
      .total("connections_accepted", statistics.accepted, "Connections that arrived."),
      .total("connections_connected", statistics.connected, "Connections opened from here."),
      .total("connections_refused", statistics.refused, "Connections turned away for a limit."),
      .total("connections_closed", statistics.closed, "Connections that have ended."),
      .total("received_bytes", statistics.bytesReceived, "Bytes received."),
      .total("written_bytes", statistics.bytesWritten, "Bytes accepted for writing."),
      .total("loop_turns", statistics.turns, "Turns of the event loops."),
      .total("loop_sleeps", statistics.sleeps, "Turns that had to wait for something to do."),
      .total("timers_fired", statistics.timersFired, "Timers that came due."),
    ]
  }

  package static func all(
    of statistics: PoolStatistics, labels: [(String, String)]
  ) -> [Reading] {
    levels(of: statistics, labels) + [
      .total("pool_leases", statistics.leases, "Leases given.", labels),
      .total("pool_leases_waited", statistics.waited, "Of these, those that had to wait.", labels),
      .total("pool_leases_timed_out", statistics.timedOut, "Waited for too long.", labels),
      .total("pool_leases_cancelled", statistics.cancelled, "Given up by who asked.", labels),
      .total("pool_leases_refused", statistics.refused, "Turned away at once.", labels),
      .total("pool_leases_reclaimed", statistics.reclaimed, "Taken back after a limit.", labels),
      .total("pool_resources_opened", statistics.opened, "Resources opened.", labels),
      .total("pool_resources_overflowed", statistics.overflowed, "Opened beyond the size.", labels),
      .total("pool_resources_closed", statistics.closed, "Resources closed.", labels),
      .total(
        "pool_open_failures", statistics.openFailures, "Attempts to open that failed.", labels),
      .total("pool_checks_failed", statistics.checksFailed, "Checks that found a fault.", labels),
    ]
  }

  private static func levels(
    of statistics: PoolStatistics, _ labels: [(String, String)]
  ) -> [Reading] {
    [
      .level("pool_resources_in_use", statistics.inUse, "Resources lent.", labels),
      .level("pool_resources_idle", statistics.idle, "Resources ready to be lent.", labels),
      .level("pool_resources_opening", statistics.opening, "Resources being opened.", labels),
      .level("pool_waiting", statistics.waiting, "Who waits for a lease.", labels),
      .level("pool_upstreams_down", statistics.upstreamsDown, "Upstreams held off.", labels),
    ]
  }

  package static func all(of status: Node.Status) -> [Reading] {
    var states: [Node.Member.State: Int] = [.up: 0, .leaving: 0, .down: 0]
    for member in status.members where member.state != .left {
      states[member.state, default: 0] += 1
    }
    let own = status.members.first { $0.node == status.node }
    let leads = status.isMember && status.leader == status.node
    return [
      .level("node_accepting", status.isAccepting ? 1 : 0, "1 while a majority is in reach."),
      .level("node_leading", leads ? 1 : 0, "1 while this node leads."),
      .level("node_slots", own?.slots ?? 0, "Of 16,384 slots, those that this node owns."),
      .level("node_epoch", Int(clamping: status.epoch), "Grows with each change of the cluster."),
      .level("node_term", Int(clamping: status.term), "Grows with each election."),
      .level(
        "node_suspects", status.members.count { $0.isSuspected }, "Members that are silent here."),
    ]
      + states.sorted { $0.key.rawValue < $1.key.rawValue }.map {
        .level("cluster_members", $0.value, "Members by state.", [("state", $0.key.rawValue)])
      }
  }

  package static func all(of sessions: Sessions.Statistics, count: Int) -> [Reading] {
    [
      .level("cluster_sessions", count, "Sessions of the whole cluster, as this node knows."),
      .total("session_entries", sessions.entries, "Entries of the log made for sessions."),
      .total("session_entries_failed", sessions.entriesFailed, "Entries that were not taken."),
      .total("session_requests_out", sessions.requestsOut, "Requests sent on to other nodes."),
      .total("session_requests_in", sessions.requestsIn, "Requests that other nodes sent here."),
      .total("session_requests_held", sessions.requestsHeld, "Requests that waited for a node."),
      .total("session_snapshots", sessions.snapshots, "Snapshots of the sessions."),
    ]
  }
}
