import AloftEngine

/// What a client of sessions and a node say to each other: frames of four bytes of length, least
/// byte first, a kind, and what the kind has. The length counts what is behind it.
enum DoorKind: UInt8 {
  // To begin, in this order: who comes, a proof of the node's, one of the client's.
  case hello = 1
  case challenge
  case proof
  case welcome
  case refused

  // The client's. Each begins with a number of its own, by which it's answered, and most have the
  // milliseconds that there are for it.
  case newID = 10
  case write
  case query
  case subscribe
  case unsubscribe
  case ping
  /// A write that was asked for before, at another connection.
  case repeatedWrite

  // The node's.
  case answer = 20
  case events
  case ended
  case pong
  case goodbye
}

/// Why a node has nothing to do with a client.
package enum DoorRefusal: UInt8, Hashable, Sendable, CaseIterable {
  /// Bytes that nobody sends.
  case malformed = 1
  /// A token that this cluster didn't make, or somebody else's.
  case badToken
  case expired
  /// The node has all the connections that it may have, or the principal has.
  case tooMany
  /// Not in time.
  case timedOut
  /// It has no part in a cluster that is up: another one may have.
  case notReady
  /// Plain text is for the machine itself.
  case plaintext
  case encryption
  /// The client doesn't take what is sent to it.
  case overrun
}

/// A frame that is put together.
struct FrameWriter {
  private var bytes: [UInt8]

  init(_ kind: DoorKind, capacity: Int = 64) {
    bytes = [0, 0, 0, 0, kind.rawValue]
    bytes.reserveCapacity(capacity + 5)
  }

  mutating func put<Number: FixedWidthInteger>(_ number: Number) {
    for shift in stride(from: 0, to: Number.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> Number(shift)))
    }
  }

  mutating func put(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

  mutating func put(raw more: UnsafeRawBufferPointer) {
    unsafe bytes.append(contentsOf: more)
  }

  /// The frame whole.
  consuming func finish() -> [UInt8] {
    let length = UInt32(bytes.count - 4)
    for place in 0..<4 { bytes[place] = UInt8(truncatingIfNeeded: length >> UInt32(8 * place)) }
    return bytes
  }
}

/// Reads what is in a frame; nil beyond its end.
@safe
struct FrameReader {
  private let bytes: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = unsafe bytes }

  var remaining: Int { unsafe bytes.count - position }

  mutating func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number? {
    let size = MemoryLayout<Number>.size
    guard size <= remaining else { return nil }
    defer { position += size }
    return unsafe Number(
      littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Number.self))
  }

  mutating func array(_ count: Int) -> [UInt8]? {
    guard count >= 0, count <= remaining else { return nil }
    defer { position += count }
    return unsafe Array(bytes[position..<position + count])
  }

  mutating func text(_ count: Int) -> String? {
    array(count).flatMap { String(validating: $0, as: UTF8.self) }
  }

  mutating func rest() -> [UInt8] { array(remaining) ?? [] }

  /// What is left, where it lies.
  var restInPlace: UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(rebasing: bytes[position...])
  }
}

/// Cuts what comes into frames. Memory is taken for what has come, never for what a length says.
final class FrameParser {
  /// Most bytes behind a length.
  var lengthMax: Int
  private var held: [UInt8] = []

  init(lengthMax: Int) { self.lengthMax = lengthMax }

  /// Hands out each frame that is whole, from its kind on, while `body` says so. False when a
  /// length can't be.
  func take(
    _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool
  ) -> Bool {
    if held.isEmpty {
      guard let used = unsafe frames(bytes, body) else { return false }
      unsafe held.append(contentsOf: bytes[used...])
      return true
    }
    unsafe held.append(contentsOf: bytes)
    let whole = held
    held = []
    let used = unsafe whole.withUnsafeBytes { unsafe frames($0, body) }
    guard let used else { return false }
    held.append(contentsOf: whole[used...])
    return true
  }

  /// How many bytes are done with.
  private func frames(
    _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool
  ) -> Int? {
    var at = 0
    while bytes.count - at >= 4 {
      let length = unsafe Int(
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
      guard (1...lengthMax).contains(length) else { return nil }
      guard bytes.count - at - 4 >= length else { break }
      let frame = unsafe UnsafeRawBufferPointer(rebasing: bytes[at + 4..<at + 4 + length])
      at += 4 + length
      if unsafe !body(frame) { return bytes.count }
    }
    return at
  }
}
