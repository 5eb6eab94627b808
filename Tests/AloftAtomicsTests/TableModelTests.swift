import AloftAtomics
import ModelFibers
import Testing

/// The tables' own algorithm, walked through every execution of small cases: whatever writers do to
/// a line, readers find what some order of it all explains. Then it's made wrong in one place after
/// the other, and the checker must find out.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct TableModelTests {
  typealias Step = TableCases.Step

  static let cases: [(String, [(UInt, UInt)], [[Step]], UInt)] = [
    ("two insert one key", [], [[.insert(2, 10), .find(2)], [.insert(2, 20)]], 64),
    (
      "two insert one key, one looks", [(4, 1)],
      [[.insert(2, 10)], [.insert(2, 20)], [.find(2)]], 64
    ),
    (
      "a key comes and goes", [(2, 10)], [[.remove(2), .insert(2, 20)], [.find(2), .find(2)]], 64
    ),
    (
      "a slot's next tenant", [(2, 10)],
      [[.remove(2), .insert(4, 20), .remove(4), .insert(2, 30)], [.find(2)]], 64
    ),
    (
      "a value changes hands", [(2, 10)], [[.replace(2, 10, with: 20)], [.remove(2)], [.find(2)]],
      64
    ),
    ("a further line", [(2, 1), (4, 2), (6, 3)], [[.insert(8, 4)], [.find(8), .find(6)]], 64),
    (
      "a further line goes", [(2, 1), (4, 2), (6, 3), (8, 4)],
      [[.remove(4)], [.find(8)]], 64
    ),
    ("a line is split", [(2, 1), (3, 2)], [[.split], [.find(3), .find(2)]], 64),
    ("a line is split, which is known", [(2, 1), (3, 2)], [[.split], [.find(3), .find(2)]], 65),
    ("two split a line", [(2, 1), (3, 2)], [[.split], [.split], [.find(3)]], 65),
    (
      "an entry is changed where it's moved from", [(3, 2)],
      [[.split], [.replace(3, 2, with: 4)], [.find(3)]], 64
    ),
    (
      "an entry goes while it's moved", [(2, 1), (3, 2)],
      [[.split], [.remove(3), .insert(3, 5)], [.find(3)]], 65
    ),
    (
      "a chain is split", [(2, 1), (4, 2), (3, 3), (5, 4)],
      [[.split], [.find(5)]], 64
    ),
    (
      "a chain is split, and what it leaves behind is used again",
      [(2, 1), (4, 2), (6, 3), (8, 4)],
      [[.remove(2), .insert(10, 5)], [.find(8)]], 64
    ),
  ]

  @Test("Every execution can be explained", arguments: cases.indices)
  func explained(index: Int) {
    let (name, entries, threads, counted) = Self.cases[index]
    let result = TableCases.ids(entries, threads, counted: counted).explore()
    #expect(result.fault == nil, "\(name): \(result)")
    print("table, \(name): \(result)")
  }

  private func model(
    _ name: String, fault: FaultyMemory.Fault? = nil
  ) -> Model {
    let (_, entries, threads, counted) = Self.cases.first { $0.0 == name }!
    return TableCases.ids(entries, threads, counted: counted, fault: fault)
  }

  @Test(
    "With one order weakened: found",
    arguments: [
      ("a slot's next tenant", .load, TableCases.slots, .acquire),
      ("a slot's next tenant", .store, TableCases.slots, .release),
      ("a slot's next tenant", .load, TableCases.header, .acquire),
      ("two insert one key, one looks", .store, TableCases.header, .release),
      ("a line is split, which is known", .store, TableCases.childHeader, .release),
      ("a line is split, which is known", .load, TableCases.childHeader, .acquire),
    ] as [(String, Operation.Kind, Range<Int>, Operation.Order)])
  func weakened(name: String, kind: Operation.Kind, words: Range<Int>, from: Operation.Order) {
    let model = model(name)
    model.weakening = Weakening(kind: kind, words: words, from: from, to: .relaxed)
    let result = model.explore()
    #expect(result.fault != nil)
  }

  @Test("A version that stands still when a slot changes hands: found")
  func versionStandsStill() {
    let result = model("a slot's next tenant") { word, value in
      TableCases.header.contains(word) ? value & 0xffff : value
    }.explore()
    #expect(result.fault != nil)
  }

  @Test("A reader who doesn't look at the header again: found")
  func carelessReader() {
    let threads: [[Step]] = [
      [.remove(2), .insert(4, 20), .remove(4), .insert(2, 30)], [.findCarelessly(2)],
    ]
    #expect(TableCases.ids([(2, 10)], threads).explore().fault != nil)
  }

  @Test("Entries that get lost when their line is split: found")
  func lostMove() {
    let result = model("a line is split") { word, value in
      TableCases.childSlots.contains(word) ? nil : value
    }.explore()
    #expect(result.fault != nil)
  }

  @Test("An entry that leaves a further line before it's shown in the first: found")
  func lateShow() {
    let result = model("a further line goes") { word, value in
      // The headers stored while the line stays held, but not the lock itself.
      TableCases.header.contains(word) && value & 1 != 0 && value >> 16 > 4 ? nil : value
    }.explore()
    #expect(result.fault != nil)
  }

  @Test("A parent that gives entries up before its child is born: found")
  func lateBirth() {
    // The child's first header is lost, so it's born by the second one alone.
    let result = model("a line is split") { word, value in
      TableCases.childHeader.contains(word) && value & 1 != 0 ? nil : value
    }.explore()
    #expect(result.fault != nil)
  }

  @Test("Two who split one line at a time, for the lock is not kept: found")
  func lostLock() {
    let result = model("two insert one key") { word, value in
      TableCases.header.contains(word) ? value & ~1 : value
    }.explore()
    #expect(result.fault != nil)
  }

  // MARK: Pieces

  @Test("Pieces of memory are never given out twice; without the counter they are: found")
  func pool() {
    let result = PoolCases.takers().explore()
    #expect(result.fault == nil, "\(result)")
    print("table, pieces: \(result)")
    let broken = PoolCases.takers { word, value in
      word == PoolCases.head ? value & 0xffff_ffff : value
    }.explore()
    #expect(broken.fault != nil)
  }

  // MARK: Names

  @Test("A name's piece becomes another name's while it's read", arguments: 0..<3)
  func names(index: Int) {
    let result = NameCases.model(NameCases.cases[index]).explore()
    #expect(result.fault == nil, "\(result)")
    print("table, names \(index): \(result)")
  }

  @Test(
    "Names with one order weakened: found",
    arguments: [
      (1, .load, .acquire), (1, .store, .release),
    ] as [(Int, Operation.Kind, Operation.Order)])
  func weakenedNames(index: Int, kind: Operation.Kind, from: Operation.Order) {
    let model = NameCases.model(NameCases.cases[index])
    model.weakening = Weakening(kind: kind, words: NameCases.piece, from: from, to: .relaxed)
    #expect(model.explore().fault != nil)
  }
}
