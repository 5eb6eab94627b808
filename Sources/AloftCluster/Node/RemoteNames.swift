import AloftAtomics
import AloftEngine
import AloftMembership
import AloftQueue
import AloftRegistry

/// Names that are registered on any node, on all nodes.
///
/// Each node tells the others of its own names: of all when a link comes up, then of each change.
/// What others told stands in this node's registry as mailboxes of those nodes, so to send by such
/// a name is one look-up and one hop. Who is gone takes its names along. A name is unique on its
/// node; when two nodes have the same one, each keeps its own, and the others keep the one they
/// heard of first until that goes.
///
/// On the home loop, but for the observer's calls.
final class RemoteNames: @unchecked Sendable {
  // @unchecked: used on the home loop alone.
  let names: Names
  unowned var node: ClusterNode!
  private var hasBegun = false
  /// This node's names, and whom they stand for.
  private var own: [Name: UInt64] = [:]
  private var ownByMailbox: [UInt64: Set<Name>] = [:]
  /// The others' names, by node; those that another has here, too.
  private var others: [NodeID: [Name: UInt64]] = [:]
  private var othersByMailbox: [NodeID: [UInt64: Set<Name>]] = [:]
  /// What peers have still to be told, by the link's number.
  private var outgoing: [UInt: Outgoing] = [:]

  typealias Name = [UInt8]

  private struct Outgoing {
    var peer: LinkPeer
    var bytes: [UInt8] = []
  }

  private enum Change: UInt8 {
    /// `[ 1 ] [ mailbox 8 ] [ length 1 ] [ name ]`
    case came = 1
    /// The same: it no longer stands for that mailbox.
    case gone = 2
    /// `[ 3 ] [ mailbox 8 ] [ 0 ]`: the mailbox has ended, with all its names.
    case ended = 3
  }

  /// Bytes of one message.
  private static let messageBytes = 32 << 10

  /// - Throws: when the names are told to another node, that has not been stopped.
  init(_ names: Names, _ loop: EventLoop) throws(NodeError) {
    self.names = names
    if let observer = names.observer as? Observer {
      guard observer.names == nil else {
        throw NodeError("the runtime has a node: stop that one first, or make another runtime")
      }
      observer.names = self
    } else {
      names.observe(Observer(self, loop))
    }
  }

  /// Another node may have the names from now on.
  func detach() {
    removeAll()
    hasBegun = false
    guard let observer = names.observer as? Observer, observer.names === self else { return }
    observer.names = nil
  }

  // MARK: This node's

  /// The node is in: its names are told from now on.
  func begin() {
    guard !hasBegun else { return }
    hasBegun = true
    var found: [(Name, Target)] = []
    unsafe names.forEachName { name, target in
      if target.isMailbox, !target.isRemote { found.append((unsafe Array(name), target)) }
      return true
    }
    for (name, target) in found { registered(name, target) }
  }

  /// A name may have been registered here; what counts is whom it stands for now.
  fileprivate func registered(_ name: Name, _ target: Target) {
    guard hasBegun else { return }
    guard target.isMailbox, !target.isRemote, find(name) == target,
      EventLoop.isOpen(MailboxID(rawValue: target.rawValue))
    else { return }
    if let former = own[name] {
      if former == target.rawValue { return }
      ownByMailbox[former]?.remove(name)
    }
    own[name] = target.rawValue
    ownByMailbox[target.rawValue, default: []].insert(name)
    tellAll(.came, target.rawValue, name)
  }

  fileprivate func unregistered(_ name: Name, _ target: Target) {
    guard hasBegun, own[name] == target.rawValue, find(name) != target else { return }
    own[name] = nil
    ownByMailbox[target.rawValue]?.remove(name)
    tellAll(.gone, target.rawValue, name)
    takeOver(name)
  }

  fileprivate func ended(_ owner: Target) {
    guard hasBegun, let gone = ownByMailbox.removeValue(forKey: owner.rawValue) else { return }
    for name in gone where own[name] == owner.rawValue { own[name] = nil }
    tellAll(.ended, owner.rawValue, [])
    for name in gone { takeOver(name) }
  }

  private func find(_ name: Name) -> Target? {
    unsafe name.withUnsafeBytes { unsafe names.find(names.hashed($0)) }
  }

  // MARK: To the others

  /// A link is up: all names go there.
  func greet(_ peer: LinkPeer) {
    outgoing[peer.context] = Outgoing(peer: peer)
    for (name, mailbox) in own { append(.came, mailbox, name, to: peer.context) }
    goOn(peer)
  }

  func forget(_ peer: LinkPeer) { outgoing[peer.context] = nil }

  private func tellAll(_ change: Change, _ mailbox: UInt64, _ name: Name) {
    for (key, out) in outgoing {
      append(change, mailbox, name, to: key)
      goOn(out.peer)
    }
  }

  private func append(_ change: Change, _ mailbox: UInt64, _ name: Name, to key: UInt) {
    outgoing[key]?.bytes.append(change.rawValue)
    unsafe withUnsafeBytes(of: mailbox.littleEndian) {
      unsafe outgoing[key]?.bytes.append(contentsOf: $0)
    }
    outgoing[key]?.bytes.append(UInt8(name.count))
    outgoing[key]?.bytes.append(contentsOf: name)
  }

  /// Sends what the stream has room for; `writable` calls again.
  func goOn(_ peer: LinkPeer) {
    guard let bytes = outgoing[peer.context]?.bytes, !bytes.isEmpty else { return }
    var sent = 0
    while sent < bytes.count {
      // Whole changes only.
      var end = sent
      while end < bytes.count {
        let next = end + 10 + Int(bytes[end + 9])
        if next - sent > Self.messageBytes, end > sent { break }
        end = next
      }
      let result = unsafe bytes[sent..<end].withUnsafeBytes {
        unsafe node.links.send(to: peer, stream: NodeStream.names, kind: NodeKind.names, $0)
      }
      if result != .accepted { break }
      sent = end
    }
    outgoing[peer.context]?.bytes.removeFirst(sent)
  }

  // MARK: From the others

  func received(_ peer: LinkPeer, _ message: UnsafeRawBufferPointer) {
    guard peer.id.rawValue != 0 else { return }
    var at = 0
    while at + 10 <= message.count {
      let length = unsafe Int(message[at + 9])
      guard let change = unsafe Change(rawValue: message[at]), at + 10 + length <= message.count
      else { return }
      let mailbox = unsafe UInt64(
        littleEndian: message.loadUnaligned(fromByteOffset: at + 1, as: UInt64.self))
      let name = unsafe Array(message[(at + 10)..<(at + 10 + length)])
      at += 10 + length
      guard MailboxID(rawValue: mailbox).node == 0 else { continue }
      switch change {
      case .came where length > 0: came(name, mailbox, of: peer.id)
      case .gone where length > 0: gone(name, mailbox, of: peer.id)
      case .ended:
        for name in othersByMailbox[peer.id]?[mailbox] ?? [] { gone(name, mailbox, of: peer.id) }
      default: break
      }
    }
  }

  private func target(_ mailbox: UInt64, of id: NodeID) -> Target {
    .mailbox(MailboxID(MailboxID(rawValue: mailbox), node: id.rawValue).rawValue)
  }

  private func came(_ name: Name, _ mailbox: UInt64, of id: NodeID) {
    if let former = others[id]?[name] {
      if former == mailbox { return }
      gone(name, former, of: id)
    }
    others[id, default: [:]][name] = mailbox
    othersByMailbox[id, default: [:]][mailbox, default: []].insert(name)
    enter(name, mailbox, of: id)
  }

  private func enter(_ name: Name, _ mailbox: UInt64, of id: NodeID) {
    let target = target(mailbox, of: id)
    // Another has it: it is entered when that one goes.
    unsafe name.withUnsafeBytes { bytes in
      unsafe try? names.registerRemote(names.hashed(bytes), target)
    }
  }

  private func gone(_ name: Name, _ mailbox: UInt64, of id: NodeID) {
    guard others[id]?[name] == mailbox else { return }
    others[id]?[name] = nil
    othersByMailbox[id]?[mailbox]?.remove(name)
    if othersByMailbox[id]?[mailbox]?.isEmpty == true { othersByMailbox[id]?[mailbox] = nil }
    let target = target(mailbox, of: id)
    unsafe name.withUnsafeBytes { bytes in
      unsafe names.unregisterRemote(names.hashed(bytes), target)
    }
    takeOver(name)
  }

  /// A name is nobody's any more: if another node has it, too, it is that one's from now on.
  private func takeOver(_ name: Name) {
    for (id, held) in others {
      if let mailbox = held[name] { return enter(name, mailbox, of: id) }
    }
  }

  func removeAll(of id: NodeID) {
    for (name, mailbox) in others[id] ?? [:] { gone(name, mailbox, of: id) }
    others[id] = nil
    othersByMailbox[id] = nil
  }

  func removeAll() {
    for id in Array(others.keys) { removeAll(of: id) }
    outgoing = [:]
  }

  // MARK: The registry's word

  /// On any thread: passes on to the home loop what has happened. The registry has one for good; of
  /// a runtime's nodes, which come one after the other, it tells the one that is there.
  private final class Observer: NamesObserver, @unchecked Sendable {
    // @unchecked: immutable but for this, which is the home loop's.
    weak var names: RemoteNames?
    private let loop: EventLoop

    init(_ names: RemoteNames, _ loop: EventLoop) {
      self.names = names
      self.loop = loop
      super.init()
    }

    override func registered(_ name: NameKey, _ target: Target) {
      let bytes = name.bytes
      loop.executeUnrefused { [self] in names?.registered(bytes, target) }
    }

    override func unregistered(_ name: NameKey, _ target: Target) {
      let bytes = name.bytes
      loop.executeUnrefused { [self] in names?.unregistered(bytes, target) }
    }

    override func ended(_ owner: Target) {
      loop.executeUnrefused { [self] in names?.ended(owner) }
    }
  }
}
