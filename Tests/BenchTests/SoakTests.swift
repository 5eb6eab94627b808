import Testing

@testable import aloft_bench

/// What a soak says of growth, and how it draws it.
struct SoakTests {
  private func samples(_ memory: (Double) -> Double) -> SoakSamples {
    var samples = SoakSamples()
    for minute in 0...100 {
      let time = Double(minute) / 100
      samples.add(
        SoakSample(
          seconds: Double(minute) * 60, node: 0, memory: Int(memory(time) * 1e6),
          descriptors: 40, disk: 30_000_000))
    }
    return samples
  }

  private func isLevel(_ memory: (Double) -> Double) -> Bool {
    samples(memory).verdicts(nodes: 1).allSatisfy(\.isLevel)
  }

  @Test("What rises at first, and what has tides, is level; what goes on rising isn't")
  func growth() {
    #expect(isLevel { _ in 100 })
    #expect(isLevel { min(100, 40 + 400 * $0) })
    #expect(isLevel { 100 + 20 * ($0 * 10).truncatingRemainder(dividingBy: 1) })
    #expect(!isLevel { 100 + 40 * $0 })
  }

  @Test("Samples are a table and a drawing")
  func texts() {
    let all = samples { _ in 100 }
    #expect(
      all.csv.hasPrefix("seconds,node,resident_bytes,descriptors,disk_bytes\n0.0,0,100000000,"))
    let plot = SoakPlot(samples: all).text
    #expect(plot.hasPrefix("<svg") && plot.hasSuffix("</svg>\n"))
    #expect(plot.split(separator: "<polyline").count == 4)
  }
}
