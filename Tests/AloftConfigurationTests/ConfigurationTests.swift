import Aloft
import AloftConfiguration
import AloftNode
import Configuration
import Testing

/// Options from a configuration: those that are there, defaults for the rest, and what can't be.
struct ConfigurationTests {
  private func reader(_ values: [String: String]) -> ConfigReader {
    ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: values))
  }

  private static let least = [
    "NAME": "a", "DATA": "/var/lib/a", "KEYS": "a key of enough bytes,another of enough bytes",
  ]

  @Test("A runtime's options come from where the reader looks, and a runtime takes them")
  func runtime() async throws {
    let config = reader([
      "ALOFT_EVENT_LOOPS": "2", "ALOFT_CONNECTIONS_MAX": "64",
      "ALOFT_BUSY_POLL_MICROSECONDS": "50", "ALOFT_PRIVATE_DESCRIPTORS": "true",
    ])
    let options = Runtime.Options(config.scoped(to: "aloft"))
    #expect(options.eventLoops == 2 && options.connectionsMax == 64)
    #expect(options.busyPoll == .microseconds(50) && options.privateDescriptors)
    #expect(options.timersMax == Runtime.Options().timersMax)
    let runtime = try Runtime(options)
    #expect(runtime.eventLoops.count == 2)
    await runtime.shutdown(within: .zero)
    #expect(throws: AloftError.self) { try Runtime(.init(reader(["EVENT_LOOPS": "300"]))) }
  }

  @Test("A node's options, all of them and the least")
  func node() throws {
    var options = try NodeOptions(reader(Self.least))
    #expect(options.name == "a" && options.data == "/var/lib/a")
    #expect(
      options.keys == ["a key of enough bytes", "another of enough bytes"].map { Array($0.utf8) })
    #expect(options.role == .voter && options.timing == .standard && options.seeds.isEmpty)
    let more = [
      "LISTEN": "10.0.0.1:7000", "ADVERTISE": "[::1]:7001", "SEEDS": "10.0.0.2:1,10.0.0.3:2",
      "CLUSTER": "shop", "ZONE": "eu-1", "WEIGHT": "50", "ROLE": "witness", "TIMING": "relaxed",
      "PLAINTEXT_OFF_LOOPBACK": "true",
    ]
    options = try NodeOptions(reader(Self.least.merging(more) { $1 }))
    #expect(options.listen == SocketAddress("10.0.0.1", 7_000))
    #expect(options.advertise == SocketAddress("::1", 7_001))
    #expect(options.seeds == [SocketAddress("10.0.0.2", 1), SocketAddress("10.0.0.3", 2)])
    #expect(options.cluster == "shop" && options.zone == "eu-1" && options.weight == 50)
    #expect(options.role == .witness && options.timing == .relaxed)
    #expect(options.plaintextOffLoopback)
  }

  @Test(
    "What can't be is told with its key",
    arguments: [
      ("LISTEN", "nowhere", "listen"), ("SEEDS", "10.0.0.1:1,unix:/a", "seeds"),
      ("WEIGHT", "70000", "weight"), ("ROLE", "king", "role"), ("TIMING", "soon", "timing"),
    ])
  func wrong(variable: String, value: String, key: String) throws {
    let failure = #expect(throws: ConfigurationFailure.self) {
      try NodeOptions(reader(Self.least.merging([variable: value]) { $1 }))
    }
    #expect(failure?.key == key)
  }

  @Test("What there has to be is missed", arguments: ["NAME", "DATA", "KEYS"])
  func missing(variable: String) {
    var values = Self.least
    values[variable] = nil
    #expect(throws: (any Error).self) { try NodeOptions(reader(values)) }
  }
}
