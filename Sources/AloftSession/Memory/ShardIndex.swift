/// Finds numbers by hash: a small table each for many shards, so that none ever grows for long. An
/// entry is 8 bytes, the hash's 32 bits and the number; what has that hash is asked for.
///
/// A look-up is a line of the shards' heads, which is mostly in a cache, and one of the entries.
@safe
struct ShardIndex: ~Copyable {
  @safe
  private struct Head {
    var entries: UnsafeMutablePointer<UInt64>?
    var count: UInt32
    var capacity: UInt32
  }

  private let heads: UnsafeMutablePointer<Head>
  let shards: Int

  init(shards: Int) {
    self.shards = shards
    unsafe heads = .allocate(capacity: shards)
    unsafe heads.initialize(
      repeating: Head(entries: nil, count: 0, capacity: 0), count: shards)
  }

  deinit { unsafe heads.deallocate() }

  @inline(__always)
  func count(_ shard: Int) -> Int { unsafe Int(heads[shard].count) }

  /// 0 when there is none that `matches`. Numbers are above 0.
  @inline(__always)
  func find(_ shard: Int, _ hash: UInt32, _ matches: (UInt32) -> Bool) -> UInt32 {
    let head = unsafe heads[shard]
    guard let entries = unsafe head.entries else { return 0 }
    let mask = head.capacity &- 1
    var place = hash & mask
    while true {
      let entry = unsafe entries[Int(place)]
      if entry == 0 { return 0 }
      if UInt32(truncatingIfNeeded: entry &>> 32) == hash {
        let number = UInt32(truncatingIfNeeded: entry)
        if matches(number) { return number }
      }
      place = (place &+ 1) & mask
    }
  }

  @inline(__always)
  mutating func insert(_ shard: Int, _ hash: UInt32, _ number: UInt32, _ slabs: inout ByteSlabs) {
    // Three quarters full at most.
    if unsafe heads[shard].count &* 4 >= heads[shard].capacity &* 3 { grow(shard, &slabs) }
    unsafe heads[shard].count &+= 1
    unsafe Self.put(UInt64(hash) &<< 32 | UInt64(number), heads[shard])
  }

  @inline(__always)
  private static func put(_ entry: UInt64, _ head: Head) {
    guard let entries = unsafe head.entries else { return }
    let mask = head.capacity &- 1
    var place = UInt32(truncatingIfNeeded: entry &>> 32) & mask
    while unsafe entries[Int(place)] != 0 { place = (place &+ 1) & mask }
    unsafe entries[Int(place)] = entry
  }

  @inline(never)
  private mutating func grow(_ shard: Int, _ slabs: inout ByteSlabs) {
    let old = unsafe heads[shard]
    let capacity = max(8, 2 * Int(old.capacity))
    let memory = unsafe slabs.take(capacity * 8).bindMemory(to: UInt64.self, capacity: capacity)
    unsafe memory.initialize(repeating: 0, count: capacity)
    unsafe heads[shard].entries = memory
    unsafe heads[shard].capacity = UInt32(capacity)
    guard let entries = unsafe old.entries else { return }
    for place in 0..<Int(old.capacity) {
      let entry = unsafe entries[place]
      if entry != 0 { unsafe Self.put(entry, heads[shard]) }
    }
    unsafe slabs.give(UnsafeMutableRawPointer(entries), Int(old.capacity) * 8)
  }

  /// The one with this number, which is there.
  mutating func remove(_ shard: Int, _ hash: UInt32, _ number: UInt32, _ slabs: inout ByteSlabs) {
    let head = unsafe heads[shard]
    guard let entries = unsafe head.entries else { return }
    let mask = head.capacity &- 1
    let wanted = UInt64(hash) &<< 32 | UInt64(number)
    var gap = hash & mask
    while unsafe entries[Int(gap)] != wanted {
      if unsafe entries[Int(gap)] == 0 { return }
      gap = (gap &+ 1) & mask
    }
    // Those behind move up, as far as they may (Knuth, volume 3, algorithm 6.4 R).
    var place = gap
    while true {
      place = (place &+ 1) & mask
      let entry = unsafe entries[Int(place)]
      if entry == 0 { break }
      let home = UInt32(truncatingIfNeeded: entry &>> 32) & mask
      if (place &- home) & mask >= (place &- gap) & mask {
        unsafe entries[Int(gap)] = entry
        gap = place
      }
    }
    unsafe entries[Int(gap)] = 0
    unsafe heads[shard].count &-= 1
    if unsafe heads[shard].count == 0 {
      unsafe slabs.give(UnsafeMutableRawPointer(entries), Int(head.capacity) * 8)
      unsafe heads[shard] = unsafe Head(entries: nil, count: 0, capacity: 0)
    }
  }

  /// All numbers of a shard, in no order.
  func forEach(_ shard: Int, _ body: (UInt32) -> Void) {
    let head = unsafe heads[shard]
    guard let entries = unsafe head.entries else { return }
    for place in 0..<Int(head.capacity) {
      let entry = unsafe entries[place]
      if entry != 0 { body(UInt32(truncatingIfNeeded: entry)) }
    }
  }
}
