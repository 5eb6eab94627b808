internal import Aloft
public import AloftNode
internal import Instrumentation
public import Tracing

/// The codes by which traced calls are refused.
public enum TracedCallRefusal {
  /// The handler has thrown; its span has the error.
  public static let failed: UInt8 = 2
  /// The bytes are no traced call's: the caller used `call`.
  public static let untraced: UInt8 = 3
}

extension Node {
  /// Calls another node in a span, and sends that along, so that what it does there is part of the
  /// same trace. The other side has to take calls by ``onTracedCall(_:tracer:handler:)``.
  ///
  /// ```swift
  /// let answer = try await node.tracedCall(2, request, named: "charge")
  /// ```
  /// Any thread; suspends. Costs a span, and some 60 bytes of a message.
  /// - Parameter tracer: the process's own unless another is given.
  /// - Throws: as `Node.call`; ``TracedCallRefusal`` has the codes of `refused`.
  public func tracedCall(
    _ node: Int, _ bytes: [UInt8], named name: String = "call",
    within limit: Duration = .seconds(5), tracer: any Tracer = InstrumentationSystem.tracer
  ) async throws -> [UInt8] {
    try await tracer.withAnySpan(name, ofKind: .client) { span in
      var fields: [String: String] = [:]
      tracer.inject(span.context, into: &fields, using: Fields())
      span.attributes["aloft.node.peer"] = node
      return try await call(node, TraceEnvelope.bytes(fields, bytes), within: limit)
    }
  }

  /// Has calls of other nodes answered by `handler`, each in a task of its own and in a span that
  /// belongs to the caller's. Instead of `onCall`, of which there is one.
  ///
  /// ```swift
  /// node.onTracedCall("charge") { from, request in try await charge(request) }
  /// ```
  /// - Parameter handler: the number of the node that calls, and its bytes; the answer's. What it
  ///   throws is in its span, and the caller is refused with ``TracedCallRefusal/failed``.
  public func onTracedCall(
    _ name: String = "call", tracer: any Tracer = InstrumentationSystem.tracer,
    handler: @escaping @Sendable (_ from: Int, _ bytes: [UInt8]) async throws -> [UInt8]
  ) {
    let loop = eventLoop
    onCall { call, bytes in
      let received = unsafe bytes.withUnsafeBytes { unsafe Array($0) }
      guard let envelope = TraceEnvelope(received) else {
        return call.refuse(code: TracedCallRefusal.untraced)
      }
      var context = InstrumentationContext.topLevel
      tracer.extract(envelope.fields, into: &context, using: Fields())
      // As many at a time as the caller's link lets be under way.
      Task { [context] in
        let answer: [UInt8]? = try? await tracer.withAnySpan(
          name, context: context, ofKind: .server
        ) { span in
          span.attributes["aloft.node.peer"] = call.from
          return try await handler(call.from, envelope.payload)
        }
        try? await loop.run {
          guard let answer else { return call.refuse(code: TracedCallRefusal.failed) }
          unsafe call.reply(answer.span.bytes)
        }
      }
    }
  }
}

/// A context's fields in a dictionary.
private struct Fields: Injector, Extractor {
  func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) {
    carrier[key] = value
  }

  func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
}
