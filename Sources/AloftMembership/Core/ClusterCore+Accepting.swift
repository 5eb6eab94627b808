extension ClusterCore {
  /// Whether this node may accept at this very moment. `isAccepting` is as of the last event; a node
  /// that was stopped meanwhile has to ask.
  package func accepts(now: UInt64) -> Bool { isAccepting && now < lease.until }
}
