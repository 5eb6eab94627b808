// libraft by itself, as its own example uses it: what the replicated log is held against.
//
// Members of one process, a thread and a libuv loop each, on libraft's own TCP links. The leader
// keeps four batches under way, IN_FLIGHT entries together; each is timed from its call of
// raft_apply to its callback.
//
// usage: floor-raft DIRECTORY NODES IN_FLIGHT ENTRIES [BYTES [PORT]]
// DIRECTORY must be empty. Members listen on 127.0.0.1, from PORT on. Prints one line of JSON.
#include <inttypes.h>
#include <pthread.h>
#include <raft.h>
#include <raft/uv.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <uv.h>

enum { NODES_MAX = 7, UNDER_WAY = 4, WARM_BATCHES = 16, DEADLINE_S = 60 };

struct node {
  unsigned id;
  char address[32];
  char directory[512];
  uv_loop_t loop;
  uv_timer_t timer;
  struct raft_uv_transport transport;
  struct raft_io io;
  struct raft_fsm fsm;
  struct raft raft;
  pthread_t thread;
  bool working;
  uint64_t applied;
};

struct batch {
  struct raft_apply request;
  struct node *node;
  uint64_t from;
};

static struct node members[NODES_MAX + 1];
static unsigned nodes, per_batch, port = 39100;
static uint64_t batches, asked, answered, measured_from, spent;
static uint64_t *taken_ns;
static size_t length = 200;
static atomic_bool done;

static void fail(const char *what) {
  fprintf(stderr, "floor-raft: %s\n", what);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int apply(struct raft_fsm *fsm, const struct raft_buffer *buffer, void **result) {
  struct node *n = fsm->data;
  (void)buffer;
  n->applied++;
  *result = NULL;
  return 0;
}

static int snapshot(struct raft_fsm *fsm, struct raft_buffer *buffers[], unsigned *count) {
  (void)fsm;
  *buffers = raft_malloc(sizeof **buffers);
  *count = 1;
  (*buffers)[0].base = raft_calloc(1, 8);
  (*buffers)[0].len = 8;
  return 0;
}

static int restore(struct raft_fsm *fsm, struct raft_buffer *buffer) {
  (void)fsm;
  raft_free(buffer->base);
  return 0;
}

static void propose(struct node *n);

static void on_applied(struct raft_apply *request, int status, void *result) {
  struct batch *b = (struct batch *)request;
  (void)result;
  if (status != 0) { fail(raft_strerror(status)); }
  if (answered >= WARM_BATCHES) { taken_ns[answered - WARM_BATCHES] = now_ns() - b->from; }
  answered++;
  if (answered == WARM_BATCHES) { measured_from = now_ns(); }
  if (answered == batches + WARM_BATCHES) {
    spent = now_ns() - measured_from;
    atomic_store(&done, true);
  }
  struct node *n = b->node;
  free(b);
  propose(n);
}

static void propose(struct node *n) {
  if (asked == batches + WARM_BATCHES) { return; }
  struct raft_buffer buffers[per_batch];
  for (unsigned i = 0; i < per_batch; i++) {
    buffers[i].len = (length + 7) & ~(size_t)7;
    buffers[i].base = raft_calloc(1, buffers[i].len);
  }
  struct batch *b = calloc(1, sizeof *b);
  b->node = n;
  b->from = now_ns();
  asked++;
  if (raft_apply(&n->raft, &b->request, buffers, per_batch, on_applied) != 0) {
    fail("the leader took no entries");
  }
}

static void on_timer(uv_timer_t *timer) {
  struct node *n = timer->data;
  if (atomic_load(&done)) {
    uv_stop(&n->loop);
  } else if (!n->working && asked == 0 && raft_state(&n->raft) == RAFT_LEADER) {
    n->working = true;
    for (int i = 0; i < UNDER_WAY; i++) { propose(n); }
  }
}

static void set_up(struct node *n, const char *directory) {
  snprintf(n->directory, sizeof n->directory, "%s/%u", directory, n->id);
  snprintf(n->address, sizeof n->address, "127.0.0.1:%u", port + n->id);
  mkdir(n->directory, 0700);
  uv_loop_init(&n->loop);
  if (raft_uv_tcp_init(&n->transport, &n->loop) != 0) { fail("no transport"); }
  if (raft_uv_init(&n->io, &n->loop, n->directory, &n->transport) != 0) { fail("no I/O"); }
  n->fsm = (struct raft_fsm){.version = 1, .data = n, .apply = apply};
  n->fsm.snapshot = snapshot;
  n->fsm.restore = restore;
  if (raft_init(&n->raft, &n->io, &n->fsm, n->id, n->address) != 0) { fail("no member"); }
  raft_set_election_timeout(&n->raft, 1000);
  raft_set_heartbeat_timeout(&n->raft, 100);
  raft_set_snapshot_threshold(&n->raft, 1 << 16);
  raft_set_snapshot_trailing(&n->raft, 8192);
  raft_set_pre_vote(&n->raft, true);
}

static void *run(void *argument) {
  struct node *n = argument;
  struct raft_configuration c;
  raft_configuration_init(&c);
  for (unsigned id = 1; id <= nodes; id++) {
    if (raft_configuration_add(&c, id, members[id].address, RAFT_VOTER) != 0) { fail("bad"); }
  }
  if (raft_bootstrap(&n->raft, &c) != 0) { fail("the directory is not empty"); }
  raft_configuration_close(&c);
  if (raft_start(&n->raft) != 0) { fail(raft_errmsg(&n->raft)); }
  uv_timer_init(&n->loop, &n->timer);
  n->timer.data = n;
  uv_timer_start(&n->timer, on_timer, 10, 10);
  uv_run(&n->loop, UV_RUN_DEFAULT);
  return NULL;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

int main(int count, char **arguments) {
  if (count < 5) { fail("usage: floor-raft DIRECTORY NODES IN_FLIGHT ENTRIES [BYTES [PORT]]"); }
  nodes = (unsigned)atoi(arguments[2]);
  unsigned in_flight = (unsigned)atoi(arguments[3]);
  per_batch = in_flight / UNDER_WAY;
  if (nodes < 1 || nodes > NODES_MAX || per_batch < 1) { fail("out of range"); }
  batches = strtoull(arguments[4], NULL, 10) / per_batch;
  if (count > 5) { length = (size_t)atoi(arguments[5]); }
  if (count > 6) { port = (unsigned)atoi(arguments[6]); }
  taken_ns = calloc(batches + 1, sizeof *taken_ns);
  for (unsigned id = 1; id <= nodes; id++) {
    members[id].id = id;
    set_up(&members[id], arguments[1]);
  }
  for (unsigned id = 1; id <= nodes; id++) {
    pthread_create(&members[id].thread, NULL, run, &members[id]);
  }
  uint64_t end = now_ns() + (uint64_t)DEADLINE_S * 1000000000;
  while (!atomic_load(&done)) {
    if (now_ns() > end) { fail("took too long"); }
    nanosleep(&(struct timespec){0, 10000000}, NULL);
  }
  for (unsigned id = 1; id <= nodes; id++) { pthread_join(members[id].thread, NULL); }
  qsort(taken_ns, batches, sizeof *taken_ns, compare);
  printf(
      "{\"nodes\":%u,\"in_flight\":%u,\"entries\":%" PRIu64 ",\"bytes\":%zu,\"per_second\":%.0f,"
      "\"p50_us\":%.0f,\"p99_us\":%.0f,\"batches\":%" PRIu64 "}\n",
      nodes, in_flight, batches * per_batch, length,
      (double)(batches * per_batch) * 1e9 / (double)spent, (double)taken_ns[batches / 2] / 1e3,
      (double)taken_ns[batches * 99 / 100] / 1e3, batches);
  return 0;
}
