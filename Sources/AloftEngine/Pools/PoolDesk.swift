import AloftPool

/// What the home of a pool works with, on its thread alone. It lies in memory of its own because
/// an access to a variable of an object is checked for exclusivity, and the checks of one
/// hand-over would cost as much as the hand-over.
@safe
struct PoolDesk: ~Copyable {
  var actions: [PoolAction] = []
  /// Those that are being carried out.
  var performing: [PoolAction] = []
  var waiters: [Unmanaged<PoolWaiter>?] = unsafe [nil]
  var wantsSeek = false
  /// The shelf has been found empty since the gate last shut, and home has shelved nothing since:
  /// whoever else does so pokes.
  var isShelfBare = false
  /// All loops have been asked for what they keep since the gate last shut.
  var hasAskedLoops = false
  var isServing = false
  /// The home's loop has had its last turn: what there is to be done is done by whoever brings it.
  var hasEnded = false
  var isHandlerThrough = false
  var timerAt = UInt64.max
  var asked: [LoopAsked]

  /// Of a loop: its answer is under way, it kept something when it was asked, and it has to be
  /// asked once more.
  struct LoopAsked {
    var isUnderWay = false
    var keptSome = false
    var again = false
  }

  init(loops: Int) { asked = Array(repeating: LoopAsked(), count: loops) }
}

extension PoolHome {
  /// Where it lies: what is yielded instead is copied at each use, all of it.
  var state: PoolState {
    @inline(__always) unsafeAddress { unsafe UnsafePointer(logic) }
    @inline(__always) unsafeMutableAddress { unsafe logic }
  }

  var asked: [PoolDesk.LoopAsked] {
    _read { yield unsafe desk.pointee.asked }
    _modify { yield unsafe &desk.pointee.asked }
  }

  var actions: [PoolAction] {
    _read { yield unsafe desk.pointee.actions }
    _modify { yield unsafe &desk.pointee.actions }
  }

  var performing: [PoolAction] {
    _read { yield unsafe desk.pointee.performing }
    _modify { yield unsafe &desk.pointee.performing }
  }

  var waiters: [Unmanaged<PoolWaiter>?] {
    _read { yield unsafe desk.pointee.waiters }
    _modify { yield unsafe &desk.pointee.waiters }
  }

  var wantsSeek: Bool {
    get { unsafe desk.pointee.wantsSeek }
    set { unsafe desk.pointee.wantsSeek = newValue }
  }

  var isShelfBare: Bool {
    get { unsafe desk.pointee.isShelfBare }
    set { unsafe desk.pointee.isShelfBare = newValue }
  }

  var hasAskedLoops: Bool {
    get { unsafe desk.pointee.hasAskedLoops }
    set { unsafe desk.pointee.hasAskedLoops = newValue }
  }

  var isServing: Bool {
    get { unsafe desk.pointee.isServing }
    set { unsafe desk.pointee.isServing = newValue }
  }

  var isHandlerThrough: Bool {
    get { unsafe desk.pointee.isHandlerThrough }
    set { unsafe desk.pointee.isHandlerThrough = newValue }
  }

  var hasEnded: Bool {
    get { unsafe desk.pointee.hasEnded }
    set { unsafe desk.pointee.hasEnded = newValue }
  }

  var timerAt: UInt64 {
    get { unsafe desk.pointee.timerAt }
    set { unsafe desk.pointee.timerAt = newValue }
  }
}
