internal import AloftNode

/// What the live page shows, as one line of JSON.
struct LiveState {
  var status: Node.Status?
  var readings: [Reading]
  var delays: (median: Duration, p99: Duration, slowest: Duration)?
  var entries: [Journal.Entry]
  var failovers: [Journal.Failover]
  var time: Int64

  var json: String {
    JSON.object([
      ("time", .whole(time)), ("node", node), ("members", .list(members)),
      ("figures", .object(figures)), ("delay", delay),
      ("events", .list(entries.reversed().map(event))),
      ("failovers", .list(failovers.reversed().map(failover))),
    ]).description
  }

  private func name(of number: Int) -> String {
    status?.members.first { $0.node == number }?.name ?? "node \(number)"
  }

  private var node: JSON {
    guard let status else { return .null }
    return .object([
      ("name", .text(name(of: status.node))), ("number", .whole(Int64(status.node))),
      ("member", .bool(status.isMember)), ("accepting", .bool(status.isAccepting)),
      ("leader", status.leader.map { .text(name(of: $0)) } ?? .null),
      ("term", .whole(Int64(clamping: status.term))),
      ("epoch", .whole(Int64(clamping: status.epoch))),
    ])
  }

  private var members: [JSON] {
    (status?.members ?? []).map { member in
      .object([
        ("name", .text(member.name)), ("number", .whole(Int64(member.node))),
        ("state", .text(member.state.rawValue)), ("voter", .bool(member.isVoter)),
        ("leader", .bool(member.node == status?.leader)),
        ("draining", .bool(member.isDraining)), ("suspected", .bool(member.isSuspected)),
        ("weight", .whole(Int64(member.weight))), ("zone", .text(member.zone)),
        ("slots", .whole(Int64(member.slots))), ("address", .text(member.address)),
      ])
    }
  }

  /// Those that have no labels: the page has a place for each that it knows.
  private var figures: [(String, JSON)] {
    readings.filter { $0.labels.isEmpty }.map { reading in
      switch reading.value {
      case .total(let total): (reading.name, .whole(Int64(clamping: total)))
      case .totalSeconds(let total): (reading.name, .number(total))
      case .level(let level): (reading.name, .number(level))
      }
    }
  }

  private var delay: JSON {
    guard let delays else { return .null }
    return .object([
      ("median_us", .number(delays.median.microseconds)),
      ("p99_us", .number(delays.p99.microseconds)),
      ("slowest_us", .number(delays.slowest.microseconds)),
    ])
  }

  private func event(_ entry: Journal.Entry) -> JSON {
    let (rank, text) = words(entry.event)
    return .object([("time", .whole(entry.time)), ("rank", .text(rank)), ("text", .text(text))])
  }

  private func words(_ event: Node.Event) -> (rank: String, text: String) {
    switch event {
    case .joined: ("info", "joined the cluster")
    case .up(let peer): ("info", "\(name(of: peer.node)) is up")
    case .suspected(let peer): ("notice", "\(name(of: peer.node)) is silent")
    case .cleared(let peer): ("info", "\(name(of: peer.node)) is heard again")
    case .dead(let peer): ("warning", "\(name(of: peer.node)) is dead")
    case .down(let peer): ("warning", "the cluster holds \(name(of: peer.node)) to be down")
    case .left(let peer): ("notice", "\(name(of: peer.node)) has left")
    case .slotsChanged: ("info", "slots have changed owners")
    case .accepting(true): ("info", "accepting: a majority is in reach")
    case .accepting(false): ("error", "not accepting: no majority is in reach")
    case .refused(let address, let reason): ("warning", "link to \(address) refused: \(reason)")
    case .stopped(let reason): ("error", "stopped: \(reason)")
    }
  }

  private func failover(_ failover: Journal.Failover) -> JSON {
    .object([
      ("time", .whole(failover.time)), ("name", .text(name(of: failover.peer.node))),
      ("took_ms", .number(failover.took.microseconds / 1_000)),
    ])
  }
}

extension Duration {
  /// To a tenth.
  fileprivate var microseconds: Double { (seconds * 1e7).rounded() / 10 }
}
