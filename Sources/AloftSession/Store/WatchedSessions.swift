/// Sessions that were given an event, or have ended, on whichever node: for connections of this one
/// that wait for that.
package struct WatchedSessions {
  /// Nothing is kept until somebody listens.
  package var isOn = false
  private var ids: [SessionID] = []

  @inline(__always)
  mutating func add(_ id: @autoclosure () -> SessionID) {
    if isOn { ids.append(id()) }
  }

  /// All since the last call.
  package mutating func take() -> [SessionID] {
    if ids.isEmpty { return [] }
    defer { ids = [] }
    return ids
  }
}
