// Clients that each hold a connection and a session, for scenario 11-endtoend: one epoll thread, as
// in bench_load.h. A client makes its session at any node, follows it to the node that serves it,
// reads and changes it there, and resumes it at another node when its connection breaks.
//
// Each client is the only one that writes to its session, one write at a time, and numbers its
// writes; a state is its write's number and bytes that follow from it. So every answer can be
// judged: not older than what was acknowledged or seen before the question, and nothing that was
// never written.
//
// Not thread-safe: one thread owns a `bench_clients`. Every call is bounded by the time that it is
// given. Times are nanoseconds of CLOCK_MONOTONIC; addresses are IPv4 in host byte order.
#ifndef BENCH_CLIENTS_H
#define BENCH_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bench_clients bench_clients;

enum { BENCH_TARGETS_MAX = 16, BENCH_BURST_MAX = 16, BENCH_STATE_MAX = 1024 };

struct bench_target {
  uint32_t ip;
  uint16_t port;
  uint16_t node;  // its number in the cluster
};

struct bench_clients_options {
  struct bench_target targets[BENCH_TARGETS_MAX];
  uint32_t target_count;
  uint32_t source_ip_first;
  uint32_t source_ip_count;
  uint32_t clients;
  uint32_t connects_in_flight_max;
  uint32_t state_bytes;      // 8 and more
  uint32_t burst;            // requests that a client sends at once, 1 and more
  uint32_t window;           // clients that wait for answers at a time
  uint32_t updates_percent;  // of the requests; the others read. Not more than one in a burst.
  uint64_t seed;
};

// Counts since the clients were made; `ready` is a level.
struct bench_clients_result {
  uint64_t ready;          // clients whose session can be used
  uint64_t created;
  uint64_t reads;          // answered and right
  uint64_t updates;        // acknowledged
  uint64_t refused;        // certainly not done, and the client was told
  uint64_t uncertain;      // an answer that leaves it open
  uint64_t broken;         // connections that ended under a client
  uint64_t errors;         // requests that were under way on those
  uint64_t moved;          // times that a client followed its session
  uint64_t connects_failed;
  uint64_t resumes_failed; // tried again elsewhere
  uint64_t lost_acked;     // states older than what was acknowledged or seen before
  uint64_t from_future;    // states that nobody wrote
  uint64_t garbled;        // answers that nobody asked for, or with a wrong byte
  uint64_t sessions_gone;  // sessions that the cluster doesn't know any more
  uint64_t unread;         // sessions without an answer in the last `verify`
  uint64_t settled_at;     // when the last client was ready again
  uint64_t cpu_ns;         // this thread's, in the last call
};

// NULL on bad options or no memory, with errno set.
bench_clients *bench_clients_create(const struct bench_clients_options *options);
void bench_clients_destroy(bench_clients *clients);

// Connects all, each makes its session and follows it.
void bench_clients_open(
  bench_clients *clients, uint64_t timeout_ns, struct bench_clients_result *result);

// Requests for so long, closed loop. Who isn't ready at the end is waited for, 10 s at most.
void bench_clients_run(
  bench_clients *clients, uint64_t duration_ns, struct bench_clients_result *result);

// Reads every session and judges it.
void bench_clients_verify(
  bench_clients *clients, uint64_t timeout_ns, struct bench_clients_result *result);

// Latencies of the last run: of requests that were answered between two times, or outside of them,
// in slices of 100 ms. The buckets are those of bench_load_histogram_value.
const uint64_t *bench_clients_histogram(
  bench_clients *clients, uint64_t from, uint64_t to, bool inside, size_t *length,
  uint64_t *latency_max_ns);

// When each client whose connection broke since `since` had its session back: how many there are,
// `capacity` of them at most are written.
size_t bench_clients_returns(
  const bench_clients *clients, uint64_t since, uint64_t *times, size_t capacity);

#endif
