import Testing

/// Work that is not done is an issue and not a mark in the code; tests have one framework.
struct WordTests {
  // Put together, or this file would be an offender.
  private static let marks = ["TO" + "DO", "FIX" + "ME", "X" + "XX"]

  static func marked(_ file: TextFile) -> [Offence] {
    file.lines.indices.compactMap { index in
      guard let mark = marks.first(where: { file.lines[index].contains($0) }) else { return nil }
      return file.offence(line: index, mark)
    }
  }

  /// The scripts run and count Swift Testing alone.
  static func otherFramework(_ file: TextFile) -> [Offence] {
    file.lines.indices.filter { file.lines[$0].hasPrefix("import XCTest") }
      .map { file.offence(line: $0, "imports XCTest, whose tests script/run-tests leaves out") }
  }

  @Test("No mark of unfinished work")
  func marks() {
    let offences = Checkout.current.texts.flatMap(Self.marked)
    #expect(offences.isEmpty, "\(offences.list)")
  }

  @Test("Tests use Swift Testing")
  func framework() throws {
    let offences = try Checkout.current.files([".swift"]).flatMap(Self.otherFramework)
    #expect(offences.isEmpty, "\(offences.list)")
  }

  @Test("The checks see a mark, and the other framework")
  func seeded() {
    let marked = TextFile("a.c", "int a;\n// \(Self.marks[0]): free it\n")
    #expect(Self.marked(marked).map(\.place) == ["a.c:2"])
    #expect(Self.otherFramework(TextFile("A.swift", "import XCTest\n")).count == 1)
  }
}
