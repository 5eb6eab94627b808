import Aloft

/// Numbers the words that it is sent, and fails at one that it can't bear.
final class Tally: WorkerHandler {
  struct Unbearable: Error {}
  private var count = 0

  func received(_ worker: Worker, _ message: consuming Message) throws {
    let word = unsafe message.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    if word == "boom" { throw Unbearable() }
    count += 1
    print("\(count) \(word)")
  }
}

@main
struct Workers {
  static func main() async throws {
    let runtime = try Runtime(.init(eventLoops: 2))
    // Fails: a new Tally takes over, with the same mailbox and what waits in it.
    let supervisor = try await runtime.supervise(.init(strategy: .oneForOne)) {
      try .worker("tally") { Tally() }
    }
    guard let mailbox = try await supervisor.worker("tally")?.mailbox else { return }
    try runtime.registry.register("tally", mailbox)
    // From any thread, by name; who sends notices nothing of the failure.
    while let line = readLine() {
      runtime.registry.send(Message(copying: Array(line.utf8)), to: "tally")
    }
    await supervisor.shutDown()
    await runtime.shutdown(within: .seconds(5))
  }
}
