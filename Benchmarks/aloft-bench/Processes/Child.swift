import CBenchLoad
import Foundation

/// A child process that is spoken to in lines over its standard input and output.
///
/// Every wait is bounded. It is killed with the bench (see `bench_process.h`), and by `stop`.
/// Used from the thread that spawned it alone.
final class Child {
  let pid: pid_t
  let name: String
  private var input: Int32
  private let output: Int32
  private var buffered: [UInt8] = []
  private var status: Int32?

  init(path: String, arguments: [String], cpu: Int?) throws {
    name = ([URL(fileURLWithPath: path).lastPathComponent] + arguments).joined(separator: " ")
    var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
    words.append(nil)
    defer { words.forEach { free($0) } }
    var child = bench_child()
    let result = bench_child_spawn(path, words, Int32(cpu ?? -1), &child)
    guard result == 0 else {
      throw BenchError("can't start \(name): \(String(cString: strerror(-result)))")
    }
    pid = child.pid
    input = child.input
    output = child.output
  }

  deinit {
    stop(grace: .zero)
    close(output)
  }

  func writeLine(_ line: String) throws {
    var bytes = Array(line.utf8)
    bytes.append(UInt8(ascii: "\n"))
    var sent = 0
    while sent < bytes.count {
      let n = bytes[sent...].withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
      if n < 0 && errno == EINTR { continue }
      guard n > 0 else { throw BenchError("\(name) (pid \(pid)) does not listen any more") }
      sent += n
    }
  }

  /// The next line; an error if it does not come in time or the child has ended.
  func readLine(within limit: Duration) throws -> String {
    let end = ContinuousClock.now + limit
    while true {
      if let newline = buffered.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: buffered[..<newline], as: UTF8.self)
        buffered.removeSubrange(...newline)
        return line
      }
      let left = ContinuousClock.now.duration(to: end)
      guard left > .zero else {
        throw BenchError("\(name) (pid \(pid)) did not answer within \(limit)")
      }
      var waiting = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      _ = poll(&waiting, 1, Int32(left.milliseconds) + 1)
      try readMore()
    }
  }

  private func readMore() throws {
    var chunk = [UInt8](repeating: 0, count: 64 * 1024)
    let n = read(output, &chunk, chunk.count)
    if n > 0 { return buffered.append(contentsOf: chunk[..<n]) }
    if n < 0 && (errno == EAGAIN || errno == EINTR) { return }
    throw BenchError("\(name) (pid \(pid)) ended before it answered\(endText())")
  }

  private func endText() -> String {
    _ = reaped(within: .milliseconds(200))
    guard let status else { return "" }
    let signal = status & 0x7f
    return signal == 0 ? ", status \(status >> 8 & 0xff)" : ", signal \(signal)"
  }

  func signal(_ number: Int32) {
    if status == nil { kill(pid, number) }
  }

  /// Closes its standard input, which ends every role; what has not ended by then is killed.
  func stop(grace: Duration = .seconds(2)) {
    if input >= 0 {
      close(input)
      input = -1
    }
    if status != nil || reaped(within: grace) { return }
    signal(SIGKILL)
    _ = reaped(within: .seconds(10))
  }

  private func reaped(within limit: Duration) -> Bool {
    let end = ContinuousClock.now + limit
    while status == nil {
      var wait: Int32 = 0
      let result = bench_child_reap(pid, &wait)
      if result != 0 {
        status = result > 0 ? wait : 0
      } else if ContinuousClock.now >= end {
        return false
      } else {
        usleep(2_000)
      }
    }
    return true
  }
}

extension Duration {
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) / 1e18
  }
  var milliseconds: Double { seconds * 1e3 }
  var nanoseconds: UInt64 { UInt64(seconds * 1e9) }
}
