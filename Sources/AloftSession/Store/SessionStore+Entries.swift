internal import AloftMembership

extension SessionStore {
  /// A version's low bits are the operation's place in its entry.
  static let versionShift: UInt64 = 16

  /// Applies an entry of the log, to which the fence gives its verdict, or the leader gave one.
  ///
  /// - Parameter done: told what each operation has come to, in order; those that are refused come
  ///   to `moved`.
  @inline(__always)
  func apply(
    index: UInt64, entry: UnsafeRawBufferPointer, by given: SessionVerdict? = nil,
    _ done: (OperationView, Evaluation) -> Void
  ) -> SessionVerdict {
    var verdict = SessionVerdict(index: index, kind: .applied)
    var reader = unsafe RawReader(entry)
    guard let header = try? SessionEntryHeader(&reader) else {
      malformed += 1
      verdict.kind = .malformed
      return verdict
    }
    verdict.incarnation = header.incarnation
    if given == nil, !fence.isCurrent(header.origin, header.incarnation) {
      verdict.kind = .stale
      return verdict
    }
    // By the log alone, lest an owner that is ahead of it finds no gap where all others do.
    let shown = fence.shown(of: header.origin)
    let last = given == nil ? fence.sequence(of: header.origin) : shown
    guard header.sequence == last &+ 1 else {
      verdict.kind = header.sequence <= last ? .duplicate : .gap
      return verdict
    }
    // From here on it counts, whatever is in it: who sent it goes on with the next one.
    if given == nil { fence.count(header.origin, header.sequence) }
    let isShown = header.sequence <= shown
    if !isShown { fence.show(header.origin, header.sequence) }
    guard isWhole(reader, header) else {
      malformed += 1
      verdict.kind = .malformed
      return verdict
    }
    var nextRefused = 0
    for position in 0..<header.operations {
      guard let view = try? OperationView(&reader) else { break }
      let isRefused: Bool
      if let given {
        isRefused = nextRefused < given.refused.count && given.refused[nextRefused] == position
        if isRefused { nextRefused += 1 }
      } else {
        // What is in the memory of one node is no business of the log's.
        isRefused =
          view.head.id.slot.map { slot in
            !fence.passes(slot, of: header.origin, epoch: header.epoch) && !has(.fenceUnchecked)
          } ?? true
      }
      if isRefused {
        if given == nil { verdict.refused.append(position) }
        if isShown { continue }
        done(view, Evaluation(SessionOutcome(.moved)))
        continue
      }
      if isShown { continue }
      let version = index &<< Self.versionShift | UInt64(position &+ 1)
      done(view, perform(view, version: version))
    }
    return given ?? verdict
  }

  /// Whether it has as many operations as it says, and nothing else.
  ///
  /// On the way it looks at their sessions: what of these is in no cache comes for several at a
  /// time here, and would be waited for one after the other when they are changed.
  private func isWhole(_ start: RawReader, _ header: SessionEntryHeader) -> Bool {
    guard header.operations < 1 << Self.versionShift else { return false }
    var reader = start
    var seen: UInt8 = 0
    for _ in 0..<header.operations {
      guard let view = try? OperationView(&reader) else { return false }
      seen ^= firstByte(number(of: view.head.id))
    }
    glance = seen
    return reader.remaining == 0
  }

  /// Of its name and state; of one that isn't there, nothing.
  @inline(__always)
  private func firstByte(_ number: UInt32) -> UInt8 {
    guard number != 0, let block = unsafe records[number].block else { return 0 }
    return unsafe block.load(as: UInt8.self)
  }

  /// The cluster is now this, since the entry of this index.
  func clusterChanged(_ state: ClusterState, index: UInt64) -> [Int] {
    fence.change(to: state, index: index)
  }
}
