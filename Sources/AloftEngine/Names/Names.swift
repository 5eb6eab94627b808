package import AloftAtomics
import AloftQueue
package import AloftRegistry
import Synchronization

/// The registry of a runtime: its logic (`Directory`), and what ties it to the event loops, that
/// tell of the ends of mailboxes and connections and carry messages and notices.
///
/// **Threads**: any, for all calls, unless they say otherwise.
@safe
package final class Names: DirectoryHost, @unchecked Sendable {
  // @unchecked: all is immutable, but for `observer`; `directory` is any thread's.
  /// Numbers of the runtime's loops: names belong to owners on these.
  private let numbers: InlineArray<4, UInt64>
  let loops: [EventLoop]
  let directory: Directory
  /// The directory's, for look-ups that count no reference.
  package let looker: NameLooker
  /// Written once, before `isObserved` says so. To be read by whoever wrote it.
  package private(set) var observer: NamesObserver?
  private let isObserved = Atomic<Bool>(false)

  /// Before the loops start: they are told to report ends here.
  package init(loops: [EventLoop]) {
    var numbers = InlineArray<4, UInt64>(repeating: 0)
    for loop in loops { numbers[loop.number >> 6] |= 1 << UInt64(loop.number & 63) }
    self.numbers = numbers
    self.loops = loops
    directory = Directory(seed: Self.seed, memory: .smallPages)
    looker = directory.looker
    super.init()
    directory.attach(self)
    for loop in loops {
      // The loops run no longer than whoever keeps this.
      loop.addMailboxClosedHook { [unowned self] id, _ in end(.mailbox(id.rawValue)) }
      loop.addConnectionClosedHook { [unowned self] id in end(.connection(id.rawValue)) }
    }
  }

  /// Of the process's hash functions, so that a hashed name is good for every registry.
  package static let seed: UInt64 = {
    var system = SystemRandomNumberGenerator()
    return system.next()
  }()

  // MARK: What the logic asks

  override package func arrangeEnd(of owner: Target) -> Bool {
    switch owner.kind {
    case .mailbox: EventLoop.watchMailbox(MailboxID(rawValue: owner.rawValue))
    case .connection: markNamed(ConnectionID(rawValue: owner.rawValue))
    case .word, .record: true
    }
  }

  override package func isAlive(_ owner: Target) -> Bool {
    switch owner.kind {
    case .mailbox:
      return EventLoop.isOpen(MailboxID(rawValue: owner.rawValue))
    case .connection:
      // Elsewhere there is no telling; its own loop finds out when it binds the name.
      let id = ConnectionID(rawValue: owner.rawValue)
      guard let loop = unsafe LoopTable.owner(of: id) else { return true }
      return unsafe loop._withUnsafeGuaranteedRef { $0.isAlive(id) }
    case .word, .record:
      return true
    }
  }

  private func markNamed(_ id: ConnectionID) -> Bool {
    guard let loop = unsafe LoopTable.owner(of: id) else { return false }
    return unsafe loop._withUnsafeGuaranteedRef { $0.markNamed(id) }
  }

  private func end(_ owner: Target) {
    section { $0.end(owner) }
    observed?.ended(owner)
  }

  // MARK: The observer

  /// Has all changes of names told from now on, for as long as the names live. Once.
  package func observe(_ observer: NamesObserver) {
    precondition(self.observer == nil, "the names have an observer")
    self.observer = observer
    isObserved.store(true, ordering: .releasing)
  }

  @inline(__always)
  var observed: NamesObserver? {
    isObserved.load(ordering: .acquiring) ? observer : nil
  }

  // MARK: Sections

  /// Runs `body`, during which nothing that it finds is reclaimed.
  @inline(__always)
  func section<Value, Failure: Error>(
    _ body: (Directory) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try EventLoop.withEpoch { () throws(Failure) in try body(directory) }
  }

  // MARK: Targets

  func check(_ target: Target) throws(RegistryError) {
    let number: Int
    switch target.kind {
    case .mailbox:
      let id = MailboxID(rawValue: target.rawValue)
      guard id.node == 0 else { throw Self.foreign(target) }
      number = id.loop
    case .connection: number = ConnectionID(rawValue: target.rawValue).loop
    case .word, .record: return
    }
    guard numbers[number >> 6] >> UInt64(number & 63) & 1 != 0 else { throw Self.foreign(target) }
  }

  private static func foreign(_ target: Target) -> RegistryError {
    RegistryError(.foreignOwner, holder: target, "\(target) is of no event loop of this runtime")
  }

  /// The loop that a connection's name has to be bound on, when that is not this thread's.
  func elsewhere(_ target: Target) -> EventLoop? {
    guard target.kind == .connection else { return nil }
    let id = ConnectionID(rawValue: target.rawValue)
    if unsafe LoopTable.owner(of: id) != nil { return nil }
    return loops.first { $0.number == id.loop }
  }
}

/// Ends of connections that have names.
extension EventLoop {
  /// Has `hook` called on this loop at the end of every connection of this loop that has names,
  /// behind its handler's `closed`. Before the loop starts, or on its thread.
  package func addConnectionClosedHook(_ hook: @escaping (ConnectionID) -> Void) {
    unsafe hot.pointee.connectionClosedHooks.append(hook)
  }

  /// False when the connection has ended.
  func markNamed(_ id: ConnectionID) -> Bool {
    guard let state = unsafe find(id), unsafe state.pointee.phase != .free,
      unsafe state.pointee.phase != .dead
    else { return false }
    unsafe state.pointee.flags.insert(.named)
    return true
  }
}
