/// What an operation of an entry does. Written to disks: numbers are never given anew.
enum OperationKind: UInt8 {
  case create = 1
  case put, append, patch, setPhase, publish, acknowledge, close
  // The owner's own.
  case expire, remove
}

/// What an operation carries beside its body, in this order.
enum OperationFlags {
  static let key: UInt8 = 1
  static let expected: UInt8 = 2
  /// The owner couldn't tell when it was asked, so it is held against the session when it is done.
  static let principal: UInt8 = 4
  static let all: UInt8 = 7
}

/// How an operation lies in an entry:
/// kind 1, flags 1, place 2, length of all of it 4, ID 16, what the flags say, the body.
enum OperationLayout {
  static let head = 24
  static let lengthOffset = 4
}

/// The first byte of a create's body.
enum CreateShape {
  static let phase: UInt8 = 3
  static let durabilityShift: UInt8 = 2
  static let idle: UInt8 = 1 << 4
  static let deadline: UInt8 = 1 << 5
  static let limits: UInt8 = 1 << 6
  static let unused: UInt8 = 1 << 7
}
