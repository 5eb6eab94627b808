/// The end of a ring of one producer, and its refusals.
///
/// Which orders pair: `closed`, stored with release by the producer after its last push, loaded
/// with acquire by a consumer that has found nothing, which then looks once more: so what was
/// pushed before the close comes out before the end.
public struct SPSCRingEnd<Memory: AtomicMemory> {
  @usableFromInline static var closed: Int { 0 }
  @usableFromInline static var refusals: Int { 1 }
  public static var words: Int { 16 }

  @usableFromInline let memory: Memory

  @inlinable
  public init(memory: Memory) { self.memory = memory }

  @inlinable public var isClosed: Bool { memory.loadOwn(Self.closed) != 0 }
  @inlinable public var refused: UInt { memory.loadRelaxed(Self.refusals) }

  @inlinable
  public func close() { memory.storeRelease(Self.closed, 1) }

  @inlinable
  public func countRefused() {
    memory.storeRelaxed(Self.refusals, memory.loadOwn(Self.refusals) &+ 1)
  }

  @inlinable
  public func pop(from ring: SPSCRingCore<Memory>, _ word: inout UInt) -> RingPop {
    if let next = ring.pop() {
      word = next
      return .item
    }
    if memory.loadAcquire(Self.closed) == 0 { return .empty }
    guard let next = ring.pop() else { return .closed }
    word = next
    return .item
  }
}

extension SPSCRingEnd: Sendable where Memory: Sendable {}
