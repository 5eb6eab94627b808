import Aloft
import Synchronization

/// A farm of workers on two loops: a thousand jobs are dealt out among eight supervised workers,
/// which fail now and then, are started anew, and get the job that they failed at once more.
/// Nothing is lost and nobody waits for who has failed.
final class Factors: WorkerHandler {
  struct Spoilt: Error {}
  private let results: Mailbox
  private var done = 0

  init(_ results: Mailbox) { self.results = results }

  func received(_ worker: Worker, _ message: consuming Message) throws {
    let number = unsafe message.withUnsafeBytes { unsafe $0.loadUnaligned(as: UInt64.self) }
    // As a parser does whose state one input has spoilt: a new one can bear it.
    if done > 0, number % 97 == 0 { throw Spoilt() }
    done += 1
    var factors = [number]
    var rest = number
    for factor in 2...number where rest % factor == 0 {
      while rest % factor == 0 {
        factors.append(factor)
        rest /= factor
      }
      if rest == 1 { break }
    }
    results.send(Message(copying: unsafe factors.span.bytes))
  }
}

@main
struct Farm {
  static func main() async throws {
    let runtime = try Runtime(.init(eventLoops: 2))
    let results = try await runtime.mailbox()
    let mailbox = results.mailbox
    let failures = Atomic<Int>(0)
    var worker = WorkerOptions()
    worker.redeliveriesMax = 1
    var options = SupervisorOptions(strategy: .oneForOne, intensity: .init(minimum: 100))
    options.onEvent = {
      if case .restarting = $0 { failures.add(1, ordering: .relaxed) }
    }
    let supervisor = try await runtime.supervise(options) {
      for number in 1...8 {
        try .worker("worker \(number)", options: worker) { Factors(mailbox) }
      }
    }
    let farm = try runtime.registry.group("farm")
    for worker in try await supervisor.workers() {
      if let mailbox = worker.mailbox { try farm.join(mailbox) }
    }
    for number in 1_000..<2_000 as Range<UInt64> {
      farm.send(Message(copying: unsafe [number].span.bytes))
    }
    var sum: UInt64 = 0
    for _ in 0..<1_000 {
      guard let message = await results.next() else { break }
      sum += unsafe message.withUnsafeBytes { unsafe $0.loadUnaligned(as: UInt64.self) }
    }
    print("sum \(sum) failures \(failures.load(ordering: .relaxed))")
    await supervisor.shutDown()
    await runtime.shutdown(within: .seconds(5))
  }
}
