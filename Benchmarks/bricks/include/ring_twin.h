#ifndef RING_TWIN_H
#define RING_TWIN_H

// The rings of Sources/AloftAtomics, written in C11: the same algorithms, layouts and orders, so
// that the bench can hold the Swift ones against them, in turn, in one run.

#include <stddef.h>
#include <stdint.h>

typedef struct twin_ring twin_ring;

// What a side of a run did. The items of a producer are base + 1, base + 2, ...
typedef struct twin_tally {
  uint64_t items;
  uint64_t checksum;      // the sum of all items
  uint64_t out_of_order;  // items that came before an earlier one of their producer
} twin_tally;

// A ring for either kind of use; capacity is a power of two. NULL when there is no memory.
twin_ring *twin_ring_new(size_t capacity);
void twin_ring_free(twin_ring *ring);

// Waits a little, longer the more often it is called in a row: what both languages' benches do
// when a ring is full or empty. *idle is 0 at first, and again after progress.
void twin_wait(unsigned *idle);

// What both languages' benches do with a batch, so that it costs the same: fill it with first,
// first + 1, ...; sum it; account for it at the consumer. next[] holds what is expected of each
// producer, as twin_expect sets it up; with one producer that is the count so far.
void twin_fill(uint64_t *buffer, uint64_t first, size_t count);
uint64_t twin_sum(const uint64_t *buffer, size_t count);
void twin_expect(uint64_t *next);
void twin_account_one(twin_tally *tally, const uint64_t *buffer, size_t count);
void twin_account(twin_tally *tally, uint64_t *next, const uint64_t *buffer, size_t count);

// One producer and one consumer, each on its own thread. bulk = 1: one by one; at most 256.
twin_tally twin_spsc_produce(twin_ring *ring, uint64_t items, unsigned bulk);
twin_tally twin_spsc_consume(twin_ring *ring, uint64_t items, unsigned bulk);

// Several producers, told apart by the top bits of their items, and one consumer.
twin_tally twin_mpsc_produce(twin_ring *ring, unsigned producer, uint64_t items, unsigned bulk);
twin_tally twin_mpsc_consume(twin_ring *ring, uint64_t items, unsigned bulk);

// Push and pop on one thread, items times.
twin_tally twin_spsc_push_pop(twin_ring *ring, uint64_t items);
twin_tally twin_mpsc_push_pop(twin_ring *ring, uint64_t items);

enum { TWIN_PRODUCER_SHIFT = 56, TWIN_PRODUCERS_MAX = 8, TWIN_BULK_MAX = 256 };

#endif
