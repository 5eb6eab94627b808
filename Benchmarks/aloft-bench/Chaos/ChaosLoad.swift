import Aloft
import AloftNode
import Foundation
import Synchronization

/// What a node does while others are killed: it calls all the others and sends them messages by
/// name, without end, and keeps account of both.
///
/// Each call and each message has the sender's own number and one more than the last, and is made
/// once. A receiver that sees a number twice counts it; who was answered asks in the end whether
/// the receiver has seen the call.
final class ChaosLoad: @unchecked Sendable {
  // @unchecked: used on the node's loop alone, but for `start`, `stop` and `audit`.
  private let node: Node
  private let runtime: Runtime
  private let life = UInt64.random(in: 1 ... .max)
  private var isOn = false
  /// Other members by number, and their mailboxes.
  private var others: [Int: Mailbox?] = [:]
  private var lastCall: UInt32 = 0
  private var lastMessage: UInt32 = 0
  private var turn = 0
  /// Calls that were answered, by the life that answered.
  private var answered: [UInt64: [UInt32]] = [:]
  private var whoAnswers: [Int: UInt64] = [:]
  private var failed = 0
  /// Calls seen, by the caller's life.
  private var seen: [UInt64: Set<UInt32>] = [:]
  private var doubled = 0
  private var missing = 0
  private var audited = 0
  let sink: ChaosSink

  /// The first word of a call. Those of other scenarios begin with small numbers.
  private enum Kind {
    static let call: UInt64 = 0xC4A0_5000_0000_0001
    static let audit: UInt64 = 0xC4A0_5000_0000_0002
  }

  init(_ node: Node, _ runtime: Runtime, _ sink: ChaosSink) {
    self.node = node
    self.runtime = runtime
    self.sink = sink
  }

  func start() async throws {
    try await node.eventLoop.run { [self] in isOn = true }
    Task {
      while try await goOn() { try await Task.sleep(for: .milliseconds(2)) }
    }
  }

  func stop() async throws { try await node.eventLoop.run { [self] in isOn = false } }

  private func goOn() async throws -> Bool {
    try await node.eventLoop.run { [self] in
      if isOn { tick() }
      return isOn
    }
  }

  // MARK: Sending

  private func tick() {
    turn += 1
    if turn % 25 == 1 { Task { await lookAround() } }
    for (number, mailbox) in others {
      for _ in 0..<2 { call(number) }
      guard let mailbox else { continue }
      for _ in 0..<2 {
        lastMessage += 1
        _ = mailbox.send(body(0, lastMessage).span.bytes)
      }
    }
  }

  private func lookAround() async {
    guard let status = await node.status() else { return }
    var found: [Int: Mailbox?] = [:]
    for member in status.members where member.state == .up && member.node != status.node {
      var mailbox: Mailbox?
      if case .mailbox(let it)? = runtime.registry.lookUp("chaos-\(member.name)") { mailbox = it }
      found[member.node] = .some(mailbox)
    }
    let all = found
    try? await node.eventLoop.run { [self] in others = all }
  }

  private func body(_ kind: UInt64, _ number: UInt32) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 64)
    bytes.withUnsafeMutableBytes {
      $0.storeBytes(of: kind, as: UInt64.self)
      $0.storeBytes(of: life, toByteOffset: 8, as: UInt64.self)
      $0.storeBytes(of: number, toByteOffset: 16, as: UInt32.self)
    }
    return bytes
  }

  private func call(_ target: Int) {
    lastCall += 1
    let number = lastCall
    let body = body(Kind.call, number)
    node.call(target, body.span.bytes, within: .seconds(5)) { [self] bytes, error in
      guard error == nil, bytes.byteCount == 8 else {
        failed += 1
        return
      }
      let by = unsafe bytes.unsafeLoadUnaligned(as: UInt64.self)
      whoAnswers[target] = by
      answered[by, default: []].append(number)
    }
  }

  // MARK: Receiving

  /// On the node's loop. False when the call is none of these.
  func answer(_ call: Node.IncomingCall, _ bytes: RawSpan) -> Bool {
    guard bytes.byteCount >= 64 else { return false }
    let kind = unsafe bytes.unsafeLoadUnaligned(as: UInt64.self)
    let caller = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt64.self)
    switch kind {
    case Kind.call:
      let number = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: 16, as: UInt32.self)
      if !seen[caller, default: []].insert(number).inserted { doubled += 1 }
      reply(call, life)
    case Kind.audit:
      var lacking: UInt64 = 0
      for offset in stride(from: 64, to: bytes.byteCount, by: 4) {
        let number = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
        if seen[caller]?.contains(number) != true { lacking += 1 }
      }
      reply(call, lacking)
    default: return false
    }
    return true
  }

  private func reply(_ call: Node.IncomingCall, _ word: UInt64) {
    withUnsafeBytes(of: word) { call.reply($0.bytes) }
  }

  // MARK: The account

  /// Asks those who live whether they have seen what they answered.
  func audit() async throws -> String {
    let parts = try await node.eventLoop.run { [self] in
      whoAnswers.flatMap { target, by in
        let numbers = answered[by] ?? []
        return stride(from: 0, to: numbers.count, by: 4_000).map {
          (target, Array(numbers[$0..<min(numbers.count, $0 + 4_000)]))
        }
      }
    }
    for (target, numbers) in parts {
      var bytes = body(Kind.audit, 0)
      for number in numbers { withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) } }
      // One that has died since says nothing: another life of it didn't answer those calls.
      guard let answer = try? await node.call(target, bytes, within: .seconds(5)) else { continue }
      let lacking = answer.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
      try await node.eventLoop.run { [self] in
        audited += numbers.count
        missing += Int(lacking)
      }
    }
    return try await node.eventLoop.run { [self] in
      let all = answered.values.reduce(0) { $0 + $1.count }
      return "account \(all) \(audited) \(missing) \(doubled) \(failed) \(sink.count) \(sink.wrong)"
    }
  }
}

/// Messages by name: each sender's come in order and at most once.
final class ChaosSink: MailboxHandler {
  private let state = Mutex<(count: Int, wrong: Int, last: [UInt64: UInt32])>((0, 0, [:]))

  var count: Int { state.withLock { $0.count } }
  var wrong: Int { state.withLock { $0.wrong } }

  func received(_ mailbox: Mailbox, _ message: consuming Message) {
    let (life, number) = message.withUnsafeBytes { bytes in
      (
        bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
        bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self)
      )
    }
    state.withLock {
      $0.count += 1
      if number <= $0.last[life, default: 0] { $0.wrong += 1 }
      $0.last[life] = number
    }
  }
}
