package import AloftEngine
import CAloftLoop
import Glibc

/// Processes, through the C shim.
extension UVDriver: ProcessDriver {
  package func startProcess(
    _ spawn: ProcessSpawn, tag: UInt64
  ) -> DriverResult<StartedProcess> {
    let strings = CStrings([spawn.path] + spawn.arguments)
    let environment = CStrings(spawn.environment)
    let directory = CStrings(spawn.directory.map { [$0] } ?? [])
    var how = unsafe aloft__spawn()
    unsafe how.path = unsafe UnsafePointer(strings.pointers[0])
    unsafe how.arguments = unsafe UnsafePointer(strings.pointers)
    unsafe how.environment = unsafe UnsafePointer(environment.pointers)
    if let first = unsafe directory.pointers[0] {
      unsafe how.directory = unsafe UnsafePointer(first)
    }
    let descriptors = spawn.descriptors.map(Self.number)
    func at(_ index: Int) -> Int32 {
      index < descriptors.count ? descriptors[index] : Self.number(.closed)
    }
    unsafe how.descriptors = (at(0), at(1), at(2), at(3))
    var process: OpaquePointer?
    var channel: Int32 = -1
    let status = unsafe aloft__process_start(loop, &how, tag, &process, &channel)
    guard status == 0, let process = unsafe process else { return .failure(status) }
    return .success(
      StartedProcess(
        handle: UInt(bitPattern: process), pid: unsafe aloft__process_pid(process),
        channel: channel))
  }

  private static func number(_ descriptor: ProcessSpawn.Descriptor) -> Int32 {
    switch descriptor {
    case .closed: Int32(ALOFT__SPAWN_CLOSED)
    case .null: Int32(ALOFT__SPAWN_NULL)
    case .channel: Int32(ALOFT__SPAWN_CHANNEL)
    case .inherited(let number): number < 0 ? Int32(ALOFT__SPAWN_CLOSED) : number
    }
  }

  package func signalProcess(_ handle: UInt, _ number: Int32) -> Int32 {
    unsafe aloft__process_signal(OpaquePointer(bitPattern: handle)!, number)
  }

  package func freeProcess(_ handle: UInt) {
    unsafe aloft__process_free(OpaquePointer(bitPattern: handle)!)
  }
}

/// An array of C strings with NULL behind the last, for as long as this lives.
@safe
private final class CStrings {
  let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let count: Int

  init(_ strings: [String]) {
    count = strings.count
    unsafe pointers = .allocate(capacity: count + 1)
    for index in 0..<count { unsafe (pointers + index).initialize(to: strdup(strings[index])) }
    unsafe (pointers + count).initialize(to: nil)
  }

  deinit {
    for index in 0..<count { unsafe free(pointers[index]) }
    unsafe pointers.deallocate()
  }
}
