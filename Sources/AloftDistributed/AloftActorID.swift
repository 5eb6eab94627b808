/// Names a distributed actor for ever: the node that it lives on, which life of that node, and its
/// number there. A name never comes to mean another actor, and says nothing about whether the actor
/// lives.
public struct AloftActorID: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The node's number, 1 to 254.
  public let node: Int
  /// The life that the node had when its actor system was made.
  public let incarnation: UInt64
  /// 1 and up, in the order in which the system's actors were made.
  public let number: UInt64

  public var description: String { "\(node).\(incarnation).\(number)" }

  init(node: Int, incarnation: UInt64, number: UInt64) {
    self.node = node
    self.incarnation = incarnation
    self.number = number
  }

  public init(from decoder: any Decoder) throws {
    var list = try decoder.unkeyedContainer()
    node = try list.decode(Int.self)
    incarnation = try list.decode(UInt64.self)
    number = try list.decode(UInt64.self)
  }

  public func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    try list.encode(node)
    try list.encode(incarnation)
    try list.encode(number)
  }
}
