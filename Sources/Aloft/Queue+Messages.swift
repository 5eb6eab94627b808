internal import AloftQueue

extension Queue {
  /// The bytes of the messages, oldest first, for `for try await`: ends when the queue is closed
  /// and empty; throws `CancellationError`. Any number of tasks may iterate; each message goes to
  /// one.
  ///
  /// Each message is copied to an array; `pop()` in a loop hands over the messages themselves.
  public var messages: Messages { Messages(queue: self) }

  /// See ``Queue/messages``.
  public struct Messages: AsyncSequence, Sendable {
    let queue: Queue

    public struct AsyncIterator: AsyncIteratorProtocol {
      let queue: Queue

      public mutating func next() async throws -> [UInt8]? {
        guard let message = try await queue.pop() else { return nil }
        return unsafe message.withUnsafeBytes { unsafe Array($0) }
      }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(queue: queue) }
  }
}
