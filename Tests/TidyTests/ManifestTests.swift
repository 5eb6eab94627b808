import Testing

/// Package.swift stays one that others can depend on, and knows every top-level entry.
struct ManifestTests {
  /// Unsafe flags bar users from depending on a version of the package.
  static func unsafe(_ file: TextFile) -> [Offence] {
    file.lines.indices.filter { file.lines[$0].contains("unsafeFlags") }
      .map { file.offence(line: $0, "unsafe flags") }
  }

  /// Entries at the top that the target whose path is "." neither uses nor leaves out.
  static func unlisted(_ file: TextFile, entries: [String]) -> [Offence] {
    // Its headers and sources, what SwiftPM knows by itself, and one level down for CSources.
    let used = ["CSources", "include", "Package.swift", "Package.resolved"]
    return entries.filter { !$0.hasPrefix(".") && !used.contains($0) }
      .filter { !file.text.contains("\"\($0)\"") }
      .map { Offence(place: file.path, what: "\($0) is not in the exclude list of CAloft") }
  }

  @Test("No unsafe flags")
  func flags() throws {
    let offences = Self.unsafe(try Checkout.current.text("Package.swift"))
    #expect(offences.isEmpty, "\(offences.list)")
  }

  @Test("The target that lies at the top leaves every other entry out")
  func entries() throws {
    let checkout = Checkout.current
    let tops = Set(checkout.paths.compactMap { $0.split(separator: "/").first.map(String.init) })
    let offences = Self.unlisted(try checkout.text("Package.swift"), entries: tops.sorted())
    #expect(offences.isEmpty, "\(offences.list)")
  }

  @Test("The checks see unsafe flags and a new entry")
  func seeded() {
    let manifest = TextFile("Package.swift", ".unsafeFlags([\"-O\"])\nexclude: [\"docs\"]\n")
    #expect(Self.unsafe(manifest).count == 1)
    #expect(Self.unlisted(manifest, entries: ["docs", "new", ".ci"]).count == 1)
  }
}
