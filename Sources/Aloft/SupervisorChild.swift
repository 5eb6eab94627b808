internal import AloftEngine
internal import AloftSupervision
internal import AloftUV

/// What a supervisor is to start: a worker, a process, or another supervisor.
public struct SupervisorChild: Sendable {
  /// Made on the supervisor's loop, with what its children have in common.
  typealias Make =
    @Sendable (AloftEngine.Supervisor, ProcessStocks, LoopGroup)
    throws -> (any SupervisedChild)

  let kind: ChildKind
  let make: Make

  /// A worker.
  /// - Parameters:
  ///   - name: unique among the supervisor's children; nil for one that is known by its `Worker`.
  ///   - startWithin: how long `started` may take to be answered, on another loop; nil for ever.
  ///   - stopWithin: how long what waits in its mailbox may take to be handled when it is stopped;
  ///     then it is dropped. 0 drops it at once.
  ///   - loop: where its handlers live; nil for the runtime's loops in turn.
  ///   - make: called on that loop, at each start.
  public static func worker(
    _ name: String? = nil, restart: RestartPolicy = .permanent, startWithin: Duration? = nil,
    stopWithin: Duration = .seconds(5), on loop: EventLoop? = nil,
    options: WorkerOptions = .init(),
    _ make: @escaping @Sendable () throws -> some WorkerHandler
  ) throws(AloftError) -> SupervisorChild {
    let engineOptions = try options.engineOptions()
    let kind = try kind(restart, startWithin, stopWithin)
    return SupervisorChild(kind: kind) { _, _, group in
      MailboxWorker(
        name: name, on: loop?.core ?? group.nextLoop(), options: engineOptions,
        make: { WorkerAdapter(try make()) })
    }
  }

  /// A process, on the supervisor's loop.
  /// - Parameters:
  ///   - startWithin: how long its first message may take, if that is waited for.
  ///   - stopWithin: how long it may take to end after the stop signal; then comes SIGKILL.
  public static func process(
    _ name: String? = nil, _ program: ProcessProgram, restart: RestartPolicy = .permanent,
    startWithin: Duration? = nil, stopWithin: Duration = .seconds(5),
    options: ProcessOptions = .init(), handler: some ProcessHandler
  ) throws(AloftError) -> SupervisorChild {
    let engineOptions = try options.engineOptions()
    let kind = try kind(restart, startWithin, stopWithin)
    guard 0...1_024 ~= program.spares else {
      throw AloftError(.invalidOption, "spares is \(program.spares); 0 to 1024 are possible")
    }
    return SupervisorChild(kind: kind) { supervisor, stocks, _ in
      AloftEngine.ProcessWorker(
        name: name, stock: stocks.stock(of: program, on: supervisor.loop),
        options: engineOptions, behavior: ProcessAdapter(handler), on: supervisor.loop)
    }
  }

  /// A supervisor below this one, on the same loop. When its children fail too often it fails
  /// itself, and is restarted as a whole; its children's mailboxes stay.
  public static func supervisor(
    _ name: String? = nil, _ options: SupervisorOptions = .init(),
    restart: RestartPolicy = .permanent,
    @SupervisorChildren _ children: () throws -> [SupervisorChild]
  ) throws -> SupervisorChild {
    let engineOptions = try options.engineOptions()
    let children = try children()
    let observer = options.onEvent
    let kind = ChildKind(
      policy: restart.engine, startLimit: 0, stopLimit: ChildKind.unlimited)
    return SupervisorChild(kind: kind) { supervisor, stocks, group in
      let below = AloftEngine.Supervisor(
        on: supervisor.loop, name: name, options: engineOptions, seed: .random(in: 0 ... .max))
      if let observer { below.observer = { observer(SupervisorEvent($0)) } }
      for child in children { try child.add(to: below, stocks, group, lasts: true) }
      return below
    }
  }

  private static func kind(
    _ restart: RestartPolicy, _ start: Duration?, _ stop: Duration
  ) throws(AloftError) -> ChildKind {
    ChildKind(
      policy: restart.engine, startLimit: try start.milliseconds("startWithin"),
      stopLimit: try limit(stop, "stopWithin"))
  }

  /// On the supervisor's loop.
  @discardableResult
  func add(
    to supervisor: AloftEngine.Supervisor, _ stocks: ProcessStocks, _ group: LoopGroup,
    lasts: Bool
  ) throws -> any SupervisedChild {
    let child = try make(supervisor, stocks, group)
    do throws(EngineError) {
      try supervisor.add(child, kind, lasts: lasts)
    } catch {
      throw AloftError(error)
    }
    return child
  }
}

/// Lists a supervisor's children: `.worker`, `.process` and `.supervisor`, with `if` and `for`.
@resultBuilder
public enum SupervisorChildren {
  public static func buildExpression(_ child: SupervisorChild) -> [SupervisorChild] { [child] }
  public static func buildExpression(_ children: [SupervisorChild]) -> [SupervisorChild] {
    children
  }
  public static func buildBlock(_ parts: [SupervisorChild]...) -> [SupervisorChild] {
    parts.count == 1 ? parts[0] : parts.flatMap(\.self)
  }
  public static func buildArray(_ parts: [[SupervisorChild]]) -> [SupervisorChild] {
    parts.flatMap(\.self)
  }
  public static func buildOptional(_ part: [SupervisorChild]?) -> [SupervisorChild] { part ?? [] }
  public static func buildEither(first: [SupervisorChild]) -> [SupervisorChild] { first }
  public static func buildEither(second: [SupervisorChild]) -> [SupervisorChild] { second }
}

/// One stock of processes for each program. On the supervisor's loop.
final class ProcessStocks: @unchecked Sendable {
  // @unchecked: touched on one loop's thread only.
  private var stocks: [ProcessProgram: ProcessStock] = [:]

  func stock(of program: ProcessProgram, on loop: AloftEngine.EventLoop) -> ProcessStock {
    if let known = stocks[program] { return known }
    let stock = ProcessStock(program.spawn, spares: program.spares, on: loop)
    stocks[program] = stock
    stock.refill()
    return stock
  }

  var spareCount: Int { stocks.values.reduce(0) { $0 + $1.spareCount } }

  func close() {
    for stock in stocks.values { stock.close() }
    stocks = [:]
  }
}
