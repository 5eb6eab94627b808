package import AloftAtomics
package import AloftQueue
package import AloftRegistry

/// What came of sending by name.
package enum RouteResult: UInt8, Hashable, Sendable {
  /// It will be delivered, unless the recipient ends before. To a connection on another loop: its
  /// loop will write it, if there is room.
  case accepted
  /// The mailbox or the connection's queue is full.
  case full
  /// The recipient's event loop is behind.
  case busy
  /// The recipient has ended.
  case closed
  /// The name stands for nobody, or for nobody who takes messages.
  case unknown

  @inline(__always)
  init(_ result: SendResult) {
    self =
      switch result {
      case .accepted: .accepted
      case .full: .full
      case .busy: .busy
      case .closed: .closed
      }
  }
}

/// Sending by name: a look-up, and a send to what it finds. Any thread; never blocks.
extension Names {
  /// Sends a message, which is released when it isn't accepted.
  @inline(__always)
  package func send(
    _ message: consuming Message, to name: NameKey, priority: UInt8 = 1
  ) -> RouteResult {
    guard let word = looker.find(name) else { return .unknown }
    let target = Target(word: word)
    if target.isMailbox {
      return RouteResult(
        EventLoop.send(message, to: MailboxID(rawValue: target.rawValue), priority: priority))
    }
    let resolved = target.kind == .record ? findWatched(.name(name)) : target
    return send(message, toAny: resolved, priority: priority)
  }

  package func send(
    _ message: consuming Message, to id: UInt64, priority: UInt8 = 1
  ) -> RouteResult {
    send(message, toAny: find(id), priority: priority)
  }

  package func send(
    _ message: consuming Message, to id: WideID, priority: UInt8 = 1
  ) -> RouteResult {
    send(message, toAny: find(id), priority: priority)
  }

  /// Sends to whom a name was found to stand for.
  package func send(
    _ message: consuming Message, toAny target: Target?, priority: UInt8 = 1
  ) -> RouteResult {
    guard let target else { return .unknown }
    switch target.kind {
    case .mailbox:
      return RouteResult(
        EventLoop.send(message, to: MailboxID(rawValue: target.rawValue), priority: priority))
    case .connection:
      return write(message, to: ConnectionID(rawValue: target.rawValue))
    case .word, .record:
      return .unknown
    }
  }

  /// Sends a message to each of up to 16 names, which are looked up together, as are then the
  /// mailboxes that they stand for.
  @inline(__always)
  package func send(
    _ keys: UnsafeBufferPointer<NameKey>, priority: UInt8, _ message: (Int) -> Message,
    done: (RouteResult) -> Void
  ) {
    unsafe withUnsafeTemporaryAllocation(of: Target.self, capacity: 16) { targets in
      unsafe lookUp(keys, into: targets)
      for place in 0..<keys.count {
        let target = unsafe targets[place]
        if target.isMailbox {
          let id = MailboxID(rawValue: target.rawValue)
          done(RouteResult(EventLoop.send(message(place), to: id, priority: priority)))
        } else {
          let target = target.word == 0 ? nil : unsafe find(keys[place])
          done(send(message(place), toAny: target, priority: priority))
        }
      }
    }
  }

  /// Looks up to 16 names up, to send to them at once: a target's word is 0 for nobody, and a
  /// record has to be looked up by itself.
  package func lookUp(
    _ keys: UnsafeBufferPointer<NameKey>, into targets: UnsafeMutableBufferPointer<Target>
  ) {
    unsafe directory.look(keys) { place, target in
      // 0 is nobody: a record without an address.
      unsafe targets[place] = target ?? Target(word: 0)
    }
    unsafe EventLoop.touch(UnsafeBufferPointer(rebasing: targets[..<keys.count]))
  }

  /// A connection is written to on its own loop: at once here, from elsewhere when the loop comes
  /// to it. What doesn't fit then is dropped, as with any write that nobody waits for.
  private func write(_ message: consuming Message, to id: ConnectionID) -> RouteResult {
    guard let loop = elsewhere(.connection(id.rawValue)) else {
      guard let owner = unsafe LoopTable.owner(of: id) else { return .closed }
      return unsafe owner._withUnsafeGuaranteedRef { loop in
        let result = unsafe message.withUnsafeBytes { unsafe loop.write(id, $0) }
        switch result {
        case .accepted: return .accepted
        case .wouldBlock: return .full
        case .closed: return .closed
        }
      }
    }
    let carried = CarriedMessage(message)
    do throws(EngineError) {
      try loop.execute {
        unsafe carried.message.withUnsafeBytes { bytes in _ = unsafe loop.write(id, bytes) }
      }
      return .accepted
    } catch {
      return error.code == .closed ? .closed : .busy
    }
  }

  /// A message inside a closure, released with it.
  private final class CarriedMessage: Sendable {
    let message: Message
    init(_ message: consuming Message) { self.message = message }
  }

  // MARK: Groups

  /// How a member of a group is chosen.
  package enum Pick: UInt8, Hashable, Sendable {
    /// In turn, all callers together.
    case roundRobin
    /// The one with the least before it, as far as is known.
    case leastQueued
  }

  /// A member of the group that takes messages; nil when there is none.
  package func pick(_ group: NameKey, _ policy: Pick) -> Target? {
    section { directory in
      directory.withMembers(of: group) { members in
        switch policy {
        case .roundRobin: members[members.nextTurn()]
        case .leastQueued: leastQueued(members)
        }
      }
    }
  }

  /// Sends to one member. One who has ended, and whose leaving is under way, is passed over, and so
  /// are those who are full as long as there are others.
  package func send(
    _ message: consuming Message, toOneOf group: NameKey, _ policy: Pick, priority: UInt8 = 1
  ) -> RouteResult {
    let block = message.take()
    let result = section { directory in
      directory.withMembers(of: group) { members -> RouteResult in
        var result = RouteResult.closed
        if policy == .leastQueued {
          result = offer(block, to: leastQueued(members), priority)
          if result == .accepted { return result }
        }
        let first = members.nextTurn()
        for step in 0..<members.count {
          let place = first + step < members.count ? first + step : first + step - members.count
          let answer = offer(block, to: members[place], priority)
          if answer == .accepted { return answer }
          if answer != .closed { result = answer }
        }
        return result
      }
    }
    if result != .accepted { MessageBlock.release(block) }
    return result ?? .unknown
  }

  /// The same with a reference that stays the caller's unless it is accepted.
  private func offer(_ block: MessageBlock, to target: Target, _ priority: UInt8) -> RouteResult {
    if target.isMailbox {
      return RouteResult(
        EventLoop.send(block, to: MailboxID(rawValue: target.rawValue), priority: priority))
    }
    MessageBlock.retain(block)
    let result = send(Message(adopting: block), toAny: target, priority: priority)
    if result == .accepted { MessageBlock.release(block) }
    return result
  }

  /// Sends to all members as they stand at this moment; the answer is how many accepted it, of how
  /// many.
  package func broadcast(
    _ message: consuming Message, to group: NameKey, priority: UInt8 = 1
  ) -> (accepted: Int, members: Int) {
    let message = message
    return section { directory in
      directory.withMembers(of: group) { members in
        var accepted = 0
        for place in 0..<members.count {
          let result = send(message.share(), toAny: members[place], priority: priority)
          if result == .accepted { accepted += 1 }
        }
        return (accepted, members.count)
      }
    } ?? (0, 0)
  }

  package func memberCount(_ group: NameKey) -> Int {
    section { directory in directory.withMembers(of: group) { $0.count } } ?? 0
  }

  package func members(_ group: NameKey) -> [Target] {
    section { directory in
      directory.withMembers(of: group) { members in (0..<members.count).map { members[$0] } }
    } ?? []
  }

  /// - Throws: `ownerEnded`, `foreignOwner`, `full`.
  package func join(_ group: NameKey, _ member: Target) throws(RegistryError) {
    try check(member)
    try section { directory throws(RegistryError) in
      guard let loop = elsewhere(member) else {
        try directory.join(group: group, member)
        if member.kind == .mailbox {
          let id = MailboxID(rawValue: member.rawValue)
          EventLoop.withMailboxLoop(id) { $0.measureMailbox(id) }
        }
        return
      }
      if let binding = try directory.enter(group: group, member) {
        bind(binding, member, on: loop)
      }
    }
  }

  /// - Throws: `nameUnknown` without such a group, `notOwner` for one who is no member.
  package func leave(_ group: NameKey, _ member: Target) throws(RegistryError) {
    try section { directory throws(RegistryError) in
      try directory.leave(group: group, member)
    }
  }

  /// Looks at all of a small group, and at eight in turn of a large one: of two or more random
  /// choices the better is nearly as good as the best (Mitzenmacher, 1996).
  private func leastQueued(_ members: GroupMembers) -> Target {
    let count = members.count
    let first = members.nextTurn()
    var best = members[first]
    var least = Int.max
    for step in 0..<min(count, Self.lookedAtMax) {
      let place = first + step < count ? first + step : first + step - count
      let queued = EventLoop.queuedHint(members[place])
      if queued < least {
        least = queued
        best = members[place]
      }
    }
    return best
  }

  private static let lookedAtMax = 8
}

extension EventLoop {
  /// Any thread: reads from the mailboxes that are about to be sent to. One after the other each
  /// would be waited for.
  static func touch(_ targets: UnsafeBufferPointer<Target>) {
    guard let loop = unsafe unretainedCurrent else { return }
    unsafe loop._withUnsafeGuaranteedRef { loop in
      var touched: UInt = 0
      for place in 0..<targets.count {
        let target = unsafe targets[place]
        guard target.isMailbox else { continue }
        let id = MailboxID(rawValue: target.rawValue)
        touched ^=
          unsafe id.loop == loop.number
          ? loop.hot.pointee.mail.table.touch(id) : MailboxGates.touch(id)
      }
      unsafe loop.hot.pointee.touched = touched
    }
  }

  /// Any thread: about how much waits for a target; the most there can be when it has ended.
  static func queuedHint(_ target: Target) -> Int {
    switch target.kind {
    case .mailbox: return queuedHint(MailboxID(rawValue: target.rawValue)) ?? .max
    case .connection:
      let id = ConnectionID(rawValue: target.rawValue)
      guard let loop = unsafe LoopTable.owner(of: id) else { return .max - 1 }
      return unsafe loop._withUnsafeGuaranteedRef { $0.queuedBytes(id) }
    case .word, .record: return .max
    }
  }
}

extension EventLoop {
  /// Any thread: about how many messages wait for a mailbox; nil when it has ended. On its own loop
  /// exact; from elsewhere as its loop last published it, which it does for members of groups.
  static func queuedHint(_ id: MailboxID) -> Int? {
    if let loop = unsafe unretainedOwner(of: id) {
      return unsafe loop._withUnsafeGuaranteedRef { loop in
        unsafe loop.findMailbox(id)?.pointee.queue.depth
      }
    }
    guard isOpen(id), let place = MailboxGates.place(id) else { return nil }
    return Int(place.depth)
  }

  /// On the mailbox's loop: publishes from now on how many messages wait.
  func measureMailbox(_ id: MailboxID) {
    guard let state = unsafe findMailbox(id) else { return }
    unsafe state.pointee.flags.insert(.measured)
  }
}
