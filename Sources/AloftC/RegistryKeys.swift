import AloftAtomics
import AloftEngine
import AloftRegistry
import CAloft

extension Names {
  /// A caller's key, whose bytes stay the caller's: it is good during the call alone.
  @inline(__always)
  func read(_ key: aloft_key) throws(Failure) -> RegistryKey {
    switch Int(unsafe key.kind) {
    case ALOFT_KEY_NAME: unsafe .name(try readName(key))
    case ALOFT_KEY_ID: unsafe .id(key.low)
    case ALOFT_KEY_WIDE: unsafe .wideID(WideID(high: key.high, low: key.low))
    default: throw unsafe Self.unknownKind(key.kind)
    }
  }

  /// The same for what can be a name alone.
  @inline(__always)
  func readName(_ key: aloft_key) throws(Failure) -> NameKey {
    guard unsafe key.kind == UInt32(ALOFT_KEY_NAME) else {
      throw unsafe Self.unknownKind(key.kind)
    }
    let length = unsafe Int(key.length)
    guard 1...Int(ALOFT_NAME_BYTES_MAX) ~= length else {
      throw Failure(Self.lengthError(length))
    }
    guard let bytes = unsafe key.name else { throw .null("key.name") }
    return unsafe hashed(UnsafeRawBufferPointer(start: bytes, count: length))
  }

  @inline(never)
  static func unknownKind(_ kind: UInt32) -> Failure {
    Failure(Code.invalid, "the key's kind is \(kind), which is none, or not one for this call")
  }
}

/// A key that is kept.
enum KeptKey: Sendable {
  case name([UInt8], hash: UInt)
  case id(UInt64)
  case wideID(WideID)

  init(_ key: RegistryKey) {
    self =
      switch key {
      case .name(let name): .name(name.bytes, hash: name.hash)
      case .id(let id): .id(id)
      case .wideID(let id): .wideID(id)
      }
  }

  func withKey(_ body: (RegistryKey) -> Void) {
    switch self {
    case .name(let bytes, let hash):
      unsafe bytes.withUnsafeBytes { unsafe body(.name(NameKey($0, hash: hash))) }
    case .id(let id): body(.id(id))
    case .wideID(let id): body(.wideID(id))
    }
  }
}

extension aloft_target {
  static let none = aloft_target(id: 0, kind: UInt32(ALOFT_TARGET_NONE), zero: 0)

  init(_ target: Target?) {
    switch target?.kind {
    case .mailbox:
      self.init(id: target!.rawValue, kind: UInt32(ALOFT_TARGET_MAILBOX), zero: 0)
    case .connection:
      self.init(id: target!.rawValue, kind: UInt32(ALOFT_TARGET_CONNECTION), zero: 0)
    case .word, .record, nil: self = .none
    }
  }

  /// - Throws: for a kind that is none.
  func read() throws(Failure) -> Target {
    switch Int(kind) {
    // A target's word tells a mailbox by the low bit of its ID, which is set in all that were
    // given out.
    case ALOFT_TARGET_MAILBOX where id & 1 != 0: return .mailbox(id)
    case ALOFT_TARGET_CONNECTION where id >> 56 == 0: return .connection(id)
    case ALOFT_TARGET_MAILBOX, ALOFT_TARGET_CONNECTION:
      throw Failure(Code.closed, "the target was never opened")
    default: throw Failure(Code.invalid, "the target's kind is \(kind); 1 and 2 are known")
    }
  }
}

extension Failure {
  init(_ error: RegistryError) {
    let code =
      switch error.code {
      case .nameEmpty, .invalidWord: Code.invalid
      case .nameTooLong: Code.nameTooLong
      case .nameTaken: Code.nameTaken
      case .nameUnknown: Code.noName
      case .notOwner: Code.notOwner
      case .ownerEnded: Code.closed
      case .foreignOwner: Code.foreign
      case .full: Code.limit
      }
    self.init(code, error.message)
  }
}

extension RouteResult {
  var code: Int32 {
    switch self {
    case .accepted: Code.success
    case .full: Code.full
    case .busy: Code.wouldBlock
    case .closed: Code.closed
    case .unknown: Code.noName
    }
  }
}

/// As `reporting`, of what answers with a count.
func counting(_ body: () throws(Failure) -> Int) -> Int64 {
  do throws(Failure) {
    return Int64(try body())
  } catch {
    return Int64(error.report())
  }
}
