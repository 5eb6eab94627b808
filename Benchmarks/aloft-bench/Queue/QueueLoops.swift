import Aloft
import Synchronization

/// Producers on the event loops themselves, beside the receivers.
func runQueueOnLoops(_ shape: QueueShape) async throws -> QueueOutcome {
  let rig = try await QueueRig(shape, fromThreads: false)
  let per = shape.messages / shape.producers
  let sent = (0..<shape.loops).map { _ in (0..<shape.loops).map { _ in queueCounter() } }
  var teams: [QueueTeam] = []
  for (index, loop) in rig.runtime.eventLoops.enumerated() {
    let mine = stride(from: index, to: shape.producers, by: shape.loops)
      .map { QueueProducer($0, rig.mailboxes, rig.loopOf, messages: per) }
    if !mine.isEmpty { teams.append(QueueTeam(loop, rig, mine, sent)) }
  }
  let start = queueClock()
  for team in teams { team.start() }
  rig.waitUntilHandled(per * shape.producers, since: start)
  let end = queueClock()
  let outcome = await rig.outcome(teams.flatMap(\.producers), nanoseconds: end - start)
  for counter in sent.joined() { counter.deallocate() }
  return outcome
}

/// The producers of one loop, who take turns, in jobs that start themselves anew.
final class QueueTeam: @unchecked Sendable {
  // @unchecked: the loop's thread alone uses it; read when all is over.
  private let loop: EventLoop
  private let rig: QueueRig
  private(set) var producers: [QueueProducer]
  /// Sent, by producing loop and target loop.
  private let sent: [[UnsafeMutablePointer<Atomic<Int>>]]
  private let counts: UnsafeMutablePointer<Int>
  private var turn = 0

  init(
    _ loop: EventLoop, _ rig: QueueRig, _ producers: [QueueProducer],
    _ sent: [[UnsafeMutablePointer<Atomic<Int>>]]
  ) {
    self.loop = loop
    self.rig = rig
    self.producers = producers
    self.sent = sent
    counts = .allocate(capacity: rig.shape.loops)
    counts.initialize(repeating: 0, count: rig.shape.loops)
  }

  deinit { counts.deallocate() }

  func start() {
    do {
      try loop.execute { self.step() }
    } catch {
      preconditionFailure("\(error)")
    }
  }

  /// Messages that may be sent now, so that the window of no loop is overrun.
  private var room: Int {
    let shape = rig.shape
    var room = Int.max
    for target in 0..<shape.loops {
      var out = -rig.receivers[target].published.pointee.load(ordering: .acquiring)
      for source in 0..<shape.loops {
        out += sent[source][target].pointee.load(ordering: .relaxed)
      }
      room = min(room, shape.window - out)
    }
    return room
  }

  private func step() {
    let shape = rig.shape
    // All loops may find the same room at the same time.
    var left = min(shape.burst, room / shape.loops)
    let share = max(1, left / producers.count)
    for _ in producers.indices where left > 0 {
      turn = turn + 1 == producers.count ? 0 : turn + 1
      let amount = min(share, left)
      producers[turn].send(amount, timedOneIn: shape.timedOneIn, counts) { $0.send($1) }
      left -= amount
    }
    for target in 0..<shape.loops {
      sent[loop.index][target].pointee.store(counts[target], ordering: .releasing)
    }
    if !producers.allSatisfy({ $0.left == 0 }) { start() }
  }
}
