// The records that pass between an event loop and its driver, in arrays, once per turn.
//
// Their layout is that of the C shim's structs; AloftUV refuses to start when it is not.

/// What happened.
package enum EventKind: UInt8 {
  /// `slot` is a new connection that the listener `tag` has accepted.
  case accepted = 1
  /// `length` is a descriptor that the listener `tag` wants adopted on some loop.
  case handed = 2
  case connected = 3
  /// `data` and `length`: bytes that stay where they are until the turn ends.
  case data = 4
  /// The peer has shut its sending side down.
  case end = 5
  /// `length`: bytes of the queue that a slow peer has taken now.
  case progress = 6
  /// `status`: the slot's socket is broken and must be closed.
  case failed = 7
  /// `status`: the listener `tag` had to turn a connection away.
  case refused = 8
  /// `slot << 32 | length` is the tag of a process that has ended; `flags` says what `status` is.
  case exited = 9
}

@safe
package struct Event {
  package var slot: UInt32
  package var kind: UInt8
  package var flags: UInt8
  package var tag: UInt16
  package var status: Int32
  package var length: UInt32
  package var data: UnsafePointer<UInt8>?

  /// With `refused`: the listener is paused, because nothing can be accepted at all.
  package static let listenerPaused: UInt8 = 1
  /// With `exited`: the status is an exit code; a signal, negated; without either, an errno value.
  package static let processExited: UInt8 = 2
  package static let processSignaled: UInt8 = 4

  package init(
    _ kind: EventKind, slot: UInt32 = .max, tag: UInt16 = 0, status: Int32 = 0, flags: UInt8 = 0,
    data: UnsafePointer<UInt8>? = nil, length: UInt32 = 0
  ) {
    self.slot = slot
    self.kind = kind.rawValue
    self.flags = flags
    self.tag = tag
    self.status = status
    self.length = length
    unsafe self.data = unsafe data
  }
}

/// What to do.
package enum OperationKind: UInt8 {
  case write = 1
  /// A further piece of a write, reached through `next`; nothing on its own.
  case segment = 2
  /// Shut the sending side down; nothing may be queued.
  case end = 3
  /// Close if nothing is queued; otherwise the result is the number of bytes queued.
  case close = 4
  /// Close whatever is queued: with RST if that loses bytes, else with FIN.
  case drop = 5
  case reset = 6
  case pause = 7
  case resume = 8
}

@safe
package struct Operation {
  package var slot: UInt32
  package var kind: UInt8
  package var reserved: (UInt8, UInt8, UInt8) = (0, 0, 0)
  package var next: UInt32 = Self.noSegment
  package var length: UInt32
  package var data: UnsafePointer<UInt8>?
  /// Written by `submit`: bytes that a write has added to the queue, or a negative errno value.
  package var result: Int64 = 0

  package static let noSegment = UInt32.max

  @inline(__always)
  package init(
    _ kind: OperationKind, slot: UInt32, data: UnsafePointer<UInt8>? = nil, length: UInt32 = 0
  ) {
    self.slot = slot
    self.kind = kind.rawValue
    self.length = length
    unsafe self.data = unsafe data
  }
}
