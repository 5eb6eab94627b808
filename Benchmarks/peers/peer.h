// What every peer of the `micro` bench shares: the clock, processors, the random order and the key
// sets. Micro/*.swift has the same, line by line, so that all systems meet the same keys in the
// same order.
#ifndef PEER_H
#define PEER_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PEER_INLINE static inline __attribute__((always_inline))

// A round lasts at least this long, and the clock is read once in a slice of operations.
enum { PEER_ROUND_NS = 50 * 1000 * 1000, PEER_SLICE = 4096 };

static inline uint64_t peer_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline void peer_pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)core, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static inline void peer_fail(const char *what) {
  fprintf(stderr, "peer: %s\n", what);
  exit(1);
}

// Waits a little, longer the more often it is called in a row; *idle is 0 after progress.
static inline void peer_wait(unsigned *idle) {
  if (++*idle < 128) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  } else {
    sched_yield();
  }
}

// The finalizer of MurmurHash3 (Appleby 2011): one to one, and 0 stays 0.
PEER_INLINE uint64_t peer_mix(uint64_t word) {
  word ^= word >> 33;
  word *= 0xff51afd7ed558ccdu;
  word ^= word >> 33;
  word *= 0xc4ceb9fe1a85ec53u;
  return word ^ word >> 33;
}

// A random order (Knuth's linear congruence) that costs one multiplication and no memory.
typedef struct peer_order {
  uint64_t state;
} peer_order;

PEER_INLINE uint64_t peer_next(peer_order *order, uint64_t count) {
  order->state = order->state * 6364136223846793005u + 1442695040888963407u;
  return ((order->state >> 32) * count) >> 32;
}

// Key number `index` of the 64-bit keys; its value is index + 1.
PEER_INLINE uint64_t peer_id(uint64_t index) { return peer_mix(index + 1); }

// A string of 16 to 36 bytes; the first 16 tell it from all others.
enum { PEER_NAME_MIN = 16, PEER_NAME_MAX = 36 };

typedef struct peer_name {
  uint8_t length;
  uint8_t bytes[39];
} peer_name;

static inline peer_name peer_name_of(uint64_t index) {
  peer_name name;
  uint64_t word = peer_mix(index + 1);
  memset(&name, 0, sizeof name);
  name.length = (uint8_t)(PEER_NAME_MIN + word % (PEER_NAME_MAX - PEER_NAME_MIN + 1));
  for (unsigned at = 0; at < name.length; at++) {
    if (at % 16 == 0 && at > 0) word = peer_mix(word + at);
    name.bytes[at] = (uint8_t)('a' + (word >> at % 16 * 4 & 15));
  }
  return name;
}

// Hashes for tables that want one from their user: 128-bit products, folded (as wyhash, Wang 2019).
PEER_INLINE uint64_t peer_fold(uint64_t a, uint64_t b) {
  unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

PEER_INLINE uint64_t peer_hash_id(uint64_t key) {
  return peer_fold(key ^ 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu);
}

PEER_INLINE uint64_t peer_hash_name(const uint8_t *bytes, size_t length) {
  uint64_t hash = length ^ 0x8ebc6af09c88c6e3u, a, b;
  size_t at = 0;
  for (; at + 16 < length; at += 16) {
    memcpy(&a, bytes + at, 8);
    memcpy(&b, bytes + at + 8, 8);
    hash = peer_fold(a ^ 0xa0761d6478bd642fu, b ^ hash);
  }
  memcpy(&a, bytes + length - 16, 8);
  memcpy(&b, bytes + length - 8, 8);
  return peer_fold(a ^ 0xe7037ed1a0b428dbu, b ^ hash);
}

PEER_INLINE bool peer_name_equal(const uint8_t *a, size_t a_length, const uint8_t *b,
                                 size_t b_length) {
  return a_length == b_length && memcmp(a, b, a_length) == 0;
}


#endif
