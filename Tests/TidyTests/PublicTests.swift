import Testing

/// What users meet says what it is.
struct PublicTests {
  private static let types = ["struct", "class", "enum", "protocol", "actor", "final"]
  /// What a protocol of the language asks for by name explains itself.
  private static let named = ["AsyncIterator:"]

  /// Public types without a comment before them.
  static func undocumented(_ file: TextFile) -> [Offence] {
    file.lines.indices.compactMap { index in
      let words = file.lines[index].split(separator: " ")
      guard words.count > 2, words[0] == "public", types.contains(String(words[1])),
        !named.contains(String(words[2]))
      else { return nil }
      // Attributes may stand between a declaration and its comment.
      let before = file.lines[..<index].last { !$0.trimmed.hasPrefix("@") } ?? ""
      guard !before.trimmed.hasPrefix("///") else { return nil }
      return file.offence(line: index, "public, and without a comment")
    }
  }

  @Test("Every public type of the Swift API says what it is")
  func documented() throws {
    let offences = try Checkout.current.files([".swift"], in: ["Sources/Aloft"])
      .flatMap(Self.undocumented)
    #expect(offences.isEmpty, "\(offences.list)")
  }

  @Test("The check sees a bare type, and the comment above an attribute")
  func seeded() {
    let bare = TextFile("Sources/Aloft/A.swift", "/// A.\n\npublic final class A {\n}\n")
    #expect(Self.undocumented(bare).count == 1)
    let fine = TextFile("Sources/Aloft/A.swift", "/// A.\n@frozen\npublic struct A {\n}\n")
    #expect(Self.undocumented(fine).isEmpty)
  }
}
