/// Closing the gaps that `cancel` and `rearm` leave in the buckets.
///
/// When there are three gaps for four timers (and `gapsAtRest`), each further one pays for a few
/// words of work on a bucket: names move forward over the gaps before them, in their order, and the
/// chunks that run empty are given back. Then the next bucket, round and round. So there are hardly
/// more gaps than that, no call looks at more than a few words, and a bucket is whole after each
/// step: a name is at one place, a gap at the other.
extension TimerWheel {
  /// Words looked at for a gap beyond the limit.
  static var wordsPerGap: Int { 16 }

  @inlinable var gapsMax: Int { count &- count &>> 2 &+ gapsAtRest }

  /// A few words' work.
  @usableFromInline
  @inline(never)
  mutating func closeGaps() {
    if closing == Self.noBucket {
      guard let bucket = bucketToClose() else { return }
      closing = bucket
      reader = unsafe heads[Int(bucket)].front
      writer = reader
    }
    for _ in 0..<Self.wordsPerGap {
      guard closeGap() else { return }
    }
  }

  /// Finishes the bucket, because names are about to be taken from its front.
  @usableFromInline
  @inline(never)
  mutating func closeAll() {
    while closing != Self.noBucket { _ = closeGap() }
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

  /// Looks at one word; false when the bucket is done.
  @inline(__always)
  mutating func closeGap() -> Bool {
    let index = unsafe words[Int(reader)]
    if unsafe nodes[Int(index)].place != reader {
      gaps &-= 1
    } else {
      if writer & Self.chunkMask == 0 {
        writer = unsafe words[Int((writer &- 1) & ~Self.chunkMask)] &<< Self.chunkShift | 1
      }
      if writer != reader {
        unsafe words[Int(writer)] = index
        unsafe nodes[Int(index)].place = writer
      }
      writer &+= 1
    }
    reader &+= 1
    let done = unsafe reader == heads[Int(closing)].end
    if done || reader & Self.chunkMask == 0 { leaveRead(done: done) }
    return !done
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
