/// How a world behaves. Times in nanoseconds, sizes in bytes; ranges are drawn from at random.
package struct SimOptions: Sendable {
  /// For how long something is on its way through the network.
  package var delay = 1_000...2_000_000
  /// For how long a loop that has something to do waits for a processor.
  package var turnDelay = 0...200_000
  /// Room of one direction of a stream: both sockets' buffers and what is on its way.
  package var streamBytes = 64...65_536
  /// Most that arrives at once.
  package var fragmentBytes = 1...4_096
  /// Percentage of turns in which only some of what is ready is reported.
  package var partialPolls = 20
  /// Percentage of receives and sends that take less than they could.
  package var shortCalls = 20
  /// Per loop: records and bytes handed over at once, and the most that one receive takes.
  package var eventsMax = 4...64
  package var readBytes = 64...4_096
  package var readsPerArena = 2...8
  /// Slots come from so many of the table's chunks, so that chunks come and go.
  package var slotChunks = 3
  /// A fault that is built in on purpose.
  package var fault = SimFault.none

  package init() {}

  /// No delay but one nanosecond, no partial anything: for stories about exact times.
  package static var exact: SimOptions {
    var options = SimOptions()
    options.delay = 1...1
    options.turnDelay = 0...0
    options.streamBytes = 65_536...65_536
    options.fragmentBytes = 65_536...65_536
    options.partialPolls = 0
    options.shortCalls = 0
    options.eventsMax = 64...64
    options.readBytes = 65_536...65_536
    options.readsPerArena = 4...4
    return options
  }
}

/// Wrong versions of the driver: a checker that doesn't notice them sees nothing.
package enum SimFault: Sendable, CaseIterable {
  case none
  /// Some `progress` events are never reported.
  case dropProgress
  /// Bytes are reported after the end of the stream.
  case dataAfterEnd
  /// Part of what was received is reported twice.
  case duplicateBytes
  /// Part of what was to be queued is lost.
  case loseBytes
  /// The end of a stream is reported twice.
  case endTwice
  /// The arena is not exchanged: what messages refer to is received into again.
  case keepArena
}

/// A process of the world: what its loops share.
package final class SimProcess {
  /// Descriptors of sockets that may be open at a time.
  package var descriptorsMax: Int
  package internal(set) var descriptorsUsed = 0
  /// One is kept back to answer arrivals when there is no other.
  package var hasSpare = true

  package init(descriptorsMax: Int = .max) { self.descriptorsMax = descriptorsMax }
}

/// A digest of all that has happened (FNV-1a over words), to tell whether two histories are one.
package struct SimDigest: Equatable, Sendable {
  package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func mix(_ word: UInt64) {
    value = (value ^ word) &* 0x0000_0100_0000_01b3
    value ^= value &>> 29
  }
}
