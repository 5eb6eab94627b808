// What the shim's files share.
#ifndef ALOFT_LOOP_INTERNAL_H
#define ALOFT_LOOP_INTERNAL_H

#include <assert.h>
#include <stdatomic.h>
#include "aloft_loop.h"

#define SLAB_SHIFT 10u
#define SLAB_SLOTS (1u << SLAB_SHIFT)
#define SLAB_MASK (SLAB_SLOTS - 1u)
#define SLABS_MAX 1024u // 2^20 slots
#define NO_SLOT UINT32_MAX
#define NO_NEXT 0x3FFFFFu
#define LISTENERS_MAX 64u
// One accept round: enough to keep up with a flood, few enough to let others have their turn.
#define ACCEPTS_PER_TURN 64
// A write gathers at most this many pieces with one system call.
#define GATHER_MAX 64

enum { SLOT_FREE = 0, SLOT_CONNECTING, SLOT_OPEN, SLOT_CLOSING };
// The peer has ended; the socket has failed, and FAILED was reported.
enum { INPUT_OPEN = 0, INPUT_ENDED, INPUT_FAILED };

// A piece of output that the peer was too slow to take. The first one of a queue knows the last.
typedef struct chunk {
  struct chunk *next;
  struct chunk *last;
  uint32_t start, end, capacity;
  uint8_t bytes[];
} chunk;

typedef struct connection {
  uv_poll_t poll; // first, so that a handle is its connection
  chunk *queue;
  uint32_t queued;        // bytes in the chunks
  uint32_t slot : 22;     // while free: the slab's next free slot, NO_NEXT at its end
  uint32_t state : 2;
  uint32_t interest : 2;  // UV_READABLE | UV_WRITABLE as libuv has been told
  uint32_t reading : 1;   // wants UV_READABLE
  uint32_t ended : 2;     // INPUT_...: whether anything is left to read
  uint32_t watched : 1;   // wants nothing but to hear of a reset
  uint32_t unwatched : 1; // not even that
} connection;
_Static_assert(sizeof(connection) == sizeof(uv_poll_t) + 16, "memory of an idle connection");

typedef struct slab {
  connection *connections;
  uint32_t used;
  uint32_t fresh; // slots from here on were never used
  uint32_t free;  // head of the list of used and freed ones
} slab;

typedef struct listener {
  uv_poll_t poll;
  aloft__loop *loop;
  int descriptor;
  uint16_t index;
  uint8_t hand_over;
  uint8_t paused;
  uint8_t inherited;
} listener;

struct aloft__loop {
  uv_loop_t *uv;
  uv_loop_t own;
  uv_prepare_t prepare;
  uv_check_t check;
  uv_idle_t idle;
  uv_poll_t wake;
  uv_timer_t timer;
  aloft__callbacks callbacks;
  aloft__options options;
  aloft__event *events;
  uint32_t event_count;
  uint32_t arena_used;
  uint8_t *arena;
  uint64_t timer_due; // uv time, 0 when not armed
  uint32_t slabs_used;
  uint32_t slab_hint; // no slab below has a free slot
  uint32_t slots_used;
  int wake_descriptor;
  atomic_int wakers; // threads that are within aloft__loop_wake
  int spare; // a descriptor kept so that EMFILE can still be answered
  uint8_t idling, closing, host;
  uint8_t arena_lent; // the arena is the caller's
  uint32_t handles_open;
  void (*closed)(void *context);
  void *closed_context;
  slab slabs[SLABS_MAX];
  listener *listeners[LISTENERS_MAX];
  aloft__process *processes;
};

// slots.c
connection *aloft__slot_take(aloft__loop *loop, int *status);
void aloft__slot_give(aloft__loop *loop, connection *c);
void aloft__slots_free(aloft__loop *loop);
static inline connection *slot_at(aloft__loop *loop, uint32_t slot) {
  assert(slot >> SLAB_SHIFT < loop->slabs_used);
  return &loop->slabs[slot >> SLAB_SHIFT].connections[slot & SLAB_MASK];
}

// loop.c
void aloft__flush(aloft__loop *loop, int final);
void aloft__handle_closed(aloft__loop *loop);
// libuv keeps it in the handle until uv_close.
static inline int descriptor_of(const connection *c) { return c->poll.io_watcher.fd; }
static inline aloft__event *event_add(aloft__loop *loop, uint8_t kind, uint32_t slot) {
  if (loop->event_count == loop->options.events_max) aloft__flush(loop, 0);
  aloft__event *event = &loop->events[loop->event_count++];
  event->slot = slot;
  event->kind = kind;
  event->flags = 0;
  event->tag = 0;
  event->status = 0;
  event->length = 0;
  event->data = NULL;
  return event;
}

// connection.c
void aloft__on_ready(uv_poll_t *handle, int status, int events);
void aloft__interest_update(connection *c);
void aloft__connection_close(aloft__loop *loop, connection *c, int reset);
// The close of the socket that follows sends RST instead of FIN.
void aloft__reset_on_close(int descriptor);
int aloft__open(aloft__loop *loop, int descriptor, uint8_t state, uint32_t *slot);

// process.c: kills and reaps all that are left.
void aloft__processes_free(aloft__loop *loop);

#endif
