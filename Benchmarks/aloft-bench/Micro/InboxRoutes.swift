import AloftAtomics
import CBenchBricks

/// One way from producers to a consumer, in our code and in C.
struct InboxRoute {
  var config: String
  /// Items of a full round: a tenth of a second or so.
  var items: UInt64
  var aloft: (UInt64) -> InboxRun
  /// `nil` where C has no such thing: an inbox is more than a ring.
  var twin: ((UInt64) -> InboxRun)?

  private static let capacity = 4096

  static var all: [InboxRoute] {
    [
      single("spsc 1p1c", bulk: 1, items: 8_000_000),
      single("spsc bulk=64", bulk: 64, items: 20_000_000),
      lane("inbox lane 1p1c", bulk: 1, items: 4_000_000),
      lane("inbox lane bulk=64", bulk: 64, items: 20_000_000),
      several("mpsc 1p1c", producers: 1, bulk: 1, items: 4_000_000),
      several("mpsc 2p1c", producers: 2, bulk: 1, items: 4_000_000),
      several("mpsc 2p1c bulk=64", producers: 2, bulk: 64, items: 8_000_000),
      alone,
      aloneForeign,
    ]
  }

  private static func single(_ config: String, bulk: Int, items: UInt64) -> InboxRoute {
    InboxRoute(
      config: config, items: items,
      aloft: { items in
        let rings = Rings()
        return InboxRun(
          items: items,
          producers: [{ spscProduce(rings.spsc, items, bulk) }],
          consumer: { spscConsume(rings.spsc, items, bulk) })
      },
      twin: { items in
        let twin = TwinRing()
        return InboxRun(
          items: items,
          producers: [{ twin_spsc_produce(twin.ring, items, UInt32(bulk)) }],
          consumer: { twin_spsc_consume(twin.ring, items, UInt32(bulk)) })
      })
  }

  private static func lane(_ config: String, bulk: Int, items: UInt64) -> InboxRoute {
    InboxRoute(
      config: config, items: items,
      aloft: { items in
        let rings = Rings()
        return InboxRun(
          items: items,
          producers: [{ laneProduce(rings.inbox, items, bulk) }],
          consumer: { inboxConsume(rings.inbox, items, max(bulk, 64)) })
      })
  }

  private static func several(
    _ config: String, producers: Int, bulk: Int, items: UInt64
  ) -> InboxRoute {
    InboxRoute(
      config: config, items: items,
      aloft: { items in
        let rings = Rings()
        let each = items / UInt64(producers)
        return InboxRun(
          items: each * UInt64(producers),
          producers: (0..<producers).map { index in
            { mpscProduce(rings.mpsc, UInt64(index), each, bulk) }
          },
          consumer: { mpscConsume(rings.mpsc, each * UInt64(producers), 64) })
      },
      twin: { items in
        let twin = TwinRing()
        let each = items / UInt64(producers)
        return InboxRun(
          items: each * UInt64(producers),
          producers: (0..<producers).map { index in
            { twin_mpsc_produce(twin.ring, UInt32(index), each, UInt32(bulk)) }
          },
          consumer: { twin_mpsc_consume(twin.ring, each * UInt64(producers), 64) })
      })
  }

  private static var alone: InboxRoute {
    InboxRoute(
      config: "spsc 1 thread push+pop", items: 20_000_000,
      aloft: { items in
        let rings = Rings()
        return InboxRun(items: items, producers: [{ spscPushPop(rings.spsc, items) }])
      },
      twin: { items in
        let twin = TwinRing()
        return InboxRun(items: items, producers: [{ twin_spsc_push_pop(twin.ring, items) }])
      })
  }

  private static var aloneForeign: InboxRoute {
    InboxRoute(
      config: "mpsc 1 thread push+pop", items: 8_000_000,
      aloft: { items in
        let rings = Rings()
        return InboxRun(items: items, producers: [{ mpscPushPop(rings.mpsc, items) }])
      },
      twin: { items in
        let twin = TwinRing()
        return InboxRun(items: items, producers: [{ twin_mpsc_push_pop(twin.ring, items) }])
      })
  }

  /// Ours, held by the threads of a run together.
  private final class Rings: Sendable {
    let spsc = SPSCRing(capacity: InboxRoute.capacity)
    let mpsc = MPSCRing(capacity: InboxRoute.capacity)
    let inbox = LoopInbox(
      owner: 0, loops: 2, laneCapacity: InboxRoute.capacity,
      foreignCapacity: InboxRoute.capacity)
  }

  /// The twin's, likewise.
  private final class TwinRing: @unchecked Sendable {
    // Sendable: the pointer is set once, and C's side is as safe as ours.
    let ring: OpaquePointer

    init() {
      guard let ring = twin_ring_new(InboxRoute.capacity) else {
        preconditionFailure("no memory for a ring")
      }
      self.ring = ring
    }

    deinit { twin_ring_free(ring) }
  }
}
