/* The peer of the timer bench: the same operations with libuv's own timers, a binary heap of
 * handles. Handles lie in one array, which is kind to the heap: users embed them in connections.
 * Single-threaded. Each operation gives the processor time that its loop took, in nanoseconds. */
#ifndef BENCH_UV_TIMERS_H
#define BENCH_UV_TIMERS_H

#include <stdint.h>

typedef struct bench_uv_timers bench_uv_timers;

/* A loop with `count` timers, none started; NULL when there is no memory. */
bench_uv_timers *bench_uv_timers_new(uint32_t count);
void bench_uv_timers_free(bench_uv_timers *timers);

/* Starts, or starts anew, the timers named by `which`, each for its time-out in milliseconds. */
uint64_t bench_uv_timers_start(bench_uv_timers *timers, const uint32_t *which,
                               const uint32_t *timeouts, uint32_t count);
uint64_t bench_uv_timers_stop(bench_uv_timers *timers, const uint32_t *which, uint32_t count);

/* Runs one turn of the loop without waiting; `fired` gets the number of callbacks. */
uint64_t bench_uv_timers_run(bench_uv_timers *timers, uint64_t *fired);

/* Reads the clock into the loop's time, from which time-outs count. */
void bench_uv_timers_update(bench_uv_timers *timers);

/* Bytes of a handle. */
uint32_t bench_uv_timers_bytes(void);

#endif
