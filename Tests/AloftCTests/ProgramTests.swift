import Foundation
import Testing

/// C programs that use the library as an application would: compiled by both compilers, strictly,
/// linked with the library of this build, and run. Each checks itself and says where it failed.
@Suite(.serialized)
struct ProgramTests {
  /// A sanitizer has a malloc of its own, and `quiet` can't count that.
  private static let programs =
    [
      "echo", "loops", "lives", "errors", "host", "mailbox", "registry", "pool", "queue",
      "supervision",
    ]
    // Theirs are the exits and the signals, too, and a fork copies their threads' state.
    + (Workbench.sanitizer == nil ? ["quiet", "fork", "guest"] : [])

  @Test(
    "C programs do what the header says",
    arguments: programs, Workbench.compilers)
  func program(name: String, compiler: Workbench.Compiler) throws {
    let source = Workbench.root.appendingPathComponent("Tests/c/\(name).c")
    let program = try Workbench.make(source, with: compiler)
    let output = try Workbench.run(program.path, [])
    #expect(output.contains("\(name): ok"))
  }

  @Test(
    "Nodes, and clients of nodes of which one is killed, do what aloft_node.h says",
    arguments: ["node", "session"], Workbench.compilers)
  func node(name: String, compiler: Workbench.Compiler) throws {
    let source = Workbench.root.appendingPathComponent("Tests/c/\(name).c")
    let program = try Workbench.make(source, with: compiler, library: Workbench.nodeLibrary)
    #expect(try Workbench.run(program.path, []).contains("\(name): ok"))
  }

  @Test("The example of docs/EMBEDDING.md echoes, and ends when standard input does")
  func example() throws {
    let page = try String(
      contentsOf: Workbench.root.appendingPathComponent("docs/EMBEDDING.md"), encoding: .utf8)
    let block = try #require(page.components(separatedBy: "```c\n").dropFirst().first)
    let text = try #require(block.components(separatedBy: "\n```").first) + "\n"
    let source = try Workbench.write(text, to: "example.c")
    let server = Process()
    server.executableURL = try Workbench.make(source, with: Workbench.compilers[0])
    let (input, output) = (Pipe(), Pipe())
    server.standardInput = input
    server.standardOutput = output
    try server.run()
    let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    let port = try #require(line.split(separator: " ").compactMap { Int($0) }.first)
    let talk = "exec 3<>/dev/tcp/127.0.0.1/\(port); echo hello >&3; head -n 1 <&3"
    #expect(try Workbench.run("bash", ["-c", talk]) == "hello\n")
    try input.fileHandleForWriting.close()
    server.waitUntilExit()
    #expect(server.terminationStatus == 0)
  }
}
