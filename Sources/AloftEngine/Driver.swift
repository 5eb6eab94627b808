/// What drives one event loop: sockets and time, real in AloftUV, simulated in AloftSim.
///
/// The driver owns the thread of control. Before it sleeps it asks `EventLoop.prepareToSleep()`;
/// with what happened it calls `EventLoop.turn`. All of this is called on the loop's own thread,
/// but for `wake()`. Statuses are 0 or negative errno values.
package protocol Driver: AnyObject {
  /// The memory that events' data lies in: a write of bytes from there needs no copy.
  var arena: UnsafeRawBufferPointer { get }
  /// At the end of a turn, or before the first: events' data lies in `memory` from now on, which
  /// has the arena's size and stays the caller's. What lies in the arena before it stays as it is.
  func exchangeArena(for memory: UnsafeMutableRawPointer)
  /// Monotonic nanoseconds.
  func now() -> UInt64
  /// Carries the operations out in order; returns how many have left a result that is not 0.
  func submit(_ operations: UnsafeMutablePointer<Operation>, count: Int) -> Int
  func connect(to address: SocketAddress, from local: SocketAddress?) -> DriverResult<UInt32>
  /// Takes over a connected stream socket; on a failure the caller still owns the descriptor.
  func adopt(descriptor: Int32) -> DriverResult<UInt32>
  /// Listens; answers the address that was really bound. See `ListenRequest`.
  func listen(_ request: ListenRequest) -> DriverResult<SocketAddress>
  func resumeListener(_ index: UInt16)
  func closeListener(_ index: UInt16)
  func name(of slot: UInt32, peer: Bool) -> SocketAddress?
  /// Closes a descriptor that was handed over and found no taker.
  func discard(descriptor: Int32)
  /// Any thread: has the loop take a turn soon.
  func wake()
  /// Ends the driver's run at the end of this turn.
  func stop()
  /// Zeroed memory in whole pages, which freeing gives back to the system.
  func allocatePages(bytes: Int) -> UnsafeMutableRawPointer?
  func freePages(_ pages: UnsafeMutableRawPointer, bytes: Int)
}

package enum DriverResult<Value> {
  case success(Value)
  /// A negative errno value; `-ENOSPC`, which no socket call answers, for a full table.
  case failure(Int32)
  /// The address is none, before the system was asked; a negative errno value.
  case invalidAddress(Int32)
}

package struct ListenRequest: Sendable {
  package var index: UInt16
  package var address: SocketAddress
  package var backlog: Int32
  /// The first loop to listen has the port to itself before its siblings join.
  package var first: Bool
  /// Report accepted descriptors instead of adopting them.
  package var handOver: Bool
  /// A socket that listens already, and was handed to this process; the address says nothing then.
  package var inherited: Int32?

  package init(
    index: UInt16, address: SocketAddress, backlog: Int32, first: Bool, handOver: Bool
  ) {
    self.index = index
    self.address = address
    self.backlog = backlog
    self.first = first
    self.handOver = handOver
  }
}
