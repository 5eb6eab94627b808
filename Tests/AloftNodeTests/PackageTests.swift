import Foundation
import Testing

/// The Debian package, made of this build's program: what is in it, and that it can be used.
struct PackageTests {
  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  @discardableResult
  private static func run(_ words: String...) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    process.currentDirectoryURL = root
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(
      decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw NodeTestError("\(words): \(text)") }
    return text
  }

  @Test("A package has the program, its units and its options, and says what it needs")
  func package() throws {
    let place = try DataDirectories()
    let made = try Self.run(
      "script/package", "--program", NodeProgram.program.path, place["out"])
    let path = try #require(made.split(separator: "\n").last.map(String.init))
    let fields = try Self.run("dpkg-deb", "--field", path)
    #expect(fields.contains("Package: aloft-node\n"))
    for library in ["libuv1", "libraft2", "libssl3"] { #expect(fields.contains(library)) }

    let tree = place["tree"]
    try Self.run("dpkg-deb", "--extract", path, tree)
    for file in [
      "usr/bin/aloft-node", "lib/systemd/system/aloft-node.service",
      "lib/systemd/system/aloft-node-metrics.socket", "usr/share/doc/aloft-node/OPERATING.md",
    ] { #expect(FileManager.default.fileExists(atPath: "\(tree)/\(file)"), "\(file)") }

    // The options that it comes with are ones that the program knows, and its key isn't there.
    let conf = "\(tree)/etc/aloft-node/node.conf"
    let refusal = #expect(throws: NodeTestError.self) {
      try Self.run("\(tree)/usr/bin/aloft-node", "run", "--config", conf)
    }
    #expect(refusal?.text.contains("/etc/aloft-node/key can't be read") == true)
    for script in ["postinst", "prerm", "postrm"] {
      try Self.run("sh", "-n", "packaging/\(script)")
    }
  }

  @Test("systemd finds nothing wrong with the units")
  func units() throws {
    guard FileManager.default.isExecutableFile(atPath: "/usr/bin/systemd-analyze") else { return }
    let place = try DataDirectories()
    for unit in ["aloft-node.service", "aloft-node-metrics.socket"] {
      let text = try String(
        contentsOf: Self.root.appendingPathComponent("packaging/\(unit)"), encoding: .utf8)
      // Where the program will be, something else is now.
      try text.replacingOccurrences(of: "/usr/bin/aloft-node", with: NodeProgram.program.path)
        .write(toFile: place[unit], atomically: true, encoding: .utf8)
    }
    let said = try Self.run(
      "systemd-analyze", "verify", place["aloft-node.service"], place["aloft-node-metrics.socket"])
    #expect(!said.contains("aloft-node"), "\(said)")
  }
}
