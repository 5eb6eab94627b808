/// What a bucket is made of: a chain of chunks, each a cache line of 16 words. The first is the
/// number of the chunk behind it, the others name nodes, in the order in which they came.
///
/// A line full of names lets a sweep see nodes ahead, whose lines then come from memory side by
/// side; in a list through the nodes each waits for the one before. And a timer that goes touches
/// no line but its node's: a name counts only while the node says that it lies there. What stays
/// behind is a gap, for whoever comes along; `TimerWheel+Gaps.swift` bounds their number.
extension TimerWheel {
  @inlinable static var chunkShift: UInt32 { 4 }
  @inlinable static var chunkMask: UInt32 { 15 }

  /// Chunks for that many timers, with the gaps that may lie between them and two chunks at the
  /// ends of each bucket that are not full.
  static func chunksMax(timersMax: Int, gapsAtRest: Int) -> Int {
    2 * (timersMax + gapsAtRest) / Int(chunkMask) + 2 * Int(buckets + 2) + 2
  }

  /// Names the node at the end of a bucket.
  @inlinable
  @inline(__always)
  mutating func append(_ index: UInt32, to bucket: UInt32) {
    var place = unsafe heads[Int(bucket)].end
    // Behind a full chunk, or the 0 of an empty bucket.
    if place & Self.chunkMask == 0 { place = addChunk(to: bucket) }
    unsafe words[Int(place)] = index
    unsafe heads[Int(bucket)].end = place &+ 1
    unsafe nodes[Int(index)].place = place
  }

  /// Makes a gap of the word that names the node.
  @inlinable
  @inline(__always)
  mutating func remove(_ index: UInt32) {
    unsafe nodes[Int(index)].place = 0
    gaps &+= 1
    if gaps > gapsMax { closeGaps() }
  }

  /// The first node of a bucket, with the gaps before it forgotten; 0 when there is none, and then
  /// the bucket is empty.
  @inlinable
  @inline(__always)
  mutating func first(in bucket: UInt32) -> UInt32 {
    if bucket == closing { closeAll() }
    while true {
      let place = unsafe heads[Int(bucket)].front
      if place == 0 { return 0 }
      let index = unsafe words[Int(place)]
      if unsafe nodes[Int(index)].place == place { return index }
      gaps &-= 1
      removeFront(of: bucket)
    }
  }

  /// Forgets the first word of a bucket.
  @inlinable
  @inline(__always)
  mutating func removeFront(of bucket: UInt32) {
    let behind = unsafe heads[Int(bucket)].front &+ 1
    unsafe heads[Int(bucket)].front = behind
    if unsafe behind & Self.chunkMask == 0 || behind == heads[Int(bucket)].end {
      leaveChunk(of: bucket)
    }
  }

  /// The front is behind its chunk's last name: on to the next chunk, or the bucket is empty.
  @usableFromInline
  @inline(never)
  mutating func leaveChunk(of bucket: UInt32) {
    let head = unsafe heads[Int(bucket)]
    let chunk = (head.front &- 1) &>> Self.chunkShift
    if head.front == head.end {
      unsafe heads[Int(bucket)] = TimerBucket()
      markEmpty(bucket)
    } else {
      let next = unsafe words[Int(chunk &<< Self.chunkShift)]
      unsafe heads[Int(bucket)].front = next &<< Self.chunkShift | 1
    }
    release(chunk: chunk)
  }

  /// Puts a chunk behind the last one of a bucket, which is full; the place of its first name.
  @usableFromInline
  @inline(never)
  mutating func addChunk(to bucket: UInt32) -> UInt32 {
    var chunk = freeChunk
    if chunk != 0 {
      freeChunk = unsafe words[Int(chunk &<< Self.chunkShift)]
    } else {
      chunk = untouchedChunk
      precondition(Int(chunk) < chunksMax, "more chunks than timers can fill")
      untouchedChunk &+= 1
    }
    let end = unsafe heads[Int(bucket)].end
    let place = chunk &<< Self.chunkShift | 1
    if end == 0 {
      unsafe heads[Int(bucket)].front = place
      markOccupied(bucket)
    } else {
      unsafe words[Int((end &- 1) & ~Self.chunkMask)] = chunk
    }
    return place
  }

  @inline(__always)
  mutating func release(chunk: UInt32) {
    unsafe words[Int(chunk &<< Self.chunkShift)] = freeChunk
    freeChunk = chunk
  }

  /// Calls `body` with each name of a bucket, 0 for a gap, in order, until it answers false. With
  /// `releasing`, gives each chunk back behind its last word; the bucket is taken for empty
  /// already.
  @inline(__always)
  mutating func forEach(
    from front: UInt32, to end: UInt32, releasing: Bool = false,
    _ body: (inout TimerWheel, UInt32) -> Bool
  ) {
    var place = front
    while place != end {
      if place & Self.chunkMask == 0 {
        let chunk = (place &- 1) &>> Self.chunkShift
        place = unsafe words[Int(chunk &<< Self.chunkShift)] &<< Self.chunkShift | 1
        if releasing { release(chunk: chunk) }
      }
      let index = unsafe words[Int(place)]
      guard body(&self, unsafe nodes[Int(index)].place == place ? index : 0) else { return }
      place &+= 1
    }
    if releasing { release(chunk: (end &- 1) &>> Self.chunkShift) }
  }
}
