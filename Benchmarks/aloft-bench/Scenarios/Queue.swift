import Dispatch

/// Mailboxes under load: every message carries its sender and number, and is held against what must
/// come next at its receiver.
struct QueueScenario: Scenario {
  static let id = "4-queue"
  static let title = "Queue handling"

  /// Who sends.
  private struct Part {
    var producers: Int
    /// 0: on the event loops. Else threads of their own, which gather so many messages at a time.
    var batch: Int

    func config(_ shape: QueueShape) -> String {
      "receivers=\(shape.receivers) producers=\(producers) "
        + (batch == 0 ? "on-loops batch=1" : "on-threads batch=\(batch)")
        + " messages=\(shape.messages) bytes=64 capacity=\(shape.capacity) loops=\(shape.loops)"
        + " window=\(shape.window) in-process closed-loop"
    }
  }

  func run(_ context: RunContext) throws -> [Figure] {
    let parts = [
      Part(producers: 2, batch: 0), Part(producers: 100, batch: 0), Part(producers: 2, batch: 256),
      Part(producers: 100, batch: 256), Part(producers: 2, batch: 1),
    ]
    return try measureEach(parts, name: { $0.config(shape($0)) }) { part in
      var shape = shape(part)
      shape.messages = context.size(10_000_000, quick: 1_000_000)
      let config = part.config(shape)
      context.progress.step("\(Self.id) \(config)")
      let outcome = try waitFor { [shape] in
        part.batch == 0
          ? try await runQueueOnLoops(shape)
          : try await runQueueFromThreads(shape, batch: part.batch)
      }
      return figures(context, config, outcome)
    }
  }

  private func shape(_ part: Part) -> QueueShape {
    var shape = QueueShape()
    shape.producers = part.producers
    // A thread that has to wait gives its core up, which pays only if it then has much to send.
    if part.batch > 0 {
      while shape.window < part.producers * 1_024 { shape.window *= 2 }
    }
    return shape
  }

  private func figures(
    _ context: RunContext, _ config: String, _ outcome: QueueOutcome
  ) -> [Figure] {
    var latencies = Latencies()
    for nanoseconds in outcome.latencies { latencies.add(nanoseconds: nanoseconds) }
    let rate = Double(outcome.sent) / outcome.seconds
    var values: [(String, Double, String)] = [("msgs_per_s", rate, "1/s")]
    values += latencies.figures.map { ($0.name, $0.microseconds, "us") }
    values += [
      ("lost", Double(outcome.lost), "messages"),
      ("duplicated", Double(outcome.duplicated), "messages"),
      ("out_of_order", Double(outcome.outOfOrder), "messages"),
      ("refused", Double(outcome.refused), "messages"),
    ]
    return values.map {
      figure(context, system: "aloft", config: config, $0.0, $0.1, $0.2)
    }
  }
}

/// Runs `body` in a task, and has the calling thread wait for it.
func waitFor<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value
{
  let done = DispatchSemaphore(value: 0)
  nonisolated(unsafe) var result: Result<Value, any Error>?
  Task {
    do {
      result = .success(try await body())
    } catch {
      result = .failure(error)
    }
    done.signal()
  }
  done.wait()
  return try result!.get()
}
