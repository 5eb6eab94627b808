// Measures the replicated log's shim: members in one process, their home the main thread, which
// carries messages by a function call. Proposals are kept in flight, each timed from its proposal
// to its answer.
//
// usage: raft-probe DIRECTORY NODES IN_FLIGHT ENTRIES [BYTES]
// DIRECTORY must be empty. Prints one line of JSON.
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "aloft_raft.h"

enum { NODES_MAX = 7, WARM_ENTRIES = 2000, DEADLINE_S = 60 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static bool has_news;

static aloft__raft *rafts[NODES_MAX + 1];
static unsigned nodes, stopped;
static uint8_t leader;
static uint64_t asked, answered, committed, change_answered;
static uint8_t change_outcome;
static uint64_t *started_ns, *taken_ns;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "raft-probe: %s\n", what);
  exit(1);
}

static void wake(void *context) {
  (void)context;
  pthread_mutex_lock(&lock);
  has_news = true;
  pthread_cond_signal(&news);
  pthread_mutex_unlock(&lock);
}

static void answer(uint64_t token, uint8_t outcome) {
  if (token == UINT64_MAX) {
    change_outcome = outcome;
    change_answered++;
    return;
  }
  taken_ns[token] = now_ns() - started_ns[token];
  answered++;
  committed += outcome == ALOFT__RAFT_COMMITTED;
}

static void see(uint8_t node, const aloft__raft_event *event) {
  switch (event->kind) {
  case ALOFT__RAFT_APPLIED:
    if (event->flag) { answer(event->token, ALOFT__RAFT_COMMITTED); }
    break;
  case ALOFT__RAFT_OUTCOME: answer(event->token, event->outcome); break;
  case ALOFT__RAFT_LEADER:
    if (event->flag) { leader = node; }
    if (!event->flag && leader == node) { leader = 0; }
    break;
  case ALOFT__RAFT_SEND:
    if (event->node <= nodes && rafts[event->node] != NULL) {
      aloft__raft_receive(rafts[event->node], node, event->data, event->length);
    }
    break;
  case ALOFT__RAFT_SNAPSHOT:
    aloft__raft_snapshot(rafts[node], event->index, (const uint8_t *)"state", 5);
    break;
  case ALOFT__RAFT_ENDED: fail((const char *)event->data); break;
  case ALOFT__RAFT_STOPPED: stopped++; break;
  default: break;
  }
}

static void take_all(void) {
  for (uint8_t node = 1; node <= nodes; node++) {
    if (rafts[node] == NULL) { continue; }
    aloft__raft_block *blocks = aloft__raft_take(rafts[node]);
    for (aloft__raft_block *b = blocks; b != NULL; b = b->next) {
      for (uint32_t at = 0; at < b->used;) {
        const aloft__raft_event *event = (const void *)(b->bytes + at);
        see(node, event);
        at += event->size;
      }
    }
    aloft__raft_give_back(rafts[node], blocks);
  }
}

static void wait_news(void) {
  static uint64_t end;
  if (end == 0) { end = now_ns() + (uint64_t)DEADLINE_S * 1000000000; }
  if (now_ns() > end) { fail("took too long"); }
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 1;
  pthread_mutex_lock(&lock);
  if (!has_news) { pthread_cond_timedwait(&news, &lock, &until); }
  has_news = false;
  pthread_mutex_unlock(&lock);
  take_all();
}

static void start(uint8_t node, const char *directory) {
  char path[512], text[ALOFT__RAFT_TEXT];
  aloft__raft_options options = {
    .node = node, .bootstrap = node == 1, .election_ms = 1000, .heartbeat_ms = 100,
    .segment_bytes = 8 << 20, .snapshot_entries = 1 << 16, .snapshot_log_bytes = 64 << 20,
    .trailing_entries = 8192, .entry_bytes_max = 1 << 20, .inflight_max = 65536,
    .inflight_bytes_max = 64 << 20, .outgoing_bytes_max = 64 << 20,
    .snapshot_bytes_max = 1 << 30, .reserve_bytes = 32 << 20};
  snprintf(path, sizeof path, "%s/%u", directory, node);
  if (aloft__raft_open(&rafts[node], &options, path, wake, NULL, text) != 0) { fail(text); }
}

static void form(const char *directory) {
  start(1, directory);
  while (leader == 0) { wait_news(); }
  for (uint8_t node = 2; node <= nodes; node++) {
    start(node, directory);
    uint64_t before = change_answered;
    if (aloft__raft_change(rafts[1], ALOFT__RAFT_ADD, node, ALOFT__RAFT_VOTER, UINT64_MAX) != 0) {
      fail("the change was refused");
    }
    while (change_answered == before) { wait_news(); }
    if (change_outcome != ALOFT__RAFT_COMMITTED) { fail("a member could not be added"); }
  }
}

static uint64_t run(uint64_t entries, unsigned in_flight, const uint8_t *bytes, size_t length) {
  uint64_t end = asked + entries, from = now_ns();
  while (answered < end) {
    while (asked < end && asked - answered < in_flight) {
      started_ns[asked] = now_ns();
      if (aloft__raft_propose(rafts[leader], bytes, length, asked) != 0) { break; }
      asked++;
    }
    wait_news();
  }
  return now_ns() - from;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static void stop(void) {
  for (uint8_t node = 1; node <= nodes; node++) { aloft__raft_stop(rafts[node]); }
  while (stopped < nodes) { wait_news(); }
  for (uint8_t node = 1; node <= nodes; node++) { aloft__raft_free(rafts[node]); }
}

int main(int count, char **arguments) {
  if (count < 5) { fail("usage: raft-probe DIRECTORY NODES IN_FLIGHT ENTRIES [BYTES]"); }
  nodes = (unsigned)atoi(arguments[2]);
  unsigned in_flight = (unsigned)atoi(arguments[3]);
  uint64_t entries = strtoull(arguments[4], NULL, 10);
  size_t length = count > 5 ? (size_t)atoi(arguments[5]) : 200;
  if (nodes < 1 || nodes > NODES_MAX || in_flight < 1 || entries < 1) { fail("out of range"); }
  started_ns = calloc(entries + WARM_ENTRIES, sizeof *started_ns);
  taken_ns = calloc(entries + WARM_ENTRIES, sizeof *taken_ns);
  uint8_t *bytes = calloc(1, length + 1);
  if (started_ns == NULL || taken_ns == NULL || bytes == NULL) { fail("out of memory"); }
  form(arguments[1]);
  run(WARM_ENTRIES, in_flight, bytes, length);
  uint64_t spent = run(entries, in_flight, bytes, length);
  aloft__raft_statistics numbers;
  aloft__raft_read_statistics(rafts[leader], &numbers);
  stop();
  if (committed != answered) { fail("not every entry was committed"); }
  qsort(taken_ns + WARM_ENTRIES, entries, sizeof *taken_ns, compare);
  const uint64_t *sorted = taken_ns + WARM_ENTRIES;
  printf(
      "{\"nodes\":%u,\"in_flight\":%u,\"entries\":%" PRIu64 ",\"bytes\":%zu,\"per_second\":%.0f,"
      "\"p50_us\":%.0f,\"p99_us\":%.0f,\"batches\":%" PRIu64 ",\"wakes\":%" PRIu64 "}\n",
      nodes, in_flight, entries, length, (double)entries * 1e9 / (double)spent,
      (double)sorted[entries / 2] / 1e3, (double)sorted[entries * 99 / 100] / 1e3, numbers.batches,
      numbers.wakes);
  free(started_ns);
  free(taken_ns);
  free(bytes);
  return 0;
}
