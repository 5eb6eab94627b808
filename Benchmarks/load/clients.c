// Making clients, and the loops that drive them.
#include "clients.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool is_good(const struct bench_clients_options *options) {
  return options->clients > 0 && options->target_count > 0
    && options->target_count <= BENCH_TARGETS_MAX && options->source_ip_count > 0
    && options->connects_in_flight_max > 0 && options->state_bytes >= 8
    && options->state_bytes <= BENCH_STATE_MAX && options->burst > 0
    && options->burst <= BENCH_BURST_MAX && options->window > 0
    && options->updates_percent * options->burst <= 100;
}

bench_clients *bench_clients_create(const struct bench_clients_options *options) {
  if (!is_good(options)) {
    errno = EINVAL;
    return NULL;
  }
  bench_clients *all = calloc(1, sizeof *all);
  if (all == NULL) return NULL;
  all->options = *options;
  all->random = options->seed | 1;
  all->clients = calloc(options->clients, sizeof *all->clients);
  all->queue = calloc(options->clients, sizeof *all->queue);
  all->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (all->clients == NULL || all->queue == NULL || all->epoll < 0) {
    bench_clients_destroy(all);
    return NULL;
  }
  for (uint32_t i = 0; i < options->clients; i++) {
    all->clients[i].fd = -1;
    all->clients[i].wanted = -1;
  }
  return all;
}

void bench_clients_destroy(bench_clients *all) {
  if (all == NULL) return;
  for (uint32_t i = 0; all->clients != NULL && i < all->options.clients; i++) {
    if (all->clients[i].fd >= 0) close(all->clients[i].fd);
    free(all->clients[i].part);
  }
  if (all->epoll >= 0) close(all->epoll);
  free(all->clients);
  free(all->queue);
  free(all->slices);
  free(all->slice_max);
  free(all);
}

// Waits, 10 ms at most, then serves what is ready.
static void turn(struct bench_clients *all) {
  int count = epoll_wait(all->epoll, all->events, EVENTS_MAX, 10);
  for (int i = 0; i < count; i++) {
    const struct epoll_event *event = &all->events[i];
    uint32_t index = event->data.u32;
    const struct client *c = &all->clients[index];
    if (c->life == LIFE_CONNECTING) {
      clients__connected(all, index, event);
    } else if (c->fd >= 0 && (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
      if (!clients__receive(all, index)) clients__broken(all, index, now_ns());
    }
  }
}

static void tell(
  struct bench_clients *all, uint64_t cpu_began, struct bench_clients_result *result) {
  all->result.ready = all->ready;
  all->result.cpu_ns = cpu_now_ns() - cpu_began;
  *result = all->result;
}

void bench_clients_open(
  bench_clients *all, uint64_t timeout_ns, struct bench_clients_result *result) {
  uint64_t cpu_began = cpu_now_ns(), now = now_ns(), end = now + timeout_ns;
  for (uint32_t i = 0; i < all->options.clients; i++)
    if (all->clients[i].life == LIFE_CLOSED) clients__queue(all, i);
  while (now < end && all->ready < all->options.clients) {
    clients__connect_some(all, now);
    turn(all);
    now = now_ns();
  }
  tell(all, cpu_began, result);
}

// Whoever is next and has nothing under way asks, until as many wait as may.
static void issue(struct bench_clients *all, uint64_t now) {
  uint32_t looked = 0;
  while (all->waiting < all->options.window && looked++ < all->options.clients) {
    uint32_t index = all->cursor;
    const struct client *c = &all->clients[index];
    all->cursor = (index + 1) % all->options.clients;
    if (c->life != LIFE_READY || c->reads > 0 || c->writing != 0) continue;
    if (!clients__burst(all, index, now, false)) clients__broken(all, index, now);
  }
}

static bool slices_make(struct bench_clients *all, uint64_t duration_ns) {
  free(all->slices);
  free(all->slice_max);
  all->slice_count = duration_ns / SLICE_NS + 1;
  all->slices = calloc(all->slice_count * BUCKETS, sizeof *all->slices);
  all->slice_max = calloc(all->slice_count, sizeof *all->slice_max);
  if (all->slices != NULL && all->slice_max != NULL) return true;
  all->slice_count = 0;
  return false;
}

void bench_clients_run(
  bench_clients *all, uint64_t duration_ns, struct bench_clients_result *result) {
  uint64_t cpu_began = cpu_now_ns();
  if (!slices_make(all, duration_ns)) return tell(all, cpu_began, result);
  uint64_t now = now_ns(), end = now + duration_ns;
  all->measure_begin = now;
  all->measure_end = end;
  while (now < end) {
    clients__connect_some(all, now);
    issue(all, now);
    turn(all);
    now = now_ns();
  }
  uint64_t wanted = all->options.clients - all->result.sessions_gone;
  while ((all->waiting > 0 || all->ready < wanted) && now < end + 5 * DRAIN_NS) {
    clients__connect_some(all, now);
    turn(all);
    now = now_ns();
  }
  tell(all, cpu_began, result);
}

void bench_clients_verify(
  bench_clients *all, uint64_t timeout_ns, struct bench_clients_result *result) {
  uint64_t cpu_began = cpu_now_ns(), now = now_ns(), end = now + timeout_ns;
  uint64_t before = all->result.reads;
  uint32_t next = 0;
  while (now < end) {
    clients__connect_some(all, now);
    while (next < all->options.clients && all->waiting < all->options.window) {
      uint32_t index = next++;
      if (all->clients[index].life != LIFE_READY) continue;
      if (!clients__burst(all, index, now, true)) clients__broken(all, index, now);
    }
    if (next == all->options.clients && all->waiting == 0) break;
    turn(all);
    now = now_ns();
  }
  uint64_t answered = all->result.reads - before;
  all->result.unread = all->options.clients - answered;
  tell(all, cpu_began, result);
}

const uint64_t *bench_clients_histogram(
  bench_clients *all, uint64_t from, uint64_t to, bool inside, size_t *length,
  uint64_t *latency_max_ns) {
  memset(all->histogram, 0, sizeof all->histogram);
  *length = BUCKETS;
  *latency_max_ns = 0;
  for (size_t slice = 0; slice < all->slice_count; slice++) {
    uint64_t begin = all->measure_begin + slice * SLICE_NS;
    bool touches = begin < to && begin + SLICE_NS > from;
    if (touches != inside) continue;
    for (size_t i = 0; i < BUCKETS; i++)
      all->histogram[i] += all->slices[slice * BUCKETS + i];
    if (all->slice_max[slice] > *latency_max_ns) *latency_max_ns = all->slice_max[slice];
  }
  return all->histogram;
}

size_t bench_clients_returns(
  const bench_clients *all, uint64_t since, uint64_t *times, size_t capacity) {
  size_t count = 0;
  for (uint32_t i = 0; i < all->options.clients; i++) {
    const struct client *c = &all->clients[i];
    if (c->broken_at < since || c->back_at < c->broken_at) continue;
    if (count < capacity) times[count] = c->back_at;
    count += 1;
  }
  return count;
}
