// Slots for connections, in slabs of 1,024 that come from the system and go back to it.
//
// The lowest slab with room is used first, so that a burst's slabs empty again once it is over.
#include <errno.h>
#include <string.h>
#include "internal.h"

// Counts one more where loops are bounded together; 0 when it would be one too many.
static int count_in(aloft__loop *loop) {
  if (loop->slots_used == loop->options.connections_max) return 0;
  uint32_t *open = loop->options.connections_open;
  if (open == NULL) return 1;
  if (__atomic_fetch_add(open, 1, __ATOMIC_RELAXED) < loop->options.open_max) return 1;
  __atomic_fetch_sub(open, 1, __ATOMIC_RELAXED);
  return 0;
}

static void count_out(aloft__loop *loop) {
  uint32_t *open = loop->options.connections_open;
  if (open != NULL) __atomic_fetch_sub(open, 1, __ATOMIC_RELAXED);
}

static connection *slot_find(aloft__loop *loop) {
  uint32_t at = loop->slab_hint;
  while (at < loop->slabs_used && loop->slabs[at].used == SLAB_SLOTS) at++;
  if (at == SLABS_MAX) return NULL;
  slab *s = &loop->slabs[at];
  if (s->connections == NULL) {
    s->connections = aloft__pages_allocate(SLAB_SLOTS * sizeof(connection));
    if (s->connections == NULL) return NULL;
    s->fresh = 0;
    s->free = NO_NEXT;
    // Touched whole, so that connections which come and go don't let it grow page by page.
    memset(s->connections, 0, SLAB_SLOTS * sizeof(connection));
  }
  if (at == loop->slabs_used) loop->slabs_used++;
  loop->slab_hint = at;
  uint32_t index = s->free;
  if (index != NO_NEXT) {
    s->free = s->connections[index].slot;
  } else {
    index = s->fresh++;
  }
  s->used++;
  loop->slots_used++;
  connection *c = &s->connections[index];
  memset(c, 0, sizeof *c);
  c->slot = at << SLAB_SHIFT | index;
  return c;
}

connection *aloft__slot_take(aloft__loop *loop, int *status) {
  *status = -ENOSPC;
  if (!count_in(loop)) return NULL;
  connection *c = slot_find(loop);
  if (c != NULL) return c;
  count_out(loop);
  *status = -ENOMEM;
  return NULL;
}

void aloft__slot_give(aloft__loop *loop, connection *c) {
  uint32_t at = c->slot >> SLAB_SHIFT;
  slab *s = &loop->slabs[at];
  c->state = SLOT_FREE;
  uint32_t index = c->slot & SLAB_MASK;
  c->slot = s->free;
  s->free = index;
  s->used--;
  loop->slots_used--;
  count_out(loop);
  if (at < loop->slab_hint) loop->slab_hint = at;
  // The first slab stays, so that a single connection coming and going costs no system call.
  if (s->used == 0 && at > 0) {
    aloft__pages_free(s->connections, SLAB_SLOTS * sizeof(connection));
    s->connections = NULL;
  }
}

void aloft__slots_free(aloft__loop *loop) {
  for (uint32_t i = 0; i < loop->slabs_used; i++) {
    slab *s = &loop->slabs[i];
    if (s->connections != NULL) {
      aloft__pages_free(s->connections, SLAB_SLOTS * sizeof(connection));
    }
    s->connections = NULL;
  }
  loop->slabs_used = 0;
}
