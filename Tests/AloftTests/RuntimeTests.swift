import Aloft
import Testing

/// The life of a runtime as a whole.
@Suite struct RuntimeTests {
  final class Quiet: ConnectionHandler {
    func received(_ connection: Connection, _ bytes: RawSpan) {}
  }

  /// A process has numbers for 256 loops at a time: more come and go, shut down or merely released,
  /// and each gives its number back, connections and tasks that were under way notwithstanding.
  @Test(.timeLimit(.minutes(2)), arguments: [false, true])
  func loopsGiveTheirNumbersBack(shutDown: Bool) async throws {
    for _ in 0..<150 {
      let runtime = try Runtime(.init(eventLoops: 2, connectionsMax: 64))
      let listener = try await runtime.listen(on: .init("127.0.0.1", 0)) { connection in
        for try await message in connection.messages { try await connection.write(message) }
      }
      _ = try await runtime.connect(to: listener.address, handler: Quiet())
      if shutDown { await runtime.shutdown(within: .milliseconds(1)) }
    }
  }
}
