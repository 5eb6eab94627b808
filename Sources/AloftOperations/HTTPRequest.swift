/// The head of a request, read as it arrives: bytes in, a request or a refusal out.
struct HTTPRequestReader {
  /// What an answer begins with.
  struct Refusal: Error, Hashable {
    let status: HTTPStatus
    let reason: String

    init(_ status: HTTPStatus, _ reason: String) {
      self.status = status
      self.reason = reason
    }
  }

  /// A browser's head with its cookies is below 4 KiB; nobody else's is longer than one.
  static let headBytesMax = 8 << 10
  static let headersMax = 64

  private var buffer: [UInt8] = []

  /// Nil while more is needed.
  mutating func feed(_ bytes: [UInt8]) throws(Refusal) -> HTTPRequest? {
    // What follows the head is not looked at, so it isn't kept either.
    buffer += bytes.prefix(Self.headBytesMax + 1 - buffer.count)
    guard let head = Self.head(buffer) else {
      // A stranger's protocol is told so before it has sent all that.
      if let first = buffer.first, !Self.isToken(first) { throw Refusal(.badRequest, "no method") }
      guard buffer.count <= Self.headBytesMax else {
        throw Refusal(.headerTooLarge, "more than \(Self.headBytesMax) bytes of head")
      }
      return nil
    }
    return try HTTPRequest(lines: head)
  }

  /// The lines before the first empty one; nil without one. A line ends with LF or CR LF.
  private static func head(_ bytes: [UInt8]) -> [ArraySlice<UInt8>]? {
    var lines: [ArraySlice<UInt8>] = []
    var start = 0
    while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
      var line = bytes[start..<end]
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
      if line.isEmpty { return lines }
      lines.append(line)
      start = end + 1
    }
    return nil
  }

  /// RFC 9110, 5.6.2: what methods and names of headers are made of.
  static func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
  }
}

/// A request without a body: nothing here takes one.
struct HTTPRequest: Hashable {
  enum Method: Hashable { case get, head }
  typealias Refusal = HTTPRequestReader.Refusal

  let method: Method
  /// Without what follows a question mark.
  let path: String

  init(lines: [ArraySlice<UInt8>]) throws(Refusal) {
    guard let first = lines.first else { throw Refusal(.badRequest, "no request line") }
    let words = first.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    guard words.count == 3, !words[0].isEmpty, words[0].allSatisfy(HTTPRequestReader.isToken),
      words[1].first == UInt8(ascii: "/"), words[1].allSatisfy({ (0x21...0x7E).contains($0) })
    else { throw Refusal(.badRequest, "a request line is METHOD /PATH HTTP/1.1") }
    let version = String(decoding: words[2], as: UTF8.self)
    guard version.hasPrefix("HTTP/"), version.utf8.count == 8 else {
      throw Refusal(.badRequest, "no version")
    }
    guard version.hasPrefix("HTTP/1.") else { throw Refusal(.versionNotSupported, version) }
    switch String(decoding: words[0], as: UTF8.self) {
    case "GET": method = .get
    case "HEAD": method = .head
    default: throw Refusal(.methodNotAllowed, "GET and HEAD alone")
    }
    try Self.check(lines.dropFirst(), needsHost: version != "HTTP/1.0")
    path = String(decoding: words[1].prefix { $0 != UInt8(ascii: "?") }, as: UTF8.self)
  }

  private static func check(
    _ lines: ArraySlice<ArraySlice<UInt8>>, needsHost: Bool
  ) throws(Refusal) {
    guard lines.count <= HTTPRequestReader.headersMax else {
      throw Refusal(.headerTooLarge, "more than \(HTTPRequestReader.headersMax) headers")
    }
    var hosts = 0
    for line in lines {
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
        line[..<colon].allSatisfy(HTTPRequestReader.isToken),
        line[colon...].allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 })
      else { throw Refusal(.badRequest, "a header is NAME: VALUE") }
      let value = String(decoding: line[(colon + 1)...], as: UTF8.self)
        .drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" }
      switch String(decoding: line[..<colon], as: UTF8.self).lowercased() {
      case "host": hosts += 1
      case "transfer-encoding": throw Refusal(.contentTooLarge, "no body is taken")
      case "content-length":
        guard !value.isEmpty, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
          throw Refusal(.badRequest, "content-length is no number")
        }
        guard value.allSatisfy({ $0 == "0" }) else {
          throw Refusal(.contentTooLarge, "no body is taken")
        }
      default: break
      }
    }
    guard hosts == 1 || hosts == 0 && !needsHost else {
      throw Refusal(.badRequest, "one host is to be named")
    }
  }
}
