// The shim between libuv and the Swift event loop.
//
// One `aloft__loop` wraps one `uv_loop_t`. It sets up handles, turns readiness into fixed event
// records and carries out fixed operation records; it has no policy and never calls into Swift
// once per event. Every function belongs to the loop's own thread unless its comment says
// "any thread". Results are 0 (or a count), or a negative errno value, as libuv has it.
#ifndef ALOFT_LOOP_H
#define ALOFT_LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct aloft__loop aloft__loop;

// What happened, in `aloft__event.kind`.
enum {
  ALOFT__EVENT_ACCEPTED = 1,  // slot is a new connection; tag: its listener
  ALOFT__EVENT_HANDED = 2,    // length is a descriptor to adopt on some loop; tag: its listener
  ALOFT__EVENT_CONNECTED = 3, // slot's connect() has succeeded
  ALOFT__EVENT_DATA = 4,      // data, length: bytes, valid until the turn callback returns
  ALOFT__EVENT_END = 5,       // the peer has shut its sending side down
  ALOFT__EVENT_PROGRESS = 6,  // length: bytes of the queue that a slow peer has taken now
  ALOFT__EVENT_FAILED = 7,    // status: the slot's socket is broken; the owner must close it
  ALOFT__EVENT_REFUSED = 8,   // status: an arriving connection was turned away; tag: listener
  ALOFT__EVENT_EXITED = 9,    // slot << 32 | length: a process's tag; status: see the flags
};
enum {
  // With REFUSED: the listener has been paused, because nothing can be accepted at all.
  ALOFT__FLAG_LISTENER_PAUSED = 1,
  // With EXITED: status is the exit code; the signal, negated. With neither: somebody else has
  // waited for the process, and status is -ECHILD.
  ALOFT__FLAG_EXITED = 2,
  ALOFT__FLAG_SIGNALED = 4,
};

typedef struct aloft__event {
  uint32_t slot;
  uint8_t kind;
  uint8_t flags;
  uint16_t tag;
  int32_t status;
  uint32_t length;
  const uint8_t *data;
} aloft__event;

// What to do, in `aloft__operation.kind`.
enum {
  ALOFT__OP_WRITE = 1,    // data, length; further segments of this turn chained by `next`
  ALOFT__OP_SEGMENT = 2,  // a segment reached through `next`; skipped on its own
  ALOFT__OP_END = 3,      // shut the sending side down (nothing may be queued)
  ALOFT__OP_CLOSE = 4,    // close if nothing is queued; else the result is the bytes queued
  ALOFT__OP_DROP = 5,     // close whatever is queued: with RST if that loses bytes, else with FIN
  ALOFT__OP_RESET = 6,    // the same with RST instead of FIN
  ALOFT__OP_PAUSE = 7,    // stop reading
  ALOFT__OP_RESUME = 8,   // read again
};
// A closed slot is used again once libuv has let go of its handle, at the end of the turn.
#define ALOFT__NO_SEGMENT UINT32_MAX

typedef struct aloft__operation {
  uint32_t slot;
  uint8_t kind;
  uint8_t reserved[3];
  uint32_t next;
  uint32_t length;
  const uint8_t *data;
  // Written by submit: bytes that a WRITE has added to the queue, or a negative errno value. What
  // was queued is what was added less what PROGRESS has reported, in whatever order they are seen.
  int64_t result;
} aloft__operation;

// Both are called on the loop's thread.
typedef struct aloft__callbacks {
  void *context;
  // Before the loop sleeps: milliseconds that it may sleep, 0 for not at all, -1 without bound.
  int64_t (*prepare)(void *context);
  // After the poll, and during it whenever the records or the read arena are full (final = 0).
  void (*turn)(void *context, const aloft__event *events, uint32_t count, int final);
} aloft__callbacks;

typedef struct aloft__options {
  uint32_t connections_max; // slots, at most 2^20
  uint32_t events_max;      // records handed over at once
  uint32_t arena_bytes;     // read arena of one turn; at least twice read_bytes
  uint32_t read_bytes;      // most that one receive call takes
  // Counted atomically by all loops that have it, up to `open_max` together; or NULL.
  uint32_t *connections_open;
  uint32_t open_max;
} aloft__options;

// `host` is the application's own loop, or NULL for one of ours. Memory for `connections_max`
// slots is reserved as they are used, and given back when they are not.
int aloft__loop_create(const aloft__options *options, uv_loop_t *host,
                       const aloft__callbacks *callbacks, aloft__loop **out);
// Runs until `aloft__loop_stop`; only for loops of ours.
int aloft__loop_run(aloft__loop *loop);
// Ends `aloft__loop_run` at the end of this turn.
void aloft__loop_stop(aloft__loop *loop);
// Closes every handle that is still open and, for a loop of ours, runs it until they are gone
// and frees all memory. On a host's loop the memory goes in the last close callback, and then
// `closed(context)` is called; it may be NULL.
void aloft__loop_close(aloft__loop *loop, void (*closed)(void *context), void *context);
// Any thread: makes a sleeping loop take a turn. Coalesced; costs one write to an eventfd.
void aloft__loop_wake(aloft__loop *loop);
// The read arena, so that a write of bytes just read needs no copy.
void aloft__loop_arena(const aloft__loop *loop, const uint8_t **base, uint32_t *bytes);
// At the end of a turn callback: reads go to `memory` of the same size from now on, which stays the
// caller's. What they went to before is untouched; the arena that the loop began with is freed.
void aloft__loop_exchange_arena(aloft__loop *loop, uint8_t *memory);

// Starts a listener in `listener` (an index below 65,536, chosen by the caller, free).
// `first` binds without SO_REUSEPORT, so that a port in use is an error; the other loops of the
// same runtime join it with first = 0. With `hand_over`, accepted descriptors are reported and
// not adopted. The bound address is written to `bound`.
int aloft__listen(aloft__loop *loop, uint16_t listener, const struct sockaddr *address,
                  socklen_t length, int backlog, int first, int hand_over,
                  struct sockaddr_storage *bound, socklen_t *bound_length);
// The same on a socket that listens already and was handed to this process. From a return of 0 on
// it is the loop's. -EINVAL for one that doesn't listen.
int aloft__listen_inherited(aloft__loop *loop, uint16_t listener, int fd, int hand_over,
                            struct sockaddr_storage *bound, socklen_t *bound_length);
int aloft__listener_resume(aloft__loop *loop, uint16_t listener);
// Removes the file of a Unix-domain socket, too, unless that was inherited.
void aloft__listener_close(aloft__loop *loop, uint16_t listener);

// Starts to connect, from `local` if it is not NULL; CONNECTED or FAILED follows. -ENOSPC: all
// slots are in use, here and in adopt.
int aloft__connect(aloft__loop *loop, const struct sockaddr *address, socklen_t length,
                   const struct sockaddr *local, socklen_t local_length, uint32_t *slot);
// Takes over a connected stream socket. On an error the caller still owns the descriptor.
int aloft__adopt(aloft__loop *loop, int descriptor, uint32_t *slot);
// Carries `count` operations out in order and returns how many left a result that is not 0.
uint32_t aloft__submit(aloft__loop *loop, aloft__operation *operations, uint32_t count);
int aloft__connection_name(aloft__loop *loop, uint32_t slot, int peer,
                           struct sockaddr_storage *name, socklen_t *length);

// A process of which we hold nothing but a pidfd and a channel.
typedef struct aloft__process aloft__process;
// The child's descriptors 0 to 3, each one of ours or one of these. It has no others.
#define ALOFT__SPAWN_DESCRIPTORS 4
enum { ALOFT__SPAWN_CLOSED = -1, ALOFT__SPAWN_NULL = -2, ALOFT__SPAWN_CHANNEL = -3 };
typedef struct aloft__spawn {
  const char *path;
  char *const *arguments;   // the name first, NULL last
  char *const *environment; // NULL last
  const char *directory;    // NULL: ours
  int descriptors[ALOFT__SPAWN_DESCRIPTORS];
} aloft__spawn;

// Starts a process, in a process group of its own, with no signal blocked, ignored or handled,
// that is killed when the calling thread ends. Blocks until it has become the program: some 0.5 ms.
// EXITED follows, once. `channel` is our end of a socket pair, for the caller to adopt or close.
int aloft__process_start(aloft__loop *loop, const aloft__spawn *how, uint64_t tag,
                         aloft__process **process, int *channel);
int aloft__process_signal(aloft__process *process, int number);
int32_t aloft__process_pid(const aloft__process *process);
// Once for each process, after EXITED or instead of it: one that still runs is killed and reaped.
void aloft__process_free(aloft__process *process);

// Any thread.
int aloft__thread_start(void (*entry)(void *), void *argument, uv_thread_t *thread);
int aloft__thread_join(uv_thread_t *thread);
// Gives the calling thread a descriptor table of its own, a copy of the process's.
int aloft__unshare_descriptors(void);
// Nanoseconds of CLOCK_MONOTONIC.
uint64_t aloft__now(void);
int aloft__parse_address(const char *host, uint16_t port, struct sockaddr_storage *out,
                         socklen_t *length);
int aloft__unix_address(const char *path, size_t path_length, struct sockaddr_storage *out,
                        socklen_t *length);
// Writes "127.0.0.1", and the port; -EAFNOSUPPORT for what is neither IPv4 nor IPv6 nor Unix.
int aloft__format_address(const struct sockaddr_storage *address, socklen_t length, char *host,
                          size_t host_bytes, uint16_t *port);
// How many descriptors the process may hold, and how many it holds now.
int aloft__descriptor_limit(uint64_t *limit, uint64_t *in_use);
// Zeroed pages straight from the system, so that freeing them gives them back. NULL: no memory.
void *aloft__pages_allocate(size_t bytes);
void aloft__pages_free(void *pages, size_t bytes);
int aloft__pin_thread(int cpu);
// The processor that the calling thread is on, for a moment at least; no system call.
int aloft__processor(void);
const char *aloft__error_name(int status);
const char *aloft__error_text(int status);

#ifdef __cplusplus
}
#endif
#endif
