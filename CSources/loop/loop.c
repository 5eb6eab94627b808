// The loop itself: set-up, the turn, sleeping and waking, the end.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "internal.h"

// Hands over what has been gathered; afterwards the arena and the records are free again.
void aloft__flush(aloft__loop *loop, int final) {
  uint32_t count = loop->event_count;
  loop->callbacks.turn(loop->callbacks.context, loop->events, count, final);
  // A socket that ended stays ready for ever, so whoever was not closed stops reading here.
  for (uint32_t i = 0; i < count; i++) {
    uint8_t kind = loop->events[i].kind;
    if (kind == ALOFT__EVENT_END || kind == ALOFT__EVENT_FAILED) {
      connection *c = slot_at(loop, loop->events[i].slot);
      if (c->state == SLOT_OPEN) aloft__interest_update(c);
    }
  }
  loop->event_count = 0;
  loop->arena_used = 0;
}

static void on_timer(uv_timer_t *timer) {
  aloft__loop *loop = timer->data;
  loop->timer_due = 0; // it only ends the poll; the turn that follows sees what is due
}

static void on_wake(uv_poll_t *wake, int status, int events) {
  (void)status;
  (void)events;
  aloft__loop *loop = wake->data;
  eventfd_t count;
  eventfd_read(loop->wake_descriptor, &count);
  // Whoever woke the loop has lost its core, very likely to the loop: it is about to send more, and
  // one message at a time would cost a wake-up each.
  if (atomic_load_explicit(&loop->wakers, memory_order_relaxed) > 0) sched_yield();
}

static void on_idle(uv_idle_t *idle) { (void)idle; }

static void on_prepare(uv_prepare_t *prepare) {
  aloft__loop *loop = prepare->data;
  if (loop->closing) return;
  int64_t sleep = loop->callbacks.prepare(loop->callbacks.context);
  if (loop->event_count > 0) sleep = 0;
  // An active idle handle is libuv's way to poll without waiting.
  if (sleep == 0) {
    if (!loop->idling) uv_idle_start(&loop->idle, on_idle);
    loop->idling = 1;
    return;
  }
  if (loop->idling) uv_idle_stop(&loop->idle);
  loop->idling = 0;
  if (sleep < 0) {
    if (loop->timer_due != 0) uv_timer_stop(&loop->timer);
    loop->timer_due = 0;
    return;
  }
  uv_update_time(loop->uv);
  uint64_t due = uv_now(loop->uv) + (uint64_t)sleep;
  if (due != loop->timer_due) {
    uv_timer_start(&loop->timer, on_timer, (uint64_t)sleep, 0);
    loop->timer_due = due;
  }
}

static void on_check(uv_check_t *check) {
  aloft__loop *loop = check->data;
  if (!loop->closing) aloft__flush(loop, 1);
}

static int loop_memory(aloft__loop *loop) {
  loop->events = calloc(loop->options.events_max, sizeof(aloft__event));
  loop->arena = aloft__pages_allocate(loop->options.arena_bytes);
  return loop->events != NULL && loop->arena != NULL ? 0 : -ENOMEM;
}

static void loop_free(aloft__loop *loop) {
  if (loop->arena != NULL && !loop->arena_lent) {
    aloft__pages_free(loop->arena, loop->options.arena_bytes);
  }
  if (loop->spare >= 0) close(loop->spare);
  if (loop->wake_descriptor >= 0) close(loop->wake_descriptor);
  aloft__slots_free(loop);
  free(loop->events);
  free(loop);
}

int aloft__loop_create(const aloft__options *options, uv_loop_t *host,
                       const aloft__callbacks *callbacks, aloft__loop **out) {
  aloft__loop *loop = calloc(1, sizeof *loop);
  if (loop == NULL) return -ENOMEM;
  loop->options = *options;
  loop->callbacks = *callbacks;
  loop->host = host != NULL;
  loop->uv = host != NULL ? host : &loop->own;
  loop->wake_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  loop->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int status = loop->spare < 0 || loop->wake_descriptor < 0 ? -errno : loop_memory(loop);
  if (status == 0 && host == NULL) status = uv_loop_init(&loop->own);
  if (status != 0) {
    loop_free(loop);
    return status;
  }
  status = uv_poll_init(loop->uv, &loop->wake, loop->wake_descriptor);
  if (status != 0) {
    if (host == NULL) uv_loop_close(&loop->own);
    loop_free(loop);
    return status;
  }
  uv_prepare_init(loop->uv, &loop->prepare);
  uv_check_init(loop->uv, &loop->check);
  uv_idle_init(loop->uv, &loop->idle);
  uv_timer_init(loop->uv, &loop->timer);
  loop->prepare.data = loop->check.data = loop->idle.data = loop->timer.data = loop;
  loop->wake.data = loop;
  loop->handles_open = 5;
  uv_prepare_start(&loop->prepare, on_prepare);
  uv_check_start(&loop->check, on_check);
  uv_poll_start(&loop->wake, UV_READABLE, on_wake);
  *out = loop;
  return 0;
}

int aloft__loop_run(aloft__loop *loop) {
  uv_run(loop->uv, UV_RUN_DEFAULT);
  return 0;
}

void aloft__loop_stop(aloft__loop *loop) { uv_stop(loop->uv); }

// Not uv_async_send: after that the loop waits, spinning, until the sender has left the function,
// and a sender that was taken off its core for the loop's sake is long in coming back.
void aloft__loop_wake(aloft__loop *loop) {
  atomic_fetch_add_explicit(&loop->wakers, 1, memory_order_relaxed);
  eventfd_write(loop->wake_descriptor, 1);
  atomic_fetch_sub_explicit(&loop->wakers, 1, memory_order_relaxed);
}

void aloft__loop_arena(const aloft__loop *loop, const uint8_t **base, uint32_t *bytes) {
  *base = loop->arena;
  *bytes = loop->options.arena_bytes;
}

void aloft__loop_exchange_arena(aloft__loop *loop, uint8_t *memory) {
  if (!loop->arena_lent) aloft__pages_free(loop->arena, loop->options.arena_bytes);
  loop->arena_lent = 1;
  loop->arena = memory;
}

// Called as each of the loop's handles is gone; the last one ends the loop's life.
void aloft__handle_closed(aloft__loop *loop) {
  if (--loop->handles_open > 0 || !loop->closing) return;
  if (!loop->host) return; // aloft__loop_close is waiting, and frees
  void (*closed)(void *) = loop->closed;
  void *context = loop->closed_context;
  loop_free(loop);
  if (closed != NULL) closed(context);
}

static void on_own_closed(uv_handle_t *handle) { aloft__handle_closed(handle->data); }

void aloft__loop_close(aloft__loop *loop, void (*closed)(void *context), void *context) {
  loop->closing = 1;
  loop->closed = closed;
  loop->closed_context = context;
  for (uint16_t i = 0; i < LISTENERS_MAX; i++) {
    if (loop->listeners[i] != NULL) aloft__listener_close(loop, i);
  }
  for (uint32_t i = 0; i < loop->slabs_used; i++) {
    slab *s = &loop->slabs[i];
    for (uint32_t k = 0; s->connections != NULL && k < s->fresh; k++) {
      connection *c = &s->connections[k];
      if (c->state == SLOT_OPEN || c->state == SLOT_CONNECTING) {
        aloft__connection_close(loop, c, 0);
      }
    }
  }
  aloft__processes_free(loop);
  uv_close((uv_handle_t *)&loop->prepare, on_own_closed);
  uv_close((uv_handle_t *)&loop->check, on_own_closed);
  uv_close((uv_handle_t *)&loop->idle, on_own_closed);
  uv_close((uv_handle_t *)&loop->timer, on_own_closed);
  uv_close((uv_handle_t *)&loop->wake, on_own_closed);
  if (loop->host) return;
  while (loop->handles_open > 0) uv_run(&loop->own, UV_RUN_ONCE);
  int status = uv_loop_close(&loop->own);
  assert(status == 0);
  (void)status;
  loop_free(loop);
  if (closed != NULL) closed(context);
}
