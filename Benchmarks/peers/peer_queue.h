// The loops of a queue under test, for as many producers as consumers. A peer defines `peer_queue`,
// `peer_side` (what a thread keeps for itself) and the functions below, then includes this.
//
//   peer_queue *peer_queue_new(unsigned capacity);
//   void peer_side_begin(peer_queue *, peer_side *, bool producer), peer_side_end(...);
//   bool peer_push(peer_queue *, peer_side *, uint64_t item);    // false: full
//   bool peer_pop(peer_queue *, peer_side *, uint64_t *item);    // false: empty
//
// Run as `PROGRAM queue PAIRS CORE CORE`, producers on the first core, it says `ready` and answers
// each line `hop` with nanoseconds an item, until its input ends.
#ifndef PEER_QUEUE_H
#define PEER_QUEUE_H

#include "peer.h"

enum { PEER_CAPACITY = 1024, PEER_ITEMS_MIN = 1 << 18, PEER_PAIRS_MAX = 8 };

typedef struct peer_worker {
  peer_queue *queue;
  pthread_barrier_t *gate;
  int core;
  bool producer;
  uint64_t first, items, sum;
  uint64_t begin, end;
} peer_worker;

static __attribute__((noinline)) void peer_produce(peer_worker *worker, peer_side *side) {
  unsigned idle = 0;
  for (uint64_t sent = 0; sent < worker->items;) {
    uint64_t item = worker->first + sent;
    if (!peer_push(worker->queue, side, item)) {
      peer_wait(&idle);
      continue;
    }
    idle = 0;
    worker->sum += item;
    sent++;
  }
}

static __attribute__((noinline)) void peer_consume(peer_worker *worker, peer_side *side) {
  unsigned idle = 0;
  for (uint64_t got = 0; got < worker->items;) {
    uint64_t item = 0;
    if (!peer_pop(worker->queue, side, &item)) {
      peer_wait(&idle);
      continue;
    }
    idle = 0;
    worker->sum += item;
    got++;
  }
}

static void *peer_work(void *context) {
  peer_worker *worker = (peer_worker *)context;
  peer_pin(worker->core);
  {
    peer_side side;
    peer_side_begin(worker->queue, &side, worker->producer);
    pthread_barrier_wait(worker->gate);
    worker->begin = peer_now();
    if (worker->producer)
      peer_produce(worker, &side);
    else
      peer_consume(worker, &side);
    worker->end = peer_now();
    peer_side_end(worker->queue, &side, worker->producer);
  }
  return NULL;
}

// Nanoseconds that it takes to bring all items through a new queue.
static uint64_t peer_pass(unsigned pairs, const int *cores, uint64_t items) {
  peer_queue *queue = peer_queue_new(PEER_CAPACITY);
  pthread_barrier_t gate;
  pthread_t threads[2 * PEER_PAIRS_MAX];
  peer_worker workers[2 * PEER_PAIRS_MAX];
  uint64_t each = items / pairs, sent = 0, got = 0;
  pthread_barrier_init(&gate, NULL, 2 * pairs);
  for (unsigned i = 0; i < 2 * pairs; i++) {
    bool producer = i < pairs;
    int core = cores[producer ? 0 : 1];
    peer_worker worker = {queue, &gate, core, producer, i * each + 1, each, 0, 0, 0};
    workers[i] = worker;
    if (pthread_create(&threads[i], NULL, peer_work, &workers[i])) peer_fail("no thread");
  }
  for (unsigned i = 0; i < 2 * pairs; i++) pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&gate);
  uint64_t begin = workers[0].begin, end = 0;
  for (unsigned i = 0; i < 2 * pairs; i++) {
    if (workers[i].begin < begin) begin = workers[i].begin;
    if (workers[i].end > end) end = workers[i].end;
    *(i < pairs ? &sent : &got) += workers[i].sum;
  }
  if (sent != got) peer_fail("what came out is not what went in");
  peer_queue_free(queue);
  return end - begin;
}

static double peer_hop(unsigned pairs, const int *cores) {
  static uint64_t items = PEER_ITEMS_MIN;
  uint64_t taken;
  while ((taken = peer_pass(pairs, cores, items)) < PEER_ROUND_NS) items *= 2;
  return (double)taken / (double)items;
}

int main(int argc, char **argv) {
  if (argc != 5) peer_fail("wants queue PAIRS CORE CORE");
  unsigned pairs = (unsigned)atoi(argv[2]);
  int cores[2] = {atoi(argv[3]), atoi(argv[4])};
  char line[64];
  if (pairs != 1 && pairs != 2 && pairs != 4) peer_fail("wants 1, 2 or 4 pairs");
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    printf("%.3f\n", peer_hop(pairs, cores));
    fflush(stdout);
  }
  return 0;
}

#endif
