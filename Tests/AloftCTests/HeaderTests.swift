import Foundation
import Testing

/// The headers alone: every dialect takes them, and the library exports what they declare.
struct HeaderTests {
  static let include = Workbench.root.appendingPathComponent("include")
  /// aloft.h and its parts, each of which can be included by itself.
  static let headers = ["aloft.h"] + parts
  /// What the library with nodes has beyond those.
  static let nodeHeaders = ["aloft_node.h"]
  static let parts = FileManager.default.enumerator(atPath: include.path + "/aloft")!
    .map { "aloft/\($0)" }.sorted()

  /// Compiler, language, dialect.
  static let dialects: [(tool: String, language: String, standard: String)] = [
    ("gcc", "c", "c99"), ("gcc", "c", "c11"), ("clang", "c", "c99"), ("clang", "c", "c17"),
    ("clang++", "c++", "c++17"), ("clang++", "c++", "c++20"), ("g++", "c++", "c++17"),
  ]

  @Test("Each dialect takes each header without a warning", arguments: dialects.indices)
  func compiles(index: Int) throws {
    let (tool, language, standard) = Self.dialects[index]
    // Debian's gcc comes without its C++ half.
    guard tool != "g++" || Workbench.has(tool) else { return }
    let suffix = language == "c" ? "c" : "cc"
    let files = try (Self.headers + Self.nodeHeaders).map { header in
      let line = "#include \"\(header)\"\n"
      let name = header.replacingOccurrences(of: "/", with: "-").dropLast(2)
      return try Workbench.write(
        line + line + "int main(void) { return ALOFT_OK; }\n",
        to: "header-\(name)-\(tool)-\(standard).\(suffix)")
    }
    try Workbench.run(
      tool,
      ["-std=\(standard)", "-fsyntax-only", "-I", Self.include.path] + Workbench.warnings
        + files.map(\.path))
  }

  /// Names of functions that a header declares.
  static func declared(_ text: String) -> Set<String> {
    Set(
      text.split(separator: "\n").filter { $0.hasPrefix("ALOFT_EXPORT") }.compactMap { line in
        guard let bracket = line.firstIndex(of: "(") else { return nil }
        return line[..<bracket].split { " *".contains($0) }.last.map(String.init)
      })
  }

  /// Public functions among what `nm -D` lists: those with two underscores are the library's own.
  static func exported(_ output: String) -> Set<String> {
    Set(
      output.split(separator: "\n").compactMap { line in
        guard let name = line.split(separator: " ").last, name.hasPrefix("aloft_"),
          !name.hasPrefix("aloft__")
        else { return nil }
        return String(name)
      })
  }

  @Test("aloft.h includes every part")
  func whole() throws {
    let text = try String(
      contentsOf: Self.include.appendingPathComponent("aloft.h"), encoding: .utf8)
    #expect(Self.parts.count > 2)
    for part in Self.parts { #expect(text.contains("#include \"\(part)\"\n")) }
  }

  // A function that is declared and not implemented is not diagnosed by the compiler.
  @Test(
    "Each library exports every function of its headers, and no other",
    arguments: [(Workbench.library, headers), (Workbench.nodeLibrary, headers + nodeHeaders)])
  func symbols(library: URL, headers: [String]) throws {
    let declared = try headers.reduce(into: Set<String>()) { all, header in
      let file = Self.include.appendingPathComponent(header)
      all.formUnion(Self.declared(try String(contentsOf: file, encoding: .utf8)))
    }
    let exported = Self.exported(try Workbench.run("nm", ["-D", "--defined-only", library.path]))
    #expect(declared.count > 30)
    #expect(declared.subtracting(exported).isEmpty, "declared, and not there")
    #expect(exported.subtracting(declared).isEmpty, "there, and not declared")
  }

  /// Names in a linker's version script: what programs were linked with.
  static func listed(_ text: String) -> Set<String> {
    Set(
      text.split(separator: "\n").compactMap { line in
        let words = line.split { " ;".contains($0) }
        return words.count == 1 && words[0].hasPrefix("aloft_") ? String(words[0]) : nil
      })
  }

  @Test(
    "The lists of what the libraries export are the headers' functions",
    arguments: [("aloft.map", headers), ("aloft_node.map", nodeHeaders)])
  func lists(map: String, headers: [String]) throws {
    let declared = try headers.reduce(into: Set<String>()) { all, header in
      let file = Self.include.appendingPathComponent(header)
      all.formUnion(Self.declared(try String(contentsOf: file, encoding: .utf8)))
    }
    let file = Workbench.root.appendingPathComponent("CSources/abi/\(map)")
    let listed = Self.listed(try String(contentsOf: file, encoding: .utf8))
    #expect(declared == listed, "a new function goes to the end of \(map), and none is taken away")
  }

  @Test("What nodes need is the node library's need alone")
  func needs() throws {
    let plain = try Workbench.run("readelf", ["-d", Workbench.library.path])
    let node = try Workbench.run("readelf", ["-d", Workbench.nodeLibrary.path])
    for need in ["libraft", "libcrypto", "libssl"] {
      #expect(!plain.contains(need), "\(need)")
      #expect(node.contains(need), "\(need)")
    }
  }

  @Test("The check reads declarations and symbols as they are written")
  func seeded() {
    let text = """
      ALOFT_EXPORT int aloft_one(void);
      ALOFT_EXPORT const char *aloft_two(int code,
                                         int other);
      typedef void (*aloft_three)(int status);
      """
    #expect(Self.declared(text) == ["aloft_one", "aloft_two"])
    let listing = "00a T aloft_one\n00b T aloft__hidden\n00c T $s6AloftC\n00d D aloft_two\n"
    #expect(Self.exported(listing) == ["aloft_one", "aloft_two"])
  }
}
