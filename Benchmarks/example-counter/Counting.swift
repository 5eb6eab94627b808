import Aloft
import AloftDistributed
import AloftNode
import Distributed

/// Counts on the node that it was made on, for all nodes.
distributed actor Counter {
  typealias ActorSystem = AloftActorSystem
  private var total = 0

  distributed func add(_ amount: Int) -> Int {
    total += amount
    return total
  }
}

/// A counter that lives on one node and is used from the others:
///
/// ```
/// example-counter a /tmp/a                    # founds a cluster, and has the counter
/// example-counter b /tmp/b 127.0.0.1:40001    # joins it by the address that the first has printed
/// ```
/// Each adds the numbers of its standard input, a line each, and prints the totals.
@main
struct Counting {
  static func main() async throws {
    let words = CommandLine.arguments.dropFirst()
    guard let name = words.first, words.count >= 2 else {
      print("usage: example-counter NAME DATA-DIRECTORY [ADDRESS]")
      return
    }
    let key = Array("a key that all nodes have".utf8)
    var options = NodeOptions(name: name, keys: [key], data: words[2])
    options.timing = .fast
    if words.count > 2, let seed = SocketAddress(text: words[3]) { options.seeds = [seed] }

    let runtime = try Runtime(.init(eventLoops: 1))
    let node = try await runtime.join(options)
    let system = try await AloftActorSystem(on: node)
    print("\(name) listens at \(await node.address)")
    if options.seeds.isEmpty {
      try await system.checkIn(Counter(actorSystem: system), as: "counter")
    }
    await count(with: system)
    await node.shutdown()
    await runtime.shutdown(within: .seconds(5))
  }

  static func count(with system: AloftActorSystem) async {
    while let line = readLine() {
      guard let amount = Int(line) else { continue }
      do {
        // Here or elsewhere: the call is the same.
        let counter = try await system.lookUp(Counter.self, "counter", within: .seconds(10))
        guard let counter else {
          print("nobody counts")
          continue
        }
        print(try await counter.add(amount))
      } catch {
        print("not counted: \(error)")
      }
    }
  }
}
