import Foundation

/// The checkout that these tests were built from, as text.
struct Checkout {
  let root: URL
  /// Every file that is ours, by its path from the root; build products are not.
  let paths: [String]

  static let current = Checkout(
    root: URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent())

  private static let folders = [
    "Sources", "CSources", "include", "Tests", "Benchmarks", "docs", "packaging", "script", ".ci",
  ]

  init(root: URL) {
    self.root = root
    var found: [String] = []
    let manager = FileManager.default
    for name in (try? manager.contentsOfDirectory(atPath: root.path)) ?? [] {
      var isFolder: ObjCBool = false
      let path = root.appendingPathComponent(name).path
      if manager.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue {
        found.append(name)
      }
    }
    for folder in Self.folders {
      let walk = manager.enumerator(atPath: root.appendingPathComponent(folder).path)
      while let path = walk?.nextObject() as? String {
        if path.split(separator: "/").last?.hasPrefix(".") == true {
          walk?.skipDescendants()
        } else if walk?.fileAttributes?[.type] as? FileAttributeType == .typeRegular {
          found.append("\(folder)/\(path)")
        }
      }
    }
    paths = found.sorted()
  }

  func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path)
  }

  func isExecutable(_ path: String) -> Bool {
    FileManager.default.isExecutableFile(atPath: root.appendingPathComponent(path).path)
  }

  func text(_ path: String) throws -> TextFile {
    TextFile(path, try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8))
  }

  /// All that is text, whatever its name.
  var texts: [TextFile] { paths.compactMap { try? text($0) } }

  /// Files with one of the endings, below one of the folders; nil for all of the checkout.
  func files(_ endings: [String], in folders: [String]? = nil) throws -> [TextFile] {
    try paths.filter { path in
      endings.contains { path.hasSuffix($0) }
        && (folders?.contains { path.hasPrefix($0 + "/") } ?? true)
    }.map(text)
  }
}

/// A text and where it lies. The checks take it and not a path, so that a test can seed one.
struct TextFile {
  let path: String
  let text: String
  let lines: [Substring]

  init(_ path: String, _ text: String) {
    self.path = path
    self.text = text
    lines = text.split(separator: "\n", omittingEmptySubsequences: false)
  }

  var name: Substring { path.split(separator: "/").last ?? "" }
  var isSwift: Bool { path.hasSuffix(".swift") }

  func offence(line index: Int, _ what: String) -> Offence {
    Offence(place: "\(path):\(index + 1)", what: what)
  }
}

/// Something that breaks a rule of the house.
struct Offence: CustomStringConvertible {
  let place: String
  let what: String

  var description: String { "\(place): \(what)" }
}

extension [Offence] {
  /// For the message of an expectation: one a line.
  var list: String { map { "\n  \($0)" }.joined() }
}

extension StringProtocol {
  var trimmed: String { trimmingCharacters(in: .whitespaces) }
  var indent: Int { prefix { $0 == " " }.count }
}
