// A hash function is good when every bit of a key moves every bit of the hash, and when numbers in
// a row fall as evenly as drawn ones.
import AloftAtomics
import Testing

@Suite struct HashFunctionTests {
  let function = HashFunction(seed: 1)

  @Test("Each bit of a word flips each bit of its hash half of the time")
  func avalanche() {
    var random = SplitMix(state: 5)
    var flips = Array(repeating: 0, count: 64 * 64)
    let rounds = 2_000
    for _ in 0..<rounds {
      let word = random.next()
      let hash = function.hash(word)
      for bit in 0..<64 {
        let change = hash ^ function.hash(word ^ 1 << UInt64(bit))
        for place in 0..<64 where change >> UInt(place) & 1 != 0 { flips[bit * 64 + place] += 1 }
      }
    }
    let worst = flips.map { abs(Double($0) / Double(rounds) - 0.5) }.max()!
    #expect(worst < 0.08, "\(worst)")
  }

  @Test(
    "Keys in a row spread over 1,024 lines as drawn ones do", arguments: [1, 64, 4_096, 1 << 32])
  func spread(step: Int) {
    func uneven(_ hash: (UInt64) -> UInt, shift: UInt) -> Double {
      var lines = Array(repeating: 0, count: 1_024)
      for key in 0..<(1_024 * 64) as Range<UInt64> {
        lines[Int(hash(key &* UInt64(step)) >> shift & 1_023)] += 1
      }
      // Chi-squared over its degrees of freedom: 1 for drawn ones, 0.9...1.1 nearly always.
      return lines.map { Double(($0 - 64) * ($0 - 64)) / 64 }.reduce(0, +) / 1_023
    }
    for shift in [0, 8, 22] as [UInt] {
      #expect(abs(uneven({ function.hash($0) }, shift: shift) - 1) < 0.25)
      #expect(abs(uneven({ function.hash(7, $0) }, shift: shift) - 1) < 0.25)
      #expect(abs(uneven({ function.hash($0, 7) }, shift: shift) - 1) < 0.25)
      #expect(abs(uneven({ nameHash("user:\($0)") }, shift: shift) - 1) < 0.25)
    }
    // The check can see: words as their own hashes fill few lines.
    #expect(uneven({ UInt($0 &* 2) }, shift: 0) > 1.25 || step > 1)
  }

  @Test("Another seed, other hashes; the same seed, the same")
  func seeds() {
    let other = HashFunction(seed: 2)
    let keys = 0..<1_000 as Range<UInt64>
    #expect(keys.allSatisfy { function.hash($0) != other.hash($0) })
    #expect(keys.allSatisfy { function.hash($0) == HashFunction(seed: 1).hash($0) })
  }

  @Test("Names' words are their bytes, whatever their length and where they lie")
  func nameWords() {
    let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 1) }
    for length in 1...255 {
      for start in 0..<9 {
        bytes.withUnsafeBytes { all in
          let name = UnsafeRawBufferPointer(rebasing: all[start..<(start + length)])
          let words = NameWords(name)
          let expected = stride(from: 0, to: length, by: 8).map { place in
            (0..<8).reduce(UInt64(0)) { word, byte in
              place + byte < length ? word | UInt64(name[place + byte]) << UInt64(8 * byte) : word
            }
          }
          #expect((0..<words.count).map { words[$0] } == expected)
        }
      }
    }
  }

  private func nameHash(_ text: String) -> UInt {
    var text = text
    return text.withUTF8 { function.hash(NameWords(UnsafeRawBufferPointer($0))) }
  }
}
