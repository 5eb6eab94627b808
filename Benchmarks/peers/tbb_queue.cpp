// oneTBB's concurrent_bounded_queue.
#include <tbb/concurrent_queue.h>

#include "peer.h"

using peer_queue = tbb::concurrent_bounded_queue<uint64_t>;
struct peer_side {};

static peer_queue *peer_queue_new(unsigned capacity) {
  auto *queue = new peer_queue;
  queue->set_capacity(capacity);
  return queue;
}

static void peer_queue_free(peer_queue *queue) { delete queue; }
static void peer_side_begin(peer_queue *, peer_side *, bool) {}
static void peer_side_end(peer_queue *, peer_side *, bool) {}

PEER_INLINE bool peer_push(peer_queue *queue, peer_side *, uint64_t item) {
  return queue->try_push(item);
}

PEER_INLINE bool peer_pop(peer_queue *queue, peer_side *, uint64_t *item) {
  return queue->try_pop(*item);
}

#include "peer_queue.h"
