import Testing

@testable import AloftCluster

/// The parser of records, as a pure thing: however the bytes are cut, the same records come out,
/// and whatever the bytes are, it takes no more memory than the limit.
struct WireTests {
  struct Record: Equatable {
    var header: RecordHeader
    var body: [UInt8]
  }

  /// Feeds pieces; answers the records, and the fault if there was one.
  static func parse(
    _ pieces: [ArraySlice<UInt8>], lengthMax: UInt32 = 70_000
  ) -> ([Record], WireFault?) {
    var parser = RecordParser(lengthMax: lengthMax)
    var records: [Record] = []
    for piece in pieces {
      let fault: WireFault? = piece.withUnsafeBytes { memory in
        var rest = memory
        while true {
          switch parser.next(&rest) {
          case .needsMore: return nil
          case .fault(let fault): return fault
          case .record(let header, let body):
            #expect(body.count == Int(header.length) && body.count <= Int(lengthMax))
            records.append(Record(header: header, body: Array(body)))
          }
        }
      }
      if let fault { return (records, fault) }
    }
    return (records, nil)
  }

  private func stream(_ random: inout Seeded) -> ([UInt8], [Record]) {
    var bytes: [UInt8] = []
    var records: [Record] = []
    for number in 0..<Int.random(in: 1...40, using: &random) {
      let lengths = [0, 1, 15, 16, 17, 64, 1_000, 66_000]
      let body = (0..<lengths.randomElement(using: &random)!).map {
        UInt8(truncatingIfNeeded: $0 &+ number)
      }
      bytes += RawPeer.encode(
        .message, body, kind: UInt8(number), stream: UInt16(number * 7), word: UInt64(number))
      records.append(
        Record(
          header: RecordHeader(
            .message, length: body.count, kind: UInt8(number), stream: UInt16(number * 7),
            word: UInt64(number)), body: body))
    }
    return (bytes, records)
  }

  @Test("The same records come out however the bytes are cut", arguments: 0..<200)
  func cuts(seed: Int) {
    var random = Seeded(state: UInt64(seed))
    let (bytes, records) = stream(&random)
    var pieces: [ArraySlice<UInt8>] = []
    var at = 0
    // Single bytes where there are few, and never more than some 10,000 pieces.
    let most = max([1, 7, 100, 65_536].randomElement(using: &random)!, bytes.count / 5_000)
    while at < bytes.count {
      let end = min(bytes.count, at + Int.random(in: 1...most, using: &random))
      pieces.append(bytes[at..<end])
      at = end
    }
    let (got, fault) = Self.parse(pieces)
    #expect(fault == nil)
    let isSame = got == records
    #expect(isSame)
  }

  @Test("A whole record is told of where it lies, one that follows a record in parts as well")
  func inPlace() {
    let one = RawPeer.encode(.message, [UInt8](repeating: 1, count: 64), word: 1)
    var parser = RecordParser(lengthMax: 100)
    one[..<40].withUnsafeBytes { memory in
      var rest = memory
      guard case .needsMore = parser.next(&rest) else {
        Issue.record("a record of a half")
        return
      }
    }
    let piece = one[40...] + one + one + one[..<20]
    var places: [Int?] = []
    piece.withUnsafeBytes { memory in
      var rest = memory
      while case .record(_, let body) = parser.next(&rest) {
        let place = body.baseAddress! - memory.baseAddress!
        places.append(memory.indices.contains(place) ? place : nil)
      }
    }
    #expect(places == [nil, 40 + 16, 40 + 80 + 16])
  }

  @Test("A header is what it says after the way over the wire, little-endian")
  func layout() {
    let bytes = RawPeer.encode(
      .call, [UInt8](repeating: 0, count: 16), kind: 0xAB, stream: 0x1234,
      word: 0x1122_3344_5566_7788)
    #expect(
      bytes.prefix(16) == [
        16, 0, 0, 0, 2, 0xAB, 0x34, 0x12, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
      ])
  }

  @Test("A length above the limit is a fault before its bytes come", arguments: [true, false])
  func limit(isWhole: Bool) {
    let header = Array(RawPeer.encode(.message, [UInt8](repeating: 0, count: 101), word: 1))
    let pieces = isWhole ? [header[...]] : [header[..<3], header[3..<16]]
    #expect(Self.parse(pieces, lengthMax: 100).1 == .length)
    #expect(Self.parse(pieces, lengthMax: 101).1 == nil)
  }

  @Test("Random bytes are records or a fault, and never more memory than the limit")
  func random() {
    var random = Seeded(state: 1)
    var faults = 0
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      // Mostly lengths that may be, and types that there are: else all end at the first header.
      if bytes.count > 4 {
        bytes[1] = 0
        bytes[2] = 0
        bytes[3] = 0
        bytes[4] %= 14
      }
      let cut = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
      if Self.parse([bytes[..<cut], bytes[cut...]], lengthMax: 300).1 != nil { faults += 1 }
    }
    #expect(faults > 1_000)
  }
}
