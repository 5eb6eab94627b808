internal import Aloft
internal import AloftNode
internal import Metrics

/// A figure as it stood when it was read.
struct Reading {
  enum Value {
    /// Only ever grows: what it grew by is counted.
    case total(UInt64)
    case level(Double)
  }

  let name: String
  var labels: [(String, String)] = []
  let value: Value

  static func total(_ name: String, _ value: UInt64, _ labels: [(String, String)] = []) -> Reading {
    Reading(name: "aloft_\(name)_total", labels: labels, value: .total(value))
  }

  static func level(_ name: String, _ value: Int, _ labels: [(String, String)] = []) -> Reading {
    Reading(name: "aloft_\(name)", labels: labels, value: .level(Double(value)))
  }

  static func all(of statistics: Statistics) -> [Reading] {
    [
      .level("connections_open", statistics.open),
      .total("connections_accepted", statistics.accepted),
      .total("connections_connected", statistics.connected),
      .total("connections_refused", statistics.refused),
      .total("connections_closed", statistics.closed),
      .total("received_bytes", statistics.bytesReceived),
      .total("written_bytes", statistics.bytesWritten),
      .total("loop_turns", statistics.turns),
      .total("loop_sleeps", statistics.sleeps),
      .total("timers_fired", statistics.timersFired),
    ]
  }

  static func all(of statistics: PoolStatistics, labels: [(String, String)]) -> [Reading] {
    [
      .level("pool_resources_in_use", statistics.inUse, labels),
      .level("pool_resources_idle", statistics.idle, labels),
      .level("pool_resources_opening", statistics.opening, labels),
      .level("pool_waiting", statistics.waiting, labels),
      .level("pool_upstreams_down", statistics.upstreamsDown, labels),
      .total("pool_leases", statistics.leases, labels),
      .total("pool_leases_waited", statistics.waited, labels),
      .total("pool_leases_timed_out", statistics.timedOut, labels),
      .total("pool_leases_cancelled", statistics.cancelled, labels),
      .total("pool_leases_refused", statistics.refused, labels),
      .total("pool_leases_reclaimed", statistics.reclaimed, labels),
      .total("pool_resources_opened", statistics.opened, labels),
      .total("pool_resources_overflowed", statistics.overflowed, labels),
      .total("pool_resources_closed", statistics.closed, labels),
      .total("pool_open_failures", statistics.openFailures, labels),
      .total("pool_checks_failed", statistics.checksFailed, labels),
    ]
  }

  static func all(of status: Node.Status) -> [Reading] {
    var states: [Node.Member.State: Int] = [.up: 0, .leaving: 0, .down: 0]
    for member in status.members where member.state != .left {
      states[member.state, default: 0] += 1
    }
    let own = status.members.first { $0.node == status.node }
    return [
      .level("node_accepting", status.isAccepting ? 1 : 0),
      .level("node_leading", status.isMember && status.leader == status.node ? 1 : 0),
      .level("node_slots", own?.slots ?? 0),
      .level("node_epoch", Int(clamping: status.epoch)),
      .level("node_term", Int(clamping: status.term)),
      .level("node_suspects", status.members.count { $0.isSuspected }),
    ]
      + states.sorted { $0.key.rawValue < $1.key.rawValue }.map {
        .level("cluster_members", $0.value, [("state", $0.key.rawValue)])
      }
  }
}

/// Puts readings into the metrics of their names, which it makes at first sight.
struct Recorder {
  let factory: any MetricsFactory
  private var counters: [String: (counter: Counter, last: UInt64)] = [:]
  private var gauges: [String: Gauge] = [:]

  init(factory: any MetricsFactory) { self.factory = factory }

  mutating func record(_ reading: Reading) {
    let key = reading.labels.reduce(reading.name) { "\($0),\($1.0)=\($1.1)" }
    switch reading.value {
    case .total(let total):
      var known =
        counters[key]
        ?? (Counter(label: reading.name, dimensions: reading.labels, factory: factory), 0)
      if total > known.last { known.counter.increment(by: total - known.last) }
      known.last = total
      counters[key] = known
    case .level(let level):
      let gauge =
        gauges[key]
        ?? Gauge(label: reading.name, dimensions: reading.labels, factory: factory)
      gauges[key] = gauge
      gauge.record(level)
    }
  }
}
