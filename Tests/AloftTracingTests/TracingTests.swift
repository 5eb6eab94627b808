import Aloft
import AloftNode
import Foundation
import InMemoryTracing
import Testing
import Tracing

@testable import AloftTracing

/// A trace goes from node to node with a call, and the call goes on whatever becomes of the trace.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct TracingTests {
  @Test("Fields and payload come out as they went in; what is too much is left out")
  func envelope() throws {
    let fields = ["traceparent": "00-abc", "baggage": "a=b,c=ü", "": ""]
    for payload in [[], [UInt8](0...255)] {
      let envelope = try #require(TraceEnvelope(TraceEnvelope.bytes(fields, payload)))
      #expect(envelope.fields == fields && envelope.payload == payload)
    }
    let large = ["a": String(repeating: "x", count: 9_000), "b": "c"]
    #expect(TraceEnvelope(TraceEnvelope.bytes(large, [1]))?.fields == ["b": "c"])
    let many = Dictionary(uniqueKeysWithValues: (0..<40).map { ("\($0)", "x") })
    let some = try #require(TraceEnvelope(TraceEnvelope.bytes(many, [1])))
    #expect(some.fields.count == TraceEnvelope.fieldsMax && some.payload == [1])
    #expect(TraceEnvelope([]) == nil && TraceEnvelope([1, 5, 0, 0, 65]) == nil)
    #expect(TraceEnvelope([17]) == nil)
  }

  @Test("What a node does for another is part of the caller's trace; what fails there is told")
  func crosses() async throws {
    let tracer = InMemoryTracer()
    try await withTwoNodes { one, two in
      struct Refused: Error {}
      two.onTracedCall("serve", tracer: tracer) { from, bytes in
        if bytes == [0] { throw Refused() }
        // What the handler does is below its span.
        return tracer.withSpan("inside") { _ in bytes.reversed() + [UInt8(from)] }
      }
      let number = try #require(await two.status()?.node)
      let own = try #require(await one.status()?.node)
      let answer = try await tracer.withSpan("outside") { _ in
        try await one.tracedCall(number, [1, 2], named: "ask", tracer: tracer)
      }
      #expect(answer == [2, 1, UInt8(own)])
      await #expect(throws: NodeCallError.refused(code: TracedCallRefusal.failed)) {
        try await one.tracedCall(number, [0], named: "fail", tracer: tracer)
      }
      await #expect(throws: NodeCallError.refused(code: TracedCallRefusal.untraced)) {
        try await one.call(number, [])
      }
    }
    var spans: [String: FinishedInMemorySpan] = [:]
    for span in tracer.finishedSpans where spans[span.operationName] == nil {
      spans[span.operationName] = span
    }
    let (outside, ask) = (try #require(spans["outside"]), try #require(spans["ask"]))
    let (serve, inside) = (try #require(spans["serve"]), try #require(spans["inside"]))
    #expect(Set([outside, ask, serve, inside].map(\.traceID)).count == 1)
    #expect(ask.parentSpanID == outside.spanID && ask.kind == .client)
    #expect(serve.parentSpanID == ask.spanID && serve.kind == .server)
    #expect(inside.parentSpanID == serve.spanID)
    let failed = tracer.finishedSpans.filter { $0.operationName == "serve" && !$0.errors.isEmpty }
    #expect(failed.count == 1 && failed[0].traceID != ask.traceID)
    #expect(spans["fail"]?.errors.count == 1)
  }

  private func withTwoNodes(_ body: (Node, Node) async throws -> Void) async throws {
    let data = FileManager.default.temporaryDirectory
      .appendingPathComponent("aloft-tracing-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: data) }
    func options(_ name: String) -> NodeOptions {
      var options = NodeOptions(
        name: name, keys: [Array("a key of enough bytes".utf8)], data: "\(data.path)/\(name)")
      options.timing = .relaxed
      return options
    }
    try await Runtime.with(.init(eventLoops: 1, connectionsMax: 64), drain: .zero) { first in
      try await Runtime.with(.init(eventLoops: 1, connectionsMax: 64), drain: .zero) { second in
        let one = try await first.join(options("one"))
        var joining = options("two")
        joining.seeds = [await one.address]
        let two = try await second.join(joining)
        for node in [one, two] {
          while await node.status()?.members.count(where: { $0.state == .up }) != 2 {
            try await Task.sleep(for: .milliseconds(1))
          }
        }
        do {
          try await body(one, two)
        } catch {
          Issue.record(error)
        }
        await two.shutdown()
        await one.shutdown()
      }
    }
  }
}
