// The `struct raft_io` that libraft sees: raft_uv's disk, with a look at everything on its way
// there and back, and our own messages. A failed operation ends the node before libraft learns of
// it: it is told that all is well, and never called again.
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static aloft__raft *of(struct raft_io *io) { return io->impl; }

bool aloft__raft_fails(aloft__raft *r, int fault) {
  int64_t left = atomic_load_explicit(&r->faults[fault], memory_order_acquire);
  if (left < 0) { return false; }
  atomic_store_explicit(&r->faults[fault], left - 1, memory_order_relaxed);
  return left == 0;
}

static const char *reason(aloft__raft *r) {
  return r->disk.errmsg[0] != 0 ? r->disk.errmsg : "no reason given";
}

static void disk_failed(aloft__raft *r, const char *what, int status) {
  if (status == RAFT_NOSPACE) {
    aloft__raft_die(
        r, "The disk of %s is full: %s failed. Make room there, then start the node again.",
        r->directory, what);
  } else {
    aloft__raft_die(
        r,
        "The disk of %s failed: %s (%s, %s). See to the disk, then start the node again; if its"
        " files are lost, replace the node.",
        r->directory, what, raft_strerror(status), reason(r));
  }
}

static int io_init(struct raft_io *io, raft_id id, const char *address) {
  aloft__raft *r = of(io);
  int status = r->disk.init(&r->disk, id, address);
  if (status != 0) { memcpy(io->errmsg, r->disk.errmsg, sizeof io->errmsg); }
  return status;
}

static void on_disk_closed(struct raft_io *disk) {
  aloft__raft *r = disk->data;
  raft_io_close_cb closed = r->closed;
  r->closed = NULL;
  // raft_uv may say so before its last file is closed, and then once more.
  if (closed != NULL) { closed(&r->io); }
}

static void io_close(struct raft_io *io, raft_io_close_cb done) {
  aloft__raft *r = of(io);
  r->closed = done;
  r->disk.close(&r->disk, on_disk_closed);
}

static void note_loaded(
    aloft__raft *r, const struct raft_snapshot *snapshot, uint64_t start,
    const struct raft_entry *entries, size_t count) {
  aloft__raft_log_reset(r, start);
  if (snapshot != NULL) {
    struct raft_buffer conf;
    if (raft_configuration_encode(&snapshot->configuration, &conf) != 0) { abort(); }
    aloft__raft_members_set(r, snapshot->configuration_index, &conf);
    raft_free(conf.base);
    if (count == 0) { r->next_index = snapshot->index + 1; }
  }
  for (size_t i = 0; i < count; i++) { aloft__raft_log_append(r, &entries[i]); }
  if (snapshot == NULL) { return; }
  // Entries that the snapshot covers stay in the log; their configurations are applied.
  size_t old = 0;
  while (old < r->changes_count && r->changes[old].index <= snapshot->index) {
    free(r->changes[old++].data.base);
  }
  r->changes_count -= old;
  memmove(r->changes, r->changes + old, r->changes_count * sizeof *r->changes);
}

// What was written by a faulty disk or a stranger must not reach libraft, which trusts it.
static bool loaded_fits(const struct raft_entry *entries, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const struct raft_buffer *b = &entries[i].buf;
    const uint8_t *own;
    size_t length;
    if (entries[i].type == RAFT_COMMAND && !aloft__raft_unframe(b->base, b->len, &own, &length)) {
      return false;
    }
    if (entries[i].type == RAFT_CHANGE && aloft__raft_read_members(b->base, b->len, NULL) != 0) {
      return false;
    }
  }
  return true;
}

static int io_load(
    struct raft_io *io, raft_term *term, raft_id *voted_for, struct raft_snapshot **snapshot,
    raft_index *start_index, struct raft_entry *entries[], size_t *count) {
  aloft__raft *r = of(io);
  int status =
      r->disk.load(&r->disk, term, voted_for, snapshot, start_index, entries, count);
  if (status != 0) {
    memcpy(io->errmsg, r->disk.errmsg, sizeof io->errmsg);
    return status;
  }
  if (!loaded_fits(*entries, *count)
      || (*snapshot == NULL && *count > 0 && (*entries)[0].type != RAFT_CHANGE)) {
    strcpy(io->errmsg, "an entry is not of this version");
    return RAFT_CORRUPT;
  }
  r->term = *term;
  note_loaded(r, *snapshot, *start_index, *entries, *count);
  r->stored_index = r->next_index - 1;
  r->put_index = *snapshot != NULL ? (*snapshot)->index : 0;
  return 0;
}

static void on_tick(struct raft_io *disk) {
  aloft__raft *r = disk->data;
  if (r->dead || r->stopping) { return; }
  aloft__raft_check_room(r);
  r->tick(&r->io);
  aloft__raft_after(r);
  aloft__raft_transfer_tick(r);
}

// raft_uv's own connections are never made.
static void on_receive(struct raft_io *disk, struct raft_message *message) {
  (void)disk, (void)message;
}

static int io_start(
    struct raft_io *io, unsigned interval_ms, raft_io_tick_cb tick, raft_io_recv_cb receive) {
  aloft__raft *r = of(io);
  r->tick = tick;
  r->receive = receive;
  return r->disk.start(&r->disk, interval_ms, on_tick, on_receive);
}

static int io_bootstrap(struct raft_io *io, const struct raft_configuration *c) {
  aloft__raft *r = of(io);
  int status = r->disk.bootstrap(&r->disk, c);
  if (status != 0) { memcpy(io->errmsg, r->disk.errmsg, sizeof io->errmsg); }
  return status;
}

static int io_recover(struct raft_io *io, const struct raft_configuration *c) {
  aloft__raft *r = of(io);
  return r->disk.recover(&r->disk, c);
}

static int io_set_term(struct raft_io *io, raft_term term) {
  aloft__raft *r = of(io);
  if (r->dead) { return 0; }
  int status = aloft__raft_fails(r, ALOFT__RAFT_FAIL_TERM) ? RAFT_IOERR
                                                           : r->disk.set_term(&r->disk, term);
  if (status != 0) {
    disk_failed(r, "the write of a term", status);
  } else {
    r->term = term;
  }
  return 0;
}

static int io_set_vote(struct raft_io *io, raft_id node) {
  aloft__raft *r = of(io);
  if (r->dead) { return 0; }
  int status = aloft__raft_fails(r, ALOFT__RAFT_FAIL_VOTE) ? RAFT_IOERR
                                                           : r->disk.set_vote(&r->disk, node);
  if (status != 0) { disk_failed(r, "the write of a vote", status); }
  return 0;
}

static void appended(struct append *a) {
  aloft__raft *r = a->raft;
  uint64_t last = a->first + a->count - 1;
  if (a->cut == r->cuts && r->stored_index < last) { r->stored_index = last; }
  if (r->leading_term != 0 && r->own_index >= a->first && r->own_index <= last) {
    r->own_stored = true;
  }
  struct raft_io_append *request = a->request;
  raft_io_append_cb done = a->done;
  free(a);
  done(request, 0);
  if (!r->closing) { aloft__raft_after(r); }
}

static void on_appended(struct raft_io_append *disk, int status) {
  struct append *a = disk->data;
  aloft__raft *r = a->raft;
  r->disk_under_way--;
  if (r->dead) { return; }
  if (status == 0 && a->fails) { status = RAFT_IOERR; }
  // What was asked for before the cut may end before it, too.
  if (status == 0 && r->truncated_at != 0 && a->cut == r->cuts) {
    if (!aloft__raft_truncations_seen(r, r->truncated_from, r->truncated_at)
        || aloft__raft_fails(r, ALOFT__RAFT_FAIL_TRUNCATE)) {
      r->append_failed = true;
      disk_failed(r, "cutting the log", RAFT_IOERR);
      return;
    }
    r->truncated_from = r->truncated_at = 0;
  }
  if (status != 0) {
    r->append_failed = true;
    disk_failed(r, "a write to the log", status);
    return;
  }
  if (atomic_load_explicit(&r->appends_held, memory_order_acquire) || r->held != NULL) {
    a->next = NULL;
    *r->held_last = a;
    r->held_last = &a->next;
    return;
  }
  appended(a);
}

void aloft__raft_release_held(aloft__raft *r) {
  if (atomic_load_explicit(&r->appends_held, memory_order_acquire)) { return; }
  while (r->held != NULL && !r->dead) {
    struct append *a = r->held;
    r->held = a->next;
    if (r->held == NULL) { r->held_last = &r->held; }
    appended(a);
  }
}

static int io_append(
    struct raft_io *io, struct raft_io_append *request, const struct raft_entry entries[],
    unsigned count, raft_io_append_cb done) {
  aloft__raft *r = of(io);
  if (r->dead) { return 0; }
  struct append *a = calloc(1, sizeof *a);
  if (a == NULL) { abort(); }
  *a = (struct append){.request = request, .done = done,   .raft = r, .count = count};
  a->cut = r->cuts;
  a->disk.data = a;
  a->first = r->next_index;
  a->fails = aloft__raft_fails(r, ALOFT__RAFT_FAIL_APPEND);
  for (unsigned i = 0; i < count; i++) { aloft__raft_log_append(r, &entries[i]); }
  int status = aloft__raft_fails(r, ALOFT__RAFT_REJECT_APPEND)
                   ? RAFT_NOSPACE
                   : r->disk.append(&r->disk, &a->disk, entries, count, on_appended);
  if (status != 0) {
    r->append_failed = true;
    // raft_uv may still refer to what it was given, so nothing is freed.
    disk_failed(r, "a write to the log", status);
  } else {
    r->disk_under_way++;
  }
  return 0;
}

static int io_truncate(struct raft_io *io, raft_index index) {
  aloft__raft *r = of(io);
  if (r->dead) { return 0; }
  int status = r->disk.truncate(&r->disk, index);
  if (status != 0) {
    disk_failed(r, "cutting the log", status);
    return 0;
  }
  // raft_uv keeps to itself whether it came off, so it is seen to after the next write.
  if (r->truncated_at == 0 || index < r->truncated_from) { r->truncated_from = index; }
  r->truncated_at = index;
  r->cuts++;
  aloft__raft_log_truncate(r, index);
  return 0;
}

static void on_put(struct raft_io_snapshot_put *disk, int status) {
  aloft__raft *r = disk->data;
  r->disk_under_way--;
  if (r->dead) { return; }
  if (status == 0 && r->put_fails) { status = RAFT_IOERR; }
  if (status != 0) {
    disk_failed(r, "the write of a snapshot", status);
    return;
  }
  COUNT(r, snapshots);
  struct raft_io_snapshot_put *request = r->put_request;
  r->put_request = NULL;
  r->put_done(request, 0);
  if (r->put_index > r->kept) { aloft__raft_log_trim(r, r->put_index - r->kept); }
  if (!r->closing) { aloft__raft_after(r); }
}

static int io_snapshot_put(
    struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *request,
    const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb done) {
  aloft__raft *r = of(io);
  if (r->dead) { return 0; }
  r->put_request = request;
  r->put_done = done;
  r->put.data = r;
  r->put_index = snapshot->index;
  r->put_install = trailing == 0;
  r->put_fails = aloft__raft_fails(r, ALOFT__RAFT_FAIL_SNAPSHOT);
  if (r->put_install) {
    // The log starts anew behind it.
    struct raft_buffer conf;
    if (raft_configuration_encode(&snapshot->configuration, &conf) != 0) { abort(); }
    aloft__raft_log_reset(r, snapshot->index + 1);
    aloft__raft_members_set(r, snapshot->configuration_index, &conf);
    raft_free(conf.base);
    r->truncated_from = r->truncated_at = 0;
    r->cuts++;
  }
  int status = r->disk.snapshot_put(&r->disk, trailing, &r->put, snapshot, on_put);
  if (status != 0) {
    disk_failed(r, "the write of a snapshot", status);
  } else {
    r->disk_under_way++;
  }
  return 0;
}

struct get {
  struct raft_io_snapshot_get disk;
  struct raft_io_snapshot_get *request;
  raft_io_snapshot_get_cb done;
  aloft__raft *raft;
};

static void on_got(struct raft_io_snapshot_get *disk, struct raft_snapshot *snapshot, int status) {
  struct get *g = disk->data;
  aloft__raft *r = g->raft;
  r->disk_under_way--;
  if (r->dead) { return; }
  if (status != 0) {
    disk_failed(r, "reading a snapshot", status);
    return;
  }
  struct raft_io_snapshot_get *request = g->request;
  raft_io_snapshot_get_cb done = g->done;
  free(g);
  done(request, snapshot, 0);
  if (!r->closing) { aloft__raft_after(r); }
}

static int io_snapshot_get(
    struct raft_io *io, struct raft_io_snapshot_get *request, raft_io_snapshot_get_cb done) {
  aloft__raft *r = of(io);
  if (r->dead) { return 0; }
  struct get *g = calloc(1, sizeof *g);
  if (g == NULL) { abort(); }
  *g = (struct get){.request = request, .done = done, .raft = r};
  g->disk.data = g;
  int status = r->disk.snapshot_get(&r->disk, &g->disk, on_got);
  if (status != 0) {
    disk_failed(r, "reading a snapshot", status);
  } else {
    r->disk_under_way++;
  }
  return 0;
}

static raft_time io_time(struct raft_io *io) {
  aloft__raft *r = of(io);
  return r->disk.time(&r->disk);
}

// raft_uv's is rand(), which the process shares.
static int io_random(struct raft_io *io, int from, int to) {
  aloft__raft *r = of(io);
  r->random ^= r->random << 13;
  r->random ^= r->random >> 7;
  r->random ^= r->random << 17;
  return to > from ? from + (int)(r->random % (uint64_t)(to - from)) : from;
}

// The only such work is a snapshot's, which home makes.
static int io_async_work(
    struct raft_io *io, struct raft_io_async_work *work, raft_io_async_work_cb done) {
  aloft__raft *r = of(io);
  r->take = work;
  r->take_done = done;
  return 0;
}

void aloft__raft_io_init(aloft__raft *r) {
  struct raft_io *io = &r->io;
  r->disk.data = r;
  *io = (struct raft_io){.version = 2, .impl = r};
  io->init = io_init;
  io->close = io_close;
  io->load = io_load;
  io->start = io_start;
  io->bootstrap = io_bootstrap;
  io->recover = io_recover;
  io->set_term = io_set_term;
  io->set_vote = io_set_vote;
  io->send = aloft__raft_io_send;
  io->append = io_append;
  io->truncate = io_truncate;
  io->snapshot_put = io_snapshot_put;
  io->snapshot_get = io_snapshot_get;
  io->time = io_time;
  io->random = io_random;
  io->async_work = io_async_work;
}
