/// The anchors and bars, one row a figure, in the order of the seed's log. A row stands for every
/// config that has all its words; where several do, the first counts.
let expectations: [Expectation] =
  clusterRows + poolRows + registryRows + queueRows + memoryRows + balanceRows + sessionRows
  + internodeRows + chaosRows + echoRows + endToEndRows + slowDripRows + timerRows + inboxRows
  + microRows

private let clusterRows: [Expectation] = [
  .init(
    scenario: "1-cluster", config: "nodes=4", figure: "formation_ms", otp: 439,
    anchors: "NATS 19.7", bar: .atMost(20)),
  .init(scenario: "1-cluster", config: "nodes=4", figure: "boot_ms", otp: 194),
  .init(
    scenario: "1-cluster", config: "SIGSTOP", figure: "detect_p99_ms", otp: 60_000,
    anchors: "Akka 10,000, Orleans 15,000", bar: .atMost(250)),
  .init(
    scenario: "1-cluster", config: "SIGSTOP", figure: "false_convictions", bar: .exactly(0)),
  .init(
    scenario: "1-cluster", config: "nodes=4", figure: "detect_p99_ms", otp: 4.3,
    anchors: "NATS 4.4", bar: .atMost(4)),
  .init(scenario: "1-cluster", config: "nodes=4", figure: "pairs_ok", bar: .exactly(12)),
]

private let poolRows: [Expectation] = [
  .init(
    scenario: "2-pool", config: "owner-loops", figure: "cycles_per_s", seed: 85_000,
    otp: 0.40e6, anchors: "OTP atomics 25 M, Go channel 16-22 M", bar: .atLeast(60e6)),
  .init(
    scenario: "2-pool", config: "foreign-threads", figure: "cycles_per_s", seed: 85_000,
    otp: 0.40e6, anchors: "OTP atomics 25 M, Go channel 16-22 M", bar: .atLeast(25e6)),
  .init(
    scenario: "2-pool", config: "callers=5000", figure: "p99_us", seed: 15_000,
    anchors: "poolboy 188,000", bar: .atMost(2_000)),
  .init(
    scenario: "2-pool", config: "callers=1000", figure: "p99_us", seed: 15_000, otp: 5_400),
  .init(
    scenario: "2-pool", config: "callers=5000", figure: "p99_to_ideal_fifo", bar: .atMost(1.5)),
  .init(
    scenario: "2-pool", config: "tcp", figure: "lost_to_pool_pct",
    anchors: "PostgresNIO pool 5.5 us a lease", bar: .atMost(5)),
]

private let registryRows: [Expectation] = [
  .init(
    scenario: "3-registry", config: "names=1000", figure: "lookups_per_s", otp: 7.6e6,
    bar: .atLeast(60e6)),
  .init(
    scenario: "3-registry", config: "names=100000", figure: "lookups_per_s",
    bar: .atLeast(30e6)),
  .init(
    scenario: "3-registry", config: "names=1000", figure: "routed_per_s", seed: 95_000,
    otp: 2.4e6, anchors: "Go 5.9 M", bar: .atLeast(20e6)),
  .init(
    scenario: "3-registry", config: "names=100000", figure: "routed_per_s", seed: 95_000,
    otp: 0.59e6, anchors: "Go 1.45 M", bar: .atLeast(20e6)),
  .init(scenario: "3-registry", figure: "acked_per_s", otp: 1.0e6),
  .init(scenario: "3-registry", figure: "registrations_per_s", bar: .atLeast(5e6)),
  .init(scenario: "3-registry", figure: "p99_us", seed: 12_300),
  .init(scenario: "3-registry", figure: "lost", bar: .exactly(0)),
  .init(scenario: "3-registry", figure: "bytes_per_name", bar: .atMost(64)),
  .init(scenario: "3-registry", figure: "max_pause_us", bar: .atMost(1_000)),
  .init(scenario: "3-registry", figure: "max_running_pause_us", bar: .atMost(1_000)),
]

private let queueRows: [Expectation] = [
  .init(
    scenario: "4-queue", figure: "msgs_per_s", seed: 98_500, otp: 4.6e6,
    anchors: "Go channels 16.1 M, NATS 2.3 M", bar: .atLeast(40e6)),
  .init(scenario: "4-queue", figure: "p99_us", seed: 11_000, anchors: "Go 182 (timed)"),
  .init(scenario: "4-queue", figure: "lost", seed: 0, bar: .exactly(0)),
  .init(scenario: "4-queue", figure: "duplicated", bar: .exactly(0)),
  .init(scenario: "4-queue", figure: "out_of_order", bar: .exactly(0)),
  .init(scenario: "4-queue", figure: "refused", bar: .exactly(0)),
]

private let memoryRows: [Expectation] = [
  .init(
    scenario: "5-memory", figure: "connections_held",
    bar: .asMuchAs(figure: "connections_wanted")),
  .init(
    scenario: "5-memory", config: "sessions", figure: "rss_bytes_per_connection", seed: 3_100,
    bar: .atMost(1_024)),
  .init(
    scenario: "5-memory", figure: "rss_bytes_per_connection", seed: 3_100, otp: 3_130,
    anchors: "memcached 591, SwiftNIO 2,702-4,290, redis 8,294, NATS 19,691",
    bar: .atMost(320)),
  .init(scenario: "5-memory", figure: "accepts_per_s", bar: .atLeast(60_000)),
  .init(
    scenario: "5-memory", figure: "messages_answered",
    bar: .asMuchAs(figure: "connections_wanted")),
  .init(scenario: "5-memory", figure: "growth_bytes", bar: .atMost(0)),
  .init(
    scenario: "5-memory", figure: "bytes_per_mailbox", seed: 3_100, otp: 940,
    anchors: "OTP plain 2,687", bar: .atMost(128)),
  .init(
    scenario: "5-memory", figure: "spawns_per_s", seed: 1_086_957, otp: 0.5e6,
    bar: .atLeast(10e6)),
]

private let balanceRows: [Expectation] = [
  .init(
    scenario: "6-balance", config: "churn", figure: "max_deviation_pct", seed: 0.6, otp: 0.78,
    anchors: "ring 1.2-9.6", bar: .atMost(0.1)),
  .init(
    scenario: "6-balance", figure: "max_deviation_pct", seed: 0.6, otp: 0.78,
    anchors: "ring 1.2-9.6", bar: .atMost(0.01)),
  .init(scenario: "6-balance", figure: "moved_pct_of_optimum", bar: .atMost(101)),
  .init(scenario: "6-balance", figure: "rebalance_ms", seed: 100, bar: .atMost(5)),
  .init(scenario: "6-balance", figure: "lookup_ns", bar: .atMost(1.5)),
]

private let sessionRows: [Expectation] = [
  .init(
    scenario: "7-sessions", config: "writers=1000", figure: "creates_per_s", seed: 5_000,
    otp: 7_100, anchors: "Mnesia dirty 21-40 K (loses)", bar: .atLeast(200e3)),
  .init(
    scenario: "7-sessions", config: "writers=1000", figure: "of_engine_pct", bar: .atLeast(85)),
  .init(scenario: "7-sessions", figure: "reads_per_s", bar: .atLeast(5e6)),
  .init(
    scenario: "7-sessions", figure: "surviving_pct", seed: 99.5, bar: .exactly(100)),
  .init(scenario: "7-sessions", figure: "lost_acked", seed: 500, otp: 125, bar: .exactly(0)),
  .init(
    scenario: "7-sessions", figure: "recovery_p99_ms", seed: 2_000, otp: 101,
    bar: .atMost(300)),
  .init(
    scenario: "7-sessions", figure: "restart_ms", otp: 2_700, bar: .atMost(1_000)),
]

private let internodeRows: [Expectation] = [
  .init(
    scenario: "8-internode", config: "bytes=64", figure: "msgs_per_s", seed: 92_000,
    otp: 0.56e6, anchors: "ZeroMQ 3.9 M, NATS 0.83 M", bar: .atLeast(4.5e6)),
  .init(
    scenario: "8-internode", config: "bytes=1024", figure: "msgs_per_s", seed: 92_000,
    otp: 0.24e6, anchors: "ZeroMQ 0.81 M, NATS 0.32 M", bar: .atLeast(1e6)),
  .init(scenario: "8-internode", figure: "p99_us", seed: 14_200),
  .init(
    scenario: "8-internode", config: "outstanding=1", figure: "calls_per_s", otp: 4_300,
    anchors: "ZeroMQ 6.6 K", bar: .atLeast(6_600)),
  .init(
    scenario: "8-internode", config: "outstanding=64", figure: "calls_per_s", otp: 62_000,
    anchors: "ZeroMQ 364 K", bar: .atLeast(364e3)),
  .init(
    scenario: "8-internode", config: "outstanding=1000", figure: "calls_per_s", otp: 73_000,
    anchors: "ZeroMQ 1.4 M", bar: .atLeast(1.4e6)),
  .init(scenario: "8-internode", figure: "p99_during_transfer_ratio", bar: .atMost(2)),
  .init(scenario: "8-internode", figure: "lost", bar: .exactly(0)),
  .init(scenario: "8-internode", figure: "out_of_order", bar: .exactly(0)),
]

private let chaosRows: [Expectation] = [
  .init(
    scenario: "9-chaos", config: "workers=1000", figure: "recovery_ms", seed: 103, otp: 3.9,
    bar: .atMost(0.5)),
  .init(
    scenario: "9-chaos", config: "workers=100000", figure: "recovery_ms", otp: 403,
    bar: .atMost(40)),
  .init(
    scenario: "9-chaos", config: "processes=100", figure: "recovery_ms",
    anchors: "C pidfd supervisor 74-88 (100 of 1000)", bar: .atMost(20)),
  .init(scenario: "9-chaos", figure: "survivors_disturbed", bar: .exactly(0)),
  .init(scenario: "9-chaos", figure: "cascades", seed: 0, bar: .exactly(0)),
]

private let echoRows: [Expectation] = [
  .init(
    scenario: "10-echo", config: "conns=64 pipeline=1 closed-loop", figure: "ops_per_s",
    otp: 77_000,
    anchors: "SwiftNIO 157 K, memcached 167 K, Go 183 K"),
  .init(
    scenario: "10-echo", config: "conns=64 pipeline=16 closed-loop", figure: "ops_per_s",
    anchors: "SwiftNIO 2.5 M"),
  .init(
    scenario: "10-echo", config: "conns=1000 pipeline=1 closed-loop", figure: "ops_per_s",
    otp: 53_000,
    anchors: "SwiftNIO 125 K, memcached 171 K, Go 180 K"),
  .init(
    scenario: "10-echo", config: "conns=10000 pipeline=1 closed-loop", figure: "ops_per_s",
    otp: 31_000,
    anchors: "SwiftNIO 97 K, memcached 108 K, Go 118 K"),
  .init(scenario: "10-echo", figure: "ratio_to_floor_epoll", bar: .atLeast(0.95)),
  .init(scenario: "10-echo", figure: "ratio_to_floor_uv"),
  .init(scenario: "10-echo", figure: "ratio_to_swiftnio", bar: .atLeast(1.25)),
  .init(
    scenario: "10-echo", config: "conns=1 busy-poll", figure: "p50_us",
    anchors: "prototype 8.6, sleeping 88", bar: .atMost(12)),
  .init(scenario: "10-echo", figure: "p99_us"),
  .init(scenario: "10-echo", figure: "server_cpu_us_per_op"),
]

private let timerRows: [Expectation] = [
  .init(scenario: "timers", figure: "timers", bar: .atLeast(20)),
  .init(scenario: "timers", figure: "start_x", bar: .atLeast(20)),
  .init(scenario: "timers", figure: "cancel_x", bar: .atLeast(20)),
  .init(scenario: "timers", figure: "rearm_x", bar: .atLeast(20)),
  .init(scenario: "timers", figure: "rearm_any_x"),
  .init(scenario: "timers", figure: "expire_x", bar: .atLeast(20)),
]

private let inboxRows: [Expectation] = [
  .init(scenario: "micro-inbox", config: "spsc 1p1c", figure: "item_ns", bar: .atMost(20)),
  .init(scenario: "micro-inbox", config: "spsc bulk=64", figure: "item_ns", bar: .atMost(4)),
  .init(scenario: "micro-inbox", config: "mpsc 2p1c bulk=64", figure: "item_ns"),
  .init(scenario: "micro-inbox", config: "mpsc 2p1c", figure: "item_ns", bar: .atMost(20)),
  .init(scenario: "micro-inbox", figure: "ratio_to_c_twin", bar: .atLeast(0.95)),
]

/// Rows of one figure by size, for one thread and for two of which one in ten calls writes, which
/// may take 1.6 times as long.
private func tableRows(_ kind: String, _ nanoseconds: [(count: Int, bar: Double)]) -> [Expectation]
{
  nanoseconds.flatMap { count, bar in
    [
      Expectation(
        scenario: "micro", config: "\(kind)=\(count) one-thread", figure: "lookup_ns",
        bar: .atMost(bar)),
      Expectation(
        scenario: "micro", config: "\(kind)=\(count) two-threads", figure: "operation_ns",
        bar: .atMost(bar * 1.6)),
    ]
  }
}

private let microRows: [Expectation] =
  tableRows("ids", [(1_000, 14), (100_000, 18), (1_000_000, 36), (10_000_000, 70)])
  + tableRows("names", [(1_000, 30), (100_000, 42), (1_000_000, 130), (10_000_000, 200)])
  + [
    .init(scenario: "micro", config: "mpmc 1p1c", figure: "item_ns", bar: .atMost(17)),
    .init(scenario: "micro", config: "mpmc 2p2c", figure: "item_ns", bar: .atMost(20)),
    .init(scenario: "micro", config: "pool owner-loop", figure: "cycle_ns", bar: .atMost(3)),
    .init(scenario: "micro", config: "pool one-thread", figure: "cycle_ns", bar: .atMost(15)),
    .init(scenario: "micro", config: "pool two-threads", figure: "cycle_ns", bar: .atMost(22)),
    .init(scenario: "micro", figure: "instructions", bar: .atMost(20)),
    .init(scenario: "micro", figure: "ratio_to_liburcu", bar: .atLeast(1)),
    .init(scenario: "micro", figure: "ratio_to_ck", bar: .atLeast(1)),
    .init(scenario: "micro", figure: "ratio_to_tbb", bar: .atLeast(1)),
    .init(scenario: "micro", figure: "ratio_to_moodycamel", bar: .atLeast(1)),
  ]

private let endToEndRows: [Expectation] = [
  .init(
    scenario: "11-endtoend", figure: "ops_per_s", seed: 95_000, bar: .atLeast(150e3)),
  .init(scenario: "11-endtoend", figure: "p99_us", seed: 12_300, bar: .atMost(10_000)),
  .init(scenario: "11-endtoend", figure: "lost_acked", bar: .exactly(0)),
  .init(
    scenario: "11-endtoend", figure: "recovery_p99_ms", seed: 2_000, bar: .atMost(500)),
]
