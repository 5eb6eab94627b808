public import Distributed
internal import AloftNode

/// Why a call of a distributed actor was not answered by the actor.
///
/// ```swift
/// do {
///   total = try await counter.add(1)
/// } catch let error as AloftActorError where error.code == .unreachable {
///   // its node is gone, or there is no way to it
/// }
/// ```
public struct AloftActorError: DistributedActorSystemError, Hashable, CustomStringConvertible {
  /// What kind of failure. More may come, so switch with a `default`.
  public struct Code: Hashable, Sendable {
    let value: UInt8

    /// There is no link to the actor's node. Certainly not carried out.
    public static let unreachable = Code(value: 1)
    /// The link to its node ended meanwhile. It may have been carried out.
    public static let linkDown = Code(value: 2)
    /// No answer came in time. It may have been carried out, or still be.
    public static let deadline = Code(value: 3)
    /// The actor, or the life of its node, has ended. Not carried out.
    public static let noSuchActor = Code(value: 4)
    /// The link has no room, or too many calls are under way, here or there. Not carried out.
    public static let busy = Code(value: 5)
    /// Arguments or result are longer than a message may be.
    public static let tooLarge = Code(value: 6)
    /// What was sent can't be read on the other side: the two have different versions of the actor,
    /// or no actor system. Arguments: not carried out.
    public static let incompatible = Code(value: 7)
    /// The actor threw an error that isn't `Codable`; the message describes it.
    public static let thrown = Code(value: 8)
    /// Another actor has the name.
    public static let nameTaken = Code(value: 9)
    /// The node has stopped, or was never let in.
    public static let stopped = Code(value: 10)
  }

  public let code: Code
  /// One sentence for a person.
  public let message: String

  public var description: String { message }

  init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  init(failed error: NodeCallError, _ what: String) {
    switch error {
    case .noLink: self.init(.unreachable, "there is no link to the node of \(what)")
    case .busy: self.init(.busy, "the link to the node of \(what) has no room")
    case .tooLarge: self.init(.tooLarge, "the arguments for \(what) are too long for a message")
    case .timedOut: self.init(.deadline, "\(what) has not answered in time")
    case .linkDown: self.init(.linkDown, "the link to the node of \(what) ended meanwhile")
    case .refused(Refusal.busy): self.init(.busy, "the node of \(what) serves too many calls")
    case .refused: self.init(.incompatible, "the node of \(what) has no actor system")
    }
  }
}

/// Codes with which calls are refused before anybody looks into them.
enum Refusal {
  static let busy: UInt8 = 2
}
