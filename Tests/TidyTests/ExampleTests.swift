import Foundation
import Testing

/// README's examples do what README says: each is started as a process of its own and ends with its
/// standard input.
struct ExampleTests {
  @Test("The Swift example echoes both ways, and ends when standard input does")
  func swift() throws {
    let ports = [try Client.freePort(), try Client.freePort()]
    let program = LinkageTests.products.appendingPathComponent("example-echo")
    try echoes(program, ports.map { String($0) }, ports: ports)
  }

  /// The way a C program does it: a compiler, the header and the shared library.
  @Test("The C example, built by the C compiler, does the same")
  func c() throws {
    try Self.withProgram("Benchmarks/example-echo-c/echo_server.c") { program in
      let port = try Client.freePort()
      try echoes(program, ["127.0.0.1:\(port)"], ports: [port])
    }
  }

  @Test("A worker that fails is started again, with its name and what waits for it")
  func workers() throws {
    let program = LinkageTests.products.appendingPathComponent("example-workers")
    let output = try Self.output(of: program, input: "a\nb\nboom\nc\n", lines: 3)
    #expect(output == "1 a\n2 b\n1 c\n")
  }

  @Test("A session goes on where an earlier process left it")
  func session() throws {
    let data = FileManager.default.temporaryDirectory
      .appendingPathComponent("aloft-notes-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: data) }
    let program = LinkageTests.products.appendingPathComponent("example-session")
    let first = try Self.output(of: program, [data.path], input: "a\nb\n", lines: 3)
    let number = String(first.prefix { $0 != "\n" })
    #expect(first == "\(number)\n1 notes, the first is a\n2 notes, the first is a\n")
    let next = try Self.output(of: program, [data.path, number], input: "c\n", lines: 2)
    #expect(next == "\(number)\n3 notes, the first is a\n")
  }

  @Test("The C example of a mailbox with a name counts what it is sent")
  func tally() throws {
    try Self.withProgram("Benchmarks/example-tally-c/tally.c") { program in
      let output = try Self.output(of: program, input: "a\nb\n", lines: 2)
      #expect(output == "1 a\n2 b\n")
    }
  }

  @Test("In the C example of a chat everybody hears everybody, and one alone what is for him")
  func chat() throws {
    try Self.withProgram("Benchmarks/example-chat-c/chat.c") { program in
      let port = try Client.freePort()
      let server = try Server(program, ["127.0.0.1:\(port)"])
      let (a, b, c) = try (0..<3).map { _ in
        try Client(port: port) { server.process.isRunning }
      }.triple
      for client in [a, b, c] { #expect(try client.line() == "who are you?") }
      try a.say("anna")
      #expect(try a.line() == "anna: is here")
      try b.say("anna")
      #expect(try b.line() == "that name is taken")
      try b.say("bert")
      #expect(try a.line() == "bert: is here" && b.line() == "bert: is here")
      // In two pieces, on whatever loop he is.
      try a.say("hel", end: "")
      try a.say("lo")
      #expect(try a.line() == "anna: hello" && b.line() == "anna: hello")
      try b.say("@anna psst")
      #expect(try a.line() == "bert, to you: psst")
      try b.say("@carl are you there?")
      #expect(try b.line() == "nobody here has that name")
      b.close()
      #expect(try a.line() == "bert: has left")
      // His name is free again, and who has none yet has heard nothing.
      try c.say("bert")
      #expect(try c.line() == "bert: is here" && a.line() == "bert: is here")
      try server.input.close()
      server.process.waitUntilExit()
      #expect(server.process.terminationStatus == 0)
      for client in [a, c] { client.close() }
    }
  }

  @Test("The server of lines numbers them, ends at quit, and sends away who never ends a line")
  func lines() throws {
    let port = try Client.freePort()
    let server = try Server(
      LinkageTests.products.appendingPathComponent("example-lines"), ["\(port)"])
    let client = try Client(port: port) { server.process.isRunning }
    #expect(try client.line() == "hello")
    try client.say("one\r\ntwo\nthr", end: "")
    #expect(try client.line() == "1 one" && client.line() == "2 two")
    try client.say("ee")
    #expect(try client.line() == "3 three")
    try client.say("quit")
    #expect(try client.line() == "bye" && client.line() == nil)
    let endless = try Client(port: port) { true }
    #expect(try endless.line() == "hello")
    try endless.say(String(repeating: "x", count: 2_000), end: "")
    #expect((try? endless.line()) == nil)
    try server.input.close()
    server.process.waitUntilExit()
    #expect(server.process.terminationStatus == 0)
    for open in [client, endless] { open.close() }
  }

  @Test("A farm of workers that fail does every job")
  func farm() throws {
    let text = try Tool.output(
      LinkageTests.products.appendingPathComponent("example-farm").path, [])
    let words = text.split { " \n".contains($0) }
    #expect(words.count == 4 && words[1] == "1499500", "\(text)")
    // Eleven numbers of the thousand spoil a worker, unless it is its first.
    #expect(words.count == 4 && (1...11).contains(Int(words[3]) ?? 0), "\(text)")
  }

  @Test("Examples are short, and say first what they do")
  func short() throws {
    let examples = try Checkout.current.files([".swift", ".c"], in: ["Benchmarks"])
      .filter { $0.path.hasPrefix("Benchmarks/example-") }
    #expect(examples.count >= 9)
    for example in examples {
      #expect(example.lines.count <= 120, "\(example.path)")
      let says = example.lines.prefix(8).contains { $0.hasPrefix("// ") || $0.hasPrefix("/// ") }
      #expect(says, "\(example.path)")
    }
  }

  static func output(
    of program: URL, _ arguments: [String] = [], input: String, lines: Int
  ) throws -> String {
    let (process, to, from) = (Process(), Pipe(), Pipe())
    // Lines come out one by one, so that the end of the input is not ahead of the last.
    process.executableURL = URL(fileURLWithPath: "/usr/bin/stdbuf")
    process.arguments = ["-oL", program.path] + arguments
    process.standardInput = to
    process.standardOutput = from
    try process.run()
    try to.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    var output = Data()
    while output.count(where: { $0 == UInt8(ascii: "\n") }) < lines {
      let more = from.fileHandleForReading.availableData
      if more.isEmpty { break }
      output += more
    }
    try to.fileHandleForWriting.close()
    output += from.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return String(decoding: output, as: UTF8.self)
  }

  static func withProgram(_ source: String, _ body: (URL) throws -> Void) throws {
    let root = Checkout.current.root.path
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("aloft-example-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let program = folder.appendingPathComponent("program")
    let products = LinkageTests.products.path
    _ = try Tool.output(
      "cc",
      [
        "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", "\(root)/include",
        "-D_GNU_SOURCE", "-pedantic", "-pthread", "\(root)/\(source)", "-o", program.path,
        "-L", products, "-lAloftC", "-Wl,-rpath,\(products)",
      ])
    try body(program)
  }

  private func echoes(_ program: URL, _ arguments: [String], ports: [UInt16]) throws {
    let server = try Server(program, arguments)
    let clients = try ports.map { try Client(port: $0) { server.process.isRunning } }
    for client in clients { #expect(try client.echo("hello") == "hello") }
    try server.input.close()
    server.process.waitUntilExit()
    #expect(server.process.terminationStatus == 0)
    clients.forEach { $0.close() }
  }
}

/// A process that ends with its standard input.
private final class Server {
  let process = Process()
  private let pipe = Pipe()

  var input: FileHandle { pipe.fileHandleForWriting }

  init(_ program: URL, _ arguments: [String]) throws {
    process.executableURL = program
    process.arguments = arguments
    process.standardInput = pipe
    process.standardOutput = FileHandle.nullDevice
    try process.run()
  }

  deinit { process.terminate() }
}

/// A blocking TCP connection to a server of this machine.
private struct Client {
  struct Failure: Error {
    let what: String
    let code: Int32
  }

  private let descriptor: Int32

  private static func address(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  private static func call(
    _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    var address = address(port)
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  private static func socket() -> Int32 {
    Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  }

  /// A port that was free a moment ago: the kernel's choice, given back.
  static func freePort() throws -> UInt16 {
    let descriptor = socket()
    defer { _ = Foundation.close(descriptor) }
    guard call(0, { bind(descriptor, $0, $1) }) == 0 else {
      throw Failure(what: "bind", code: errno)
    }
    var bound = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &bound) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    guard status == 0 else { throw Failure(what: "getsockname", code: errno) }
    return UInt16(bigEndian: bound.sin_port)
  }

  /// Connects as soon as the server listens, which its start takes a while to reach.
  init(port: UInt16, while isRunning: () -> Bool) throws {
    while true {
      let descriptor = Self.socket()
      if Self.call(port, { connect(descriptor, $0, $1) }) == 0 {
        self.descriptor = descriptor
        return
      }
      let code = errno
      _ = Foundation.close(descriptor)
      guard code == ECONNREFUSED, isRunning() else { throw Failure(what: "connect", code: code) }
      usleep(2_000)
    }
  }

  /// Sends all of the text and receives as many bytes.
  func echo(_ text: String) throws -> String {
    let bytes = Array(text.utf8)
    guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
      throw Failure(what: "send", code: errno)
    }
    var answer = [UInt8](repeating: 0, count: bytes.count)
    let count = recv(descriptor, &answer, answer.count, Int32(MSG_WAITALL))
    guard count >= 0 else { throw Failure(what: "recv", code: errno) }
    return String(decoding: answer.prefix(count), as: UTF8.self)
  }

  func say(_ text: String, end: String = "\n") throws {
    let bytes = Array((text + end).utf8)
    guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
      throw Failure(what: "send", code: errno)
    }
  }

  /// The next line, without its end; nil at the end of all.
  func line() throws -> String? {
    var line: [UInt8] = []
    while line.last != UInt8(ascii: "\n") {
      var byte: UInt8 = 0
      let count = recv(descriptor, &byte, 1, 0)
      guard count >= 0 else { throw Failure(what: "recv", code: errno) }
      if count == 0 { return nil }
      line.append(byte)
    }
    return String(decoding: line.dropLast(), as: UTF8.self)
  }

  func close() { _ = Foundation.close(descriptor) }
}

extension [Client] {
  fileprivate var triple: (Client, Client, Client) { (self[0], self[1], self[2]) }
}
