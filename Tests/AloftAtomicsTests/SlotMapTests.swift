// A handle finds its tenant and nobody else's: shown by a random story told to the map and to a
// plain list, by slots at the end of their generations, and by full maps that say so.
import AloftAtomics
import Testing

/// The map behind a reference: `#expect` can't take an inout value that isn't copyable.
private final class Table {
  private var map: SlotMap
  init(bytes: Int = 8, slotsMax: Int, firstGeneration: UInt32 = 1) {
    map = SlotMap(bytes: bytes, slotsMax: slotsMax, firstGeneration: firstGeneration)
  }
  var count: Int { map.count }
  var retired: Int { map.retired }
  var stride: Int { map.stride }
  func insert(_ value: UInt64 = 0) -> SlotHandle? {
    guard let handle = map.insert() else { return nil }
    map.find(handle)!.storeBytes(of: value, as: UInt64.self)
    return handle
  }
  func find(_ handle: SlotHandle) -> UnsafeMutableRawPointer? { map.find(handle) }
  func value(_ handle: SlotHandle) -> UInt64? { map.find(handle)?.load(as: UInt64.self) }
  func remove(_ handle: SlotHandle) -> Bool { map.remove(handle) }
  var all: [SlotHandle] {
    var handles: [SlotHandle] = []
    while let next = map.first(from: handles.last.map { $0.index + 1 } ?? 0) {
      handles.append(next)
    }
    return handles
  }
}

@Suite struct SlotMapTests {
  @Test("A tenant is found until it leaves, and its handle never finds the next")
  func tenancy() {
    let table = Table(slotsMax: 4)
    let old = table.insert(7)!
    #expect(table.value(old) == 7)
    #expect(table.remove(old))
    #expect(table.value(old) == nil)
    #expect(!table.remove(old))
    let new = table.insert(8)!
    #expect(new.index == old.index && new != old)
    #expect(table.value(old) == nil)
    #expect(table.value(new) == 8)
    #expect(SlotHandle(rawValue: new.rawValue) == new)
  }

  @Test("Handles that the map never gave find nothing")
  func forged() {
    let table = Table(slotsMax: 4)
    #expect(table.find(SlotHandle(rawValue: 0)) == nil)
    let handle = table.insert()!
    #expect(table.remove(handle))
    for generation: UInt32 in [0, 2, 3, .max] {
      #expect(table.find(SlotHandle(index: 0, generation: generation)) == nil)
      #expect(!table.remove(SlotHandle(index: 0, generation: generation)))
    }
    for index: UInt32 in [1, 3, 4, 5, .max] {
      #expect(table.find(SlotHandle(index: index, generation: 1)) == nil)
    }
  }

  @Test(
    "Full is an answer; the last freed is the first used",
    arguments: [1, 2, 3, 1023, 1024, 1025, 3000])
  func full(slotsMax: Int) {
    let table = Table(slotsMax: slotsMax)
    let handles = (0..<slotsMax).map { table.insert(UInt64($0))! }
    #expect(table.insert() == nil)
    #expect(handles.enumerated().allSatisfy { table.value($1) == UInt64($0) })
    #expect(table.all == handles)
    let removed = handles.filter { table.remove($0) }
    #expect(removed == handles)
    #expect(table.count == 0 && table.all.isEmpty)
    let again = (0..<slotsMax).map { _ in table.insert()!.index }
    #expect(again == handles.map(\.index).reversed())
    #expect(table.insert() == nil)
  }

  @Test("A slot at the end of its generations is retired, and its handles stay stale")
  func retired() {
    let table = Table(slotsMax: 2, firstGeneration: .max - 2)
    let first = table.insert()!
    #expect(table.remove(first))
    let last = table.insert()!
    #expect(last.index == first.index && last.generation == .max)
    #expect(table.remove(last))
    #expect(table.retired == 1)
    for generation: UInt32 in [0, 1, 2, .max - 2, .max - 1, .max] {
      #expect(table.find(SlotHandle(index: first.index, generation: generation)) == nil)
    }
    let other = table.insert()!
    #expect(other.index != first.index)
    #expect(table.insert() == nil)
    #expect(table.all == [other])
  }

  @Test("Slots don't overlap, don't move and are aligned", arguments: [1, 8, 9, 56, 200, 4096])
  func memory(bytes: Int) {
    let table = Table(bytes: max(bytes, 8), slotsMax: 1100)
    let handles = (0..<1100).map { _ in table.insert()! }
    let places = handles.map { table.find($0)! }
    for (number, place) in places.enumerated() {
      #expect(UInt(bitPattern: place) % 8 == 0)
      place.initializeMemory(as: UInt8.self, repeating: UInt8(number % 251), count: bytes)
    }
    for (number, handle) in handles.enumerated() {
      #expect(table.find(handle) == places[number])
      let held = UnsafeRawBufferPointer(start: places[number], count: bytes)
      #expect(held.allSatisfy { $0 == UInt8(number % 251) })
    }
    #expect(table.stride >= bytes + 8 && table.stride < bytes + 24)
  }

  /// One random story; true when map and list agree to the end.
  static func agrees(seed: UInt64, forgetful: Bool = false) -> Bool {
    var random = TimerRandom(state: seed)
    let slotsMax = Int.random(in: 1...70, using: &random)
    let first: UInt32 = Bool.random(using: &random) ? 1 : .max - 6
    let table = Table(slotsMax: slotsMax, firstGeneration: first)
    var living: [(handle: SlotHandle, value: UInt64)] = []
    var gone: [SlotHandle] = []
    for step in 0..<UInt64(600) {
      if Bool.random(using: &random) {
        let handle = table.insert(step)
        if (handle == nil) != (living.count + table.retired == slotsMax) { return false }
        if let handle {
          if living.contains(where: { $0.handle == handle }) || gone.contains(handle) {
            return false
          }
          living.append((handle, step))
        }
      } else if let place = living.indices.randomElement(using: &random) {
        let (handle, value) = living.remove(at: place)
        gone.append(handle)
        if table.value(handle) != value { return false }
        if !forgetful && !table.remove(handle) { return false }
      }
      if let stale = gone.randomElement(using: &random) {
        if table.find(stale) != nil || table.remove(stale) { return false }
      }
      if table.count != living.count { return false }
    }
    return living.allSatisfy { table.value($0) == $1 }
      && Set(table.all) == Set(living.map(\.handle))
  }

  @Test("The map and a plain list tell the same story", arguments: 0..<100)
  func differential(seed: UInt64) { #expect(Self.agrees(seed: seed)) }

  @Test("The story catches a map that forgets to let go")
  func fault() { #expect(!Self.agrees(seed: 1, forgetful: true)) }
}
