// Counts, per thread, what the hot path must not do: take or give back memory, make objects,
// count references. Linked into an executable, its definitions come before libc's and Swift's.
#ifndef CALL_COUNTERS_H
#define CALL_COUNTERS_H

#include <stdint.h>

typedef struct call_counts {
  uint64_t allocations; // malloc, calloc, realloc, posix_memalign, aligned_alloc, memalign
  uint64_t frees;       // of pointers that are not NULL
  uint64_t objects;     // swift_allocObject
  uint64_t retains;     // of objects and bridge objects, atomic or not
  uint64_t releases;
} call_counts;

// What the calling thread has done so far.
call_counts call_counters_read(void);

#endif
