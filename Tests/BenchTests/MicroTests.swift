// What the `micro` bench relies on: both languages make the same keys in the same random order.
import Testing

@testable import aloft_bench

@Test func theOrderAndTheKeysAreThoseOfThePeers() {
  // From a C program with peers/peer.h.
  var order = MicroOrder(state: 42)
  let places = (0..<4).map { _ in order.next(10_000_000) }
  #expect(places == [5_682_303, 2_254_634, 4_128_383, 6_303_980])
  #expect(microID(0) == 12_994_781_566_227_106_604)
  #expect(microID(9_999_999) == 16_170_615_081_893_622_101)
  let names = [UInt64(0), 5_000_000, 10_000_000].map { index in
    withUnsafeTemporaryAllocation(byteCount: MicroName.bytes, alignment: 8) { place in
      MicroName.write(index, to: place.baseAddress!)
      return String(decoding: MicroName.at(place.baseAddress!), as: UTF8.self)
    }
  }
  #expect(
    names == [
      "mclmcmedmpmlgfelmjljilkfofihom", "kmmlpdihkdoacapbolfkkjakjdgcmnnnan",
      "lhailglahgkjfmidfijdim",
    ])
}

@Test func aRatioIsOfOneRoundAndAboveOneWhereOursIsFaster() {
  var samples = MicroSamples()
  // The machine was half as fast in the second round: the ratio does not see it.
  for (ours, theirs) in [(10.0, 20.0), (20, 40), (10, 21)] {
    samples.add(ours, "ids=1000 one-thread", "lookup_ns", of: "aloft")
    samples.add(theirs, "ids=1000 one-thread", "lookup_ns", of: "ck")
  }
  let figures = samples.figures(run: 1)
  #expect(figures.map(\.figure) == ["lookup_ns", "lookup_ns", "ratio_to_ck"])
  #expect(figures.map(\.value) == [10, 21, 2])
  #expect(figures.last?.system == "aloft")
}

@Test func aPeerThatStandsStillIsLeftOutAndNamed() {
  var samples = MicroSamples()
  let (filling, hop) = ("mpmc 2p2c insertion", "mpmc 2p2c capacity=1024")
  samples.add(5, filling, "insert_ns", of: "aloft")
  samples.add(6, filling, "insert_ns", of: "ck")
  // It answered once, before it stood still.
  samples.add(10, hop, "item_ns", of: "aloft")
  samples.add(20, hop, "item_ns", of: "ck")
  samples.leaveOut("ck", of: [hop], 4)
  samples.add(12, hop, "item_ns", of: "aloft")
  let figures = samples.figures(run: 1)
  #expect(
    figures.map { "\($0.system) \($0.figure)" } == [
      "aloft insert_ns", "ck insert_ns", "aloft ratio_to_ck", "aloft item_ns",
      "ck left_out_after_s",
    ])
  #expect(figures.last?.value == 4)
  let text = Report(figures: figures, system: "aloft", runs: 1).text([])
  #expect(text.contains("no fault was counted"))
}
