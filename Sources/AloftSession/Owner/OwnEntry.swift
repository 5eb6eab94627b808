/// An operation that waits to come back from the log.
struct PendingOperation {
  var token: UInt64
  /// The session's record; 0 when it had none.
  var number: UInt32
  /// What it takes of its principal's room, in ``PrincipalRoom``; 0 for none.
  var room: UInt32
  var bytes: UInt32
  var isCreate: Bool
  /// Somebody waits for the answer: it isn't the owner's own.
  var isAwaited: Bool
}

/// An entry of this node that is not resolved.
struct OwnEntry {
  var sequence: UInt64
  var bytes: [UInt8]
  var operations: [PendingOperation]
  /// The leader's, until all before it are resolved.
  var verdict: SessionVerdict?
}

/// What principals are about to take, by operations in flight: a second one mustn't get the room
/// that the first one has.
struct PrincipalRoom {
  struct Taken {
    var principal = Principal.anyone
    var sessions = 0
    var bytes = 0
    var operations = 0
  }

  private var numbers: [Principal: UInt32] = [:]
  private(set) var taken = [Taken()]
  private var free: [UInt32] = []

  func taken(by principal: Principal) -> Taken {
    numbers[principal].map { taken[Int($0)] } ?? Taken()
  }

  mutating func take(_ principal: Principal, sessions: Int, bytes: Int) -> UInt32 {
    var number = numbers[principal] ?? 0
    if number == 0 {
      number = free.popLast() ?? UInt32(taken.count)
      let entry = Taken(principal: principal)
      if Int(number) == taken.count { taken.append(entry) } else { taken[Int(number)] = entry }
      numbers[principal] = number
    }
    taken[Int(number)].sessions += sessions
    taken[Int(number)].bytes += bytes
    taken[Int(number)].operations += 1
    return number
  }

  mutating func give(_ number: UInt32, sessions: Int, bytes: Int) {
    taken[Int(number)].sessions -= sessions
    taken[Int(number)].bytes -= bytes
    taken[Int(number)].operations -= 1
    guard taken[Int(number)].operations == 0 else { return }
    numbers[taken[Int(number)].principal] = nil
    free.append(number)
  }
}
