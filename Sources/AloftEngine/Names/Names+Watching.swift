package import AloftAtomics
package import AloftRegistry

/// A watch whose changes are told on an event loop.
package final class LoopWatch: Watch, @unchecked Sendable {
  // @unchecked: immutable, but for what `Watch` proves itself.
  private let loop: EventLoop
  private let body: @Sendable (NameChange) -> Void

  package init(on loop: EventLoop, _ body: @escaping @Sendable (NameChange) -> Void) {
    self.loop = loop
    self.body = body
  }

  // One job is under way at a time, so it need not be refused.
  override package func wake() { loop.executeUnrefused { self.deliver() } }

  override package func tell(_ change: NameChange) { body(change) }
}

extension Names {
  /// Has `watch` told of each change of a key from now on, in order, each once; the answer is whom
  /// it stands for now. Any thread.
  package func watch(_ key: RegistryKey, _ watch: LoopWatch) -> Target? {
    section { $0.watch(key, watch) }
  }

  package func unwatch(_ key: RegistryKey, _ watch: LoopWatch) {
    section { $0.unwatch(key, watch) }
  }

  package func watch(group: NameKey, _ watch: LoopWatch) -> [Target] {
    section { $0.watch(group: group, watch) }
  }

  package func unwatch(group: NameKey, _ watch: LoopWatch) {
    section { $0.unwatch(group: group, watch) }
  }
}
