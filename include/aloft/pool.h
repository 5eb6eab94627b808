// Pools: things that are opened and closed and lent to one borrower at a time, such as connections
// to an upstream.
//
// A *slot* of a pool holds a resource, a pointer of the application's. A *lease* lends it to one
// borrower, until it is returned. Who asks for one when none is idle waits, in order: whoever came
// first is served first, and while anybody waits nobody takes one without waiting. What the pool
// decides it decides on one event loop, its home.
//
// How to read the comments is told at the head of aloft.h.
#ifndef ALOFT_POOL_H
#define ALOFT_POOL_H

#include "base.h"
#include "mailbox.h"

#ifdef __cplusplus
extern "C" {
#endif

// A pool: a pointer, good until aloft_pool_destroy has called `done` and, for callbacks under way,
// on_drained has been called.
typedef struct aloft_pool aloft_pool;

// A lease: a value. One that has ended is *stale*; functions find that out. No valid one is 0.
typedef struct aloft_lease {
  uint64_t id;
} aloft_lease;

// Sizes, limits and times. Zero is the default everywhere; where the default is "never", times are
// so without being set.
typedef struct aloft_pool_options {
  size_t struct_size;
  // Resources that are opened as they are needed, and stay open. Default 10.
  uint32_t size;
  // Resources that are kept open though nobody asks for them; at most `size`. Default 0.
  uint32_t size_min;
  // Resources beyond `size` that are opened while somebody waits, and closed when nobody does.
  uint32_t overflow;
  // As large as `size` and `overflow` together may become by aloft_pool_resize, up to 4,096.
  // Default: as large as they are.
  uint32_t size_limit;
  // As many may wait for a lease, up to 1,048,576. Default 65,536.
  uint32_t waiters_max;
  // A resource above size_min that nobody has used for so long is closed. Default: never.
  uint32_t idle_ms_max;
  // A resource that has been open for so long is closed as soon as it is idle. Default: never.
  uint32_t lifetime_ms_max;
  // Each resource's own lifetime is shorter by up to so many hundredths, drawn at random, so that
  // those opened together don't close together; up to 100. Default 20.
  uint32_t lifetime_jitter_percent;
  // A resource that is lent for so long is taken from its borrower: it is closed, and the lease is
  // stale. It may take a quarter longer. Default: never.
  uint32_t lease_ms_max;
  // An idle resource is checked so often, if there is on_check. Default: never.
  uint32_t check_ms;
  // 1: a resource is checked each time that it is returned, which makes returns slower.
  uint32_t checks_returns;
  // Upstreams that resources are opened to, up to 255: the one with the fewest open gets the next.
  // Default 1.
  uint32_t upstreams;
  // Failures to open in a row after which an upstream is left alone; ALOFT_NEVER for never.
  // Default 5.
  uint32_t failures_max;
  // For how long it is left alone at first. Then one attempt is made; if that fails, the pause is
  // doubled. Defaults 1,000 and 30,000.
  uint32_t pause_ms;
  uint32_t pause_ms_max;
  // Idle resources that each event loop keeps for itself, which makes its leases cheapest;
  // ALOFT_NEVER for none. Default: as many as leave half of `size` to all.
  uint32_t kept_per_loop;
} aloft_pool_options;

// How a pool's resources are opened, closed and checked. Each call comes on the pool's home loop
// and must not block; its outcome is told by the function that its comment names, from within the
// call or later, from any thread, exactly once.
typedef struct aloft_pool_callbacks {
  size_t struct_size;
  // Open a resource for a slot: aloft_pool_opened or aloft_pool_open_failed. Not NULL.
  void (*on_open)(aloft_pool *pool, uint32_t slot, uint32_t upstream, void *context);
  // Close it: aloft_pool_closed. Not NULL.
  void (*on_close)(aloft_pool *pool, uint32_t slot, void *resource, void *context);
  // See whether it still works: aloft_pool_checked. NULL: a resource in doubt is closed.
  void (*on_check)(aloft_pool *pool, uint32_t slot, void *resource, void *context);
  // The last call: nothing is open or lent any more.
  void (*on_drained)(void *context);
} aloft_pool_callbacks;

// Creates a pool.
//   home       index of the loop that is its home
//   options    [in]  or NULL for defaults
//   callbacks  [in]
//   context    kept for the callbacks, until on_drained
//   pool       [out] the caller's, to be given to aloft_pool_destroy
// Thread: any. Errors: ALOFT_EINVAL (an option), ALOFT_ENOENT (no such loop), ALOFT_ELIMIT (4,095
// pools live in the process), ALOFT_ESHUTDOWN.
ALOFT_EXPORT int aloft_pool_create(aloft_runtime *runtime, uint32_t home,
                                   const aloft_pool_options *options,
                                   const aloft_pool_callbacks *callbacks, void *context,
                                   aloft_pool **pool);

// Ends a pool: refuses those who wait and who come, closes what is idle and what is returned.
//   lease_ms_max  after so long what is lent is taken from its borrowers; 0: never
//   done          NULL, or called exactly once, on the home loop, when nothing is open; with
//                 ALOFT_ESHUTDOWN when the runtime has ended before. Then the pool is freed.
//   context       kept for `done`
// To be called once, also when the runtime has ended, but before it is destroyed. Leases may still
// be returned until on_drained.
// Thread: any.
ALOFT_EXPORT int aloft_pool_destroy(aloft_pool *pool, uint32_t lease_ms_max, aloft_task done,
                                    void *context);

// ---------------------------------------------------------------------------------------------
// What became of on_open, on_close and on_check
//
// Thread: any. Errors, of each: ALOFT_ESTALE when the slot has no such call under way.

// The resource of a slot is open.
//   resource  kept; not NULL
ALOFT_EXPORT int aloft_pool_opened(aloft_pool *pool, uint32_t slot, void *resource);
ALOFT_EXPORT int aloft_pool_open_failed(aloft_pool *pool, uint32_t slot);
ALOFT_EXPORT int aloft_pool_closed(aloft_pool *pool, uint32_t slot);
//   is_sound  0: it does not work any more, and is closed
ALOFT_EXPORT int aloft_pool_checked(aloft_pool *pool, uint32_t slot, int is_sound);

// ---------------------------------------------------------------------------------------------
// Leases

// Takes a lease of what is idle just now.
//   lease     [out]
//   resource  [out] or NULL
// O(1), without a lock; some 3 ns from what the calling loop keeps, some 15 ns otherwise.
// Thread: any. Errors: ALOFT_EAGAIN (nothing is idle, or somebody waits).
ALOFT_EXPORT int aloft_pool_try_lease(aloft_pool *pool, aloft_lease *lease, void **resource);

// Called exactly once. status is 0, and `lease` and `resource` are the borrower's; or it is
// ALOFT_ETIMEDOUT, ALOFT_EFULL (waiters_max wait already), ALOFT_EUPSTREAM (the upstreams are left
// alone and nothing is open), ALOFT_ECLOSED (the pool or the runtime ends), or ALOFT_ECANCELED
// (see aloft_pool_lease_cancel), and they are 0.
typedef void (*aloft_leased)(int status, aloft_lease lease, void *resource, void *context);

// Takes a lease, waiting for one if need be. Never blocks.
//   timeout_ms  how long to wait at most, by default 5,000; ALOFT_NEVER for no limit
//   leased      called during this call if something is idle, or later on the home loop
//   context     kept for `leased`
// Thread: any.
ALOFT_EXPORT int aloft_pool_lease(aloft_pool *pool, uint32_t timeout_ms, aloft_leased leased,
                                  void *context);

// One who waits for a lease: a value, good until `leased` is called, and *stale* from then on. A
// pool never gives one out twice, and no valid one is 0. Ask the pool that it is of.
typedef struct aloft_lease_wait {
  uint64_t id;
} aloft_lease_wait;

// As aloft_pool_lease, for who may come to give it up. Costs a little more when it has to wait.
//   wait  [out] written before `leased` can be called; 0 when it was called during this call
// Thread: any.
ALOFT_EXPORT int aloft_pool_lease_cancellable(aloft_pool *pool, uint32_t timeout_ms,
                                              aloft_leased leased, void *context,
                                              aloft_lease_wait *wait);

// Gives up waiting: `leased` is called with ALOFT_ECANCELED, on the home loop, where it may be
// during this call; or, if a lease was on its way, with that one, which has to be returned as ever.
// Thread: any. Errors: ALOFT_ESTALE (`leased` has been called or is about to be, it was given up
// before, or the pool has no such wait).
ALOFT_EXPORT int aloft_pool_lease_cancel(aloft_pool *pool, aloft_lease_wait wait);

enum {
  ALOFT_LEASE_SOUND = 0,   // the resource may be lent to the next
  ALOFT_LEASE_BROKEN = 1,  // it is to be closed
  ALOFT_LEASE_DOUBTFUL = 2 // it is to be checked first
};

// Returns a lease. If somebody waits, the resource is handed to the first.
//   state  ALOFT_LEASE_*
// Thread: any. Errors: ALOFT_ESTALE (it was returned before, taken back, or is of another pool).
ALOFT_EXPORT int aloft_pool_return(aloft_pool *pool, aloft_lease lease, uint32_t state);

// Has a lease taken back when its borrower ends, or at once when it has ended: the resource is
// closed, and the lease is stale from then on. With several borrowers the first end counts. A lease
// that is returned before is forgotten; one that is bound to nobody costs nothing for all this.
//   loop  index of an event loop of the pool's runtime
// Thread: any. O(1). Errors: ALOFT_ESTALE (there is no such lease), ALOFT_ENOENT (no such loop).
ALOFT_EXPORT int aloft_pool_bind_mailbox(aloft_pool *pool, aloft_lease lease,
                                         aloft_mailbox mailbox);
ALOFT_EXPORT int aloft_pool_bind_connection(aloft_pool *pool, aloft_lease lease,
                                            aloft_connection connection);
ALOFT_EXPORT int aloft_pool_bind_loop(aloft_pool *pool, aloft_lease lease, uint32_t loop);

// ---------------------------------------------------------------------------------------------
// Control

// Changes the sizes of a pool in use; what is too much is closed when it is idle or returned.
// Thread: any. Errors: ALOFT_EINVAL (beyond size_limit, or size_min above size).
ALOFT_EXPORT int aloft_pool_resize(aloft_pool *pool, uint32_t size, uint32_t size_min,
                                   uint32_t overflow);

// How a pool stands, and what has happened in it since its start.
typedef struct aloft_pool_statistics {
  size_t struct_size;
  uint64_t in_use;
  uint64_t idle;
  uint64_t opening;
  uint64_t waiting; // those who wait for a lease
  uint64_t leases;  // so far
  uint64_t waited;  // leases of those who had to wait or have a resource opened
  uint64_t opened;
  uint64_t open_failures;
  uint64_t closed;
  uint64_t overflowed; // of those opened, beyond `size`
  uint64_t timed_out;
  uint64_t refused;
  uint64_t reclaimed; // taken from borrowers who held them for too long, or have ended
  uint64_t checks_failed;
  uint64_t upstreams_down;
  uint64_t wait_us_p50; // of those who waited, up to a quarter more
  uint64_t wait_us_p99;
  uint64_t wait_us_max;
} aloft_pool_statistics;

// Reads them at one moment of the home loop.
//   statistics  [out] struct_size is [in]; so many bytes are written
// Thread: the home loop's, or one that is no event loop's. Blocks in the latter case.
// Errors: ALOFT_EWRONGTHREAD, ALOFT_ESHUTDOWN.
ALOFT_EXPORT int aloft_pool_statistics_get(aloft_pool *pool, aloft_pool_statistics *statistics);

#ifdef __cplusplus
}
#endif
#endif
