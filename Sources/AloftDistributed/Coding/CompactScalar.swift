/// What is one value of `CompactKind`, and no container.
protocol CompactScalar {
  var content: CompactNode.Content { get }
  /// Nil when it is of another kind, or doesn't fit.
  init?(_ kind: CompactKind, _ reader: inout CompactReader) throws(CompactDamage)
}

extension Bool: CompactScalar {
  var content: CompactNode.Content { .bool(self) }

  init?(_ kind: CompactKind, _ reader: inout CompactReader) {
    guard kind == .yes || kind == .no else { return nil }
    self = kind == .yes
  }
}

extension CompactScalar where Self: FixedWidthInteger {
  var content: CompactNode.Content {
    self < 0 ? .negative(UInt64(truncatingIfNeeded: ~self)) : .positive(UInt64(self))
  }

  init?(_ kind: CompactKind, _ reader: inout CompactReader) throws(CompactDamage) {
    switch kind {
    case .positive: self.init(exactly: try reader.number())
    case .negative:
      let number = try reader.number()
      guard Self.isSigned, let value = Self(exactly: number) else { return nil }
      self = ~value
    default: return nil
    }
  }
}

extension Int: CompactScalar {}
extension Int8: CompactScalar {}
extension Int16: CompactScalar {}
extension Int32: CompactScalar {}
extension Int64: CompactScalar {}
extension UInt: CompactScalar {}
extension UInt8: CompactScalar {}
extension UInt16: CompactScalar {}
extension UInt32: CompactScalar {}
extension UInt64: CompactScalar {}

extension Float: CompactScalar {
  var content: CompactNode.Content { .float(self) }

  init?(_ kind: CompactKind, _ reader: inout CompactReader) throws(CompactDamage) {
    guard kind == .float else { return nil }
    self.init(bitPattern: try reader.bits(UInt32.self))
  }
}

extension Double: CompactScalar {
  var content: CompactNode.Content { .double(self) }

  init?(_ kind: CompactKind, _ reader: inout CompactReader) throws(CompactDamage) {
    guard kind == .double else { return nil }
    self.init(bitPattern: try reader.bits(UInt64.self))
  }
}

extension String: CompactScalar {
  var content: CompactNode.Content { .text(self) }

  init?(_ kind: CompactKind, _ reader: inout CompactReader) throws(CompactDamage) {
    guard kind == .text else { return nil }
    self = try reader.text()
  }
}
