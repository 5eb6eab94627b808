import AloftAtomics
import CBenchBricks

// The loops of ring_twin.c in Swift, line by line: what is compared is the language, so the
// bookkeeping around a push or pop is the same too, and so is the wait.

@inline(never)
func spscProduce(_ ring: borrowing SPSCRing, _ items: UInt64, _ bulk: Int) -> twin_tally {
  var tally = twin_tally()
  var idle: UInt32 = 0
  withUnsafeTemporaryAllocation(of: UInt.self, capacity: bulk) { buffer in
    while tally.items < items {
      var count = 0
      if bulk == 1 {
        if ring.push(UInt(tally.items &+ 1)) {
          count = 1
          tally.checksum &+= tally.items &+ 1
        }
      } else {
        count = ring.push(contentsOf: filled(buffer, from: tally.items, upTo: items))
        for i in 0..<count { tally.checksum &+= UInt64(buffer[i]) }
      }
      if count == 0 { twin_wait(&idle) } else { idle = 0 }
      tally.items &+= UInt64(count)
    }
  }
  return tally
}

@inline(never)
func laneProduce(_ inbox: borrowing LoopInbox, _ items: UInt64, _ bulk: Int) -> twin_tally {
  var tally = twin_tally()
  var idle: UInt32 = 0
  withUnsafeTemporaryAllocation(of: UInt.self, capacity: bulk) { buffer in
    while tally.items < items {
      var count = 0
      if bulk == 1 {
        if inbox.push(UInt(tally.items &+ 1), fromLoop: 1) != .full {
          count = 1
          tally.checksum &+= tally.items &+ 1
        }
      } else {
        let part = filled(buffer, from: tally.items, upTo: items)
        count = inbox.push(contentsOf: part, fromLoop: 1).accepted
        for i in 0..<count { tally.checksum &+= UInt64(buffer[i]) }
      }
      if count == 0 { twin_wait(&idle) } else { idle = 0 }
      tally.items &+= UInt64(count)
    }
  }
  return tally
}

/// The next items after `sent`, as many as the buffer holds and the run still wants.
@inline(__always)
private func filled(
  _ buffer: UnsafeMutableBufferPointer<UInt>, from sent: UInt64, upTo items: UInt64,
  base: UInt64 = 0
) -> UnsafeBufferPointer<UInt> {
  let wanted = Int(min(UInt64(buffer.count), items &- sent))
  for i in 0..<wanted { buffer[i] = UInt(base &+ sent &+ 1 &+ UInt64(i)) }
  return UnsafeBufferPointer(rebasing: buffer[..<wanted])
}

@inline(never)
func spscConsume(_ ring: borrowing SPSCRing, _ items: UInt64, _ bulk: Int) -> twin_tally {
  var tally = twin_tally()
  var idle: UInt32 = 0
  withUnsafeTemporaryAllocation(of: UInt.self, capacity: bulk) { buffer in
    while tally.items < items {
      var count = 0
      if bulk == 1 {
        if let item = ring.pop() {
          buffer[0] = item
          count = 1
        }
      } else {
        count = ring.pop(into: buffer)
      }
      for i in 0..<count {
        tally.items &+= 1
        tally.checksum &+= UInt64(buffer[i])
        tally.out_of_order &+= UInt64(buffer[i]) != tally.items ? 1 : 0
      }
      if count == 0 { twin_wait(&idle) } else { idle = 0 }
    }
  }
  return tally
}

@inline(never)
func inboxConsume(_ inbox: borrowing LoopInbox, _ items: UInt64, _ bulk: Int) -> twin_tally {
  var tally = twin_tally()
  var idle: UInt32 = 0
  withUnsafeTemporaryAllocation(of: UInt.self, capacity: bulk) { buffer in
    while tally.items < items {
      let count = inbox.drain(into: buffer)
      for i in 0..<count {
        tally.items &+= 1
        tally.checksum &+= UInt64(buffer[i])
        tally.out_of_order &+= UInt64(buffer[i]) != tally.items ? 1 : 0
      }
      if count == 0 { twin_wait(&idle) } else { idle = 0 }
    }
  }
  return tally
}

@inline(never)
func mpscProduce(
  _ ring: borrowing MPSCRing, _ producer: UInt, _ items: UInt64, _ bulk: Int
) -> twin_tally {
  var tally = twin_tally()
  var idle: UInt32 = 0
  let base = UInt64(producer) << UInt64(TWIN_PRODUCER_SHIFT)
  withUnsafeTemporaryAllocation(of: UInt.self, capacity: bulk) { buffer in
    while tally.items < items {
      var count = 0
      if bulk == 1 {
        let item = base &+ tally.items &+ 1
        if ring.push(UInt(item)) {
          count = 1
          tally.checksum &+= item
        }
      } else {
        let part = filled(buffer, from: tally.items, upTo: items, base: base)
        count = ring.push(contentsOf: part)
        for i in 0..<count { tally.checksum &+= UInt64(buffer[i]) }
      }
      if count == 0 { twin_wait(&idle) } else { idle = 0 }
      tally.items &+= UInt64(count)
    }
  }
  return tally
}

@inline(never)
func mpscConsume(_ ring: borrowing MPSCRing, _ items: UInt64, _ bulk: Int) -> twin_tally {
  var tally = twin_tally()
  var idle: UInt32 = 0
  let producers = Int(TWIN_PRODUCERS_MAX)
  withUnsafeTemporaryAllocation(of: UInt.self, capacity: bulk + producers) { memory in
    let buffer = UnsafeMutableBufferPointer(rebasing: memory[..<bulk])
    let next = memory.baseAddress! + bulk
    for i in 0..<producers { next[i] = UInt(i) << UInt(TWIN_PRODUCER_SHIFT) &+ 1 }
    while tally.items < items {
      let count = ring.pop(into: buffer)
      for i in 0..<count {
        let expected = next + Int(buffer[i] >> UInt(TWIN_PRODUCER_SHIFT)) % producers
        tally.checksum &+= UInt64(buffer[i])
        tally.out_of_order &+= buffer[i] != expected.pointee ? 1 : 0
        expected.pointee = buffer[i] &+ 1
      }
      tally.items &+= UInt64(count)
      if count == 0 { twin_wait(&idle) } else { idle = 0 }
    }
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
