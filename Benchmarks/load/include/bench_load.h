// The load generator, the same for every server that the bench measures: one epoll thread, N
// connections, plain send and recv, nothing allocated per operation. Edge-triggered epoll saves
// it the second look per event that a level-triggered server pays: an operation costs it no more
// than the plainest server (nine tenths of either is the kernel sending and receiving).
//
// Each connection's stream of bytes is fixed by its number and the message's number: nothing is
// buffered per connection, and every byte of every reply is compared.
//
// Not thread-safe: one thread owns a `bench_load`. Every call is bounded by the time it is given.
// All times are nanoseconds of CLOCK_MONOTONIC; addresses are IPv4 in host byte order.
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_process.h"

typedef struct bench_load bench_load;

struct bench_load_options {
  uint32_t target_ip;
  uint16_t target_port;
  uint32_t source_ip_first;         // connections leave from this address and those after it,
  uint32_t source_ip_count;         // this many in turn; 0: the kernel chooses
  uint32_t connections;
  uint32_t connects_in_flight_max;  // 1 or more
  uint32_t bytes;                   // of one message: 8 to 64 KiB
  uint32_t depth;                   // requests in flight per connection: 1 to 256
  bool busy_poll;                   // spin instead of sleeping in epoll_wait
};

// Counts since the call that returned it began; `alive` is a level.
struct bench_load_result {
  uint64_t attempts;        // connects begun = connected + failed
  uint64_t connected;
  uint64_t failed;
  uint64_t alive;           // connections open now
  uint64_t closed_by_peer;
  uint64_t sent;            // messages begun = answered + lost
  uint64_t answered;
  uint64_t lost;            // not answered when time ran out or the connection went
  uint64_t mismatched;      // replies with a wrong byte, or one that was not asked for
  uint64_t ops;             // answered inside the measured window
  uint64_t window_ns;       // how long that window was
  uint64_t elapsed_ns;      // the whole call
  uint64_t cpu_ns;          // this thread's, over the whole call
  uint64_t latency_max_ns;  // exact; the histogram rounds
  int first_errno;          // of the first failure, 0 if none
};

// NULL on bad options or no memory, with errno set.
bench_load *bench_load_create(const struct bench_load_options *options);
void bench_load_destroy(bench_load *load);

// Opens every connection that is not open, a bounded number at a time.
void bench_load_connect(bench_load *load, uint64_t timeout_ns, struct bench_load_result *result);

// Closed loop: `depth` requests in flight on each connection for `warmup_ns` and then
// `duration_ns`, or until `ops_max` requests were sent (0: no such bound). What is in flight at
// the end is waited for, 2 s at most; what then is missing is lost.
void bench_load_closed_loop(
  bench_load *load, uint64_t warmup_ns, uint64_t duration_ns, uint64_t ops_max,
  struct bench_load_result *result);

// Open loop: `rate` requests a second in turn over the connections, each at its own instant,
// late or not. Latency counts from that instant, which corrects for coordinated omission. Spins.
void bench_load_open_loop(
  bench_load *load, double rate, uint64_t duration_ns, struct bench_load_result *result);

// One message on each connection, `in_flight_max` at a time.
void bench_load_each(
  bench_load *load, uint32_t in_flight_max, uint64_t timeout_ns,
  struct bench_load_result *result);

// Closes and reopens connections in turn, `in_flight_max` at a time, every second one by RST,
// the others by FIN, for `duration_ns` or `cycles_max` times; a failed one is tried again. Each
// new connection exchanges a message before it counts, so that the server keeps up with them.
// `connected` counts the cycles.
void bench_load_churn(
  bench_load *load, uint32_t in_flight_max, uint64_t duration_ns, uint64_t cycles_max,
  struct bench_load_result *result);

// Closes every connection by FIN.
void bench_load_close_all(bench_load *load, struct bench_load_result *result);

// The latencies of the last closed loop, open loop or `each`: counts per bucket of a log-linear
// scale with 128 buckets per doubling, so a bucket's middle is within 0.4 % of what fell in it.
const uint64_t *bench_load_histogram(const bench_load *load, size_t *length);
uint64_t bench_load_histogram_value(size_t index);

// The cost of one reading of the clock, by reading it `count` times.
double bench_clock_cost_ns(uint32_t count);
uint64_t bench_now_ns(void);

#endif
