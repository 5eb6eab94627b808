// What home asks for: through a ring of one producer and one consumer, which wakes the raft thread
// only when it sleeps. All entries that wait at a wake-up go to libraft in one call.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

// Home publishes, then looks whether the raft thread sleeps; that one announces its sleep, then
// looks at the ring once more. All four are sequentially consistent, so one of them sees the other.
static void wake(aloft__raft *r) {
  if (atomic_load(&r->sleeping) && atomic_exchange(&r->sleeping, false)) {
    COUNT(r, wakes);
    uv_async_send(&r->async);
  }
}

static int push(aloft__raft *r, const struct request *request) {
  size_t tail = atomic_load_explicit(&r->ring_tail, memory_order_relaxed);
  if (atomic_load_explicit(&r->stop_wanted, memory_order_relaxed)) { return -ESHUTDOWN; }
  if (tail - r->ring_head_seen > r->ring_mask) {
    r->ring_head_seen = atomic_load_explicit(&r->ring_head, memory_order_acquire);
    if (tail - r->ring_head_seen > r->ring_mask) { return -EAGAIN; }
  }
  r->ring[tail & r->ring_mask] = *request;
  atomic_store(&r->ring_tail, tail + 1);
  wake(r);
  return 0;
}

// A request that is answered with a token.
static int push_counted(aloft__raft *r, const struct request *request) {
  uint32_t before = atomic_fetch_add_explicit(&r->inflight, 1, memory_order_relaxed);
  int status = before < r->options.inflight_max ? push(r, request) : -EAGAIN;
  if (status != 0) { atomic_fetch_sub_explicit(&r->inflight, 1, memory_order_relaxed); }
  return status;
}

int aloft__raft_propose(aloft__raft *r, const uint8_t *bytes, size_t length, uint64_t token) {
  if (length > r->options.entry_bytes_max) { return -EMSGSIZE; }
  uint64_t waiting = atomic_load_explicit(&r->inflight_bytes, memory_order_relaxed);
  if (waiting + length > r->options.inflight_bytes_max) { return -EAGAIN; }
  struct request request = {.kind = REQUEST_PROPOSE, .token = token};
  request.bytes = aloft__raft_frame(bytes, length, &request.length);
  if (request.bytes == NULL) { return -ENOMEM; }
  atomic_fetch_add_explicit(&r->inflight_bytes, request.length, memory_order_relaxed);
  int status = push_counted(r, &request);
  if (status != 0) {
    atomic_fetch_sub_explicit(&r->inflight_bytes, request.length, memory_order_relaxed);
    raft_free(request.bytes);
  }
  return status;
}

int aloft__raft_barrier(aloft__raft *r, uint64_t token) {
  return push_counted(r, &(struct request){.kind = REQUEST_BARRIER, .token = token});
}

int aloft__raft_change(
    aloft__raft *r, uint8_t change, uint8_t node, uint8_t role, uint64_t token) {
  if (node == 0) { return -EINVAL; }
  struct request request = {
    .kind = REQUEST_CHANGE, .change = change, .node = node, .role = role, .token = token};
  return push_counted(r, &request);
}

int aloft__raft_transfer(aloft__raft *r, uint8_t node) {
  return push(r, &(struct request){.kind = REQUEST_TRANSFER, .node = node});
}

int aloft__raft_reach(aloft__raft *r, uint8_t node) {
  return push(r, &(struct request){.kind = REQUEST_MET, .node = node});
}

int aloft__raft_lost(aloft__raft *r, uint8_t node) {
  return push(r, &(struct request){.kind = REQUEST_GONE, .node = node});
}

int aloft__raft_receive(aloft__raft *r, uint8_t node, const uint8_t *bytes, size_t length) {
  uint64_t waiting = atomic_load_explicit(&r->incoming_bytes, memory_order_relaxed);
  if (node == 0 || waiting + length > r->options.outgoing_bytes_max) { return -EAGAIN; }
  struct request request = {.kind = REQUEST_RECEIVE, .node = node, .length = length};
  request.bytes = malloc(length > 0 ? length : 1);
  if (request.bytes == NULL) { return -ENOMEM; }
  memcpy(request.bytes, bytes, length);
  atomic_fetch_add_explicit(&r->incoming_bytes, length, memory_order_relaxed);
  int status = push(r, &request);
  if (status != 0) {
    atomic_fetch_sub_explicit(&r->incoming_bytes, length, memory_order_relaxed);
    free(request.bytes);
  }
  return status;
}

static int push_snapshot(aloft__raft *r, uint64_t index, uint8_t *framed, size_t size) {
  struct request request = {
    .kind = REQUEST_SNAPSHOT, .token = index, .bytes = framed, .length = size};
  int status = push(r, &request);
  if (status != 0) { raft_free(framed); }
  return status;
}

int aloft__raft_snapshot(aloft__raft *r, uint64_t index, const uint8_t *bytes, size_t length) {
  size_t size = 0;
  uint8_t *framed = bytes != NULL ? aloft__raft_frame(bytes, length, &size) : NULL;
  if (bytes != NULL && framed == NULL) { return -ENOMEM; }
  return push_snapshot(r, index, framed, size);
}

int aloft__raft_snapshot_image(aloft__raft *r, uint64_t index, aloft__raft_image *image) {
  size_t size;
  uint8_t *framed = aloft__raft_image_take(image, &size);
  return push_snapshot(r, index, framed, size);
}

void aloft__raft_stop(aloft__raft *r) {
  if (atomic_exchange(&r->stop_wanted, true)) { return; }
  uv_async_send(&r->async);
}

bool aloft__raft_requests_wait(aloft__raft *r) {
  return atomic_load(&r->ring_tail) != atomic_load_explicit(&r->ring_head, memory_order_relaxed);
}

static bool pop(aloft__raft *r, struct request *out) {
  size_t head = atomic_load_explicit(&r->ring_head, memory_order_relaxed);
  if (atomic_load_explicit(&r->ring_tail, memory_order_acquire) == head) { return false; }
  *out = r->ring[head & r->ring_mask];
  atomic_store_explicit(&r->ring_head, head + 1, memory_order_release);
  return true;
}

bool aloft__raft_pending_push(aloft__raft *r, struct pending pending) {
  if (r->pending_count == r->pending_room) { return false; }
  r->pending[(r->pending_from + r->pending_count++) & (r->pending_room - 1)] = pending;
  return true;
}

void aloft__raft_pending_pop(aloft__raft *r) {
  struct pending *first = &r->pending[r->pending_from];
  atomic_fetch_sub_explicit(&r->inflight_bytes, first->bytes, memory_order_relaxed);
  r->pending_from = (r->pending_from + 1) & (r->pending_room - 1);
  r->pending_count--;
}

void aloft__raft_answer_pending(aloft__raft *r, uint8_t outcome) {
  while (r->pending_count > 0) {
    struct pending *first = &r->pending[r->pending_from];
    aloft__raft_outcome(r, first->token, outcome, first->index);
    aloft__raft_pending_pop(r);
  }
}

static void refuse(aloft__raft *r, struct request *request, uint8_t outcome) {
  if (outcome == ALOFT__RAFT_FAILED) {
    const char *text = r->dead ? r->ended : "The log has been stopped.";
    aloft__raft_failed(r, request->token, text);
  } else {
    aloft__raft_outcome(r, request->token, outcome, 0);
  }
  if (request->kind == REQUEST_PROPOSE) {
    atomic_fetch_sub_explicit(&r->inflight_bytes, request->length, memory_order_relaxed);
    raft_free(request->bytes);
  }
}

void aloft__raft_refuse_requests(aloft__raft *r) {
  struct request request;
  while (pop(r, &request)) {
    switch (request.kind) {
    case REQUEST_PROPOSE:
    case REQUEST_BARRIER:
    case REQUEST_CHANGE: refuse(r, &request, ALOFT__RAFT_FAILED); break;
    case REQUEST_SNAPSHOT: raft_free(request.bytes); break;
    case REQUEST_RECEIVE:
      atomic_fetch_sub_explicit(&r->incoming_bytes, request.length, memory_order_relaxed);
      free(request.bytes);
      break;
    default: break;
    }
  }
}

// What keeps new entries out now, or COMMITTED.
static uint8_t obstacle(aloft__raft *r) {
  if (r->leading_term == 0 || r->own_index == 0) { return ALOFT__RAFT_NOT_LEADER; }
  if (r->transferring) { return ALOFT__RAFT_BUSY; }
  return ALOFT__RAFT_COMMITTED;
}

static void on_applied(struct raft_apply *request, int status, void *result) {
  (void)status, (void)result; // each entry is answered for by itself
  raft_free(request);
}

static void on_barrier(struct raft_barrier *request, int status) {
  (void)status;
  raft_free(request);
}

struct batch {
  struct raft_buffer buffers[BATCH_ENTRIES];
  uint64_t tokens[BATCH_ENTRIES];
  unsigned count;
  size_t bytes;
};

static void submit(aloft__raft *r, struct batch *b) {
  if (b->count == 0) { return; }
  struct raft_apply *request = raft_malloc(sizeof *request);
  if (request == NULL) { abort(); }
  uint64_t first = r->next_index;
  int status = raft_apply(&r->raft, request, b->buffers, b->count, on_applied);
  if (status != 0 && !r->dead) {
    aloft__raft_die(r, "libraft took no entries (%s).", raft_strerror(status));
  }
  COUNT(r, batches);
  for (unsigned i = 0; i < b->count; i++) {
    aloft__raft_pending_push(
        r, (struct pending){
             .index = first + i, .term = r->leading_term, .token = b->tokens[i],
             .bytes = (uint32_t)b->buffers[i].len});
  }
  b->count = 0;
  b->bytes = 0;
}

static void propose(aloft__raft *r, struct batch *b, struct request *request) {
  uint8_t outcome = obstacle(r);
  if (outcome == ALOFT__RAFT_COMMITTED && r->disk_low) {
    COUNT(r, refused_for_disk);
    outcome = ALOFT__RAFT_BUSY;
  }
  if (outcome != ALOFT__RAFT_COMMITTED) {
    submit(r, b);
    refuse(r, request, outcome);
    return;
  }
  if (b->count == BATCH_ENTRIES
      || (b->count > 0 && b->bytes + request->length > BATCH_BYTES)) {
    submit(r, b);
  }
  b->buffers[b->count] = (struct raft_buffer){request->bytes, request->length};
  b->tokens[b->count++] = request->token;
  b->bytes += request->length;
}

static void bar(aloft__raft *r, struct request *request) {
  uint8_t outcome = obstacle(r);
  struct raft_barrier *barrier = NULL;
  uint64_t index = r->next_index;
  if (outcome == ALOFT__RAFT_COMMITTED) {
    barrier = raft_malloc(sizeof *barrier);
    if (barrier == NULL || raft_barrier(&r->raft, barrier, on_barrier) != 0) {
      raft_free(barrier);
      outcome = ALOFT__RAFT_BUSY;
    }
  }
  if (outcome != ALOFT__RAFT_COMMITTED) {
    refuse(r, request, outcome);
    return;
  }
  aloft__raft_pending_push(
      r, (struct pending){
           .index = index, .term = r->leading_term, .token = request->token, .barrier = true});
}

static void on_transferred(struct raft_transfer *transfer) {
  aloft__raft *r = transfer->data;
  r->transferring = false;
}

static void transfer(aloft__raft *r, uint8_t node) {
  if (r->transferring || r->leading_term == 0) { return; }
  r->transfer.data = r;
  r->transferring = true;
  if (raft_transfer(&r->raft, &r->transfer, node, on_transferred) != 0) {
    r->transferring = false;
  }
}

static void serve_one(aloft__raft *r, struct request *request) {
  switch (request->kind) {
  case REQUEST_BARRIER: bar(r, request); break;
  case REQUEST_CHANGE: aloft__raft_change_begin(r, request); break;
  case REQUEST_TRANSFER: transfer(r, request->node); break;
  case REQUEST_MET: aloft__raft_met(r, request->node); break;
  case REQUEST_GONE: aloft__raft_gone(r, request->node); break;
  case REQUEST_SNAPSHOT:
    aloft__raft_snapshot_taken(r, request->token, request->bytes, request->length);
    break;
  case REQUEST_RECEIVE:
    atomic_fetch_sub_explicit(&r->incoming_bytes, request->length, memory_order_relaxed);
    aloft__raft_receive_now(r, request->node, request->bytes, request->length);
    free(request->bytes);
    break;
  default: break;
  }
}

void aloft__raft_serve(aloft__raft *r) {
  static _Thread_local struct batch batch;
  struct request request;
  bool looked = false;
  // No more than the ring held at first, so that the disk and the clock get their turn.
  size_t end = atomic_load_explicit(&r->ring_tail, memory_order_acquire);
  while (!r->dead && atomic_load_explicit(&r->ring_head, memory_order_relaxed) != end
         && pop(r, &request)) {
    COUNT(r, requests);
    if (request.kind == REQUEST_PROPOSE) {
      if (!looked) { aloft__raft_check_room(r); }
      looked = true;
      propose(r, &batch, &request);
    } else {
      submit(r, &batch);
      serve_one(r, &request);
    }
  }
  if (!r->dead) { submit(r, &batch); }
  batch.count = 0;
  batch.bytes = 0;
}
