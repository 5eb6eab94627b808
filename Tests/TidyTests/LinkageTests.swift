import Foundation
import Testing

/// What a program that uses Aloft is made to load: the Swift runtime, libuv and the C library, and
/// no Foundation. Read from the files that this build has made, all the way down.
struct LinkageTests {
  /// Libraries that a file names as needed, from the output of `readelf -d`.
  static func needed(_ output: String) -> [String] {
    output.split(separator: "\n").compactMap { line in
      guard line.contains("(NEEDED)"), let open = line.lastIndex(of: "["),
        let close = line.lastIndex(of: "]")
      else { return nil }
      return String(line[line.index(after: open)..<close])
    }
  }

  /// Paths from the output of `ldd`, which follows the libraries' own needs.
  static func loaded(_ output: String) -> [String] {
    output.split(separator: "\n").compactMap { $0.split(separator: " ").first?.trimmed }
      .compactMap { $0.split(separator: "/").last.map(String.init) }
  }

  static func unwelcome(_ libraries: [String]) -> [String] {
    libraries.filter { $0.contains("Foundation") || $0.contains("libicu") || $0.contains("XCTest") }
  }

  /// Where the executables of this build lie: beside the test runner.
  static let products = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent()

  @Test(
    "Nothing of Foundation is loaded with Aloft",
    arguments: ["example-echo", "example-counter", "libAloftC.so", "libAloftNodeC.so"])
  func foundation(product: String) throws {
    let path = Self.products.appendingPathComponent(product).path
    let direct = Self.needed(try Tool.output("readelf", ["-d", path]))
    #expect(direct.contains("libuv.so.1"))
    #expect(Self.unwelcome(direct).isEmpty, "\(direct)")
    let all = Self.loaded(try Tool.output("ldd", [path]))
    #expect(all.contains("libc.so.6"))
    #expect(Self.unwelcome(all).isEmpty, "\(all)")
  }

  @Test("The check sees Foundation in what the tools print")
  func seeded() {
    let elf = " 0x0001 (NEEDED)  Shared library: [libFoundation.so]\n 0x000e (SONAME) [a.so]\n"
    #expect(Self.unwelcome(Self.needed(elf)) == ["libFoundation.so"])
    let ldd = "\tlib_FoundationICU.so => /lib/lib_FoundationICU.so (0x1)\n\t/lib64/ld.so (0x2)\n"
    #expect(Self.unwelcome(Self.loaded(ldd)) == ["lib_FoundationICU.so"])
    #expect(Self.loaded(ldd).last == "ld.so")
  }
}

/// A program of the system, run to its end.
enum Tool {
  struct Failure: Error {
    let command: String
    let status: Int32
  }

  static func output(_ name: String, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [name] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(
        command: ([name] + arguments).joined(separator: " "), status: process.terminationStatus)
    }
    return String(decoding: data, as: UTF8.self)
  }
}
