import AloftDistributed
import Distributed
import Synchronization

/// Counts, and does all that a distributed actor may.
distributed actor Counter {
  typealias ActorSystem = AloftActorSystem
  private var total = 0
  private let waits: Waits

  init(_ system: AloftActorSystem, _ waits: Waits = Waits()) {
    actorSystem = system
    self.waits = waits
  }

  distributed func add(_ amount: Int) -> Int {
    total += amount
    return total
  }

  distributed func reset() { total = 0 }

  distributed var current: Int { total }

  distributed func echo(_ parcel: Parcel) -> Parcel { parcel }

  distributed func first<Value: Codable & Sendable>(of list: [Value]) -> Value? { list.first }

  distributed func fail(_ code: Int) throws {
    if code > 0 { throw Complaint(code: code, words: ["no", "again"]) }
    throw Mute()
  }

  distributed func wait() async throws {
    waits.begun.add(1, ordering: .relaxed)
    defer { waits.ended.add(1, ordering: .relaxed) }
    try await Task.sleep(for: .seconds(60))
  }

  /// Calls another one, wherever that lives.
  distributed func pass(_ amount: Int, to other: Counter) async throws -> Int {
    try await other.add(amount)
  }

  distributed func length(_ bytes: [UInt8]) -> Int { bytes.count }
}

/// Another type of actor.
distributed actor Idler {
  typealias ActorSystem = AloftActorSystem
  distributed func add(_ amount: Int) -> Int { -1 }
}

/// What is under way in actors' `wait`.
final class Waits: Sendable {
  let begun = Atomic<Int>(0)
  let ended = Atomic<Int>(0)
}

struct Complaint: Error, Codable, Equatable {
  var code: Int
  var words: [String]
}

/// Says nothing that could be sent.
struct Mute: Error, CustomStringConvertible {
  var description: String { "mute" }
}

struct Parcel: Codable, Equatable, Sendable {
  enum Shape: Codable, Equatable, Sendable {
    case round
    case square(side: Double)
    case stack([Parcel])
  }

  var name: String
  var weight: Float?
  var shape: Shape
  var labels: [String: Int]
  var content: [UInt8]
}

extension Parcel {
  static let sample = Parcel(
    name: "päckchen", weight: nil,
    shape: .stack([
      Parcel(name: "", weight: 1.5, shape: .round, labels: [:], content: []),
      Parcel(
        name: "b", weight: -.infinity, shape: .square(side: .pi), labels: ["x": .min, "y": .max],
        content: [0, 255]),
    ]), labels: ["one": 1], content: Array(repeating: 7, count: 1_000))
}
