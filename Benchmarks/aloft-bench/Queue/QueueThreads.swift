import Aloft
import Glibc
import Synchronization

/// Producers on threads of their own, which are no event loop's.
func runQueueFromThreads(_ shape: QueueShape, batch: Int) async throws -> QueueOutcome {
  let rig = try await QueueRig(shape)
  let per = shape.messages / shape.producers
  let jobs = (0..<shape.producers).map { number in
    QueueThread(
      QueueProducer(number, rig.mailboxes, rig.loopOf, messages: per), rig, batch: batch,
      sender: batch > 1 ? rig.runtime.makeSender() : nil)
  }
  let start = queueClock()
  let threads = jobs.map { $0.start() }
  rig.waitUntilHandled(per * shape.producers, since: start)
  let end = queueClock()
  for thread in threads { pthread_join(thread, nil) }
  return await rig.outcome(jobs.map(\.producer), nanoseconds: end - start)
}

/// One such thread.
final class QueueThread: @unchecked Sendable {
  // @unchecked: the thread alone uses it until it has been joined.
  var producer: QueueProducer
  private let rig: QueueRig
  private let batch: Int
  private var sender: MailboxSender?
  private let counts: UnsafeMutablePointer<Int>

  init(_ producer: QueueProducer, _ rig: QueueRig, batch: Int, sender: MailboxSender?) {
    self.producer = producer
    self.rig = rig
    self.batch = batch
    self.sender = sender
    counts = .allocate(capacity: rig.shape.loops)
    counts.initialize(repeating: 0, count: rig.shape.loops)
  }

  deinit { counts.deallocate() }

  func start() -> pthread_t {
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { context in
        Unmanaged<QueueThread>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    precondition(code == 0, "no thread: \(code)")
    return thread
  }

  private func run() {
    // Each has its part of what may be under way, of which a burst is a quarter.
    let window = max(1, rig.shape.window / rig.shape.producers)
    let burst = max(1, min(rig.shape.burst, window / 4))
    var producer = producer
    while producer.left > 0 {
      let room = window - (producer.sent - rig.handled(from: producer.number))
      if room < burst && room < producer.left {
        sched_yield()
        continue
      }
      if let sender {
        producer.send(min(burst, room), timedOneIn: rig.shape.timedOneIn, counts) {
          sender.send($1, to: $0)
        }
        sender.flush()
      } else {
        producer.send(min(burst, room), timedOneIn: rig.shape.timedOneIn, counts) { $0.send($1) }
      }
    }
    sender = nil
    self.producer = producer
  }
}
