// What the files of the load generator share.
#ifndef BENCH_LOAD_INTERNAL_H
#define BENCH_LOAD_INTERNAL_H

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#include "bench_load.h"

enum {
  EVENTS_MAX = 512,
  BUFFER_BYTES = 64 * 1024,
  MESSAGE_BYTES_MIN = 8,  // room for the connection's and the message's number
  DEPTH_MAX = 256,
  SUB_BITS = 7,  // 128 buckets per doubling
  SUB_COUNT = 1 << SUB_BITS,
  EXPONENT_MAX = 40,  // 2^40 ns is 18 minutes; longer is counted in the last bucket
  BUCKETS = (EXPONENT_MAX - SUB_BITS + 2) * SUB_COUNT,
};

#define DRAIN_NS (2ull * 1000 * 1000 * 1000)

enum phase { PHASE_CLOSED, PHASE_CONNECTING, PHASE_OPEN };

struct connection {
  int fd;
  uint32_t phase;
  uint32_t sent_part;   // bytes sent of message number `sent`
  uint32_t got_part;
  uint64_t sent;        // whole messages, since the connection was opened
  uint64_t got;
  uint64_t wanted;      // messages that were asked for, sent whole or not
  uint64_t base;        // `wanted` when the present run began
};

enum mode { MODE_IDLE, MODE_CLOSED_LOOP, MODE_OPEN_LOOP, MODE_EACH };

struct bench_load {
  struct bench_load_options options;
  int epoll;
  struct connection *connections;
  uint64_t *sent_at;   // a ring of instants per connection, as long as
  uint64_t ring_size;  // this: `depth` rounded up to a power of two
  uint32_t out_room;   // whole messages in `out`
  uint32_t connects_in_flight;
  uint64_t alive;

  // The present run.
  enum mode mode;
  bool stopping;          // no new requests
  uint64_t window_begin;  // replies count between these two
  uint64_t window_end;
  uint64_t last_reply;
  uint64_t issued_max;
  double period_ns;       // open loop
  uint64_t outstanding;
  struct bench_load_result result;

  struct epoll_event events[EVENTS_MAX];
  uint64_t histogram[BUCKETS];
  char pattern[BUFFER_BYTES];
  char in[BUFFER_BYTES];
  char out[BUFFER_BYTES];   // the pattern of every message put in once, the numbers each time
  char part[BUFFER_BYTES];  // the rest of a message that was sent in part
};

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline uint64_t cpu_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline size_t histogram_index(uint64_t value) {
  if (value < SUB_COUNT) return (size_t)value;
  int exponent = 63 - __builtin_clzll(value);
  if (exponent > EXPONENT_MAX) return BUCKETS - 1;
  int shift = exponent - SUB_BITS;
  return (size_t)(shift + 1) * SUB_COUNT + (size_t)((value >> shift) - SUB_COUNT);
}

static inline void failure_count(struct bench_load *load, int error) {
  load->result.failed += 1;
  if (load->result.first_errno == 0) load->result.first_errno = error;
}

// connect.c
void load__begin(struct bench_load *load);
void load__end(struct bench_load *load, uint64_t began, uint64_t cpu_began);
bool load__connect_begin(struct bench_load *load, uint32_t index);
bool load__connect_finish(struct bench_load *load, const struct epoll_event *event);
void load__close(struct bench_load *load, uint32_t index, bool reset);
void load__closed_by_peer(struct bench_load *load, uint32_t index);
void load__connects_abandon(struct bench_load *load);
int load__wait(struct bench_load *load, uint64_t now, uint64_t end);

// load.c
void load__run_begin(struct bench_load *load, enum mode mode);
void load__serve(struct bench_load *load, const struct epoll_event *event);
void load__issue_and_flush(struct bench_load *load, uint32_t index, uint64_t count);

// stream.c
bool load__flush(struct bench_load *load, uint32_t index);
bool load__receive(struct bench_load *load, uint32_t index);
void load__issue(struct bench_load *load, uint32_t index, uint64_t count, uint64_t now);

#endif
