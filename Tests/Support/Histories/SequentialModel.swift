/// What a thing does when one thread at a time uses it: the measure of a history.
public protocol SequentialModel {
  /// What was asked, and what was answered.
  associatedtype Operation
  associatedtype State: Hashable

  var initial: State { get }

  /// Carries `operation` out on `state`; `false` when its answer can't come from that state. The
  /// state is then of no further use.
  func apply(_ operation: Operation, to state: inout State) -> Bool

  /// Whether an operation with this answer changes nothing, from whatever state it has it. Such
  /// a one need not be tried at several places. Not one that has the same answer where it changes
  /// something: to register what is registered already may be answered as if it were new.
  func isReadOnly(_ operation: Operation) -> Bool

  /// In which order to try operations that might each come next, lowest first, one rank for each
  /// operation of `history`. A good guess saves time; a bad one costs only time.
  func ranks(_ history: [Timed<Operation>]) -> [UInt64]
}

extension SequentialModel {
  /// Whoever was answered first probably came first.
  public func ranks(_ history: [Timed<Operation>]) -> [UInt64] { history.map(\.responded) }
}
