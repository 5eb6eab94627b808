import AloftAtomics
import Testing

@testable import AloftRegistry

/// What the registry promises of memory, turns and bad handles, each in a case of its own.
@Suite
struct DirectoryTests {
  @Test("A name of 24 bytes costs 64 bytes beside itself at most, all included")
  func memory() throws {
    let count = 100_000
    let world = World(slots: count)
    for index in 0..<count {
      let digits = String(index)
      let name = "name" + String(repeating: "0", count: 20 - digits.count) + digits
      try world.directory.register(name: name, world.owner(index))
    }
    #expect(world.directory.nameCount == count)
    let bytes = Double(world.directory.memoryBytes) / Double(count) - 24
    print("bytes beside a name of 24: \(bytes)")
    #expect(bytes <= 64)
    for index in 0..<count { world.end(index) }
    #expect(world.directory.nameCount == 0)
  }

  @Test("An owner may have many names, and gives them up one by one without hoarding nodes")
  func manyNames() throws {
    let world = World(slots: 1)
    let owner = world.owner(0)
    for index in 0..<1_000 { try world.directory.register(name: "name \(index)", owner) }
    let before = world.directory.memoryBytes
    for round in 0..<50_000 {
      let name = "name \(round % 1_000)"
      try world.directory.unregister(name: name, owner)
      try world.directory.register(name: name, owner)
    }
    #expect(world.directory.memoryBytes - before < 100_000)
    #expect(world.directory.nameCount == 1_000)
    world.end(0)
    #expect(world.directory.nameCount == 0)
  }

  @Test("In turn: each member as often as the others", arguments: [1, 2, 7, 40])
  func turns(members count: Int) throws {
    let world = World(slots: count)
    for slot in 0..<count {
      try world.directory.withGroup("group") { key throws(RegistryError) in
        try world.directory.join(group: key, world.owner(slot))
      }
    }
    var picked: [Target: Int] = [:]
    for _ in 0..<count * 100 {
      let target = world.directory.withGroup("group") { key in
        world.directory.withMembers(of: key) { members in members[members.nextTurn()] }
      }
      picked[try #require(target), default: 0] += 1
    }
    #expect(picked.count == count && picked.values.allSatisfy { $0 == 100 })
  }

  @Test("Owners that have ended, or never were, get no names")
  func badOwners() {
    let world = World(slots: 2)
    let stale = world.owner(0)
    world.end(0, thenBegin: true)
    for owner in [stale, World.owner(1, 2), World.owner(999, 1), World.owner(1, 0xFF_FFFF)] {
      #expect(throws: RegistryError.self) { try world.directory.register(name: "name", owner) }
      #expect(throws: RegistryError.self) {
        try world.directory.withGroup("group") { key throws(RegistryError) in
          try world.directory.join(group: key, owner)
        }
      }
    }
    #expect(world.directory.nameCount == 0 && world.directory.groupCount == 0)
  }

  @Test("A target's word gives back what was put in")
  func words() {
    #expect([0, 2, 4, 8, 12].allSatisfy { Target.mailbox($0).kind == .mailbox })
    let connection = Target.connection(0x00AB_CDEF_1234_5679)
    #expect(connection.kind == .connection && connection.rawValue == 0x00AB_CDEF_1234_5679)
    #expect(connection.loop == 0xAB && connection.slot == 0xC_DEF1)
    #expect(connection.generation == 0x234_5679)
    let mailbox = Target.mailbox(0x00AB_CDEF_1234_5679)
    #expect(mailbox.kind == .mailbox && mailbox.rawValue == 0x00AB_CDEF_1234_5679)
    #expect(mailbox.loop == 0xAB && mailbox.slot == 0xCD_EF12 && mailbox.generation == 0x34_5679)
    #expect(Target.word(12).kind == .word && Target.word(12).rawValue == 12)
    #expect(mailbox.earlier(5).generation == 5 && mailbox.earlier(5).slot == mailbox.slot)
    #expect(connection.earlier(6).generation == 6 && connection.earlier(6).loop == 0xAB)
  }
}
