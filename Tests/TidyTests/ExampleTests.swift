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

  private static func output(
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

  private static func withProgram(_ source: String, _ body: (URL) throws -> Void) throws {
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
        "\(root)/\(source)", "-o", program.path,
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

  func close() { _ = Foundation.close(descriptor) }
}
