import Foundation
import Testing

/// Where the C programs are made: the compilers, the library of this build, a place for what they
/// make.
enum Workbench {
  enum Compiler: String, CaseIterable, Sendable {
    case gcc, clang
  }

  /// What the library was built with; a program has to be built with the same.
  enum Sanitizer: String {
    case thread, address
  }

  struct Failure: Error, CustomStringConvertible {
    let command: String
    let status: Int32
    let output: String
    var description: String { "\(command) ended with \(status)\n\(output)" }
  }

  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// SwiftPM puts the products beside the test runner.
  static let products = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent()

  static let library = products.appendingPathComponent("libAloftC.so")
  /// The one with nodes, which has all of the other in itself.
  static let nodeLibrary = products.appendingPathComponent("libAloftNodeC.so")

  static let sanitizer: Sanitizer? = {
    let symbols = (try? run("nm", ["-D", library.path])) ?? ""
    if symbols.contains("__tsan_init") { return .thread }
    return symbols.contains("__asan_init") ? .address : nil
  }()

  /// A sanitizer's runtime is the one of the compiler that built the library.
  static var compilers: [Compiler] { sanitizer == nil ? Compiler.allCases : [.clang] }

  static let warnings = ["-Wall", "-Wextra", "-pedantic", "-Werror"]

  /// Compiles and links a program, strictly and as C99, and has it run to its end.
  static func make(
    _ source: URL, with compiler: Compiler, library: URL = Workbench.library
  ) throws -> URL {
    let name = source.deletingPathExtension().lastPathComponent
    let program = try directory().appendingPathComponent("\(name)-\(compiler)")
    var arguments = ["-std=c99", "-D_GNU_SOURCE", "-g", "-pthread"] + warnings
    arguments += ["-I", root.appendingPathComponent("include").path]
    arguments += ["-I", root.appendingPathComponent("Tests/c").path]
    arguments += try run("pkg-config", ["--cflags", "libuv"]).split { $0.isWhitespace }
      .map(String.init)
    if let sanitizer { arguments.append("-fsanitize=\(sanitizer)") }
    arguments += [source.path, "-o", program.path]
    arguments += [library.path, "-luv", "-Wl,-rpath,\(products.path)"]
    _ = try run(compiler.rawValue, arguments)
    return program
  }

  private static func directory() throws -> URL {
    let directory = products.appendingPathComponent("AloftCTests.programs")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    return directory
  }

  /// Writes a source file of its own.
  static func write(_ text: String, to name: String) throws -> URL {
    let file = try directory().appendingPathComponent(name)
    try Data(text.utf8).write(to: file)
    return file
  }

  static func has(_ tool: String) -> Bool {
    (try? run("which", [tool])) != nil
  }

  /// Runs a tool, or ends it after two minutes; what it printed.
  @discardableResult
  static func run(_ tool: String, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["timeout", "120", tool] + arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = String(decoding: data, as: UTF8.self)
    guard process.terminationStatus == 0 else {
      throw Failure(
        command: ([tool] + arguments).joined(separator: " "), status: process.terminationStatus,
        output: text)
    }
    return text
  }
}
