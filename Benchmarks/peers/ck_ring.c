// Concurrency Kit's ring, with its calls for many producers and many consumers.
#include <ck_ring.h>

#include "peer.h"

typedef struct item {
  uint64_t value;
} item;

CK_RING_PROTOTYPE(item, item)

typedef struct peer_queue {
  ck_ring_t ring __attribute__((aligned(128)));
  item *items;
} peer_queue;

typedef struct peer_side {
  int none;
} peer_side;

static peer_queue *peer_queue_new(unsigned capacity) {
  peer_queue *queue = aligned_alloc(128, (sizeof *queue + 127) / 128 * 128);
  if (!queue) peer_fail("no memory");
  queue->items = aligned_alloc(128, capacity * sizeof *queue->items);
  if (!queue->items) peer_fail("no memory");
  ck_ring_init(&queue->ring, capacity);
  return queue;
}

static void peer_queue_free(peer_queue *queue) {
  free(queue->items);
  free(queue);
}

static void peer_side_begin(peer_queue *queue, peer_side *side, bool producer) {
  (void)queue, (void)side, (void)producer;
}

static void peer_side_end(peer_queue *queue, peer_side *side, bool producer) {
  (void)queue, (void)side, (void)producer;
}

PEER_INLINE bool peer_push(peer_queue *queue, peer_side *side, uint64_t value) {
  (void)side;
  item one = {value};
  return CK_RING_ENQUEUE_MPMC(item, &queue->ring, queue->items, &one);
}

PEER_INLINE bool peer_pop(peer_queue *queue, peer_side *side, uint64_t *value) {
  (void)side;
  item one;
  if (!CK_RING_DEQUEUE_MPMC(item, &queue->ring, queue->items, &one)) return false;
  *value = one.value;
  return true;
}

#include "peer_queue.h"
