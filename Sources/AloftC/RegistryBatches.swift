import AloftAtomics
import AloftEngine
import AloftQueue
import AloftRegistry
public import CAloft

// `aloft/registry.h` is the manual of all of these.

/// So many are looked up together, that waiting for memory overlaps.
private let togetherMax = 16

extension aloft_key {
  /// Whether `Names.read` takes it.
  fileprivate var isSound: Bool {
    switch unsafe Int(kind) {
    case ALOFT_KEY_ID, ALOFT_KEY_WIDE: true
    case ALOFT_KEY_NAME:
      unsafe name != nil && length > 0 && length <= UInt32(ALOFT_NAME_BYTES_MAX)
    default: false
    }
  }
}

extension Names {
  /// Finds keys that can't be read before anything is done.
  fileprivate func check(_ keys: UnsafePointer<aloft_key>?, _ count: Int) throws(Failure) {
    guard count >= 0 else { throw Failure(Code.invalid, "count is \(UInt(bitPattern: count))") }
    guard count > 0 else { return }
    guard let keys = unsafe keys else { throw .null("keys") }
    for place in 0..<count {
      // What is read here is thrown away but for its refusal; a name is hashed when it is its turn.
      guard unsafe !keys[place].isSound else { continue }
      _ = unsafe try read(keys[place])
    }
  }

  /// Calls `body` for up to 16 keys that have been checked: whether each is a mailbox's name, or a
  /// key that has to be looked up by itself, is told by its target's word.
  fileprivate func targets(
    of keys: UnsafeBufferPointer<aloft_key>, _ body: (UnsafeMutableBufferPointer<Target>) -> Void
  ) throws(Failure) {
    var failure: Failure?
    unsafe withUnsafeTemporaryAllocation(of: Target.self, capacity: togetherMax) { targets in
      unsafe withUnsafeTemporaryAllocation(of: NameKey.self, capacity: togetherMax) { names in
        unsafe targets.initialize(repeating: Target(word: 0))
        do throws(Failure) {
          if unsafe keys.allSatisfy({ unsafe $0.kind == UInt32(ALOFT_KEY_NAME) }) {
            for place in 0..<keys.count {
              unsafe (names.baseAddress! + place).initialize(to: try readName(keys[place]))
            }
            unsafe lookUp(
              UnsafeBufferPointer(rebasing: UnsafeBufferPointer(names)[..<keys.count]),
              into: targets)
            for place in 0..<keys.count where unsafe targets[place].kind == .record {
              unsafe targets[place] = find(names[place]) ?? Target(word: 0)
            }
          } else {
            for place in 0..<keys.count {
              unsafe targets[place] = find(try read(keys[place])) ?? Target(word: 0)
            }
          }
          unsafe body(targets)
        } catch {
          failure = error
        }
      }
    }
    if let failure { throw failure }
  }

  /// Sixteen keys after the other: `body` with where they begin, and whom they stand for.
  fileprivate func forEachSixteen(
    _ keys: UnsafePointer<aloft_key>?, _ count: Int,
    _ body: (_ start: Int, _ count: Int, UnsafeMutableBufferPointer<Target>) -> Void
  ) throws(Failure) {
    unsafe try check(keys, count)
    var start = 0
    while start < count {
      let some = min(togetherMax, count - start)
      let part = unsafe UnsafeBufferPointer(start: keys.unsafelyUnwrapped + start, count: some)
      unsafe try targets(of: part) { unsafe body(start, some, $0) }
      start += some
    }
  }
}

@c @implementation
public func aloft_registry_look_up_many(
  _ runtime: OpaquePointer!, _ keys: UnsafePointer<aloft_key>!, _ count: Int,
  _ targets: UnsafeMutablePointer<aloft_target>!
) -> Int64 {
  counting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    guard unsafe targets != nil || count == 0 else { throw .null("targets") }
    var known = 0
    unsafe try names.forEachSixteen(keys, count) { start, some, found in
      for place in 0..<some {
        let target = unsafe found[place]
        unsafe targets[start + place] = target.word == 0 ? .none : aloft_target(target)
        if target.word != 0 { known += 1 }
      }
    }
    return known
  }
}

@c @implementation
public func aloft_registry_send_many(
  _ runtime: OpaquePointer!, _ keys: UnsafePointer<aloft_key>!,
  _ messages: UnsafeMutablePointer<OpaquePointer?>!, _ count: Int, _ priority: UInt32,
  _ codes: UnsafeMutablePointer<Int32>!
) -> Int64 {
  counting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    let rank = try readPriority(priority)
    guard unsafe messages != nil || count == 0 else { throw .null("messages") }
    for place in 0..<max(0, count) where unsafe messages[place] == nil {
      throw Failure(Code.invalid, "messages[\(place)] is NULL")
    }
    var accepted = 0
    unsafe try names.forEachSixteen(keys, count) { start, some, targets in
      for place in 0..<some {
        let target = unsafe targets[place].word == 0 ? nil : targets[place]
        let block = unsafe MessageBlock(messages[start + place]).unsafelyUnwrapped
        let code = names.send(block, toAny: target, priority: rank)
        unsafe codes?[start + place] = code
        guard code == Code.success else { continue }
        unsafe messages[start + place] = nil
        accepted += 1
      }
    }
    return accepted
  }
}
