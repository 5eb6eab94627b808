internal import AloftMembership
internal import AloftSession

/// Clients of a simulated cluster's sessions. Each does one thing at a time, and repeats what isn't
/// answered, at any node. A session's state is the list of what was appended to it, each thing with
/// a number of its own: so whatever is lost, doubled, or read too early or too late shows in it.
struct SimSessionClients {
  struct Client {
    /// What it waits for; nil between two things.
    var request: SimSessionRequest?
    var session = 0
    var invokedAt: UInt64 = 0
    /// What it appends; 0 for none.
    var item: UInt64 = 0
    /// What every reader from then on has to see.
    var floor: Set<UInt64> = []
    /// The greatest version that it has seen.
    var token: UInt64 = 0
    var seen: [Int: Int] = [:]
  }

  struct Session {
    var id: SessionID
    /// The longest list that anybody has read, of which all others are a beginning.
    var items: [UInt64] = []
    var acknowledged: Set<UInt64> = []
    /// When things were asked for, and when they were acknowledged.
    var invokedAt: [UInt64: UInt64] = [:]
    var acknowledgedAt: [UInt64: UInt64] = [:]
    var isMade = false
    /// The version that it had when that was told.
    var madeAt: UInt64 = 0
  }

  var clients: [Client] = []
  var sessions: [Session] = []
  var nextNumber: UInt64 = 1
}

extension ClusterSim {
  /// After so long without an answer a client asks again.
  private static let patience = 300_000_000

  func startClients() {
    guard options.sessions > 0 else { return }
    for _ in 0..<options.sessions {
      let id = SessionID(
        high: random.word(), low: random.word(),
        slot: Slot(rawValue: UInt16(random.below(Slot.count))))
      clients.sessions.append(SimSessionClients.Session(id: id))
    }
    for client in 0..<options.clients {
      clients.clients.append(SimSessionClients.Client())
      later(.session(.begin(client: client)), 50_000_000...300_000_000)
    }
  }

  func happen(_ event: SimSessionEvent) {
    switch event {
    case .begin(let client): begin(client)
    case .silence(let client, let number):
      if clients.clients[client].request?.number == number { tryAgain(client) }
    case .reply(let client, let number, let reply):
      // Of a former try it's as good: the key is the same.
      guard let request = clients.clients[client].request else { return }
      guard request.number == number || isWrite(request) && isTry(client, number) else { return }
      answered(client, reply)
    }
  }

  private func isWrite(_ request: SimSessionRequest) -> Bool {
    if case .write = request.kind { true } else { false }
  }

  /// Numbers of one client's tries for one thing follow each other by the count of clients.
  private func isTry(_ client: Int, _ number: UInt64) -> Bool {
    number >> 16 == clients.clients[client].request.map { $0.number >> 16 }
  }

  // MARK: What they do

  private func begin(_ client: Int) {
    guard !isHealed, clients.clients[client].request == nil else { return }
    let number = random.below(clients.sessions.count)
    let session = clients.sessions[number]
    var kind: SimSessionRequest.Kind
    var item: UInt64 = 0
    clients.nextNumber += 1
    let unique = clients.nextNumber
    if !session.isMade {
      let options = SessionOptions(keysMax: 16)
      kind = .write(
        SessionRequest(
          id: session.id, principal: .anyone, key: 1,
          operation: .create(options, name: [], state: [])))
    } else {
      switch random.below(10) {
      case 0..<5:
        item = unique
        let bytes = (0..<8).map { UInt8(truncatingIfNeeded: unique >> UInt64(8 * $0)) }
        kind = .write(
          SessionRequest(
            id: session.id, principal: .anyone, key: unique << 1 | 1, operation: .append(bytes)))
        clients.sessions[number].invokedAt[item] = now
      case 5..<8: kind = .read(session.id)
      default:
        // Who was told of the session was told of which version.
        let token = max(clients.clients[client].token, session.madeAt)
        kind = .localRead(session.id, token: token)
      }
    }
    clients.clients[client].request = SimSessionRequest(
      client: client, number: unique << 16, kind: kind)
    clients.clients[client].session = number
    clients.clients[client].invokedAt = now
    clients.clients[client].item = item
    clients.clients[client].floor = session.acknowledged
    tryAgain(client)
  }

  private func tryAgain(_ client: Int) {
    guard var request = clients.clients[client].request else { return }
    request.number += 1
    clients.clients[client].request = request
    let node = random.below(nodes.count)
    later(.arrive(node, .session(.request(request, hops: 0))), options.delay)
    later(.session(.silence(client: client, number: request.number)), Self.patience...Self.patience)
  }

  private func answered(_ client: Int, _ reply: SimSessionReply) {
    guard let request = clients.clients[client].request else { return }
    let number = clients.clients[client].session
    switch reply {
    case .state(let state, let version):
      guard !isWrite(request) else { return }
      read(client, request, state, version)
    case .outcome(let outcome):
      switch outcome.code {
      case .done, .repeated:
        guard isWrite(request) else { return }
        clients.clients[client].token = max(clients.clients[client].token, outcome.version)
        if clients.clients[client].item == 0 { clients.sessions[number].madeAt = outcome.version }
        wrote(client)
      case .exists where !clients.sessions[number].isMade:
        clients.sessions[number].madeAt = outcome.version
        wrote(client)
      case .moved, .notReady, .notAccepting, .busy, .uncertain, .behind:
        // Asked again, but not at once.
        return later(
          .session(.silence(client: client, number: request.number)), 1_000_000...20_000_000)
      default: violate("client \(client) is told \(outcome.code) for \(request.kind)")
      }
    }
    clients.clients[client].request = nil
    later(.session(.begin(client: client)), 100_000...20_000_000)
  }

  private func wrote(_ client: Int) {
    let (number, item) = (clients.clients[client].session, clients.clients[client].item)
    result.writes += 1
    trace("client \(client) has written \(item) to session \(number)")
    guard item != 0 else { return clients.sessions[number].isMade = true }
    clients.sessions[number].acknowledged.insert(item)
    clients.sessions[number].acknowledgedAt[item] = now
  }

  // MARK: What must hold

  private static func items(_ state: [UInt8]) -> [UInt64] {
    stride(from: 0, to: state.count - 7, by: 8).map { start in
      (0..<8).reduce(0) { $0 | UInt64(state[start + $1]) << UInt64(8 * $1) }
    }
  }

  private func read(
    _ client: Int, _ request: SimSessionRequest, _ state: [UInt8], _ version: UInt64
  ) {
    let number = clients.clients[client].session
    let items = Self.items(state)
    result.reads += 1
    extend(number, items, "client \(client)")
    if items.count < clients.clients[client].seen[number] ?? 0 {
      violate("client \(client) reads less of session \(number) than it did")
    }
    clients.clients[client].seen[number] = items.count
    clients.clients[client].token = max(clients.clients[client].token, version)
    if case .localRead = request.kind { return }
    let missing = clients.clients[client].floor.subtracting(items)
    if !missing.isEmpty {
      violate("a read of session \(number) lacks \(missing.sorted()), which were acknowledged")
    }
    // Whoever reads from now on sees as much.
    clients.sessions[number].acknowledged.formUnion(items)
  }

  /// All that was ever read of a session is the beginning of one list.
  private func extend(_ number: Int, _ items: [UInt64], _ who: @autoclosure () -> String) {
    let known = clients.sessions[number].items
    let shared = min(known.count, items.count)
    if known[..<shared] != items[..<shared] {
      return violate("\(who()) reads of session \(number) what contradicts other reads")
    }
    if items.count > known.count { clients.sessions[number].items = items }
  }

  /// At the end, with all at rest.
  func checkSessions() {
    for (number, session) in clients.sessions.enumerated() where session.isMade {
      for node in nodes {
        guard let store = node.sessions?.owner.store else { continue }
        guard let ref = store.find(session.id) else {
          return violate("n\(node.number) has lost session \(number)")
        }
        let items = Self.items(store.state(ref))
        if node.number == 0 { extend(number, items, "n0") }
        if items != clients.sessions[number].items {
          violate("n\(node.number) has another state of session \(number) at the end")
        }
      }
      judge(number)
    }
  }

  private func judge(_ number: Int) {
    let session = clients.sessions[number]
    if Set(session.items).count != session.items.count {
      violate("session \(number) has a write twice")
    }
    let lost = session.acknowledged.subtracting(session.items)
    if !lost.isEmpty { violate("session \(number) has lost \(lost.sorted())") }
    // What was acknowledged before another was asked for comes before it.
    var latest: UInt64 = 0
    for item in session.items {
      if let at = session.acknowledgedAt[item], at < latest {
        violate("session \(number) has \(item) behind what was asked for later")
      }
      latest = max(latest, session.invokedAt[item] ?? 0)
    }
  }

  /// What still waits for an answer, when all should be at rest.
  var waitingClients: Int { clients.clients.count { $0.request != nil } }
}
