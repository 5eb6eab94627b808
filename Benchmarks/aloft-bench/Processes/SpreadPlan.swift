/// How many sockets each process holds, so that none needs more descriptors than it may have.
struct SpreadPlan: Equatable {
  /// Sockets of each process, as even as can be; their sum is what was asked for.
  var perProcess: [Int]

  /// Descriptors that are not connections: standard streams, the epoll sets, eventfds, timers and
  /// listeners of the loops, files read at start-up.
  static let reserve = 256

  /// Nil when a process can't hold even one socket.
  init?(sockets: Int, descriptorsMax: Int, processesMin: Int = 1) {
    let capacity = descriptorsMax - Self.reserve
    guard capacity > 0, sockets > 0, processesMin > 0 else { return nil }
    let processes = max(processesMin, (sockets + capacity - 1) / capacity)
    let (each, over) = sockets.quotientAndRemainder(dividingBy: processes)
    perProcess = (0..<processes).map { each + ($0 < over ? 1 : 0) }
  }

  var processes: Int { perProcess.count }
  var sockets: Int { perProcess.reduce(0, +) }
}

/// Source addresses for the clients. connect() searches long for a free port when one pair of
/// addresses has some 14,000 connections; each process gets addresses of its own.
struct SourceAddresses: Equatable {
  /// IPv4, host byte order.
  var first: UInt32
  var count: UInt32

  var addresses: [UInt32] { (0..<count).map { first + $0 } }

  static let connectionsPerAddress = 7_000
  static let addressesMin = 13

  /// 127.1.0.1 and on, for process `index` of `processes` that hold `sockets` together.
  static func plan(sockets: Int, processes: Int, index: Int) -> SourceAddresses {
    let wanted = max(addressesMin, (sockets + connectionsPerAddress - 1) / connectionsPerAddress)
    let each = UInt32((wanted + processes - 1) / processes)
    return SourceAddresses(first: 0x7f01_0001 + UInt32(index) * each, count: each)
  }
}
