/// One resource, or the place for one, as the pool's logic sees it. Each transition consumes the
/// state that it begins with; one that can't begin there is a mistake of the engine, and traps.
struct PoolSlot {
  enum State: Equatable {
    case vacant
    case opening
    /// Open: idle somewhere, or lent.
    case out
    case checking
    case closing
  }

  /// What it is wanted at home for.
  enum Errand: Equatable { case none, check, close }

  private(set) var state = State.vacant
  var upstream = 0
  var errand = Errand.none
  /// It comes home with each return.
  var isRecalled = false
  var isReclaiming = false
  var expiresAt = UInt64.max
  /// What was last seen of it, and when it first looked like that.
  var seen: UInt64 = 0
  var seenSince: UInt64 = 0
  var checkedAt: UInt64 = 0

  mutating func open() { move(from: .vacant, to: .opening) }
  mutating func opened() { move(from: .opening, to: .out) }
  mutating func openFailed() { move(from: .opening, to: .vacant) }
  mutating func check() { move(from: .out, to: .checking) }
  mutating func checked() { move(from: .checking, to: .out) }
  mutating func close() { move(from: .out, to: .closing) }

  mutating func closed() {
    move(from: .closing, to: .vacant)
    let upstream = upstream
    self = PoolSlot()
    self.upstream = upstream
  }

  private mutating func move(from: State, to: State) {
    guard state == from else {
      preconditionFailure("a pool's slot goes to \(to) from \(from), and is in \(state)")
    }
    state = to
  }
}
