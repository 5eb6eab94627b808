// Moodycamel's ConcurrentQueue, with a token a thread, which is its fastest way. It has no bound,
// so its producers never wait; it keeps the order of a producer only.
#include <concurrentqueue/concurrentqueue.h>

#include <new>

#include "peer.h"

using peer_queue = moodycamel::ConcurrentQueue<uint64_t>;

struct peer_side {
  alignas(moodycamel::ProducerToken) unsigned char put[sizeof(moodycamel::ProducerToken)];
  alignas(moodycamel::ConsumerToken) unsigned char take[sizeof(moodycamel::ConsumerToken)];
  moodycamel::ProducerToken &producer() {
    return *reinterpret_cast<moodycamel::ProducerToken *>(put);
  }
  moodycamel::ConsumerToken &consumer() {
    return *reinterpret_cast<moodycamel::ConsumerToken *>(take);
  }
};

static peer_queue *peer_queue_new(unsigned capacity) { return new peer_queue(capacity); }
static void peer_queue_free(peer_queue *queue) { delete queue; }

static void peer_side_begin(peer_queue *queue, peer_side *side, bool producer) {
  if (producer)
    new (side->put) moodycamel::ProducerToken(*queue);
  else
    new (side->take) moodycamel::ConsumerToken(*queue);
}

static void peer_side_end(peer_queue *, peer_side *side, bool producer) {
  if (producer)
    side->producer().~ProducerToken();
  else
    side->consumer().~ConsumerToken();
}

PEER_INLINE bool peer_push(peer_queue *queue, peer_side *side, uint64_t item) {
  return queue->enqueue(side->producer(), item);
}

PEER_INLINE bool peer_pop(peer_queue *queue, peer_side *side, uint64_t *item) {
  return queue->try_dequeue(side->consumer(), *item);
}

#include "peer_queue.h"
