import Aloft
import AloftNode
import Foundation
import Testing

/// Limits on what is waited for.
@Suite(.serialized)
struct LimitStories {
  @Test("A limit that isn't of whole seconds is waited for", arguments: [300, 1_200])
  func join(milliseconds: Int) async throws {
    let data = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: data) }
    let runtime = try Runtime(.init(eventLoops: 1, connectionsMax: 64))
    var options = NodeOptions(name: "alone", keys: [TestNode.key], data: data.path)
    // Nobody listens there, and nobody lets it in.
    options.seeds = [SocketAddress(text: "127.0.0.1:1")!]
    let begin = ContinuousClock.now
    await #expect(throws: (any Error).self) {
      _ = try await runtime.join(options, within: .milliseconds(milliseconds)) { _ in }
    }
    #expect(ContinuousClock.now - begin >= .milliseconds(milliseconds))
    await runtime.shutdown(within: .seconds(1))
  }
}
