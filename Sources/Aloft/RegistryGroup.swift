internal import AloftAtomics
internal import AloftEngine
public import AloftQueue
internal import AloftRegistry

extension Registry {
  /// The group of that name, which comes to be with its first member and goes with its last.
  /// - Throws: `nameEmpty`, `nameTooLong`.
  public func group(_ name: String) throws(AloftError) -> Group {
    Group(registry: self, name: try Name(name))
  }

  public func group(_ name: Name) -> Group { Group(registry: self, name: name) }

  /// Many targets under one name, in a space beside that of the unique names.
  ///
  /// ```swift
  /// let workers = try registry.group("workers")
  /// try workers.join(mailbox)
  /// workers.send(message)                  // to one, in turn
  /// workers.send(message, .leastQueued)    // to the one with the shortest queue
  /// workers.broadcast(message)             // to all
  /// ```
  /// A member leaves by itself when it ends. A target may be in many groups, once in each.
  ///
  /// **Threads**: any, for all calls; none blocks. Who sends or picks takes no lock and sees the
  /// members as they stood at one moment. **Cost**: to send or pick, a look-up and O(1); to join or
  /// leave, as many steps as there are members.
  public struct Group: Sendable, Hashable {
    let registry: Registry
    public let name: Name

    public static func == (a: Group, b: Group) -> Bool {
      a.registry.names === b.registry.names && a.name == b.name
    }
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    private var names: Names { registry.names }

    /// How one member of many is chosen.
    public enum Policy: Hashable, Sendable {
      /// One after the other, all callers together.
      case roundRobin
      /// The one for which the least is waiting, as far as can be told without asking its event
      /// loop: of a group of up to eight exactly that one, of a larger one the best of eight that
      /// change from call to call. Mailboxes are told apart by their messages that wait or are on
      /// their way, where that is known; connections by bytes, on their own loop.
      case leastQueued
    }

    /// Makes `target` a member. To do so again is no error and changes nothing. A connection of
    /// another event loop is bound when its loop comes to it, as with `register`.
    /// - Throws: `ownerEnded`, `foreignOwner`, `registryFull`.
    public func join(_ target: some RegistryTarget) throws(AloftError) {
      try name.withKey { (key: NameKey) throws(AloftError) in
        try translating { () throws(RegistryError) in
          try names.join(key, target.registryTarget.word)
        }
      }
    }

    /// - Throws: `nameUnknown` when nobody is in the group, `notOwner` when `target` isn't.
    public func leave(_ target: some RegistryTarget) throws(AloftError) {
      try name.withKey { (key: NameKey) throws(AloftError) in
        try translating { () throws(RegistryError) in
          try names.leave(key, target.registryTarget.word)
        }
      }
    }

    /// A member; nil when there is none. It may have ended, if only just now: `send` passes over
    /// such ones.
    public func pick(_ policy: Policy = .roundRobin) -> Target? {
      name.withKey { names.pick($0, policy.engine).flatMap { Target($0) } }
    }

    /// Sends a message to one member. One that has ended, or is full, is passed over as long as
    /// there are others. The answer for none at all is `unknown`.
    @discardableResult
    public func send(
      _ message: consuming Message, _ policy: Policy = .roundRobin,
      priority: MessagePriority = .normal
    ) -> SendResult {
      let block = message.take()
      return name.withKey {
        SendResult(
          names.send(
            Message(adopting: block), toOneOf: $0, policy.engine, priority: priority.rawValue))
      }
    }

    /// Sends a message to all members as they stand at this moment. They share its bytes; each
    /// mailbox costs 64 bytes beside.
    /// - Returns: how many there are, and how many of them have accepted it.
    @discardableResult
    public func broadcast(
      _ message: consuming Message, priority: MessagePriority = .normal
    ) -> (accepted: Int, members: Int) {
      let block = message.take()
      return name.withKey {
        names.broadcast(Message(adopting: block), to: $0, priority: priority.rawValue)
      }
    }

    /// All members as they stand at this moment.
    public var members: [Target] {
      name.withKey { names.members($0).compactMap { Target($0) } }
    }

    public var count: Int { name.withKey { names.memberCount($0) } }
  }
}

extension Registry.Group.Policy {
  var engine: Names.Pick { self == .roundRobin ? .roundRobin : .leastQueued }
}
