#include "ring_twin.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 128 };

struct twin_ring {
  // The producers' line.
  _Alignas(LINE_BYTES) _Atomic uint64_t tail;
  _Atomic uint64_t head_seen;  // plain in the one-producer ring: relaxed is the same code
  // The consumer's line.
  _Alignas(LINE_BYTES) _Atomic uint64_t head;
  uint64_t tail_seen;
  // The sleep flag's.
  _Alignas(LINE_BYTES) _Atomic uint64_t flag;
  // What never changes.
  _Alignas(LINE_BYTES) _Atomic uint64_t *slots;
  uint64_t mask;
};

twin_ring *twin_ring_new(size_t capacity) {
  twin_ring *ring = aligned_alloc(LINE_BYTES, sizeof *ring);
  if (ring == NULL) return NULL;
  memset(ring, 0, sizeof *ring);
  size_t bytes = (capacity * sizeof(uint64_t) + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
  ring->slots = aligned_alloc(LINE_BYTES, bytes);
  if (ring->slots == NULL) {
    free(ring);
    return NULL;
  }
  memset((void *)ring->slots, 0, bytes);
  ring->mask = capacity - 1;
  return ring;
}

void twin_ring_free(twin_ring *ring) {
  if (ring == NULL) return;
  free((void *)ring->slots);
  free(ring);
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

static inline void publish(twin_ring *ring, uint64_t tail, bool sequential) {
  atomic_store_explicit(&ring->tail, tail, sequential ? memory_order_seq_cst
                                                      : memory_order_release);
}

static inline bool spsc_push(twin_ring *ring, uint64_t item, bool sequential) {
  uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
  if (tail - atomic_load_explicit(&ring->head_seen, memory_order_relaxed) > ring->mask) {
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    atomic_store_explicit(&ring->head_seen, head, memory_order_relaxed);
    if (tail - head > ring->mask) return false;
  }
  *(uint64_t *)&ring->slots[tail & ring->mask] = item;
  publish(ring, tail + 1, sequential);
  return true;
}

static inline size_t spsc_push_bulk(twin_ring *ring, const uint64_t *items, size_t wanted,
                                    bool sequential) {
  uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
  uint64_t capacity = ring->mask + 1;
  uint64_t room =
      capacity - (tail - atomic_load_explicit(&ring->head_seen, memory_order_relaxed));
  if (room < wanted) {
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    atomic_store_explicit(&ring->head_seen, head, memory_order_relaxed);
    room = capacity - (tail - head);
  }
  size_t count = room < wanted ? room : wanted;
  if (count == 0) return 0;
  size_t first = tail & ring->mask;
  size_t run = count < capacity - first ? count : capacity - first;
  memcpy((uint64_t *)ring->slots + first, items, run * sizeof *items);
  if (run < count) memcpy((uint64_t *)ring->slots, items + run, (count - run) * sizeof *items);
  publish(ring, tail + count, sequential);
  return count;
}

static inline bool spsc_pop(twin_ring *ring, uint64_t *item) {
  uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
  if (head == ring->tail_seen) {
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    ring->tail_seen = tail;
    if (head == tail) return false;
  }
  *item = *(uint64_t *)&ring->slots[head & ring->mask];
  atomic_store_explicit(&ring->head, head + 1, memory_order_release);
  return true;
}

static inline size_t spsc_pop_bulk(twin_ring *ring, uint64_t *target, size_t limit) {
  uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
  uint64_t capacity = ring->mask + 1;
  uint64_t ready = ring->tail_seen - head;
  if (ready < limit) {
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    ready = ring->tail_seen - head;
  }
  size_t count = ready < limit ? ready : limit;
  if (count == 0) return 0;
  size_t first = head & ring->mask;
  size_t run = count < capacity - first ? count : capacity - first;
  memcpy(target, (uint64_t *)ring->slots + first, run * sizeof *target);
  if (run < count) memcpy(target + run, (uint64_t *)ring->slots, (count - run) * sizeof *target);
  atomic_store_explicit(&ring->head, head + count, memory_order_release);
  return count;
}

// MARK: Several producers

static inline int64_t mpsc_room(twin_ring *ring, uint64_t tail, int64_t wanted) {
  int64_t capacity = (int64_t)(ring->mask + 1);
  uint64_t seen = atomic_load_explicit(&ring->head_seen, memory_order_acquire);
  int64_t known = capacity - (int64_t)(tail - seen);
  if (known >= wanted) return known;
  uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
  atomic_store_explicit(&ring->head_seen, head, memory_order_release);
  return capacity - (int64_t)(tail - head);
}

static inline bool mpsc_push(twin_ring *ring, uint64_t item) {
  uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
  do {
    if (mpsc_room(ring, tail, 1) < 1) return false;
  } while (!atomic_compare_exchange_strong_explicit(
      &ring->tail, &tail, tail + 1, memory_order_seq_cst, memory_order_relaxed));
  atomic_store_explicit(&ring->slots[tail & ring->mask], item, memory_order_release);
  return true;
}

static inline size_t mpsc_push_bulk(twin_ring *ring, const uint64_t *items, size_t wanted) {
  uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
  int64_t count;
  do {
    count = mpsc_room(ring, tail, (int64_t)wanted);
    if (count > (int64_t)wanted) count = (int64_t)wanted;
    if (count < 1) return 0;
  } while (!atomic_compare_exchange_strong_explicit(
      &ring->tail, &tail, tail + (uint64_t)count, memory_order_seq_cst, memory_order_relaxed));
  for (int64_t i = 0; i < count; i++) {
    atomic_store_explicit(&ring->slots[(tail + (uint64_t)i) & ring->mask], items[i],
                          memory_order_release);
  }
  return (size_t)count;
}

static inline bool mpsc_pop(twin_ring *ring, uint64_t *item) {
  uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
  _Atomic uint64_t *slot = &ring->slots[head & ring->mask];
  *item = atomic_load_explicit(slot, memory_order_acquire);
  if (*item == 0) return false;
  atomic_store_explicit(slot, 0, memory_order_relaxed);
  atomic_store_explicit(&ring->head, head + 1, memory_order_release);
  return true;
}

static inline size_t mpsc_pop_bulk(twin_ring *ring, uint64_t *target, size_t limit) {
  uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
  size_t count = 0;
  while (count < limit) {
    _Atomic uint64_t *slot = &ring->slots[(head + count) & ring->mask];
    uint64_t item = atomic_load_explicit(slot, memory_order_acquire);
    if (item == 0) break;
    atomic_store_explicit(slot, 0, memory_order_relaxed);
    target[count++] = item;
  }
  if (count > 0) atomic_store_explicit(&ring->head, head + count, memory_order_release);
  return count;
}

// MARK: The two sides of a run

static inline twin_tally spsc_produce(twin_ring *ring, uint64_t items, unsigned bulk,
                                      bool sequential) {
  twin_tally tally = {0, 0, 0};
  uint64_t buffer[TWIN_BULK_MAX];
  unsigned idle = 0;
  while (tally.items < items) {
    size_t count = 0;
    if (bulk == 1) {
      count = spsc_push(ring, tally.items + 1, sequential);
      if (count > 0) tally.checksum += tally.items + 1;
    } else {
      size_t wanted = items - tally.items < bulk ? items - tally.items : bulk;
      for (size_t i = 0; i < wanted; i++) buffer[i] = tally.items + 1 + i;
      count = spsc_push_bulk(ring, buffer, wanted, sequential);
      for (size_t i = 0; i < count; i++) tally.checksum += buffer[i];
    }
    if (sequential && count > 0 && atomic_load_explicit(&ring->flag, memory_order_seq_cst) != 0) {
      atomic_exchange_explicit(&ring->flag, 0, memory_order_relaxed);
    }
    if (count == 0) {
      twin_wait(&idle);
    } else {
      idle = 0;
    }
    tally.items += count;
  }
  return tally;
}

twin_tally twin_spsc_produce(twin_ring *ring, uint64_t items, unsigned bulk) {
  return spsc_produce(ring, items, bulk, false);
}

twin_tally twin_lane_produce(twin_ring *ring, uint64_t items, unsigned bulk) {
  return spsc_produce(ring, items, bulk, true);
}

twin_tally twin_spsc_consume(twin_ring *ring, uint64_t items, unsigned bulk) {
  twin_tally tally = {0, 0, 0};
  uint64_t buffer[TWIN_BULK_MAX];
  unsigned idle = 0;
  while (tally.items < items) {
    size_t count = bulk == 1 ? spsc_pop(ring, buffer) : spsc_pop_bulk(ring, buffer, bulk);
    for (size_t i = 0; i < count; i++) {
      tally.items += 1;
      tally.checksum += buffer[i];
      tally.out_of_order += buffer[i] != tally.items;
    }
    if (count == 0) {
      twin_wait(&idle);
    } else {
      idle = 0;
    }
  }
  return tally;
}

twin_tally twin_mpsc_produce(twin_ring *ring, unsigned producer, uint64_t items,
                             unsigned bulk) {
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
      size_t wanted = items - tally.items < bulk ? items - tally.items : bulk;
      for (size_t i = 0; i < wanted; i++) buffer[i] = base + tally.items + 1 + i;
      count = mpsc_push_bulk(ring, buffer, wanted);
      for (size_t i = 0; i < count; i++) tally.checksum += buffer[i];
    }
    if (count == 0) {
      twin_wait(&idle);
    } else {
      idle = 0;
    }
    tally.items += count;
  }
  return tally;
}

twin_tally twin_mpsc_consume(twin_ring *ring, uint64_t items, unsigned bulk) {
  twin_tally tally = {0, 0, 0};
  uint64_t next[TWIN_PRODUCERS_MAX];
  for (unsigned i = 0; i < TWIN_PRODUCERS_MAX; i++) {
    next[i] = ((uint64_t)i << TWIN_PRODUCER_SHIFT) + 1;
  }
  uint64_t buffer[TWIN_BULK_MAX];
  unsigned idle = 0;
  while (tally.items < items) {
    size_t count = bulk == 1 ? mpsc_pop(ring, buffer) : mpsc_pop_bulk(ring, buffer, bulk);
    for (size_t i = 0; i < count; i++) {
      uint64_t *expected = &next[(buffer[i] >> TWIN_PRODUCER_SHIFT) % TWIN_PRODUCERS_MAX];
      tally.checksum += buffer[i];
      tally.out_of_order += buffer[i] != *expected;
      *expected = buffer[i] + 1;
    }
    tally.items += count;
    if (count == 0) {
      twin_wait(&idle);
    } else {
      idle = 0;
    }
  }
  return tally;
}

twin_tally twin_spsc_push_pop(twin_ring *ring, uint64_t items) {
  twin_tally tally = {0, 0, 0};
  uint64_t item = 0;
  for (uint64_t i = 1; i <= items; i++) {
    if (spsc_push(ring, i, false) && spsc_pop(ring, &item)) {
      tally.items += 1;
      tally.checksum += item;
      tally.out_of_order += item != i;
    }
  }
  return tally;
}

twin_tally twin_mpsc_push_pop(twin_ring *ring, uint64_t items) {
  twin_tally tally = {0, 0, 0};
  uint64_t item = 0;
  for (uint64_t i = 1; i <= items; i++) {
    if (mpsc_push(ring, i) && mpsc_pop(ring, &item)) {
      tally.items += 1;
      tally.checksum += item;
      tally.out_of_order += item != i;
    }
  }
  return tally;
}
