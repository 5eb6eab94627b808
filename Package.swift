// swift-tools-version: 6.3
import PackageDescription

// Every Swift target of ours is held to the same rules: language mode 6, strict memory safety,
// no warning left standing, and imports that are internal unless they say otherwise.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]
// Tests reach into raw memory all the time; marking each use would hide what they show.
let tested: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
]
let strictC: [CSetting] = [
  .define("_GNU_SOURCE"),
  .treatAllWarnings(as: .error),
  .enableWarning("all"),
  .enableWarning("extra"),
]

let logic: [Target.Dependency] = [
  "AloftQueue", "AloftRegistry", "AloftPool", "AloftSupervision", "AloftMembership",
  "AloftSession",
]

let package = Package(
  name: "aloft",
  products: [
    .library(name: "Aloft", targets: ["Aloft"]),
    .library(name: "AloftNode", targets: ["AloftNode"]),
    .library(name: "AloftOperations", targets: ["AloftOperations"]),
    .library(name: "AloftSessionClient", targets: ["AloftSessionClient"]),
    .library(name: "AloftService", targets: ["AloftService"]),
    .library(name: "AloftConfiguration", targets: ["AloftConfiguration"]),
    .library(name: "AloftTracing", targets: ["AloftTracing"]),
    .library(name: "AloftDistributed", targets: ["AloftDistributed"]),
    .library(name: "AloftC", type: .dynamic, targets: ["AloftC"]),
    // All of AloftC and what a node needs: a program links one of the two.
    .library(name: "AloftNodeC", type: .dynamic, targets: ["AloftNodeC"]),
    .executable(name: "aloft-node", targets: ["aloft-node"]),
    .executable(name: "aloft-bench", targets: ["aloft-bench"]),
    .executable(name: "aloft-sim", targets: ["aloft-sim"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
    .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.5.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
  ],
  targets: [
    // Floor 0: the system.
    .systemLibrary(
      name: "CUV", path: "CSources/uv", pkgConfig: "libuv", providers: [.apt(["libuv1-dev"])]),
    .systemLibrary(
      name: "CRaft", path: "CSources/libraft", pkgConfig: "raft",
      providers: [.apt(["libraft-dev"])]),
    .systemLibrary(
      name: "COpenSSL", path: "CSources/openssl", pkgConfig: "openssl",
      providers: [.apt(["libssl-dev"])]),
    .target(
      name: "CAloft", path: ".",
      exclude: [
        "Benchmarks", "CHANGELOG.md", "CSources/abi/aloft.map", "CSources/abi/aloft_node.map",
        "CSources/libraft", "CSources/loop", "CSources/openssl",
        "CSources/raft", "CSources/uv", "LICENSE", "README.md", "Sources", "Tests", "docs",
        "packaging", "script",
      ],
      sources: ["CSources/abi"], publicHeadersPath: "include", cSettings: strictC),

    // Floor 1: bricks.
    .target(name: "AloftAtomics", swiftSettings: strict),
    .target(
      name: "CAloftLoop", dependencies: ["CUV"], path: "CSources/loop",
      publicHeadersPath: "include", cSettings: strictC),

    .target(
      name: "CAloftRaft", dependencies: ["CRaft", "CUV"], path: "CSources/raft",
      publicHeadersPath: "include", cSettings: strictC),

    // Floor 2: logic, pure and synchronous: events in, actions out.
    .target(
      name: "AloftQueue", dependencies: ["AloftAtomics"],
      // For a message's `bytes`, a span that ends with it.
      swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
    .target(name: "AloftRegistry", dependencies: ["AloftAtomics"], swiftSettings: strict),
    .target(name: "AloftPool", dependencies: ["AloftAtomics"], swiftSettings: strict),
    .target(name: "AloftSupervision", dependencies: ["AloftAtomics"], swiftSettings: strict),
    .target(name: "AloftMembership", swiftSettings: strict),
    .target(
      name: "AloftSession", dependencies: ["AloftAtomics", "AloftMembership"],
      swiftSettings: strict),

    // Floor 3: the engine.
    .target(
      name: "AloftEngine", dependencies: ["AloftAtomics"] + logic, swiftSettings: strict),

    // Floor 4: wings, which never import each other.
    .target(
      name: "AloftUV", dependencies: ["AloftAtomics", "AloftEngine", "CAloftLoop"] + logic,
      swiftSettings: strict),
    .target(
      name: "AloftSim", dependencies: ["AloftAtomics", "AloftEngine"] + logic,
      swiftSettings: strict),

    .target(
      name: "AloftCluster",
      dependencies: ["AloftAtomics", "AloftEngine", "CAloftRaft", "COpenSSL"] + logic,
      swiftSettings: strict),

    // Simulates clusters from seeds, and replays one.
    .executableTarget(
      name: "aloft-sim",
      dependencies: [
        "AloftSession", "AloftSim",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),

    // Floor 5: the rim.
    .target(
      name: "Aloft", dependencies: ["AloftAtomics", "AloftEngine", "AloftUV"] + logic,
      swiftSettings: strict),
    .target(
      name: "AloftC",
      dependencies: ["AloftAtomics", "AloftEngine", "AloftUV", "CAloft", "CUV"] + logic,
      swiftSettings: strict),

    .target(
      name: "AloftNodeC",
      dependencies: ["AloftC", "AloftCluster", "AloftEngine", "CAloft"] + logic,
      swiftSettings: strict),

    .target(
      name: "AloftNode",
      dependencies: ["Aloft", "AloftAtomics", "AloftCluster", "AloftEngine"] + logic,
      swiftSettings: strict),

    // What operators look at: figures, health, a live page. Its own HTTP, for it asks little of it.
    .target(
      name: "AloftOperations", dependencies: ["Aloft", "AloftNode"],
      resources: [.embedInCode("Page/live.html")], swiftSettings: strict),

    // Uses a cluster's sessions from outside of it.
    .target(
      name: "AloftSessionClient",
      dependencies: ["Aloft", "AloftCluster", "AloftEngine", "AloftNode"] + logic,
      swiftSettings: strict),

    // Runtimes and nodes in the ecosystem's own terms: who links Aloft alone pays for none of it.
    .target(
      name: "AloftService",
      dependencies: [
        "Aloft", "AloftNode", "AloftOperations",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: strict),

    // Spans that go from node to node, by swift-distributed-tracing.
    .target(
      name: "AloftTracing",
      dependencies: [
        "Aloft", "AloftNode",
        .product(name: "Instrumentation", package: "swift-distributed-tracing"),
        .product(name: "Tracing", package: "swift-distributed-tracing"),
      ],
      swiftSettings: strict),

    // Options from files, variables and all else that swift-configuration reads.
    .target(
      name: "AloftConfiguration",
      dependencies: [
        "Aloft", "AloftNode",
        .product(name: "Configuration", package: "swift-configuration"),
      ],
      swiftSettings: strict),

    // Distributed actors that live on nodes.
    .target(
      name: "AloftDistributed", dependencies: ["Aloft", "AloftNode"], swiftSettings: strict),

    // A node as a program of its own, and questions to it.
    .executableTarget(
      name: "aloft-node",
      dependencies: [
        "Aloft", "AloftNode", "AloftOperations",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),

    // The bench, the plain C servers that it holds itself against, and its load generator.
    .executableTarget(
      name: "floor-epoll", path: "Benchmarks/floor-epoll", cSettings: strictC),
    .executableTarget(
      name: "floor-uv", dependencies: ["CUV"], path: "Benchmarks/floor-uv", cSettings: strictC),
    .executableTarget(
      name: "floor-raft", dependencies: ["CRaft", "CUV"], path: "Benchmarks/floor-raft",
      cSettings: strictC),
    .executableTarget(
      name: "raft-probe", dependencies: ["CAloftRaft"], path: "Benchmarks/raft-probe",
      cSettings: strictC),
    .executableTarget(
      name: "process-worker", path: "Benchmarks/process-worker", cSettings: strictC),
    .target(
      name: "CBenchLoad", path: "Benchmarks/load", publicHeadersPath: "include",
      cSettings: strictC),
    .target(
      name: "CBenchBricks", dependencies: ["CUV"], path: "Benchmarks/bricks",
      publicHeadersPath: "include", cSettings: strictC),
    .executableTarget(
      name: "aloft-bench",
      dependencies: [
        "Aloft", "AloftAtomics", "AloftNode", "CBenchLoad", "CBenchBricks", "process-worker",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      path: "Benchmarks/aloft-bench",
      swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),

    // README's Swift example; links Aloft alone, so TidyTests sees what that drags in.
    .executableTarget(
      name: "example-echo", dependencies: ["Aloft"], path: "Benchmarks/example-echo",
      swiftSettings: strict),

    // README's example of a supervised worker with a name.
    .executableTarget(
      name: "example-workers", dependencies: ["Aloft"], path: "Benchmarks/example-workers",
      swiftSettings: strict),

    // A pool of connections to a redis server, whose test starts one.
    .executableTarget(
      name: "example-pool", dependencies: ["Aloft"], path: "Benchmarks/example-pool",
      swiftSettings: strict),

    // Lines over TCP, a task for each connection.
    .executableTarget(
      name: "example-lines", dependencies: ["Aloft"], path: "Benchmarks/example-lines",
      swiftSettings: strict),

    // Jobs dealt out among supervised workers that fail now and then.
    .executableTarget(
      name: "example-farm", dependencies: ["Aloft"], path: "Benchmarks/example-farm",
      swiftSettings: strict),

    // A distributed actor that is used from several processes.
    .executableTarget(
      name: "example-counter", dependencies: ["Aloft", "AloftDistributed", "AloftNode"],
      path: "Benchmarks/example-counter", swiftSettings: strict),

    // A session that outlives its process, and its client.
    .executableTarget(
      name: "example-session", dependencies: ["Aloft", "AloftNode", "AloftSessionClient"],
      path: "Benchmarks/example-session", swiftSettings: strict),

    // Tests.
    .target(
      name: "ModelFibers", path: "Tests/ModelFibers", publicHeadersPath: "include",
      cSettings: strictC),
    // Records operations of many threads and judges whether their history is linearizable.
    .target(name: "Histories", path: "Tests/Support/Histories", swiftSettings: tested),
    .testTarget(
      name: "AloftAtomicsTests", dependencies: ["AloftAtomics", "Histories", "ModelFibers"],
      swiftSettings: tested),
    .testTarget(
      name: "AloftQueueTests", dependencies: ["AloftAtomics", "AloftQueue", "Histories"],
      swiftSettings: tested),
    .testTarget(
      name: "AloftRegistryTests", dependencies: ["AloftAtomics", "AloftRegistry", "Histories"],
      swiftSettings: tested),
    .testTarget(
      name: "AloftPoolTests", dependencies: ["AloftAtomics", "AloftPool", "Histories"],
      swiftSettings: tested),
    .testTarget(
      name: "AloftSupervisionTests", dependencies: ["AloftSupervision"], swiftSettings: tested),
    .testTarget(
      name: "AloftMembershipTests", dependencies: ["AloftMembership", "AloftSim"],
      swiftSettings: tested),
    .testTarget(
      name: "AloftSessionTests",
      dependencies: ["AloftMembership", "AloftSession", "AloftSim", "Histories"],
      swiftSettings: tested),
    .testTarget(
      name: "AloftEngineTests",
      dependencies: ["AloftAtomics", "AloftEngine", "AloftSim", "Histories"] + logic,
      swiftSettings: tested),
    .testTarget(
      name: "AloftRaftTests",
      dependencies: ["AloftCluster", "AloftEngine", "AloftUV", "CAloftRaft"] + logic,
      swiftSettings: tested),
    .testTarget(
      name: "AloftClusterTests",
      dependencies: ["AloftCluster", "AloftEngine", "AloftUV", "COpenSSL"] + logic,
      swiftSettings: tested),
    // Its programs are in Tests/c; they link the library, the tests don't.
    .testTarget(name: "AloftCTests", swiftSettings: tested),
    .testTarget(
      name: "AloftUVTests", dependencies: ["AloftEngine", "AloftUV"], swiftSettings: tested),
    .testTarget(
      name: "AloftTests", dependencies: ["Aloft", "Histories", "process-worker"],
      swiftSettings: tested),
    .testTarget(
      name: "AloftNodeTests",
      dependencies: ["Aloft", "AloftNode", "AloftSessionClient", "aloft-node"],
      swiftSettings: tested),
    .testTarget(
      name: "AloftOperationsTests", dependencies: ["Aloft", "AloftNode", "AloftOperations"],
      swiftSettings: tested),
    .testTarget(
      name: "AloftSessionClientTests",
      dependencies: ["Aloft", "AloftNode", "AloftSessionClient", "aloft-node"],
      swiftSettings: tested),
    .testTarget(
      name: "AloftServiceTests",
      dependencies: [
        "Aloft", "AloftNode", "AloftService",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "MetricsTestKit", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
      ],
      swiftSettings: tested),
    .testTarget(
      name: "AloftTracingTests",
      dependencies: [
        "Aloft", "AloftNode", "AloftTracing",
        .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
        .product(name: "Tracing", package: "swift-distributed-tracing"),
      ],
      swiftSettings: tested),
    .testTarget(
      name: "AloftConfigurationTests",
      dependencies: [
        "Aloft", "AloftConfiguration", "AloftNode",
        .product(name: "Configuration", package: "swift-configuration"),
      ],
      swiftSettings: tested),
    .testTarget(
      name: "AloftDistributedTests", dependencies: ["Aloft", "AloftDistributed", "AloftNode"],
      swiftSettings: tested),
    .testTarget(
      name: "BenchTests", dependencies: ["aloft-bench", "CBenchLoad"], swiftSettings: tested),
    // Counts allocations and reference counts of a running server: script/hotpath.
    .target(
      name: "CallCounters", path: "Tests/Support/CallCounters", publicHeadersPath: "include",
      cSettings: strictC),
    .executableTarget(
      name: "hotpath-probe", dependencies: ["Aloft", "CallCounters"],
      path: "Tests/Support/HotPathProbe", swiftSettings: tested),
    // Messages over a link between two loops, as fast as they go: script/link-probe.
    .executableTarget(
      name: "link-probe",
      dependencies: ["AloftCluster", "AloftEngine", "AloftUV", "CallCounters"] + logic,
      path: "Tests/Support/LinkProbe", swiftSettings: tested),
    .executableTarget(
      name: "raftlog-probe",
      dependencies: ["AloftCluster", "AloftEngine", "AloftMembership", "AloftUV"],
      path: "Tests/Support/RaftLogProbe", swiftSettings: tested),
    // What sessions cost on a core of their own: script/session-probe.
    .executableTarget(
      name: "session-probe", dependencies: ["AloftMembership", "AloftSession"],
      path: "Tests/Support/SessionProbe", swiftSettings: tested),
    .executableTarget(
      name: "robust-helper", dependencies: ["Aloft"], path: "Tests/Support/RobustHelper",
      swiftSettings: tested),
    .testTarget(
      name: "AloftRobustnessTests", dependencies: ["Aloft", "robust-helper"],
      swiftSettings: tested),
    .testTarget(name: "TidyTests", swiftSettings: tested),
  ]
)
