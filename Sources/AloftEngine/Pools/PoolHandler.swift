/// What a pool is a pool of: opens, closes and checks the resource of a slot. Each call comes on
/// the loop that is the pool's home, or once that has ended on whichever thread brings what is
/// left, and must not block; its outcome is told to the pool, at once or later, from any thread.
///
/// Open, and so public, for the reason that `ConnectionHandler` is.
open class PoolHandler: @unchecked Sendable {
  // @unchecked: no stored properties; subclasses prove their own.
  public init() {}

  /// `PoolHome.opened` or `openFailed` follows.
  open func open(_ slot: Int, upstream: Int) {}
  /// `PoolHome.closed` follows.
  open func close(_ slot: Int) {}
  /// `PoolHome.checked` follows. Not called unless `hasCheck`.
  open func check(_ slot: Int) {}
  open var hasCheck: Bool { false }
  /// The pool is drained: the last call.
  open func drained() {}
}

/// One who asked for a lease that was not there, and is answered once: `granted` or `refused`, on
/// the loop that is the pool's home.
@safe
open class PoolWaiter: @unchecked Sendable {
  // @unchecked: the nodes are the pool's while they are under way, `index` and `generation` are
  // its home's; subclasses prove their own.
  private var memory: UnsafeMutablePointer<PoolNode>?
  /// Nanoseconds of the runtime's clock; 0 for none.
  var deadline: UInt64 = 0
  var since: UInt64 = 0
  /// What the pool's home calls it.
  var index: UInt32 = 0
  var generation: UInt32 = 0

  public init() {}

  deinit { unsafe memory?.deallocate() }

  /// One to wait by and one to cancel by, made when there is need of a message: at home there is
  /// none. For whoever waits or cancels, one after the other.
  var nodes: UnsafeMutablePointer<PoolNode> {
    if let memory = unsafe memory { return unsafe memory }
    let made = UnsafeMutablePointer<PoolNode>.allocate(capacity: 2)
    unsafe made.initialize(repeating: PoolNode(), count: 2)
    unsafe memory = unsafe made
    return unsafe made
  }

  open func granted(_ lease: UInt64) {}
  open func refused(_ refusal: PoolRefused) {}
}

/// Why a lease was refused; see `PoolRefusal`.
public enum PoolRefused: Equatable, Sendable {
  case queueFull(waiting: Int, max: Int)
  case timedOut(waited: UInt64)
  case upstreamDown(failures: Int, retryIn: UInt64)
  case closed
  case cancelled
}

/// What is sent to a pool's home, or to a loop that keeps some of its resources. Its memory is
/// the sender's, and there is one for each thing that can be under way, so nothing is refused.
struct PoolNode {
  enum Kind: UInt32 {
    /// A slot came home.
    case returned, broken, reclaimed, doubtful
    /// What became of opening, closing and checking it.
    case opened, openFailed, closed, sound, unsound
    /// There is something on the shelf.
    case poke
    case waiter, cancel
    /// A loop has brought what it kept.
    case flushed
  }

  /// `MailboxWord`'s.
  var link: UInt = 0
  var kind = Kind.poke
  /// A slot, or a loop's position.
  var number: UInt32 = 0
  /// A lease, or a retained waiter.
  var word: UInt = 0
}
