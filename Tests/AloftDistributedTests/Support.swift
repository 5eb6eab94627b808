import Aloft
import AloftDistributed
import AloftNode
import Foundation
import Testing

/// A node with a runtime, a data directory and an actor system of its own, in this process.
struct Stage {
  let runtime: Runtime
  let node: Node
  let system: AloftActorSystem

  init(_ name: String, seed: SocketAddress?, data: String) async throws {
    runtime = try Runtime(.init(eventLoops: 1, connectionsMax: 256))
    var options = NodeOptions(
      name: name, keys: [Array("a key for the tests of actors".utf8)], data: "\(data)/\(name)")
    options.seeds = seed.map { [$0] } ?? []
    options.timing = .fast
    node = try await runtime.join(options, within: .seconds(20))
    system = try await AloftActorSystem(on: node)
  }

  func end() async {
    await node.shutdown()
    await runtime.shutdown(within: .zero)
  }
}

struct StageError: Error {
  let text: String
}

/// Runs `body` with some nodes that are one cluster, and know of each other.
func withStages(
  _ names: [String] = ["a", "b"], _ body: ([Stage]) async throws -> Void
) async throws {
  let data = FileManager.default.temporaryDirectory
    .appendingPathComponent("aloft-actors-\(UUID().uuidString)").path
  try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: data) }
  var stages: [Stage] = []
  do {
    for name in names {
      let seed = await stages.first?.node.address
      stages.append(try await Stage(name, seed: seed, data: data))
    }
    for stage in stages {
      for other in stages where other.system !== stage.system {
        let number = await other.node.status()?.node ?? 0
        try await eventually("\(stage.node.name) reaches \(other.node.name)") {
          await reaches(stage.node, number)
        }
      }
    }
    try await body(stages)
  } catch {
    for stage in stages { await stage.end() }
    throw error
  }
  for stage in stages { await stage.end() }
}

/// Nobody answers plain calls here, so a refusal shows that there is a link.
private func reaches(_ node: Node, _ number: Int) async -> Bool {
  do {
    _ = try await node.call(number, [], within: .seconds(1))
    return true
  } catch NodeCallError.refused {
    return true
  } catch {
    return false
  }
}

/// Waits until something has come to be, for twenty seconds at most.
func eventually(
  _ what: String, sourceLocation: SourceLocation = #_sourceLocation,
  _ isSo: () async throws -> Bool
) async throws {
  for _ in 0..<20_000 {
    if try await isSo() { return }
    try await Task.sleep(for: .milliseconds(1))
  }
  Issue.record("it did not come to be: \(what)", sourceLocation: sourceLocation)
  throw StageError(text: what)
}
