import AloftMembership
import Testing

/// The numbers that nodes and what they hold go by.
struct IdentifierTests {
  @Test("Later lives, epochs, terms are greater; so are nodes and slots of greater number")
  func order() {
    #expect(Incarnation(rawValue: 1) < Incarnation(rawValue: 2))
    #expect(Epoch(rawValue: 1) < Epoch(rawValue: 256))
    #expect(Term(rawValue: 1) < Term(rawValue: .max))
    #expect(NodeID(rawValue: 0) < NodeID(rawValue: 255))
    #expect(!(Slot(rawValue: 16_383) < Slot(rawValue: 16_383)))
  }

  @Test("An identifier is as big as its number")
  func sizes() {
    #expect(MemoryLayout<NodeID>.size == 1)
    #expect(MemoryLayout<Slot>.size == 2)
    #expect(MemoryLayout<Incarnation>.size == 8)
  }
}
