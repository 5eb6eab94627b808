/// What a queue over the ring tells of it.
extension SPSCRingCore {
  /// How many words were ever pushed. Any thread.
  @inlinable
  public var accepted: UInt { memory.loadAcquire(Self.tail) }

  /// How many words were ever popped. Any thread.
  @inlinable
  public var taken: UInt { memory.loadAcquire(Self.head) }

  /// Consumer. The word that comes next, which stays inside.
  @inlinable
  public func peek() -> UInt? {
    let head = memory.loadOwn(Self.head)
    if memory.loadAcquire(Self.tail) == head { return nil }
    return memory.read(Self.slots &+ Int(bitPattern: head & mask))
  }
}
