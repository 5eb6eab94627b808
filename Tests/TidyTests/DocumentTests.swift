import Foundation
import Testing

/// Documents tell the truth where a machine can know it: their examples are files that are
/// compiled, their links lead somewhere, and no suite is forgotten.
struct DocumentTests {
  /// The fenced blocks of a language.
  static func blocks(_ language: String, in file: TextFile) -> [String] {
    var found: [String] = []
    var block: [Substring]?
    for line in file.lines {
      if line == "```" + language {
        block = []
      } else if line == "```", let lines = block {
        found.append(lines.joined(separator: "\n") + "\n")
        block = nil
      } else {
        block?.append(line)
      }
    }
    return found
  }

  /// Targets of `[text](target)` that are meant to lie in the checkout.
  static func links(in file: TextFile) -> [String] {
    file.text.components(separatedBy: "](").dropFirst().compactMap { part in
      let target = part.prefix { $0 != ")" && $0 != "#" && $0 != "\n" }
      return target.isEmpty || target.contains("://") ? nil : String(target)
    }
  }

  static func broken(_ file: TextFile, exists: (String) -> Bool) -> [Offence] {
    let folder = file.path.split(separator: "/").dropLast().joined(separator: "/")
    return links(in: file).compactMap { link in
      let path = URL(fileURLWithPath: "/\(folder)/\(link)").standardizedFileURL.path
      guard !exists(String(path.dropFirst())) else { return nil }
      return Offence(place: file.path, what: "\(link) leads nowhere")
    }
  }

  @Test(
    "README's examples are the files that are compiled",
    arguments: [
      ("swift", "Benchmarks/example-echo/EchoServer.swift"),
      ("swift", "Benchmarks/example-workers/Workers.swift"),
      ("swift", "Benchmarks/example-session/Notes.swift"),
      ("c", "Benchmarks/example-echo-c/echo_server.c"),
      ("c", "Benchmarks/example-tally-c/tally.c"),
    ])
  func examples(language: String, path: String) throws {
    let example = try Checkout.current.text(path).text
    let blocks = Self.blocks(language, in: try Checkout.current.text("README.md"))
    #expect(blocks.contains(example), "README.md has no \(language) block with the text of \(path)")
  }

  @Test(
    "So are the examples of DocC's pages",
    arguments: [
      ("Serving", "Benchmarks/example-echo/EchoServer.swift"),
      ("Serving", "Benchmarks/example-lines/Lines.swift"),
      ("Working", "Benchmarks/example-workers/Workers.swift"),
    ])
  func pages(page: String, path: String) throws {
    let example = try Checkout.current.text(path).text
    let file = try Checkout.current.text("Sources/Aloft/Aloft.docc/\(page).md")
    #expect(Self.blocks("swift", in: file).contains(example), "\(page).md has no \(path)")
  }

  @Test("DocC finds an end for each link of its pages and of the comments")
  func docc() throws {
    let out = FileManager.default.temporaryDirectory
      .appendingPathComponent("aloft-docs-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: out) }
    let script = Checkout.current.root.appendingPathComponent("script/docs").path
    let modules = LinkageTests.products.appendingPathComponent("Modules").path
    _ = try Tool.output(script, ["--modules", modules, out.path])
    let landing = out.appendingPathComponent("data/documentation/aloft.json")
    #expect(FileManager.default.fileExists(atPath: landing.path))
  }

  @Test("Links between documents lead somewhere")
  func links() throws {
    let offences = try Checkout.current.files([".md"])
      .flatMap { Self.broken($0, exists: Checkout.current.exists) }
    #expect(offences.isEmpty, "\(offences.list)")
  }

  @Test("docs/TESTING.md tells of every suite")
  func suites() throws {
    let text = try Checkout.current.text("docs/TESTING.md").text
    let suites = Set(
      Checkout.current.paths.compactMap { path -> String? in
        let folders = path.split(separator: "/")
        return folders[0] == "Tests" && folders[1].hasSuffix("Tests") ? String(folders[1]) : nil
      })
    for suite in suites { #expect(text.contains(suite)) }
  }

  @Test("CHANGELOG.md has a place for what is not released")
  func changelog() throws {
    #expect(try Checkout.current.text("CHANGELOG.md").lines.contains("## [Unreleased]"))
  }

  @Test("The checks read blocks and links as they are written")
  func seeded() {
    let text = TextFile(
      "docs/A.md",
      "```swift\na\n```\n[b](B.md#c) [d](../D.md) [e](https://e.test/)\n```c\nf\n```\n")
    #expect(Self.blocks("swift", in: text) == ["a\n"])
    #expect(Self.blocks("c", in: text) == ["f\n"])
    #expect(Self.links(in: text) == ["B.md", "../D.md"])
    #expect(Self.broken(text) { $0 == "docs/B.md" }.map(\.what) == ["../D.md leads nowhere"])
  }
}
