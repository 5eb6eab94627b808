import Testing

/// Files to one screen's thought: each file, each line and the middle file have a limit.
struct SizeTests {
  private static let linesMax = 1_000
  private static let columnsMax = 100
  /// The house wants half of its files below this.
  private static let medianMax = 200
  private static let code = [".swift", ".c", ".h"]

  static func tooLong(_ file: TextFile) -> [Offence] {
    // A final newline makes an empty last element.
    let count = file.lines.count - 1
    return count > linesMax ? [file.offence(line: linesMax, "\(count) lines")] : []
  }

  static func tooWide(_ file: TextFile) -> [Offence] {
    // Bytes are cheap to count and never fewer than columns.
    file.lines.indices.filter { file.lines[$0].utf8.count > columnsMax }
      .filter { file.lines[$0].count > columnsMax }
      .map { file.offence(line: $0, "\(file.lines[$0].count) columns") }
  }

  @Test("No file is longer than 1,000 lines")
  func files() throws {
    let all = try Checkout.current.files(Self.code + [".md"])
    let offences = all.flatMap(Self.tooLong)
    #expect(offences.isEmpty, "\(offences.list)")
  }

  @Test("Half of the code files are shorter than 200 lines")
  func median() throws {
    let lengths = try Checkout.current.files(Self.code).map { $0.lines.count - 1 }.sorted()
    #expect(lengths[lengths.count / 2] < Self.medianMax)
  }

  @Test("No line of code is wider than 100 columns")
  func lines() throws {
    let scripts = try Checkout.current.files([""], in: ["script", ".ci"])
    let all = try Checkout.current.files(Self.code) + scripts
    let offences = all.flatMap(Self.tooWide)
    #expect(offences.isEmpty, "\(offences.list)")
  }

  @Test("The checks see a long file and a wide line")
  func seeded() {
    #expect(Self.tooLong(TextFile("A.swift", String(repeating: "\n", count: 1_001))).count == 1)
    #expect(Self.tooLong(TextFile("A.swift", String(repeating: "\n", count: 1_000))).isEmpty)
    let wide = TextFile("A.swift", "ok\n" + String(repeating: "x", count: 101) + "\n")
    #expect(Self.tooWide(wide).map(\.place) == ["A.swift:2"])
    // Two bytes a letter, and one column.
    #expect(Self.tooWide(TextFile("A.swift", String(repeating: "ü", count: 100))).isEmpty)
  }
}
