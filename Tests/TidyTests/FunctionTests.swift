import Testing

/// No function is longer than what fits a screen: 70 lines from its first to its last.
///
/// The formatter has been over the code, so a function's last line is the first one that holds
/// nothing but a closing brace at the indentation of its first.
struct FunctionTests {
  private static let linesMax = 70

  static func tooLong(_ file: TextFile) -> [Offence] {
    let starts = file.isSwift ? swiftStarts(file) : cStarts(file)
    return starts.compactMap { start in
      let closing = String(repeating: " ", count: file.lines[start].indent) + "}"
      guard let end = file.lines[start...].firstIndex(where: { $0 == closing }) else { return nil }
      let length = end - start + 1
      return length > linesMax ? file.offence(line: start, "function of \(length) lines") : nil
    }
  }

  private static let keywords = ["func", "init(", "init?(", "init<", "deinit", "subscript("]

  /// Lines where a Swift function with a body of several lines begins.
  private static func swiftStarts(_ file: TextFile) -> [Int] {
    file.lines.indices.filter { index in
      let words = file.lines[index].trimmed.split(separator: " ")
      guard !file.lines[index].trimmed.hasPrefix("//") else { return false }
      // Attributes and modifiers come before the keyword, and only they.
      let at = words.firstIndex { word in keywords.contains { word.hasPrefix($0) } }
      guard let at, words[..<at].allSatisfy({ isModifier($0) }) else { return false }
      return opensBody(file, index)
    }
  }

  private static func isModifier(_ word: Substring) -> Bool {
    word.hasPrefix("@") || word.allSatisfy { $0.isLetter || "()".contains($0) }
  }

  /// Whether a line that ends with an opening brace comes before the declaration is over.
  private static func opensBody(_ file: TextFile, _ start: Int) -> Bool {
    let indent = file.lines[start].indent
    for line in file.lines[start...] {
      let text = line.trimmed
      if text.hasSuffix("{") { return true }
      if text.isEmpty || text.hasSuffix("}") || line.indent < indent { return false }
    }
    return false
  }

  /// Lines where a C function begins: at the left margin, with an opening brace at the end of this
  /// line or of the next few.
  private static func cStarts(_ file: TextFile) -> [Int] {
    let notFunctions = ["#", "//", "/*", "}", "typedef", "struct", "union", "enum", "extern"]
    return file.lines.indices.filter { index in
      let line = file.lines[index]
      guard line.contains("("), line.indent == 0, !notFunctions.contains(where: line.hasPrefix)
      else { return false }
      for next in file.lines[index...].prefix(4) {
        if next.hasSuffix("{") { return true }
        if next.hasSuffix(";") || next.hasSuffix("}") || next.isEmpty { return false }
      }
      return false
    }
  }

  @Test("No function is longer than 70 lines")
  func functions() throws {
    let offences = try Checkout.current.files([".swift", ".c", ".h"]).flatMap(Self.tooLong)
    #expect(offences.isEmpty, "\(offences.list)")
  }

  @Test("The check sees a long function in Swift and in C, and no other long thing")
  func seeded() {
    let body = String(repeating: "    work()\n", count: 69)
    let swift = "struct A {\n  private func a(\n    b: Int\n  ) {\n\(body)  }\n}\n"
    #expect(Self.tooLong(TextFile("A.swift", swift)).map(\.place) == ["A.swift:2"])
    #expect(Self.tooLong(TextFile("a.c", "static int a(int b) {\n\(body)}\n")).count == 1)
    #expect(Self.tooLong(TextFile("A.swift", "protocol A {\n  func a()\n\n\(body)}\n")).isEmpty)
    #expect(Self.tooLong(TextFile("a.c", "struct a {\n\(body)};\n")).isEmpty)
    let short = String(repeating: "    work()\n", count: 68)
    #expect(Self.tooLong(TextFile("A.swift", "func a() {\n\(short)}\n")).isEmpty)
  }
}
