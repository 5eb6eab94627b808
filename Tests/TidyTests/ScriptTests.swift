import Testing

/// Scripts stop at the first failure, can be run, and are what the documents say they are.
struct ScriptTests {
  static func careless(_ file: TextFile) -> [Offence] {
    var offences: [Offence] = []
    if file.lines.first != "#!/usr/bin/env bash" {
      offences.append(file.offence(line: 0, "does not begin with #!/usr/bin/env bash"))
    }
    if !file.lines.contains("set -euo pipefail") {
      offences.append(file.offence(line: 0, "goes on after a failure: set -euo pipefail"))
    }
    return offences
  }

  /// Names like `script/test` in a text.
  static func scripts(in text: String) -> Set<String> {
    var found: Set<String> = []
    for part in text.split(separator: "script/", omittingEmptySubsequences: false).dropFirst() {
      let name = part.prefix { $0.isLetter || $0 == "-" }
      if !name.isEmpty { found.insert("script/\(name)") }
    }
    return found
  }

  static func unknown(_ file: TextFile, known: Set<String>) -> [Offence] {
    scripts(in: file.text).subtracting(known).sorted()
      .map { Offence(place: file.path, what: "\($0) does not exist") }
  }

  private static var all: [String] {
    Checkout.current.paths.filter { $0.hasPrefix("script/") || $0.hasPrefix(".ci/") }
  }

  @Test("Scripts are careful and executable")
  func careful() throws {
    let offences = try Self.all.map(Checkout.current.text).flatMap(Self.careless)
    #expect(offences.isEmpty, "\(offences.list)")
    for path in Self.all { #expect(Checkout.current.isExecutable(path), "\(path)") }
  }

  @Test("Documents and scripts name scripts that exist, and docs/HACKING.md names them all")
  func named() throws {
    let checkout = Checkout.current
    let known = Set(Self.all)
    let readers = try checkout.files([".md"]) + Self.all.map(checkout.text)
    let offences = readers.flatMap { Self.unknown($0, known: known) }
    #expect(offences.isEmpty, "\(offences.list)")
    let told = Self.scripts(in: try checkout.text("docs/HACKING.md").text)
    #expect(known.filter { $0.hasPrefix("script/") }.subtracting(told).isEmpty)
  }

  @Test("The checks see a careless script and a name without a script")
  func seeded() {
    #expect(Self.careless(TextFile("script/a", "#!/bin/sh\nrm b\n")).count == 2)
    let text = TextFile("README.md", "Run `script/test`, then `script/run-all --now`.\n")
    #expect(Self.unknown(text, known: ["script/test"]).map(\.what).count == 1)
    #expect(Self.scripts(in: text.text) == ["script/test", "script/run-all"])
  }
}
