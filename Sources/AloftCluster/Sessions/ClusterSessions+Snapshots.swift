import AloftEngine
import AloftMembership
import AloftSession

/// The state of a whole node as the log keeps it: that of the cluster, and the sessions'.
///
/// Sessions are many: the store writes them out piece by piece, as they were when the snapshot was
/// asked for, while writes go on.
extension ClusterSessions {
  private static let version: UInt8 = 1
  private static let headBytes = 24
  /// Bytes written out between two turns of the loop: half a millisecond's, with memory that is
  /// used for the first time.
  private static let pieceBytes = 128 << 10

  /// A snapshot that is being written.
  struct SnapshotWriter {
    var index: UInt64
    var image: LogImage
  }

  /// Begins; the log is given the bytes later.
  func beginSnapshot(index: UInt64) {
    if snapshot != nil { store.cancelSnapshot() }
    let cluster = node.core.state.snapshot
    var bytes: [UInt8] = [Self.version, secret == nil ? 0 : 1, 0, 0]
    let length = UInt32(cluster.count)
    for shift in [0, 8, 16, 24] as [UInt32] {
      bytes.append(UInt8(truncatingIfNeeded: length >> shift))
    }
    bytes += secret ?? Array(repeating: 0, count: SessionKeys.secretBytes)
    bytes += cluster
    let image = LogImage(expected: bytes.count + store.bytes + store.bytes / 8)
    image.append(bytes)
    store.beginSnapshot()
    snapshot = SnapshotWriter(index: index, image: image)
    goOnWithSnapshot(index)
  }

  /// A piece, and the rest when the loop has done its other work.
  func goOnWithSnapshot(_ index: UInt64) {
    guard snapshot?.index == index else { return }
    if let piece = store.nextPiece(bytesMax: Self.pieceBytes) {
      snapshot?.image.append(piece)
      return goOnLater(index)
    }
    guard let done = snapshot.take() else { return }
    statistics.snapshots += 1
    node.log?.giveSnapshot(index: done.index, done.image)
  }

  /// By a timer: a job would be done in this very turn, and so would all that follow it.
  private func goOnLater(_ index: UInt64) {
    let goOn = { [self] in
      if !hasStopped { goOnWithSnapshot(index) }
    }
    let timer = node.loop.startTimer(afterMilliseconds: 1, period: 0, beyondLimit: true, goOn)
    if timer == nil { node.loop.executeUnrefused(goOn) }
  }

  /// The cluster's part of a snapshot, once the sessions have been replaced by theirs; nil when it
  /// makes no sense.
  func restore(index: UInt64, _ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
    guard bytes.count >= Self.headBytes, unsafe bytes[0] == Self.version else { return nil }
    let length = unsafe Int(
      UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
    guard length <= bytes.count - Self.headBytes else { return nil }
    let hasSecret = unsafe bytes[1] == 1
    let secret = unsafe Array(bytes[8..<Self.headBytes])
    let cluster = unsafe Array(bytes[Self.headBytes..<Self.headBytes + length])
    let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[(Self.headBytes + length)...])
    var restorer = SessionRestorer(limits: limits)
    do {
      unsafe try restorer.take(rest)
      snapshot = nil
      owner.restore(try restorer.finish(), now: ClusterNode.now())
    } catch {
      return nil
    }
    if hasSecret { set(secret: secret) }
    return cluster
  }

  /// The core has its part, too.
  func restored(index: UInt64) {
    clusterChanged(index: index)
  }
}
