// The state machine that libraft feeds, which is home's; and who leads.
#include <stdlib.h>
#include <string.h>

#include "internal.h"

// Barriers have no entry of their own to tell of.
static void answer_barriers(aloft__raft *r, uint64_t applied) {
  while (r->pending_count > 0) {
    struct pending *first = &r->pending[r->pending_from];
    if (first->index > applied) { return; }
    bool same = aloft__raft_term_of(r, first->index) == first->term;
    aloft__raft_outcome(
        r, first->token, same ? ALOFT__RAFT_COMMITTED : ALOFT__RAFT_UNKNOWN, first->index);
    aloft__raft_pending_pop(r);
  }
}

// A snapshot is made when the log is half as large as the last one: each costs as much as all of
// the state, and the log what was changed.
static uint64_t log_bytes_max(const aloft__raft *r) {
  uint64_t half = r->taken_length / 2;
  return half > r->options.snapshot_log_bytes ? half : r->options.snapshot_log_bytes;
}

// The same for small entries, which take their time at the next start.
static unsigned entries_max(const aloft__raft *r) {
  size_t most = r->taken_length / SNAPSHOT_BYTES_PER_ENTRY;
  return most > r->options.snapshot_entries ? (unsigned)most : r->options.snapshot_entries;
}

static int apply(struct raft_fsm *fsm, const struct raft_buffer *buffer, void **result) {
  aloft__raft *r = fsm->data;
  *result = NULL;
  if (r->dead) { return 0; }
  uint64_t index = raft_last_applied(&r->raft) + 1;
  const uint8_t *own;
  size_t length;
  if (!aloft__raft_unframe(buffer->base, buffer->len, &own, &length)) { return 0; }
  aloft__raft_members_applied(r, index - 1);
  answer_barriers(r, index - 1);
  aloft__raft_event event = {.kind = ALOFT__RAFT_APPLIED, .index = index};
  event.term = aloft__raft_term_of(r, index);
  struct pending *first = r->pending_count > 0 ? &r->pending[r->pending_from] : NULL;
  if (first != NULL && first->index == index && first->term == event.term) {
    event.flag = 1;
    event.token = first->token;
    atomic_fetch_sub_explicit(&r->inflight, 1, memory_order_relaxed);
    aloft__raft_pending_pop(r);
  }
  aloft__raft_emit(r, &event, own, length);
  r->log_bytes += buffer->len;
  if (r->log_bytes >= log_bytes_max(r)) {
    raft_set_snapshot_threshold(&r->raft, 1);
  }
  return 0;
}

// Entries that stay behind a snapshot: as many as were asked for, unless they are large.
static unsigned trailing(const aloft__raft *r, uint64_t index) {
  uint64_t before = r->take_index > r->put_index ? r->take_index : r->put_index;
  uint64_t mean = index > before ? r->log_bytes / (index - before) + 1 : 1;
  uint64_t most = r->options.trailing_bytes / mean + 1;
  bool few = r->options.trailing_bytes != 0 && most < r->options.trailing_entries;
  return few ? (unsigned)most : r->options.trailing_entries;
}

static int snapshot(struct raft_fsm *fsm, struct raft_buffer *buffers[], unsigned *count) {
  aloft__raft *r = fsm->data;
  *buffers = NULL;
  *count = 0;
  // libraft would write the newest configuration into it, committed or not.
  aloft__raft_members_applied(r, raft_last_applied(&r->raft));
  if (r->dead || r->stopping || r->changes_count > 0) { return RAFT_BUSY; }
  r->kept = trailing(r, raft_last_applied(&r->raft));
  raft_set_snapshot_trailing(&r->raft, r->kept);
  r->take_index = raft_last_applied(&r->raft);
  r->log_bytes = 0;
  raft_set_snapshot_threshold(&r->raft, entries_max(r));
  aloft__raft_event event = {.kind = ALOFT__RAFT_SNAPSHOT, .index = r->take_index};
  aloft__raft_emit(r, &event, NULL, 0);
  return 0;
}

// Home has made the snapshot: libraft goes on from where it asked for it.
void aloft__raft_snapshot_taken(aloft__raft *r, uint64_t index, uint8_t *bytes, size_t length) {
  struct raft_io_async_work *take = r->take;
  if (take == NULL || index != r->take_index) {
    raft_free(bytes);
    return;
  }
  r->take = NULL;
  r->snapshot = bytes;
  r->snapshot_length = length;
  if (bytes != NULL) { r->taken_length = length; }
  int status = bytes != NULL ? take->work(take) : RAFT_BUSY;
  r->take_done(take, status);
  if (!r->dead && !r->closing) { aloft__raft_after(r); }
}

static int snapshot_async(struct raft_fsm *fsm, struct raft_buffer *buffers[], unsigned *count) {
  aloft__raft *r = fsm->data;
  *buffers = raft_malloc(sizeof **buffers);
  if (*buffers == NULL) { return RAFT_NOMEM; }
  **buffers = (struct raft_buffer){r->snapshot, r->snapshot_length};
  *count = 1;
  r->snapshot = NULL;
  return 0;
}

static int snapshot_finalize(
    struct raft_fsm *fsm, struct raft_buffer *buffers[], unsigned *count) {
  (void)fsm;
  if (*buffers != NULL && *count > 0) { raft_free((*buffers)[0].base); }
  raft_free(*buffers);
  *buffers = NULL;
  *count = 0;
  return 0;
}

static int restore(struct raft_fsm *fsm, struct raft_buffer *buffer) {
  aloft__raft *r = fsm->data;
  const uint8_t *own;
  size_t length;
  if (!aloft__raft_unframe(buffer->base, buffer->len, &own, &length)) { return RAFT_MALFORMED; }
  aloft__raft_event event = {.kind = ALOFT__RAFT_RESTORE, .index = r->put_index};
  event.data = length > 0 ? own : (const uint8_t *)buffer->base;
  event.length = length;
  event.token = (uint64_t)(uintptr_t)buffer->base;
  aloft__raft_emit(r, &event, NULL, 0);
  r->log_bytes = 0;
  r->taken_length = length;
  raft_set_snapshot_threshold(&r->raft, entries_max(r));
  aloft__raft_tell_members(r);
  return 0;
}

void aloft__raft_machine_init(aloft__raft *r) {
  r->fsm = (struct raft_fsm){.version = 3, .data = r, .apply = apply, .snapshot = snapshot};
  r->fsm.restore = restore;
  r->fsm.snapshot_finalize = snapshot_finalize;
  r->fsm.snapshot_async = snapshot_async;
}

static void on_own_barrier(struct raft_barrier *request, int status) {
  (void)status;
  raft_free(request);
}

static void append_own(aloft__raft *r) {
  struct raft_barrier *barrier = raft_malloc(sizeof *barrier);
  if (barrier == NULL) { abort(); }
  r->own_stored = false;
  r->own_index = r->next_index;
  if (raft_barrier(&r->raft, barrier, on_own_barrier) != 0) {
    raft_free(barrier);
    r->own_index = 0;
  }
}

static void leave(aloft__raft *r) {
  answer_barriers(r, raft_last_applied(&r->raft));
  r->leading_term = 0;
  r->own_index = 0;
  r->own_stored = false;
  aloft__raft_answer_pending(r, ALOFT__RAFT_UNKNOWN);
  aloft__raft_change_lost(r);
}

static void enter(aloft__raft *r) {
  if (r->leader_term == r->term && r->leader_node != r->options.node) {
    aloft__raft_die(
        r,
        "Node %u leads term %llu, and this node was elected for it as well: one of them has lost"
        " part of its log. Find out which (its disk, its data directory), replace it, then start"
        " this node again.",
        r->leader_node, (unsigned long long)r->term);
    return;
  }
  r->leader_term = r->leading_term = r->term;
  r->leader_node = r->options.node;
  memset(r->commit_told, 0, sizeof r->commit_told);
  append_own(r);
}

static void tell_leader(aloft__raft *r) {
  raft_id id = 0;
  const char *address = NULL;
  raft_leader(&r->raft, &id, &address);
  uint8_t leader = r->leading_term != 0 ? r->options.node : (uint8_t)id;
  bool self =
      r->leading_term != 0 && r->own_index != 0 && raft_last_applied(&r->raft) >= r->own_index;
  if (r->told_any && leader == r->told_leader && r->term == r->told_term && self == r->told_self) {
    return;
  }
  r->told_any = true;
  r->told_leader = leader;
  r->told_term = r->term;
  r->told_self = self;
  aloft__raft_event event = {.kind = ALOFT__RAFT_LEADER, .node = leader, .term = r->term};
  event.flag = self;
  aloft__raft_emit(r, &event, NULL, 0);
}

// After each call into libraft, or from it: sees what has become of us.
void aloft__raft_after(aloft__raft *r) {
  if (r->dead || r->stopping || !r->started) { return; }
  int state = raft_state(&r->raft);
  if (state == RAFT_UNAVAILABLE) {
    aloft__raft_die(
        r, "libraft has given up (%s): the log of %s and the cluster's contradict each other."
           " Replace this node: empty its directory and let it join anew.",
        raft_errmsg(&r->raft), r->directory);
    return;
  }
  uint64_t applied = raft_last_applied(&r->raft);
  aloft__raft_members_applied(r, applied);
  answer_barriers(r, applied);
  if (r->leading_term != 0 && (state != RAFT_LEADER || r->leading_term != r->term)) { leave(r); }
  if (state == RAFT_LEADER && r->leading_term == 0) { enter(r); }
  if (r->dead) { return; }
  if (r->leading_term != 0 && r->own_index == 0) { append_own(r); }
  tell_leader(r);
  aloft__raft_change_go_on(r);
  aloft__raft_tell_commit(r);
}
