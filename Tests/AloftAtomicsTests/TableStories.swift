// What is put into a table is found, and nothing else: random stories told to a table and to a
// dictionary, names of every length, growth, a walk, memory.
import AloftAtomics
import Testing

/// The tables behind references: `#expect` can't take a value that isn't copyable.
final class IDs: Sendable {
  let table: IDTable
  init(seed: UInt64 = 1, capacity: Int = 0) { table = IDTable(seed: seed, capacity: capacity) }
  var all: [UInt64: [UInt64]] {
    var all: [UInt64: [UInt64]] = [:]
    table.forEach { key, value in
      all[key, default: []].append(value)
      return true
    }
    return all
  }
}

final class WideIDs: Sendable {
  let table = WideIDTable(seed: 1)
}

final class Names: Sendable {
  let table: NameTable
  init(seed: UInt64 = 1, capacity: Int = 0) { table = NameTable(seed: seed, capacity: capacity) }
  func find(_ name: [UInt8]) -> UInt64? { name.withUnsafeBytes { table.find($0) } }
  func insert(_ name: [UInt8], _ value: UInt64) -> UInt64? {
    name.withUnsafeBytes { table.insert($0, value) }
  }
  func replace(_ name: [UInt8], _ expected: UInt64, _ value: UInt64) -> HashChange {
    name.withUnsafeBytes { table.replace($0, expected: expected, with: value) }
  }
  func remove(_ name: [UInt8], _ expected: UInt64) -> HashChange {
    name.withUnsafeBytes { table.remove($0, expected: expected) }
  }
  func remove(_ name: [UInt8]) -> UInt64? { name.withUnsafeBytes { table.remove($0) } }
  var all: [[UInt8]: [UInt64]] {
    var all: [[UInt8]: [UInt64]] = [:]
    table.forEach { name, value in
      all[Array(name), default: []].append(value)
      return true
    }
    return all
  }
}

/// A name for a number: of some length between 1 and 255, and of no other number.
func name(_ number: Int) -> [UInt8] {
  let digits = Array(String(number).utf8)
  // Many short ones, as life has them, and every length now and then.
  let length = number % 4 == 0 ? 1 + number * 7 % 255 : 1 + number * 5 % 40
  return digits + Array(repeating: 0x2e, count: max(0, min(length, 255) - digits.count))
}

@Suite struct TableStories {
  @Test("A story of IDs and the same story told to a dictionary", arguments: 1...8)
  func ids(seed: Int) {
    let ids = IDs(seed: UInt64(seed))
    var model: [UInt64: UInt64] = [:]
    var random = SplitMix(state: UInt64(seed))
    // Few keys, so that they come and go; many, so that the table grows.
    let keys = seed % 2 == 0 ? 40 : 3_000
    for step in 0..<20_000 {
      let key = random.next() % UInt64(keys)
      let value = random.next() % 4
      let other = random.next() % 4
      switch random.next() % 8 {
      case 0, 1, 2:
        #expect(ids.table.insert(key, value) == model[key])
        if model[key] == nil { model[key] = value }
      case 3:
        #expect(ids.table.remove(key) == model.removeValue(forKey: key))
      case 4:
        #expect(ids.table.remove(key, expected: value) == change(&model, key, value, nil))
      case 5:
        #expect(
          ids.table.replace(key, expected: value, with: other)
            == change(&model, key, value, other))
      default:
        #expect(ids.table.find(key) == model[key])
      }
      if step % 5_000 == 4_999 {
        #expect(ids.table.count == model.count)
        #expect(ids.all == model.mapValues { [$0] })
      }
    }
  }

  @Test("A story of names and the same story told to a dictionary", arguments: 1...8)
  func names(seed: Int) {
    let names = Names(seed: UInt64(seed))
    var model: [[UInt8]: UInt64] = [:]
    var random = SplitMix(state: UInt64(seed))
    let keys = seed % 2 == 0 ? 300 : 10_000
    for step in 0..<20_000 {
      let key = name(Int(random.next() % UInt64(keys)))
      let value = random.next() % 4
      let other = random.next() % 4
      switch random.next() % 8 {
      case 0, 1, 2, 3:
        #expect(names.insert(key, value) == model[key])
        if model[key] == nil { model[key] = value }
      case 4:
        #expect(names.remove(key) == model.removeValue(forKey: key))
      case 5:
        #expect(names.remove(key, value) == change(&model, key, value, nil))
      case 6:
        #expect(names.replace(key, value, other) == change(&model, key, value, other))
      default:
        #expect(names.find(key) == model[key])
      }
      if step % 5_000 == 4_999 {
        #expect(names.table.count == model.count)
        #expect(names.all == model.mapValues { [$0] })
      }
    }
  }

  @Test("Keys of 128 bits that share either half are different keys")
  func wideIDs() {
    let ids = WideIDs()
    for high in 0..<60 as Range<UInt64> {
      for low in 0..<60 as Range<UInt64> {
        #expect(ids.table.insert(WideID(high: high, low: low), high << 8 | low) == nil)
      }
    }
    for high in 0..<61 as Range<UInt64> {
      for low in 0..<61 as Range<UInt64> {
        let expected = high < 60 && low < 60 ? high << 8 | low : nil
        #expect(ids.table.find(WideID(high: high, low: low)) == expected)
      }
    }
    #expect(ids.table.remove(WideID(high: 3, low: 4)) == UInt64(3 << 8 | 4))
    #expect(ids.table.find(WideID(high: 3, low: 4)) == nil)
    #expect(ids.table.find(WideID(high: 4, low: 3)) == UInt64(4 << 8 | 3))
  }

  @Test("Names of every length, and those that differ in their last byte alone")
  func lengths() {
    let names = Names()
    for length in 1...255 {
      var bytes = Array(repeating: UInt8(7), count: length)
      #expect(names.insert(bytes, UInt64(length)) == nil)
      bytes[length - 1] = 8
      #expect(names.find(bytes) == nil)
      #expect(names.insert(bytes, UInt64(length) << 8) == nil)
      // A zero at the end is a byte like any other, though names are filled up with zeroes.
      bytes[length - 1] = 0
      #expect(names.find(bytes) == nil)
    }
    for length in 1...255 {
      var bytes = Array(repeating: UInt8(7), count: length)
      #expect(names.find(bytes) == UInt64(length))
      bytes[length - 1] = 8
      #expect(names.find(bytes) == UInt64(length) << 8)
    }
  }

  @Test("Keys and values may be any words", arguments: [0, 1, .max, 1 << 63] as [UInt64])
  func words(word: UInt64) {
    let ids = IDs()
    #expect(ids.table.find(word) == nil)
    #expect(ids.table.insert(word, word) == nil)
    #expect(ids.table.find(word) == word)
    #expect(ids.table.replace(word, expected: word, with: 0) == .done)
    #expect(ids.table.remove(word, expected: 0) == .done)
    #expect(ids.table.find(word) == nil)
  }

  @Test("A batch finds what single look-ups find", arguments: [0, 1, 15, 16, 17, 1_000])
  func batch(count: Int) {
    let ids = IDs()
    for key in 0..<500 as Range<UInt64> { _ = ids.table.insert(key, key + 1) }
    let keys = (0..<UInt64(count)).map { $0 * 3 }
    var found: [UInt64?] = []
    keys.withUnsafeBufferPointer { keys in
      ids.table.find(keys) { place, value in
        #expect(place == found.count)
        found.append(value)
      }
    }
    #expect(found == keys.map { ids.table.find($0) })

    let names = Names()
    for number in 0..<500 { _ = names.insert(name(number), UInt64(number)) }
    let bytes = (0..<count).map { name($0 * 3) }
    let buffers = bytes.map { bytes in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
      copy.copyBytes(from: bytes)
      return UnsafeRawBufferPointer(copy)
    }
    var foundNames: [UInt64?] = []
    buffers.withUnsafeBufferPointer { names.table.find($0) { foundNames.append($1) } }
    for buffer in buffers { buffer.deallocate() }
    #expect(foundNames == bytes.map { names.find($0) })
  }

  @Test("A name of 24 bytes costs at most 64 bytes beside itself, at every size")
  func memory() {
    let names = Names()
    var bytes = Array("conversation-0000000000.".utf8)
    var most = 0.0
    for number in 1...200_000 {
      var rest = number
      for place in stride(from: 22, through: 13, by: -1) {
        bytes[place] = UInt8(48 + rest % 10)
        rest /= 10
      }
      #expect(names.insert(bytes, 1) == nil)
      if number >= 2_000, number % 100 == 0 {
        most = max(most, Double(names.table.memoryBytes) / Double(number) - 24)
      }
    }
    print("a name of 24 bytes: at most \(most) bytes beside itself, from 2,000 names on")
    #expect(most <= 64)
  }

  @Test("Names that come and go use the room of those that went")
  func churn() {
    let names = Names()
    var live: [Int] = []
    for number in 0..<2_000 {
      _ = names.insert(name(number), 1)
      live.append(number)
    }
    let before = names.table.memoryBytes
    var random = SplitMix(state: 9)
    for number in 2_000..<60_000 {
      let place = Int(random.next() % UInt64(live.count))
      #expect(names.remove(name(live[place])) == 1)
      #expect(names.insert(name(number), 1) == nil)
      live[place] = number
    }
    #expect(names.table.count == 2_000)
    // Names of 60,000 have a digit more, and chains may become longer than they were.
    #expect(names.table.memoryBytes < before * 3 / 2)
    print("churn: \(before) bytes before, \(names.table.memoryBytes) after")
  }

  private func change<Key>(
    _ model: inout [Key: UInt64], _ key: Key, _ expected: UInt64, _ value: UInt64?
  ) -> HashChange {
    guard let found = model[key] else { return .absent }
    if found != expected { return .differs(found) }
    model[key] = value
    return .done
  }
}

/// Numbers from a seed (Steele, Lea, Flood, 2014).
struct SplitMix {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
