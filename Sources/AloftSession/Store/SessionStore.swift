package import AloftMembership
internal import AloftAtomics

/// A session's record: good until the next entry is applied.
package struct SessionRef: Hashable, Sendable {
  let number: UInt32
}

/// What all nodes of a cluster know alike of its sessions; with it, what this node alone knows: of
/// those in its memory only, and how it uses those that it owns. What an entry of the log does
/// follows from the entry, the fence and the session itself, and from nothing else.
///
/// **Memory**: 128 bytes a session, its state, name, keys and events in slabs, some 12 bytes of
/// index; 400 bytes in all with a state of 200. What goes comes back for the next one.
/// **Time**: a look-up is two lines of memory; no operation takes longer for how many there are.
package final class SessionStore {
  let limits: SessionLimits
  private let faults: Set<SessionFault>
  private let hasFaults: Bool
  var slabs = ByteSlabs()
  var records: Slab<Record>
  var principals: Slab<PrincipalRecord>
  var attachments: Slab<Attachment>
  var slots = ShardIndex(shards: Slot.count)
  var locals: ShardIndex
  var principalIndex: ShardIndex
  var fence = SlotFence()
  var snapshot = SnapshotProgress()
  /// Sessions that were about to be changed, as they were: for the next piece of the snapshot.
  var captured = RawWriter()
  /// Time-outs of the sessions that this node owns.
  var wheel: TimerWheel

  /// The last entry of the log, of whatever kind, that all of this is as of.
  package internal(set) var appliedIndex: UInt64 = 0
  /// Sessions that can be found, tombstones too.
  package internal(set) var count = 0
  /// Those of them that are over.
  package internal(set) var tombstones = 0
  /// Entries that made no sense.
  package internal(set) var malformed: UInt64 = 0
  /// What was seen of sessions that are about to be changed; nobody asks for it.
  var glance: UInt8 = 0
  /// Sessions that somebody at this node may be waiting to hear of.
  package var watched = WatchedSessions()
  /// Of this node's own sessions, the last version that was given.
  var localVersion: UInt64 = 0

  package init(limits: SessionLimits = SessionLimits(), faults: Set<SessionFault> = []) {
    self.faults = faults
    hasFaults = !faults.isEmpty
    precondition((1...65_535).contains(limits.entryOperationsMax), "entryOperationsMax")
    self.limits = limits
    // Owners count what they know of, and may be ahead of each other by what is in flight.
    records = Slab(max: 2 * limits.sessionsMax)
    principals = Slab(max: 2 * limits.sessionsMax)
    attachments = Slab(max: 2 * limits.sessionsMax)
    // Some hundred in each when the store is full.
    var shards = 64
    while shards < Slot.count, shards * 128 < limits.sessionsMax { shards *= 2 }
    locals = ShardIndex(shards: shards)
    principalIndex = ShardIndex(shards: shards)
    wheel = TimerWheel(timersMax: 2 * limits.sessionsMax)
  }

  /// Becomes what another store is, which becomes what this one was. What this node alone knows of
  /// its sessions is left behind.
  func swap(with other: SessionStore) {
    Swift.swap(&slabs, &other.slabs)
    Swift.swap(&records, &other.records)
    Swift.swap(&principals, &other.principals)
    Swift.swap(&attachments, &other.attachments)
    Swift.swap(&slots, &other.slots)
    Swift.swap(&locals, &other.locals)
    Swift.swap(&principalIndex, &other.principalIndex)
    Swift.swap(&fence, &other.fence)
    Swift.swap(&wheel, &other.wheel)
    (appliedIndex, other.appliedIndex) = (other.appliedIndex, appliedIndex)
    (count, other.count) = (other.count, count)
    (tombstones, other.tombstones) = (other.tombstones, tombstones)
    cancelSnapshot()
    other.cancelSnapshot()
  }

  @inline(__always)
  func has(_ fault: SessionFault) -> Bool { hasFaults && faults.contains(fault) }

  // MARK: Finding

  @inline(__always)
  private func localShard(_ id: SessionID) -> Int {
    Int(truncatingIfNeeded: id.high) & (locals.shards &- 1)
  }

  /// 0 when there is none.
  @inline(__always)
  func number(of id: SessionID) -> UInt32 {
    let hash = UInt32(truncatingIfNeeded: id.low &>> 32)
    if id.isLocal {
      return locals.find(localShard(id), hash) { records[$0].isNamed(id) }
    }
    return slots.find(Int(id.place), hash) { records[$0].isNamed(id) }
  }

  package func find(_ id: SessionID) -> SessionRef? {
    let number = number(of: id)
    return number == 0 ? nil : SessionRef(number: number)
  }

  /// Sessions by slot, tombstones too.
  package var slotLoads: [UInt32] {
    (0..<Slot.count).map { UInt32(truncatingIfNeeded: slots.count($0)) }
  }

  package func count(slot: Slot) -> Int { slots.count(Int(slot.rawValue)) }

  /// Bytes held of the system's memory, as far as they were ever used.
  package var bytes: Int { slabs.bytes }

  // MARK: Coming and going

  @inline(__always)
  func link(_ number: UInt32, _ id: SessionID) {
    let hash = UInt32(truncatingIfNeeded: id.low &>> 32)
    if id.isLocal {
      locals.insert(localShard(id), hash, number, &slabs)
    } else {
      slots.insert(Int(id.place), hash, number, &slabs)
    }
    records[number].flags = Record.linked
    count &+= 1
  }

  /// It can't be found any more. What is in flight for it still comes back to its record.
  func unlink(_ number: UInt32) {
    let id = records[number].id
    let hash = UInt32(truncatingIfNeeded: id.low &>> 32)
    if id.isLocal {
      locals.remove(localShard(id), hash, number, &slabs)
    } else {
      slots.remove(Int(id.place), hash, number, &slabs)
    }
    count -= 1
    if records[number].phase == .closed { tombstones -= 1 }
    freeParts(number)
    leavePrincipal(number)
    detachAll(number)
    let timer = records[number].timer
    if timer != 0 { wheel.cancel(TimerIndex(rawValue: timer), payload: number) }
    records[number].timer = 0
    if records[number].inFlight > 0 {
      records[number].flags = Record.leaving
    } else {
      records.give(number)
    }
  }

  /// An operation of this node on this record has come back.
  @inline(__always)
  func landed(_ number: UInt32) {
    records[number].inFlight &-= 1
    if records[number].flags & Record.leaving != 0, records[number].inFlight == 0 {
      records.give(number)
    }
  }

  /// State, name, keys and events.
  func freeParts(_ number: UInt32) {
    freeBlock(number)
    freeKeys(number)
    freeOutbox(number)
  }

  // MARK: States

  func freeBlock(_ number: UInt32) {
    guard let block = unsafe records[number].block else { return }
    unsafe slabs.give(block, records[number].blockBytes)
    addBytes(number, -records[number].blockBytes)
    unsafe records[number].block = nil
    (records[number].stateLength, records[number].nameLength) = (0, 0)
  }

  /// A block for the name and the state of a record that has none.
  @inline(__always)
  func setBlock(_ number: UInt32, name: UnsafeRawBufferPointer, state: UnsafeRawBufferPointer) {
    let bytes = name.count &+ state.count
    records[number].nameLength = UInt8(truncatingIfNeeded: name.count)
    records[number].stateLength = UInt32(truncatingIfNeeded: state.count)
    guard bytes > 0 else { return }
    addBytes(number, bytes)
    let block = unsafe slabs.take(bytes)
    if let base = name.baseAddress { unsafe block.copyMemory(from: base, byteCount: name.count) }
    if let base = state.baseAddress {
      unsafe (block + name.count).copyMemory(from: base, byteCount: state.count)
    }
    unsafe records[number].block = block
  }

  /// What stands in the record behind `kept` bytes of its state becomes `bytes`.
  func setState(_ number: UInt32, keeping kept: Int, _ bytes: UnsafeRawBufferPointer) {
    let front = Int(records[number].nameLength) + kept
    let (old, oldBytes) = unsafe (records[number].block, records[number].blockBytes)
    let newBytes = front + bytes.count
    addBytes(number, newBytes - oldBytes)
    records[number].stateLength = UInt32(truncatingIfNeeded: kept + bytes.count)
    if let old = unsafe old, newBytes > 0,
      ByteSlabs.room(for: oldBytes) == ByteSlabs.room(for: newBytes)
    {
      if let base = bytes.baseAddress {
        unsafe (old + front).copyMemory(from: base, byteCount: bytes.count)
      }
      return
    }
    var block: UnsafeMutableRawPointer?
    if newBytes > 0 {
      let fresh = unsafe slabs.take(newBytes)
      if let old = unsafe old { unsafe fresh.copyMemory(from: old, byteCount: front) }
      if let base = bytes.baseAddress {
        unsafe (fresh + front).copyMemory(from: base, byteCount: bytes.count)
      }
      unsafe block = fresh
    }
    if let old = unsafe old { unsafe slabs.give(old, oldBytes) }
    unsafe records[number].block = block
  }

  @inline(__always)
  func stateBytes(_ number: UInt32) -> UnsafeRawBufferPointer {
    guard let block = unsafe records[number].block else {
      return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }
    return unsafe UnsafeRawBufferPointer(
      start: block + Int(records[number].nameLength), count: Int(records[number].stateLength))
  }

  func nameBytes(_ number: UInt32) -> UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(
      start: records[number].block, count: Int(records[number].nameLength))
  }
}
