import AloftAtomics
import CBenchBricks

// The loops of ring_twin.c in Swift, line by line: what is compared is the rings, so what is done
// around a push or pop is the same in both, or is even the same function.

/// Room for a batch, for as long as one side of a run.
private final class Batch {
  let words: UnsafeMutablePointer<UInt>
  let next: UnsafeMutablePointer<UInt64>
  let capacity: Int

  init(_ capacity: Int) {
    self.capacity = capacity
    words = .allocate(capacity: capacity)
    next = .allocate(capacity: Int(TWIN_PRODUCERS_MAX))
    twin_expect(next)
  }

  deinit {
    words.deallocate()
    next.deallocate()
  }

  /// For C, whose words are of 64 bits too.
  var wide: UnsafeMutablePointer<UInt64> {
    UnsafeMutableRawPointer(words).assumingMemoryBound(to: UInt64.self)
  }

  var all: UnsafeMutableBufferPointer<UInt> {
    UnsafeMutableBufferPointer(start: words, count: capacity)
  }

  /// The next items after `sent`, as many as there is room for and the run still wants.
  func filled(_ base: UInt64, _ sent: UInt64, of items: UInt64) -> UnsafeBufferPointer<UInt> {
    let wanted = min(UInt64(capacity), items &- sent)
    twin_fill(wide, base &+ sent &+ 1, Int(wanted))
    return UnsafeBufferPointer(start: words, count: Int(wanted))
  }
}

@inline(__always)
private func progress(_ count: Int, _ idle: inout UInt32) {
  if count == 0 { twin_wait(&idle) } else { idle = 0 }
}

@inline(never)
func spscProduce(_ ring: borrowing SPSCRing, _ items: UInt64, _ bulk: Int) -> twin_tally {
  var tally = twin_tally()
  let batch = Batch(bulk)
  var idle: UInt32 = 0
  while tally.items < items {
    var count = 0
    if bulk == 1 {
      let item = tally.items &+ 1
      count = ring.push(UInt(item)) ? 1 : 0
      if count > 0 { tally.checksum &+= item }
    } else {
      count = ring.push(contentsOf: batch.filled(0, tally.items, of: items))
      tally.checksum &+= twin_sum(batch.wide, count)
    }
    tally.items &+= UInt64(count)
    progress(count, &idle)
  }
  return tally
}

@inline(never)
func spscConsume(_ ring: borrowing SPSCRing, _ items: UInt64, _ bulk: Int) -> twin_tally {
  var tally = twin_tally()
  let batch = Batch(bulk)
  var idle: UInt32 = 0
  while tally.items < items {
    var count = 0
    if bulk == 1 {
      if let item = ring.pop() {
        count = 1
        tally.items &+= 1
        tally.checksum &+= UInt64(item)
        tally.out_of_order &+= UInt64(item) != tally.items ? 1 : 0
      }
    } else {
      count = ring.pop(into: batch.all)
      twin_account_one(&tally, batch.wide, count)
    }
    progress(count, &idle)
  }
  return tally
}

@inline(never)
func laneProduce(_ inbox: borrowing LoopInbox, _ items: UInt64, _ bulk: Int) -> twin_tally {
  var tally = twin_tally()
  let batch = Batch(bulk)
  var idle: UInt32 = 0
  while tally.items < items {
    var count = 0
    if bulk == 1 {
      let item = tally.items &+ 1
      count = inbox.push(UInt(item), fromLoop: 1) == .full ? 0 : 1
      if count > 0 { tally.checksum &+= item }
    } else {
      let part = batch.filled(0, tally.items, of: items)
      count = inbox.push(contentsOf: part, fromLoop: 1).accepted
      tally.checksum &+= twin_sum(batch.wide, count)
    }
    tally.items &+= UInt64(count)
    progress(count, &idle)
  }
  return tally
}

@inline(never)
func inboxConsume(_ inbox: borrowing LoopInbox, _ items: UInt64, _ bulk: Int) -> twin_tally {
  var tally = twin_tally()
  let batch = Batch(bulk)
  var idle: UInt32 = 0
  while tally.items < items {
    let count = inbox.drain(into: batch.all)
    twin_account_one(&tally, batch.wide, count)
    progress(count, &idle)
  }
  return tally
}

@inline(never)
func mpscProduce(
  _ ring: borrowing MPSCRing, _ producer: UInt64, _ items: UInt64, _ bulk: Int
) -> twin_tally {
  var tally = twin_tally()
  let batch = Batch(bulk)
  let base = producer << UInt64(TWIN_PRODUCER_SHIFT)
  var idle: UInt32 = 0
  while tally.items < items {
    var count = 0
    if bulk == 1 {
      let item = base &+ tally.items &+ 1
      count = ring.push(UInt(item)) ? 1 : 0
      if count > 0 { tally.checksum &+= item }
    } else {
      count = ring.push(contentsOf: batch.filled(base, tally.items, of: items))
      tally.checksum &+= twin_sum(batch.wide, count)
    }
    tally.items &+= UInt64(count)
    progress(count, &idle)
  }
  return tally
}

@inline(never)
func mpscConsume(_ ring: borrowing MPSCRing, _ items: UInt64, _ bulk: Int) -> twin_tally {
  var tally = twin_tally()
  let batch = Batch(bulk)
  var idle: UInt32 = 0
  while tally.items < items {
    let count = ring.pop(into: batch.all)
    twin_account(&tally, batch.next, batch.wide, count)
    progress(count, &idle)
  }
  return tally
}

@inline(never)
func spscPushPop(_ ring: borrowing SPSCRing, _ items: UInt64) -> twin_tally {
  var tally = twin_tally()
  for i in 1...items {
    if ring.push(UInt(i)), let item = ring.pop() {
      tally.items &+= 1
      tally.checksum &+= UInt64(item)
      tally.out_of_order &+= item != UInt(i) ? 1 : 0
    }
  }
  return tally
}

@inline(never)
func mpscPushPop(_ ring: borrowing MPSCRing, _ items: UInt64) -> twin_tally {
  var tally = twin_tally()
  for i in 1...items {
    if ring.push(UInt(i)), let item = ring.pop() {
      tally.items &+= 1
      tally.checksum &+= UInt64(item)
      tally.out_of_order &+= item != UInt(i) ? 1 : 0
    }
  }
  return tally
}
