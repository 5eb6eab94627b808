/// Closing the gaps that `cancel` and `rearm` leave in the buckets.
///
/// When there are three gaps for four timers (and `gapsAtRest`), each further one pays for a few
/// words of work on a bucket: names move forward over the gaps before them, in their order, and the
/// chunks that run empty are given back. Then the next bucket, round and round. So there are hardly
/// more gaps than that, no call looks at more than a chunk, and a bucket is whole after each
/// step: a name is at one place, a gap at the other.
extension TimerWheel {
  @inlinable var gapsMax: Int { count &- count &>> 2 &+ gapsAtRest }

  /// A chunk's work.
  @usableFromInline
  @inline(never)
  mutating func closeGaps() {
    if closing == Self.noBucket {
      guard let bucket = bucketToClose() else { return }
      closing = bucket
      reader = unsafe heads[Int(bucket)].front
      writer = reader
    }
    closeChunk()
  }

  /// Finishes the bucket, because names are about to be taken from its front.
  @usableFromInline
  @inline(never)
  mutating func closeAll() {
    while closing != Self.noBucket { closeChunk() }
  }

  /// The next bucket in turn that isn't empty. The one at the hand is left out: names are taken
  /// from its front, and none comes to it any more.
  mutating func bucketToClose() -> UInt32? {
    var word = Int(lastClosed &>> 6)
    var bits = unsafe masks[word] & (~1 &<< UInt64(lastClosed & 63))
    for _ in 0...Self.maskWords {
      while bits != 0 {
        let bucket = UInt32(truncatingIfNeeded: word &<< 6 | bits.trailingZeroBitCount)
        if bucket != handBucket {
          lastClosed = bucket
          return bucket
        }
        bits &= bits &- 1
      }
      word = word + 1 == Self.maskWords ? 0 : word + 1
      bits = unsafe masks[word]
    }
    return nil
  }

  /// Moves the names of the reader's chunk. Which of them count is found out first, without a
  /// branch that would wait for the nodes one by one.
  mutating func closeChunk() {
    let base = reader & ~Self.chunkMask
    let end = unsafe heads[Int(closing)].end
    let stop = (end &- 1) & ~Self.chunkMask == base ? end : base &+ Self.chunkMask &+ 1
    var named: UInt32 = 0
    for place in reader..<stop {
      let isNamed = unsafe nodes[Int(words[Int(place)])].place == place
      named |= (isNamed ? 1 : 0) &<< (place & Self.chunkMask)
    }
    gaps &-= Int(stop &- reader)
    while named != 0 {
      let from = base &+ UInt32(truncatingIfNeeded: named.trailingZeroBitCount)
      named &= named &- 1
      if writer & Self.chunkMask == 0 {
        writer = unsafe words[Int((writer &- 1) & ~Self.chunkMask)] &<< Self.chunkShift | 1
      }
      if writer != from {
        let index = unsafe words[Int(from)]
        unsafe words[Int(writer)] = index
        unsafe nodes[Int(index)].place = writer
      }
      writer &+= 1
      gaps &+= 1
    }
    reader = stop
    leaveRead(done: stop == end)
  }

  /// The reader is behind its chunk's last word.
  @inline(never)
  mutating func leaveRead(done: Bool) {
    let chunk = (reader &- 1) &>> Self.chunkShift
    let next = unsafe words[Int(chunk &<< Self.chunkShift)]
    let front = unsafe heads[Int(closing)].front
    // Where the writer has put its last name; nowhere yet while it stands at the front.
    let written = writer == front ? 0 : (writer &- 1) &>> Self.chunkShift
    if done {
      if written == 0 {
        unsafe heads[Int(closing)] = TimerBucket()
        markEmpty(closing)
      } else {
        unsafe heads[Int(closing)].end = writer
      }
      closing = Self.noBucket
    } else {
      reader = next &<< Self.chunkShift | 1
      if written == 0 {
        unsafe heads[Int(closing)].front = reader
        writer = reader
      } else if written != chunk {
        unsafe words[Int(written &<< Self.chunkShift)] = next
      }
    }
    if written != chunk { release(chunk: chunk) }
  }
}
