import AloftMembership
@testable import AloftSession
import Testing

/// IDs as texts: they come back as they were, and what was forged is found out.
struct ValueTests {
  private static let keys = SessionKeys(secret: Array(0..<16))

  @Test("An ID's text comes back as the ID")
  func texts() throws {
    for number in UInt64(0)..<1_000 {
      let id = SessionID(
        high: number &* 0x9e37_79b9_7f4a_7c15, low: ~number, slot: Slot(rawValue: UInt16(number)))
      let text = Self.keys.text(id)
      #expect(text.utf8.count == SessionKeys.textLength)
      #expect(Self.keys.id(text: text) == id)
    }
    let local = SessionID(high: 1, low: 2, localTo: NodeID(rawValue: 7))
    #expect(Self.keys.id(text: Self.keys.text(local)) == local)
    #expect(local.slot == nil && local.localNode == NodeID(rawValue: 7))
  }

  @Test("A text with one character changed, another length or another cluster's tag is no ID")
  func forged() {
    let text = Self.keys.text(SessionID(high: 3, low: 4, slot: Slot(rawValue: 5)))
    for position in text.indices {
      var changed = text
      changed.replaceSubrange(position...position, with: text[position] == "A" ? "B" : "A")
      #expect(Self.keys.id(text: changed) == nil, "\(changed)")
    }
    #expect(Self.keys.id(text: text.dropLast()) == nil)
    #expect(Self.keys.id(text: text + "A") == nil)
    #expect(Self.keys.id(text: String(repeating: "*", count: 32)) == nil)
    #expect(SessionKeys(secret: Array(1..<17)).id(text: text) == nil)
  }

  @Test("SipHash gives what its authors' vectors say")
  func vectors() {
    // Of the reference code: key 00...0f, inputs of 0 and 15 bytes from 00 on.
    let hash = SipHash(key: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908))
    #expect(hash.short([]) == 0x726f_db47_dd0e_0e31)
    #expect(hash.short(Array(0..<15)) == 0xa129_ca61_49be_45e5)
    #expect(hash.long([]) == (0xe6a8_25ba_047f_81a3, 0x9302_55c7_1472_f66d))
  }

  @Test("Names lead to IDs and principals that differ by name, purpose and cluster")
  func names() {
    let id = Self.keys.id(named: Array("cart-7".utf8))
    #expect(id == Self.keys.id(named: Array("cart-7".utf8)))
    #expect(id != Self.keys.id(named: Array("cart-8".utf8)))
    #expect(id != SessionKeys(secret: Array(1..<17)).id(named: Array("cart-7".utf8)))
    let principal = Self.keys.principal(named: Array("cart-7".utf8))
    #expect(principal.low != id.low && principal != .anyone)
    let slots = Set(
      (0..<2_000).map { Self.keys.id(named: [UInt8($0 & 255), UInt8($0 >> 8)]).place })
    #expect(slots.count > 1_700)
  }
}
