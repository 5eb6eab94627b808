package import AloftEngine
package import CAloftLoop

/// An event loop on the application's own libuv loop, whose thread and run are the application's.
@safe
package final class HostedLoop: @unchecked Sendable {
  // @unchecked: made and used on the thread that runs the host's loop.
  package let loop: EventLoop
  package let names: Names
  private let driver: UVDriver
  private var onEnded: (() -> Void)?

  /// The calling thread becomes the event loop's: it is the one that runs `host`.
  package init(host: UnsafeMutablePointer<uv_loop_t>, _ options: LoopGroupOptions)
    throws(EngineError)
  {
    try LoopGroup.check(options)
    guard EventLoop.current == nil else {
      throw EngineError(.invalidOption, "the thread runs an event loop already")
    }
    driver = unsafe try UVDriver(connectionsMax: options.connectionsMax, host: host)
    var loopOptions = options.loop
    loopOptions.connectionsMax = options.connectionsMax
    do throws(EngineError) {
      loop = try EventLoop(position: 0, loops: 1, options: loopOptions, driver: driver)
    } catch {
      // Gone in the turns of the host's loop that follow, which keep the driver until then.
      driver.stop()
      throw error
    }
    driver.attach(loop)
    loop.setSiblings([loop])
    names = Names(loops: [loop])
    loop.enterThread()
  }

  /// Has `action` called, in a close callback of the host's loop, when the event loop has left it.
  /// Before `EventLoop.requestStop`; keeps this object alive until then.
  package func whenEnded(_ action: @escaping () -> Void) {
    driver.whenClosed { [self] in
      loop.end()
      loop.leaveThread()
      loop.forgetSiblings()
      action()
    }
  }
}
