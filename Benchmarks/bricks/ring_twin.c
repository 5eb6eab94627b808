#include "ring_twin.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 128 };

struct words {
  // The producers' line.
  _Alignas(LINE_BYTES) _Atomic uint64_t tail;
  _Atomic uint64_t head_seen;  // plain in the one-producer ring: relaxed is the same code
  // The consumer's line.
  _Alignas(LINE_BYTES) _Atomic uint64_t head;
  uint64_t tail_seen;
  _Alignas(LINE_BYTES) _Atomic uint64_t slots[];
};

// As in Swift, an address and a mask that are handed about by value and stay in registers.
typedef struct ring {
  struct words *words;
  uint64_t mask;
} ring;

struct twin_ring {
  ring ring;
};

twin_ring *twin_ring_new(size_t capacity) {
  twin_ring *twin = malloc(sizeof *twin);
  if (twin == NULL) return NULL;
  size_t bytes = sizeof(struct words) + capacity * sizeof(uint64_t);
  bytes = (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
  twin->ring.words = aligned_alloc(LINE_BYTES, bytes);
  if (twin->ring.words == NULL) {
    free(twin);
    return NULL;
  }
  memset((void *)twin->ring.words, 0, bytes);
  twin->ring.mask = capacity - 1;
  return twin;
}

void twin_ring_free(twin_ring *twin) {
  if (twin == NULL) return;
  free((void *)twin->ring.words);
  free(twin);
}

void twin_wait(unsigned *idle) {
  if (++*idle < 128) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  } else {
    sched_yield();
  }
}

// MARK: One producer

static inline bool spsc_push(const ring ring, uint64_t item) {
  uint64_t tail = atomic_load_explicit(&ring.words->tail, memory_order_relaxed);
  if (tail - atomic_load_explicit(&ring.words->head_seen, memory_order_relaxed) > ring.mask) {
    uint64_t head = atomic_load_explicit(&ring.words->head, memory_order_acquire);
    atomic_store_explicit(&ring.words->head_seen, head, memory_order_relaxed);
    if (tail - head > ring.mask) return false;
  }
  *(uint64_t *)&ring.words->slots[tail & ring.mask] = item;
  atomic_store_explicit(&ring.words->tail, tail + 1, memory_order_release);
  return true;
}

static inline size_t spsc_push_bulk(const ring ring, const uint64_t *items, size_t wanted) {
  uint64_t tail = atomic_load_explicit(&ring.words->tail, memory_order_relaxed);
  uint64_t capacity = ring.mask + 1;
  uint64_t room =
      capacity - (tail - atomic_load_explicit(&ring.words->head_seen, memory_order_relaxed));
  if (room < wanted) {
    uint64_t head = atomic_load_explicit(&ring.words->head, memory_order_acquire);
    atomic_store_explicit(&ring.words->head_seen, head, memory_order_relaxed);
    room = capacity - (tail - head);
  }
  size_t count = room < wanted ? room : wanted;
  if (count == 0) return 0;
  size_t first = tail & ring.mask;
  size_t run = count < capacity - first ? count : capacity - first;
  memcpy((uint64_t *)ring.words->slots + first, items, run * sizeof *items);
  if (run < count) {
    memcpy((uint64_t *)ring.words->slots, items + run, (count - run) * sizeof *items);
  }
  atomic_store_explicit(&ring.words->tail, tail + count, memory_order_release);
  return count;
}

static inline bool spsc_pop(const ring ring, uint64_t *item) {
  uint64_t head = atomic_load_explicit(&ring.words->head, memory_order_relaxed);
  if (head == ring.words->tail_seen) {
    uint64_t tail = atomic_load_explicit(&ring.words->tail, memory_order_acquire);
    ring.words->tail_seen = tail;
    if (head == tail) return false;
  }
  *item = *(uint64_t *)&ring.words->slots[head & ring.mask];
  atomic_store_explicit(&ring.words->head, head + 1, memory_order_release);
  return true;
}

static inline size_t spsc_pop_bulk(const ring ring, uint64_t *target, size_t limit) {
  uint64_t head = atomic_load_explicit(&ring.words->head, memory_order_relaxed);
  uint64_t capacity = ring.mask + 1;
  uint64_t ready = ring.words->tail_seen - head;
  if (ready < limit) {
    ring.words->tail_seen = atomic_load_explicit(&ring.words->tail, memory_order_acquire);
    ready = ring.words->tail_seen - head;
  }
  size_t count = ready < limit ? ready : limit;
  if (count == 0) return 0;
  size_t first = head & ring.mask;
  size_t run = count < capacity - first ? count : capacity - first;
  memcpy(target, (uint64_t *)ring.words->slots + first, run * sizeof *target);
  if (run < count) {
    memcpy(target + run, (uint64_t *)ring.words->slots, (count - run) * sizeof *target);
  }
  atomic_store_explicit(&ring.words->head, head + count, memory_order_release);
  return count;
}

// MARK: Several producers

static inline int64_t mpsc_room(const ring ring, uint64_t tail, int64_t wanted) {
  int64_t capacity = (int64_t)(ring.mask + 1);
  uint64_t seen = atomic_load_explicit(&ring.words->head_seen, memory_order_acquire);
  int64_t known = capacity - (int64_t)(tail - seen);
  if (known >= wanted) return known;
  uint64_t head = atomic_load_explicit(&ring.words->head, memory_order_acquire);
  atomic_store_explicit(&ring.words->head_seen, head, memory_order_release);
  return capacity - (int64_t)(tail - head);
}

static inline bool mpsc_push(const ring ring, uint64_t item) {
  uint64_t tail = atomic_load_explicit(&ring.words->tail, memory_order_relaxed);
  do {
    if (mpsc_room(ring, tail, 1) < 1) return false;
  } while (!atomic_compare_exchange_strong_explicit(
      &ring.words->tail, &tail, tail + 1, memory_order_seq_cst, memory_order_relaxed));
  atomic_store_explicit(&ring.words->slots[tail & ring.mask], item, memory_order_release);
  return true;
}

static inline size_t mpsc_push_bulk(const ring ring, const uint64_t *items, size_t wanted) {
  uint64_t tail = atomic_load_explicit(&ring.words->tail, memory_order_relaxed);
  int64_t count;
  do {
    count = mpsc_room(ring, tail, (int64_t)wanted);
    if (count > (int64_t)wanted) count = (int64_t)wanted;
    if (count < 1) return 0;
  } while (!atomic_compare_exchange_strong_explicit(
      &ring.words->tail, &tail, tail + (uint64_t)count, memory_order_seq_cst,
      memory_order_relaxed));
  for (int64_t i = 0; i < count; i++) {
    atomic_store_explicit(&ring.words->slots[(tail + (uint64_t)i) & ring.mask], items[i],
                          memory_order_release);
  }
  return (size_t)count;
}

static inline bool mpsc_pop(const ring ring, uint64_t *item) {
  uint64_t head = atomic_load_explicit(&ring.words->head, memory_order_relaxed);
  _Atomic uint64_t *slot = &ring.words->slots[head & ring.mask];
  *item = atomic_load_explicit(slot, memory_order_acquire);
  if (*item == 0) return false;
  atomic_store_explicit(slot, 0, memory_order_relaxed);
  atomic_store_explicit(&ring.words->head, head + 1, memory_order_release);
  return true;
}

static inline size_t mpsc_pop_bulk(const ring ring, uint64_t *target, size_t limit) {
  uint64_t head = atomic_load_explicit(&ring.words->head, memory_order_relaxed);
  size_t count = 0;
  while (count < limit) {
    _Atomic uint64_t *slot = &ring.words->slots[(head + count) & ring.mask];
    uint64_t item = atomic_load_explicit(slot, memory_order_acquire);
    if (item == 0) break;
    atomic_store_explicit(slot, 0, memory_order_relaxed);
    target[count++] = item;
  }
  if (count > 0) atomic_store_explicit(&ring.words->head, head + count, memory_order_release);
  return count;
}

// MARK: Batches

void twin_fill(uint64_t *buffer, uint64_t first, size_t count) {
  for (size_t i = 0; i < count; i++) buffer[i] = first + i;
}

uint64_t twin_sum(const uint64_t *buffer, size_t count) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i++) sum += buffer[i];
  return sum;
}

void twin_expect(uint64_t *next) {
  for (uint64_t i = 0; i < TWIN_PRODUCERS_MAX; i++) next[i] = (i << TWIN_PRODUCER_SHIFT) + 1;
}

void twin_account_one(twin_tally *tally, const uint64_t *buffer, size_t count) {
  uint64_t checksum = 0, out_of_order = 0, expected = tally->items + 1;
  for (size_t i = 0; i < count; i++) {
    checksum += buffer[i];
    out_of_order += buffer[i] != expected + i;
  }
  tally->items += count;
  tally->checksum += checksum;
  tally->out_of_order += out_of_order;
}

void twin_account(twin_tally *tally, uint64_t *next, const uint64_t *buffer, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint64_t *expected = &next[(buffer[i] >> TWIN_PRODUCER_SHIFT) % TWIN_PRODUCERS_MAX];
    tally->checksum += buffer[i];
    tally->out_of_order += buffer[i] != *expected;
    *expected = buffer[i] + 1;
  }
  tally->items += count;
}

// MARK: The two sides of a run

static inline void progress(size_t count, unsigned *idle) {
  if (count == 0) {
    twin_wait(idle);
  } else {
    *idle = 0;
  }
}

static inline size_t next_batch(uint64_t *buffer, uint64_t base, uint64_t sent, uint64_t items,
                                unsigned bulk) {
  size_t wanted = items - sent < bulk ? items - sent : bulk;
  twin_fill(buffer, base + sent + 1, wanted);
  return wanted;
}

twin_tally twin_spsc_produce(twin_ring *twin, uint64_t items, unsigned bulk) {
  const ring ring = twin->ring;
  twin_tally tally = {0, 0, 0};
  uint64_t buffer[TWIN_BULK_MAX];
  unsigned idle = 0;
  while (tally.items < items) {
    size_t count = 0;
    if (bulk == 1) {
      uint64_t item = tally.items + 1;
      count = spsc_push(ring, item);
      if (count > 0) tally.checksum += item;
    } else {
      count = spsc_push_bulk(ring, buffer, next_batch(buffer, 0, tally.items, items, bulk));
      tally.checksum += twin_sum(buffer, count);
    }
    tally.items += count;
    progress(count, &idle);
  }
  return tally;
}

twin_tally twin_spsc_consume(twin_ring *twin, uint64_t items, unsigned bulk) {
  const ring ring = twin->ring;
  twin_tally tally = {0, 0, 0};
  uint64_t buffer[TWIN_BULK_MAX];
  unsigned idle = 0;
  while (tally.items < items) {
    size_t count = 0;
    if (bulk == 1) {
      uint64_t item = 0;
      count = spsc_pop(ring, &item);
      tally.items += count;
      tally.checksum += item;
      tally.out_of_order += count > 0 && item != tally.items;
    } else {
      count = spsc_pop_bulk(ring, buffer, bulk);
      twin_account_one(&tally, buffer, count);
    }
    progress(count, &idle);
  }
  return tally;
}

twin_tally twin_mpsc_produce(twin_ring *twin, unsigned producer, uint64_t items,
                             unsigned bulk) {
  const ring ring = twin->ring;
  twin_tally tally = {0, 0, 0};
  uint64_t buffer[TWIN_BULK_MAX];
  uint64_t base = (uint64_t)producer << TWIN_PRODUCER_SHIFT;
  unsigned idle = 0;
  while (tally.items < items) {
    size_t count = 0;
    if (bulk == 1) {
      uint64_t item = base + tally.items + 1;
      count = mpsc_push(ring, item);
      if (count > 0) tally.checksum += item;
    } else {
      count = mpsc_push_bulk(ring, buffer, next_batch(buffer, base, tally.items, items, bulk));
      tally.checksum += twin_sum(buffer, count);
    }
    tally.items += count;
    progress(count, &idle);
  }
  return tally;
}

twin_tally twin_mpsc_consume(twin_ring *twin, uint64_t items, unsigned bulk) {
  const ring ring = twin->ring;
  twin_tally tally = {0, 0, 0};
  uint64_t next[TWIN_PRODUCERS_MAX];
  uint64_t buffer[TWIN_BULK_MAX];
  unsigned idle = 0;
  twin_expect(next);
  while (tally.items < items) {
    size_t count = mpsc_pop_bulk(ring, buffer, bulk);
    twin_account(&tally, next, buffer, count);
    progress(count, &idle);
  }
  return tally;
}

twin_tally twin_spsc_push_pop(twin_ring *twin, uint64_t items) {
  const ring ring = twin->ring;
  // Not in a tally: a struct that is returned would live in memory, and cost more than the ring.
  uint64_t got = 0, checksum = 0, out_of_order = 0, item = 0;
  for (uint64_t i = 1; i <= items; i++) {
    if (spsc_push(ring, i) && spsc_pop(ring, &item)) {
      got += 1;
      checksum += item;
      out_of_order += item != i;
    }
  }
  return (twin_tally){got, checksum, out_of_order};
}

twin_tally twin_mpsc_push_pop(twin_ring *twin, uint64_t items) {
  const ring ring = twin->ring;
  uint64_t got = 0, checksum = 0, out_of_order = 0, item = 0;
  for (uint64_t i = 1; i <= items; i++) {
    if (mpsc_push(ring, i) && mpsc_pop(ring, &item)) {
      got += 1;
      checksum += item;
      out_of_order += item != i;
    }
  }
  return (twin_tally){got, checksum, out_of_order};
}
