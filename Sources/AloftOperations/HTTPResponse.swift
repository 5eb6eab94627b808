/// The statuses that are answered here.
enum HTTPStatus: Int {
  case ok = 200
  case badRequest = 400
  case notFound = 404
  case methodNotAllowed = 405
  case requestTimeout = 408
  case contentTooLarge = 413
  case headerTooLarge = 431
  case unavailable = 503
  case versionNotSupported = 505

  var phrase: String {
    switch self {
    case .ok: "OK"
    case .badRequest: "Bad Request"
    case .notFound: "Not Found"
    case .methodNotAllowed: "Method Not Allowed"
    case .requestTimeout: "Request Timeout"
    case .contentTooLarge: "Content Too Large"
    case .headerTooLarge: "Request Header Fields Too Large"
    case .unavailable: "Service Unavailable"
    case .versionNotSupported: "HTTP Version Not Supported"
    }
  }
}

/// An answer, after which the connection ends.
struct HTTPResponse {
  enum Body {
    case whole([UInt8])
    /// Events, one a second, until the other side has enough.
    case events
  }

  var status = HTTPStatus.ok
  var contentType = "text/plain; charset=utf-8"
  var body: Body

  static func text(_ status: HTTPStatus, _ text: String) -> HTTPResponse {
    HTTPResponse(status: status, body: .whole(Array((text + "\n").utf8)))
  }

  /// - Parameter withBody: false for HEAD.
  func bytes(withBody: Bool) -> [UInt8] {
    var head = "HTTP/1.1 \(status.rawValue) \(status.phrase)\r\nContent-Type: \(contentType)\r\n"
    head += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
    if status == .methodNotAllowed { head += "Allow: GET, HEAD\r\n" }
    if status == .ok {
      // The page has its script and style in itself, and asks nobody else.
      head += "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; "
      head += "style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'\r\n"
    }
    guard case .whole(let bytes) = body else { return Array((head + "\r\n").utf8) }
    head += "Content-Length: \(bytes.count)\r\n\r\n"
    return Array(head.utf8) + (withBody ? bytes : [])
  }
}
