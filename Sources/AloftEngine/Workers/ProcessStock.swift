/// Processes of one kind: those in use, and spares that run already and wait on their channels, so
/// that whoever is killed has a successor at once. Belongs to one loop.
///
/// Spares are made up in the background, one at a time with a pause between: to start one holds
/// the loop up. When they don't live long, the pauses grow.
package final class ProcessStock: ChildProcessOwner {
  package let spawn: ProcessSpawn
  package let sparesWanted: Int
  private unowned let loop: EventLoop
  private var spares: [ChildProcess] = []
  private var timer: TimerID?
  private var failures = 0
  private var isClosed = false

  /// Milliseconds from a spare's promotion, or between two starts.
  private static let pause: UInt64 = 5
  private static let pauseMax: UInt64 = 5_000

  package init(_ spawn: ProcessSpawn, spares: Int, on loop: EventLoop) {
    self.spawn = spawn
    sparesWanted = spares
    self.loop = loop
  }

  package var spareCount: Int { spares.count }

  /// A spare, or when there is none a process started now.
  package func take() throws(EngineError) -> ChildProcess {
    if let spare = spares.popLast() {
      spare.owner = nil
      refill()
      return spare
    }
    let process = try ChildProcess.start(spawn, on: loop)
    refill()
    return process
  }

  /// Has the spares made up, beginning in a moment.
  package func refill() {
    guard !isClosed, timer == nil, spares.count < sparesWanted else { return }
    let pause = min(Self.pause << UInt64(min(failures, 20)), Self.pauseMax)
    timer = loop.startTimer(afterMilliseconds: pause, period: 0, beyondLimit: true) {
      [weak self] in self?.startSpare()
    }
  }

  private func startSpare() {
    timer = nil
    guard !isClosed, loop.isRunning, spares.count < sparesWanted else { return }
    do throws(EngineError) {
      let spare = try ChildProcess.start(spawn, on: loop)
      spare.owner = self
      spares.append(spare)
    } catch {
      failures += 1
    }
    refill()
  }

  /// Ends the spares.
  package func close() {
    isClosed = true
    if let timer { loop.cancelTimer(timer) }
    timer = nil
    for spare in spares { spare.end() }
    spares = []
  }

  package func received(_ process: ChildProcess, _ bytes: UnsafeRawBufferPointer) {
    // One that has something to say before it is spoken to does what it should.
    failures = 0
  }

  package func writable(_ process: ChildProcess) {}

  package func ended(_ process: ChildProcess, _ end: ProcessEnd) {
    spares.removeAll { $0 === process }
    failures += 1
    refill()
  }
}
