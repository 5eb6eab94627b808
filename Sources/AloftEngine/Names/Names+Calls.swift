package import AloftAtomics
package import AloftRegistry

/// Names come and go. Any thread.
extension Names {
  /// A name of 1 to 255 bytes, which the caller keeps where they are.
  @inline(__always)
  package func hashed(_ bytes: UnsafeRawBufferPointer) -> NameKey {
    unsafe looker.key(bytes)
  }

  /// A name's hash, for all registries of the process.
  package static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt {
    unsafe hashFunction.hash(bytes)
  }

  private static let hashFunction = HashFunction(seed: seed)

  @inline(never)
  package static func lengthError(_ count: Int) -> RegistryError {
    if count == 0 {
      return RegistryError(.nameEmpty, "a name has 1 to 255 bytes; this one has none")
    }
    return RegistryError(.nameTooLong, "a name has 1 to 255 bytes; this one has \(count)")
  }

  // MARK: Looking up

  /// Whom a name stands for. Writes nothing.
  @inline(__always)
  package func find(_ name: NameKey) -> Target? {
    guard let word = looker.find(name) else { return nil }
    let target = Target(word: word)
    return target.kind == .record ? findWatched(.name(name)) : target
  }

  package func find(_ id: UInt64) -> Target? {
    guard let target = directory.look(id) else { return nil }
    return target.kind == .record ? findWatched(.id(id)) : target
  }

  package func find(_ id: WideID) -> Target? {
    guard let target = directory.look(id) else { return nil }
    return target.kind == .record ? findWatched(.wideID(id)) : target
  }

  /// Looks up to 16 names up together.
  package func find(
    _ keys: UnsafeBufferPointer<NameKey>, _ body: (_ place: Int, _ target: Target?) -> Void
  ) {
    unsafe directory.look(keys) { place, target in
      guard let target, target.kind == .record else { return body(place, target) }
      body(place, unsafe findWatched(.name(keys[place])))
    }
  }

  @inline(never)
  package func findWatched(_ key: RegistryKey) -> Target? { section { $0.find(key) } }

  // MARK: Changing

  /// - Throws: `nameTaken` with the holder, `ownerEnded`, `foreignOwner`, `full`.
  package func register(_ key: RegistryKey, _ target: Target) throws(RegistryError) {
    try check(target)
    try section { directory throws(RegistryError) in
      guard let loop = elsewhere(target) else { return try directory.register(key, target) }
      if let binding = try directory.enter(key, target) {
        bind(binding, target, on: loop)
      }
    }
    if let observed, case .name(let name) = key { observed.registered(name, target) }
  }

  /// - Throws: `nameUnknown`, `notOwner` with the holder.
  package func unregister(_ key: RegistryKey, _ target: Target) throws(RegistryError) {
    try section { directory throws(RegistryError) in try directory.unregister(key, target) }
    if let observed, case .name(let name) = key { observed.unregistered(name, target) }
  }

  /// - Throws: `nameUnknown`, `notOwner` with the holder, `ownerEnded`, `foreignOwner`, `full`.
  package func replace(
    _ key: RegistryKey, _ expected: Target, with target: Target
  ) throws(RegistryError) {
    try check(target)
    try section { directory throws(RegistryError) in
      guard let loop = elsewhere(target) else {
        return try directory.replace(key, expected, with: target)
      }
      if let binding = try directory.exchange(key, expected, with: target) {
        bind(binding, target, on: loop)
      }
    }
    if let observed, case .name(let name) = key { observed.registered(name, target) }
  }

  /// Whoever has the key loses it; the answer is who that was.
  /// - Throws: `ownerEnded`, `foreignOwner`, `full`.
  package func takeOver(_ key: RegistryKey, _ target: Target) throws(RegistryError) -> Target? {
    while true {
      let holder = section { $0.find(key) }
      do throws(RegistryError) {
        if let holder {
          try replace(key, holder, with: target)
        } else {
          try register(key, target)
        }
        return holder
      } catch {
        switch error.code {
        case .nameTaken, .nameUnknown, .notOwner: continue
        default: throw error
        }
      }
    }
  }

  /// A connection's end is known to its loop alone, so the loop binds the name. Until it comes to
  /// that, the name of a connection that has just ended may still be found.
  func bind(_ binding: Directory.Binding, _ target: Target, on loop: EventLoop) {
    loop.executeUnrefused { [self] in
      section { directory in try? directory.bind(binding, target) }
    }
  }

  // MARK: The whole

  package var nameCount: Int { directory.nameCount }
  package var idCount: Int { directory.idCount }
  package var groupCount: Int { directory.groupCount }
  package var memoryBytes: Int { directory.memoryBytes }

  package func forEachName(_ body: (UnsafeRawBufferPointer, Target) -> Bool) {
    section { unsafe $0.forEachName(body) }
  }
  package func forEachID(_ body: (UInt64, Target) -> Bool) { section { $0.forEachID(body) } }
  package func forEachWideID(_ body: (WideID, Target) -> Bool) {
    section { $0.forEachWideID(body) }
  }
  package func forEachGroup(_ body: (UnsafeRawBufferPointer, GroupMembers) -> Bool) {
    section { unsafe $0.forEachGroup(body) }
  }
}
