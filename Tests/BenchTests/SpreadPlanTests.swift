// How 100,000 sockets are dealt out, shown for the limits of descriptors that machines have.
import Testing

@testable import aloft_bench

@Test(arguments: [(1_024, 131), (20_000, 6), (1_048_576, 4)])
func hundredThousandSocketsFitEveryProcess(descriptorsMax: Int, processes: Int) throws {
  let plan = try #require(
    SpreadPlan(sockets: 100_000, descriptorsMax: descriptorsMax, processesMin: 4))
  #expect(plan.processes == processes)
  #expect(plan.sockets == 100_000)
  #expect(plan.perProcess.allSatisfy { $0 + SpreadPlan.reserve <= descriptorsMax })
  #expect(plan.perProcess.max()! - plan.perProcess.min()! <= 1)
}

@Test(arguments: [0, 1, SpreadPlan.reserve])
func aLimitThatLeavesNoRoomHasNoPlan(descriptorsMax: Int) {
  #expect(SpreadPlan(sockets: 1, descriptorsMax: descriptorsMax) == nil)
}

@Test(arguments: [1, 4, 6, 131])
func sourceAddressesAreManyAndNeverShared(processes: Int) {
  let plans = (0..<processes).map {
    SourceAddresses.plan(sockets: 100_000, processes: processes, index: $0)
  }
  let addresses = plans.flatMap { $0.addresses }
  #expect(Set(addresses).count == addresses.count)
  #expect(addresses.count >= SourceAddresses.addressesMin)
  #expect(100_000 / addresses.count <= SourceAddresses.connectionsPerAddress)
  #expect(addresses.allSatisfy { $0 >> 24 == 127 && $0 & 0xff != 0 && $0 & 0xff != 255 })
}
