// One member's life: the thread, its loop, and its end.
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "internal.h"

// raft_uv wants somebody to connect it to others. It is never asked to.
static int transport_init(struct raft_uv_transport *t, raft_id id, const char *address) {
  (void)t, (void)id, (void)address;
  return 0;
}
static int transport_listen(struct raft_uv_transport *t, raft_uv_accept_cb accepted) {
  (void)t, (void)accepted;
  return 0;
}
static int transport_connect(
    struct raft_uv_transport *t, struct raft_uv_connect *request, raft_id id, const char *address,
    raft_uv_connect_cb connected) {
  (void)t, (void)request, (void)id, (void)address, (void)connected;
  return RAFT_NOCONNECTION;
}
static void transport_close(struct raft_uv_transport *t, raft_uv_transport_close_cb closed) {
  closed(t);
}

static void on_async(uv_async_t *async) { (void)async; }
static void on_idle(uv_idle_t *idle) { (void)idle; }

static void on_closed(struct raft *raft) {
  aloft__raft *r = raft->data;
  uv_close((uv_handle_t *)&r->async, NULL);
  uv_close((uv_handle_t *)&r->idle, NULL);
  uv_close((uv_handle_t *)&r->news, NULL);
  uv_close((uv_handle_t *)&r->prepare, NULL);
  r->finished = true;
}

// Writes finish first: libraft's own way with those that are cancelled cuts its log twice.
static void go_on_stopping(aloft__raft *r) {
  uint64_t now = uv_now(&r->loop);
  if (!r->stopping) {
    r->stopping = true;
    r->stop_ms = now;
  }
  if (r->closing) { return; }
  if (r->disk_under_way > 0 || r->held != NULL) {
    if (now - r->stop_ms > STOP_PATIENCE_MS) {
      aloft__raft_die(r, "The disk of %s took longer than 5 s to finish a write.", r->directory);
    }
    return;
  }
  r->closing = true;
  if (r->take != NULL) { aloft__raft_snapshot_taken(r, r->take_index, NULL, 0); }
  aloft__raft_transfer_close(r);
  aloft__raft_sent(r);
  raft_close(&r->raft, on_closed);
}

static void turn(aloft__raft *r) {
  aloft__raft_release_held(r);
  aloft__raft_sent(r);
  if (!r->stopping) { aloft__raft_serve(r); }
  aloft__raft_after(r);
  aloft__raft_sent(r);
  if (atomic_load(&r->stop_wanted) && !r->dead) { go_on_stopping(r); }
}

static void on_prepare(uv_prepare_t *prepare) {
  aloft__raft *r = prepare->data;
  atomic_store(&r->sleeping, false);
  if (!r->dead) { turn(r); }
  if (r->dead || r->finished) { return; }
  aloft__raft_flush(r);
  atomic_store(&r->sleeping, true);
  bool waits = !r->stopping && (aloft__raft_requests_wait(r) || r->sent_count > 0);
  if (waits || (atomic_load(&r->stop_wanted) && !r->stopping)) {
    atomic_store(&r->sleeping, false);
    uv_idle_start(&r->idle, on_idle);
  } else {
    uv_idle_stop(&r->idle);
  }
}

static int set_up(aloft__raft *r) {
  if (uv_loop_init(&r->loop) != 0) { return -1; }
  uv_async_init(&r->loop, &r->async, on_async);
  uv_prepare_init(&r->loop, &r->prepare);
  uv_idle_init(&r->loop, &r->idle);
  uv_timer_init(&r->loop, &r->news);
  r->news.data = r;
  r->prepare.data = r;
  r->transport = (struct raft_uv_transport){
    .init = transport_init, .listen = transport_listen, .connect = transport_connect,
    .close = transport_close};
  aloft__raft_machine_init(r);
  aloft__raft_io_init(r);
  if (raft_uv_init(&r->disk, &r->loop, r->directory, &r->transport) != 0) { return -1; }
  raft_uv_set_segment_size(&r->disk, r->options.segment_bytes);
  raft_uv_set_snapshot_compression(&r->disk, false);
  // It would move damaged files away, and go on without their entries.
  raft_uv_set_auto_recovery(&r->disk, false);
  return 0;
}

// A new cluster's first entry: this node alone.
static int bootstrap(aloft__raft *r) {
  char address[4];
  struct raft_configuration c;
  aloft__raft_address(address, r->options.node);
  raft_configuration_init(&c);
  int status = raft_configuration_add(&c, r->options.node, address, RAFT_VOTER);
  if (status == 0) { status = raft_bootstrap(&r->raft, &c); }
  raft_configuration_close(&c);
  return status;
}

static void configure(aloft__raft *r) {
  raft_set_election_timeout(&r->raft, r->options.election_ms);
  raft_set_heartbeat_timeout(&r->raft, r->options.heartbeat_ms);
  raft_set_snapshot_threshold(&r->raft, r->options.snapshot_entries);
  r->kept = r->options.trailing_entries;
  raft_set_snapshot_trailing(&r->raft, r->kept);
  raft_set_install_snapshot_timeout(&r->raft, 2 * TRANSFER_STALL_MS);
  // A message that was lost is sent again after an election's time; twice that, and the member to
  // be promoted is not there. No other change can begin before that is known.
  raft_set_max_catch_up_round_duration(&r->raft, 2 * r->options.election_ms);
  raft_set_pre_vote(&r->raft, true);
}

static void start(aloft__raft *r) {
  char address[4];
  bool fresh = !aloft__raft_directory_has_log(r);
  aloft__raft_address(address, r->options.node);
  aloft__raft_check_room(r);
  aloft__raft_check_segments(r);
  if (r->dead) { return; }
  int status = raft_init(&r->raft, &r->io, &r->fsm, r->options.node, address);
  if (status != 0) {
    aloft__raft_die(
        r, "The log in %s can't be opened (%s, %s): see to its disk.", r->directory,
        raft_strerror(status), r->io.errmsg);
    return;
  }
  r->raft.data = r;
  configure(r);
  if (fresh && r->options.bootstrap) { status = bootstrap(r); }
  if (status == 0) { status = raft_start(&r->raft); }
  if (r->dead) { return; }
  if (status != 0) {
    aloft__raft_die(
        r,
        "The log in %s can't be read (%s, %s). If the disk is sound, replace this node: empty the"
        " directory and let it join anew.",
        r->directory, raft_strerror(status), r->io.errmsg);
    return;
  }
  if (r->options.bootstrap && r->next_index == 1) {
    aloft__raft_die(
        r, "%s was never finished being made: remove what is in it, then start again.",
        r->directory);
    return;
  }
  r->started = true;
  aloft__raft_after(r);
}

// Home is told once the directory is free again, so writes under way are waited for: for a second,
// and not where one of them was what failed, for raft_uv would go on behind it.
static void let_writes_finish(aloft__raft *r) {
  uint64_t end = uv_hrtime() + 1000000000;
  while (r->started && r->disk_under_way > 0 && uv_hrtime() < end) {
    uv_run(&r->loop, UV_RUN_ONCE);
  }
}

// The last words. Where the disk has failed, all that libraft, libuv and the kernel may still refer
// to is left as it is, and the lock with it as long as a write may be on its way.
static void end(aloft__raft *r) {
  if (r->dead && !r->append_failed) { let_writes_finish(r); }
  if (!r->dead) {
    // Its memory is in use until the loop has nothing left to do.
    raft_uv_close(&r->disk);
    uv_loop_close(&r->loop);
  }
  aloft__raft_change_lost(r);
  aloft__raft_answer_pending(r, ALOFT__RAFT_UNKNOWN);
  atomic_store(&r->stop_wanted, true);
  aloft__raft_refuse_requests(r);
  if (r->dead) {
    aloft__raft_event event = {.kind = ALOFT__RAFT_ENDED};
    aloft__raft_emit(r, &event, r->ended, strlen(r->ended));
  }
  if (!r->dead || r->disk_under_way == 0) { aloft__raft_directory_close(r); }
  aloft__raft_event event = {.kind = ALOFT__RAFT_STOPPED};
  aloft__raft_emit(r, &event, NULL, 0);
  aloft__raft_flush(r);
}

static void *run(void *argument) {
  aloft__raft *r = argument;
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  start(r);
  if (!r->dead) {
    uv_prepare_start(&r->prepare, on_prepare);
    uv_run(&r->loop, UV_RUN_DEFAULT);
  }
  end(r);
  return NULL;
}

static size_t power_above(size_t count) {
  size_t power = 64;
  while (power < count) { power *= 2; }
  return power;
}

static aloft__raft *make(
    const aloft__raft_options *options, const char *directory, aloft__raft_wake wake,
    void *context) {
  aloft__raft *r = aligned_alloc(64, (sizeof *r + 63) & ~(size_t)63);
  if (r == NULL) { abort(); }
  memset(r, 0, sizeof *r);
  r->options = *options;
  snprintf(r->directory, sizeof r->directory, "%s", directory);
  r->directory_fd = r->lock_fd = -1;
  r->wake = wake;
  r->context = context;
  r->held_last = &r->held;
  r->blocks_last = &r->blocks;
  r->outbox_last = &r->outbox;
  r->next_index = 1;
  pthread_mutex_init(&r->outbox_lock, NULL);
  if (getrandom(&r->random, sizeof r->random, 0) != sizeof r->random || r->random == 0) {
    r->random = 1;
  }
  for (int i = 0; i < ALOFT__RAFT_FAULTS; i++) { atomic_store(&r->faults[i], -1); }
  // Beside what is counted: messages, and what needs no answer.
  r->ring_mask = power_above((size_t)options->inflight_max + 4096) - 1;
  r->ring = calloc(r->ring_mask + 1, sizeof *r->ring);
  r->pending_room = power_above((size_t)options->inflight_max + 1);
  r->pending = calloc(r->pending_room, sizeof *r->pending);
  if (r->ring == NULL || r->pending == NULL) { abort(); }
  return r;
}

static void discard(aloft__raft *r) {
  aloft__raft_directory_close(r);
  aloft__raft_give_back(r, aloft__raft_take(r));
  free(r->spare);
  aloft__raft_log_reset(r, 1);
  free(r->members.data.base);
  free(r->runs);
  free(r->changes);
  free(r->sent);
  free(r->ring);
  free(r->pending);
  pthread_mutex_destroy(&r->outbox_lock);
  free(r);
}

int aloft__raft_open(
    aloft__raft **out, const aloft__raft_options *options, const char *directory,
    aloft__raft_wake wake, void *context, char text[ALOFT__RAFT_TEXT]) {
  // raft_uv's own bound on the path, which leaves room for the names of files.
  if (strlen(directory) >= 895) {
    snprintf(text, ALOFT__RAFT_TEXT, "The data directory's path is longer than 894 bytes.");
    return -ENAMETOOLONG;
  }
  aloft__raft_take_over_writes();
  aloft__raft *r = make(options, directory, wake, context);
  int status = aloft__raft_directory_open(r, text);
  if (status == 0 && set_up(r) != 0) {
    snprintf(
        text, ALOFT__RAFT_TEXT, "No event loop can be made for the log: raise the descriptor"
        " limit (ulimit -n).");
    status = -EMFILE;
  }
  if (status == 0) {
    status = -pthread_create(&r->thread, NULL, run, r);
    if (status != 0) { snprintf(text, ALOFT__RAFT_TEXT, "No thread can be made for the log."); }
  }
  if (status != 0) {
    discard(r);
    return status;
  }
  *out = r;
  return 0;
}

void aloft__raft_free(aloft__raft *r) {
  pthread_join(r->thread, NULL);
  // After a failure, work of the pool's threads may still refer to it.
  if (!r->dead) { discard(r); }
}

void aloft__raft_inject(aloft__raft *r, int fault, uint32_t skip) {
  atomic_store(&r->faults[fault], skip);
}

void aloft__raft_hold_appends(aloft__raft *r, bool held) {
  atomic_store(&r->appends_held, held);
  uv_async_send(&r->async);
}

void aloft__raft_remove_guards(aloft__raft *r, uint32_t guards) {
  atomic_store(&r->guards_removed, guards);
}
