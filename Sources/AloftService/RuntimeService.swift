public import Aloft
public import ServiceLifecycle

/// A runtime in a service group: it runs until the group shuts down, and drains then.
///
/// ```swift
/// let runtime = try Runtime()
/// let group = ServiceGroup(
///   services: [RuntimeService(runtime), api], gracefulShutdownSignals: [.sigterm], logger: logger)
/// try await group.run()
/// ```
/// A group ends its services in reverse order: put the runtime before whatever runs on it.
public struct RuntimeService: Service {
  public let runtime: Runtime
  private let drain: Duration

  /// - Parameter drain: what connections get to finish at a graceful shutdown. A cancellation
  ///   closes them at once.
  public init(_ runtime: Runtime, drain: Duration = .seconds(5)) {
    self.runtime = runtime
    self.drain = drain
  }

  public func run() async throws {
    do {
      try await gracefulShutdown()
    } catch {
      await runtime.shutdown(within: .zero)
      throw error
    }
    await runtime.shutdown(within: drain)
  }
}
