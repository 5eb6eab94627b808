internal import AloftMembership

/// A state that is a list of named fields: name's length 1, value's length 4, name, value, each
/// name once. A patch is written alike, with a length that says that the field goes.
enum FieldList {
  static let fieldsMax = 64
  private static let gone = UInt32.max

  static func write(_ field: SessionField, to writer: inout RawWriter) {
    writer.put(UInt8(truncatingIfNeeded: min(field.name.count, 255)))
    writer.put(field.value.map { UInt32(truncatingIfNeeded: $0.count) } ?? gone)
    writer.put(raw: Array(field.name.prefix(255)))
    if let value = field.value { writer.put(raw: value) }
  }

  static func field(_ reader: inout RawReader) throws(MalformedBytes) -> SessionField {
    let piece = try Piece(&reader)
    return unsafe SessionField(name: Array(piece.name), value: piece.value.map { unsafe Array($0) })
  }

  /// A field where it lies.
  @safe
  struct Piece {
    let whole: UnsafeRawBufferPointer
    let name: UnsafeRawBufferPointer
    let value: UnsafeRawBufferPointer?

    init(_ reader: inout RawReader) throws(MalformedBytes) {
      var look = reader
      let nameLength = Int(try look.byte())
      let valueLength = try look.word()
      guard nameLength > 0 else { throw MalformedBytes() }
      let valueBytes = valueLength == FieldList.gone ? 0 : Int(valueLength)
      unsafe whole = try reader.raw(5 + nameLength + valueBytes)
      unsafe name = try look.raw(nameLength)
      unsafe value = valueLength == FieldList.gone ? nil : try look.raw(valueBytes)
    }

    func isNamed(as other: Piece) -> Bool {
      unsafe name.count == other.name.count
        && name.elementsEqual(other.name)
    }
  }

  static func pieces(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) -> [Piece] {
    var reader = unsafe RawReader(bytes)
    var pieces: [Piece] = []
    while reader.remaining > 0 { pieces.append(try Piece(&reader)) }
    return pieces
  }

  /// `state` with the fields of `patch` set and taken away. Nil when it isn't a list of fields; the
  /// patch was looked at before.
  static func patched(_ state: UnsafeRawBufferPointer, _ patch: [Piece]) -> [UInt8]? {
    guard let old = try? unsafe pieces(state) else { return nil }
    let room = state.count + 256
    var writer = RawWriter(capacity: room)
    // What stands stays in its place, so that all nodes come to the same bytes.
    var isPlaced = Array(repeating: false, count: patch.count)
    for field in old {
      // The last one of a name counts.
      guard let position = patch.lastIndex(where: { $0.isNamed(as: field) }) else {
        unsafe writer.put(raw: field.whole)
        continue
      }
      if unsafe patch[position].value != nil, !isPlaced[position] {
        unsafe writer.put(raw: patch[position].whole)
      }
      isPlaced[position] = true
    }
    for (position, field) in patch.enumerated() where !isPlaced[position] {
      let isLast = patch.lastIndex { $0.isNamed(as: field) } == position
      if isLast, unsafe field.value != nil { unsafe writer.put(raw: field.whole) }
    }
    return writer.take()
  }
}
