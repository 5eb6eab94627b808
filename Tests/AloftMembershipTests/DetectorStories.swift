import AloftMembership
import Testing

/// Who is taken for dead, when, and who isn't: stories told to a detector in virtual time.
struct DetectorStories {
  private static let ms: UInt64 = 1_000_000
  private static let life = Incarnation(rawValue: 5)
  private static let peer = NodeID(rawValue: 2)

  /// A detector with one peer, a tick each 10 ms, and the times of its verdicts in milliseconds.
  struct Watch {
    var detector = FailureDetector(.default)
    var now: UInt64 = 1_000 * ms
    var others = 2
    var verdicts: [(at: UInt64, DetectorVerdict)] = []

    init() {
      detector.watch(peer, life, now: now)
      detector.linkUp(peer, life, now: now)
      run(3_000, heartbeats: true)
      verdicts = []
      start = now
    }

    var start: UInt64 = 0

    mutating func take() {
      for verdict in detector.takeVerdicts() {
        verdicts.append(((now - start) / ms, verdict))
        if case .ask(let id) = verdict { detector.asked(others, about: id) }
      }
    }

    mutating func run(
      _ milliseconds: Int, heartbeats: Bool = false, opinion: ((UInt64) -> Bool)? = nil
    ) {
      for _ in 0..<milliseconds / 5 {
        now += 5 * ms
        if heartbeats, now % (25 * ms) == 0 { detector.heard(peer, life, now: now) }
        if now % (10 * ms) == 0 { detector.tick(now: now) }
        let asked = detector.hasVerdicts
        take()
        if asked, let opinion, detector.isSuspected(peer) {
          let isHeard = opinion((now - start) / ms)
          for _ in 0..<others {
            detector.opinion(about: life, isHeard: isHeard, now: now + 1)
          }
          now += 1
          take()
          now -= 1
        }
      }
    }

    func time(of verdict: DetectorVerdict) -> UInt64? { verdicts.first { $0.1 == verdict }?.at }
  }

  @Test("A link that closes and a listener that refuses convict at once")
  func gone() {
    var watch = Watch()
    watch.detector.linkDown(Self.peer, Self.life)
    watch.detector.probed(Self.peer, Self.life, .refused)
    watch.take()
    #expect(watch.verdicts.map(\.1) == [.probe(Self.peer), .convict(Self.peer)])
    #expect(watch.time(of: .convict(Self.peer)) == 0)
  }

  @Test(
    "A closed link convicts nobody whose listener answers, or about whom nothing is known",
    arguments: [ProbeResult.accepted, .unknown])
  func closed(result: ProbeResult) {
    var watch = Watch()
    watch.detector.linkDown(Self.peer, Self.life)
    watch.detector.probed(Self.peer, Self.life, result)
    watch.take()
    #expect(watch.verdicts.map(\.1) == [.probe(Self.peer)])
    watch.detector.linkUp(Self.peer, Self.life, now: watch.now)
    watch.run(1_000, heartbeats: true)
    #expect(watch.verdicts.count == 1)
  }

  @Test("A refusal means nothing while a link stands, or of another life")
  func stale() {
    var watch = Watch()
    watch.detector.probed(Self.peer, Self.life, .refused)
    watch.detector.linkDown(Self.peer, Incarnation(rawValue: 4))
    watch.detector.probed(Self.peer, Incarnation(rawValue: 4), .refused)
    watch.take()
    #expect(watch.verdicts.isEmpty)
  }

  @Test("Silence: suspected after 120 ms, convicted within 200 when the others hear nothing either")
  func silent() throws {
    var watch = Watch()
    watch.run(400, opinion: { $0 < 140 })
    let suspected = try #require(watch.time(of: .suspect(Self.peer)))
    let convicted = try #require(watch.time(of: .convict(Self.peer)))
    #expect((115...130).contains(suspected), "\(suspected)")
    #expect((140...200).contains(convicted), "\(convicted)")
  }

  @Test("A suspect whom the others hear isn't convicted for 2 s, and cleared when it is heard of")
  func hearsay() {
    var watch = Watch()
    watch.run(1_800, opinion: { _ in true })
    #expect(watch.time(of: .convict(Self.peer)) == nil)
    watch.run(100, heartbeats: true)
    #expect(watch.time(of: .clear(Self.peer)) != nil)
    watch.run(3_000, opinion: { _ in true })
    #expect(watch.time(of: .convict(Self.peer)) != nil, "it can't be reached from here")
  }

  @Test("Who gets no opinion from half of the others is cut off himself, and convicts nobody")
  func alone() {
    var watch = Watch()
    watch.others = 3
    watch.run(5_000)
    #expect(watch.time(of: .suspect(Self.peer)) != nil)
    #expect(watch.time(of: .convict(Self.peer)) == nil)
  }

  @Test("With nobody else to ask, silence is enough")
  func pair() throws {
    var watch = Watch()
    watch.others = 0
    watch.run(400)
    let convicted = try #require(watch.time(of: .convict(Self.peer)))
    #expect(convicted <= 200)
  }

  @Test(
    "A loop that was late holds no silence of that time against anybody",
    arguments: [30, 100, 500, 5_000])
  func selfDoubt(late: UInt64) {
    var watch = Watch()
    watch.now += late * Self.ms
    watch.detector.delayed(by: late * Self.ms)
    watch.detector.tick(now: watch.now)
    watch.take()
    watch.run(1_000, heartbeats: true)
    #expect(watch.verdicts.isEmpty)
  }

  @Test("A loop that was late takes back its suspicion")
  func takenBack() {
    var watch = Watch()
    watch.others = 9
    watch.run(140)
    #expect(watch.detector.isSuspected(Self.peer))
    watch.detector.delayed(by: 200 * Self.ms)
    watch.take()
    #expect(!watch.detector.isSuspected(Self.peer))
  }

  @Test("A later life starts afresh; who was just let in has time to come")
  func lives() {
    var watch = Watch()
    let next = Incarnation(rawValue: 9)
    watch.detector.watch(Self.peer, next, now: watch.now)
    watch.run(2_500)
    #expect(watch.verdicts.isEmpty)
    watch.run(1_000, opinion: { _ in false })
    #expect(watch.time(of: .suspect(Self.peer)) != nil)
  }
}
