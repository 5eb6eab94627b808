import AloftPool

/// What the home of a pool works with, on its thread alone. It lies in memory of its own because
/// an access to a variable of an object is checked for exclusivity, and the checks of one
/// hand-over would cost as much as the hand-over.
@safe
struct PoolDesk: ~Copyable {
  var state: PoolState
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

  init(_ state: consuming PoolState) { self.state = state }
}

extension PoolHome {
  var state: PoolState {
    _read { yield unsafe desk.pointee.state }
    _modify { yield unsafe &desk.pointee.state }
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
