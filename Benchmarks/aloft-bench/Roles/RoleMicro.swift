import ArgumentParser

/// Ours in the `micro` bench: the same words, lines and loops as the peers' programs.
struct RoleMicro: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "role-micro", abstract: "A brick under test.", shouldDisplay: false)

  @Argument(
    help: "ids, names, queue, pool-owner, pool-thread or slots; how many; a core and another one.")
  var words: [String]

  func run() throws {
    let numbers = words.dropFirst().compactMap { UInt64($0) }
    guard words.count == 4, numbers.count == 3, (1...1 << 32).contains(numbers[0]) else {
      throw BenchError("role-micro does not know `\(words.joined(separator: " "))`")
    }
    let cores = numbers.dropFirst().map(Int.init)
    switch words[0] {
    case "ids": MicroIDs.serve(count: numbers[0], cores: cores)
    case "names": MicroNames.serve(count: numbers[0], cores: cores)
    case "queue": MicroQueue.serve(pairs: Int(numbers[0]), cores: cores)
    case "pool-owner": try PoolBench.serve(.ownLoop)
    case "pool-thread": try PoolBench.serve(numbers[0] == 2 ? .twoThreads : .oneThread)
    case "slots-run": MicroSlots(count: 1000).run(slices: Int(numbers[0]), looking: true)
    case "slots-loop": MicroSlots(count: 1000).run(slices: Int(numbers[0]), looking: false)
    case "slots": MicroSlots(count: Int(numbers[0])).serve(cores: cores)
    default: throw BenchError("role-micro does not know `\(words[0])`")
    }
  }
}
