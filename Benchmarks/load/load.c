// Making a generator, and the loops that drive its connections.
#include "bench_load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "internal.h"

bench_load *bench_load_create(const struct bench_load_options *options) {
  bool good = options->connections > 0 && options->connects_in_flight_max > 0
    && options->bytes >= MESSAGE_BYTES_MIN && options->bytes <= BUFFER_BYTES
    && options->depth >= 1 && options->depth <= DEPTH_MAX;
  if (!good) {
    errno = EINVAL;
    return NULL;
  }
  bench_load *load = calloc(1, sizeof *load);
  if (load == NULL) return NULL;
  load->options = *options;
  load->connections = calloc(options->connections, sizeof *load->connections);
  for (load->ring_size = 1; load->ring_size < options->depth;) load->ring_size *= 2;
  load->sent_at = calloc(options->connections * load->ring_size, sizeof *load->sent_at);
  load->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (load->connections == NULL || load->sent_at == NULL || load->epoll < 0) {
    bench_load_destroy(load);
    return NULL;
  }
  for (uint32_t i = 0; i < options->connections; i++) load->connections[i].fd = -1;
  for (size_t i = 0; i < sizeof load->pattern; i++) load->pattern[i] = (char)(i * 31 + 7);
  load->out_room = BUFFER_BYTES / options->bytes;
  for (uint32_t i = 0; i < load->out_room; i++)
    memcpy(load->out + (size_t)i * options->bytes, load->pattern, options->bytes);
  return load;
}

void bench_load_destroy(bench_load *load) {
  if (load == NULL) return;
  for (uint32_t i = 0; load->connections != NULL && i < load->options.connections; i++)
    load__close(load, i, false);
  if (load->epoll >= 0) close(load->epoll);
  free(load->connections);
  free(load->sent_at);
  free(load);
}

// Serves one event of an open connection.
void load__serve(struct bench_load *load, const struct epoll_event *event) {
  uint32_t index = event->data.u32;
  const struct connection *c = &load->connections[index];
  bool good = true;
  if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
    good = load__receive(load, index);
  if (good && (event->events & EPOLLOUT) && c->sent < c->wanted)
    good = load__flush(load, index);
  if (!good) load__closed_by_peer(load, index);
}

// One turn: waits (not at all when `spin`), then serves what is ready.
static void turn(struct bench_load *load, bool spin, uint64_t end) {
  int count = spin ? epoll_wait(load->epoll, load->events, EVENTS_MAX, 0)
                   : load__wait(load, now_ns(), end);
  for (int i = 0; i < count; i++) {
    uint32_t index = load->events[i].data.u32;
    if (load->connections[index].phase == PHASE_OPEN) load__serve(load, &load->events[i]);
  }
}

// Waits for what is in flight, `timeout_ns` at most. What is missing then is lost.
static void drain(struct bench_load *load, uint64_t timeout_ns) {
  uint64_t end = now_ns() + timeout_ns;
  load->stopping = true;
  while (load->outstanding > 0 && now_ns() < end) turn(load, false, end);
  load->result.lost += load->outstanding;
  load->outstanding = 0;
}

void load__run_begin(struct bench_load *load, enum mode mode) {
  load__begin(load);
  memset(load->histogram, 0, sizeof load->histogram);
  load->mode = mode;
  load->last_reply = 0;
  load->stopping = false;
  load->issued_max = UINT64_MAX;
  for (uint32_t i = 0; i < load->options.connections; i++)
    load->connections[i].base = load->connections[i].wanted;
}

void load__issue_and_flush(struct bench_load *load, uint32_t index, uint64_t count) {
  load__issue(load, index, count, now_ns());
  if (!load__flush(load, index)) load__closed_by_peer(load, index);
}

void bench_load_closed_loop(
  bench_load *load, uint64_t warmup_ns, uint64_t duration_ns, uint64_t ops_max,
  struct bench_load_result *result) {
  uint64_t began = now_ns(), cpu_began = cpu_now_ns();
  load__run_begin(load, MODE_CLOSED_LOOP);
  if (ops_max > 0) load->issued_max = ops_max;
  load->window_begin = began + warmup_ns;
  load->window_end = load->window_begin + duration_ns;
  for (uint32_t i = 0; i < load->options.connections; i++) {
    uint64_t left = load->issued_max - load->result.sent;
    uint64_t count = load->options.depth < left ? load->options.depth : left;
    if (load->connections[i].phase != PHASE_OPEN || count == 0) continue;
    load__issue_and_flush(load, i, count);
  }
  uint64_t due = load->window_end;
  while (load->outstanding > 0 && now_ns() < due) turn(load, false, due);
  // Ended by its count, the run is as long as it took to the last reply.
  uint64_t end = due;
  if (load->outstanding == 0 && load->last_reply < end) end = load->last_reply;
  load->result.window_ns = end > load->window_begin ? end - load->window_begin : 0;
  drain(load, DRAIN_NS);
  load__end(load, began, cpu_began);
  *result = load->result;
}

// From this period on an open loop sleeps between its requests instead of spinning.
enum { SLEEP_PERIOD_NS = 500000 };

void bench_load_open_loop(
  bench_load *load, double rate, uint64_t duration_ns, struct bench_load_result *result) {
  uint64_t began = now_ns(), cpu_began = cpu_now_ns();
  load__run_begin(load, MODE_OPEN_LOOP);
  load->period_ns = 1e9 / rate;
  load->window_begin = began;
  load->window_end = began + duration_ns;
  uint64_t turns_max = (uint64_t)((double)duration_ns / load->period_ns), issued = 0;
  uint64_t end = load->window_end + DRAIN_NS;
  for (uint64_t now = began; issued < turns_max && now < end; now = now_ns()) {
    uint64_t due = (uint64_t)((double)(now - began) / load->period_ns) + 1;
    if (due > turns_max) due = turns_max;
    // A burst that is late is sent at most this many at a time, so that replies are taken too.
    for (int burst = 0; issued < due && burst < EVENTS_MAX; burst++, issued++) {
      uint32_t index = (uint32_t)(issued % load->options.connections);
      if (load->connections[index].phase == PHASE_OPEN) load__issue_and_flush(load, index, 1);
      else load->result.failed += 1;
    }
    // A slow rate leaves the core to others between two requests, at the price of up to 1 ms late.
    bool spins = load->period_ns < SLEEP_PERIOD_NS;
    turn(load, spins, spins ? 0 : began + (uint64_t)((double)issued * load->period_ns));
  }
  load->result.failed += turns_max - issued;
  drain(load, DRAIN_NS);
  // A server that falls behind answers the last request later than the last one was due.
  uint64_t last = load->last_reply > load->window_end ? load->last_reply : load->window_end;
  load->result.window_ns = last - began;
  load__end(load, began, cpu_began);
  *result = load->result;
}

void bench_load_each(
  bench_load *load, uint32_t in_flight_max, uint64_t timeout_ns,
  struct bench_load_result *result) {
  uint64_t began = now_ns(), cpu_began = cpu_now_ns(), end = began + timeout_ns;
  load__run_begin(load, MODE_EACH);
  load->window_begin = began;
  load->window_end = end;
  uint32_t next = 0;
  while (now_ns() < end) {
    while (next < load->options.connections && load->outstanding < in_flight_max) {
      if (load->connections[next].phase == PHASE_OPEN) load__issue_and_flush(load, next, 1);
      next += 1;
    }
    if (next == load->options.connections && load->outstanding == 0) break;
    turn(load, false, end);
  }
  load->result.window_ns = now_ns() - began;
  drain(load, 0);
  load__end(load, began, cpu_began);
  *result = load->result;
}

const uint64_t *bench_load_histogram(const bench_load *load, size_t *length) {
  *length = BUCKETS;
  return load->histogram;
}

uint64_t bench_load_histogram_value(size_t index) {
  if (index < SUB_COUNT) return index;
  int shift = (int)(index / SUB_COUNT) - 1;
  uint64_t low = (uint64_t)(SUB_COUNT + index % SUB_COUNT) << shift;
  return low + ((1ull << shift) >> 1);
}

uint64_t bench_now_ns(void) { return now_ns(); }

double bench_clock_cost_ns(uint32_t count) {
  uint64_t began = now_ns();
  for (uint32_t i = 0; i < count; i++) (void)now_ns();
  return (double)(now_ns() - began) / (double)count;
}
