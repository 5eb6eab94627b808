// Aloft: an embeddable runtime for many connections. This header is the manual.
//
// A *runtime* owns a number of *event loops*, each on a thread of its own (or one, on the
// application's own libuv loop). Each connection and each timer belongs to one event loop for
// life: its callbacks come on that loop's thread, and the functions on it are called there. Work
// gets onto a loop from any other thread with `aloft_execute`.
//
// How to read the comments:
//   [in]      read during the call and not kept, unless the comment says that it is kept.
//   [out]     written by the call, when it returns 0 unless the comment says otherwise.
//   Thread    which threads may call. "Any" is any thread, loops' included. "Its loop" is the
//             thread of the event loop that the connection or timer belongs to. "A loop" is any
//             event loop's thread of the given runtime.
//   Blocks    whether the call may wait for anything. What isn't said to block never does.
//   Errors    negative codes from ALOFT_ERRNO_MAP, beside those that every function may return:
//             ALOFT_EINVAL for a NULL where the comment doesn't allow it. A call that fails has
//             done nothing.
// Sizes are in bytes, times in the unit that the name ends in. Strings end with a NUL byte.
//
// Bad input is answered with a code: NULL, a stale or made-up connection, listener or timer, an
// address that is none, the wrong thread. Two things can't be found out and are undefined: a
// pointer that points elsewhere than its type says, and a runtime used after its destruction.
//
// **Structs grow.** Options, callbacks and statistics begin with `struct_size`, which the caller
// sets to the sizeof that it was compiled with; zero all else first. A field of 0 has its default.
// So a program built against an older header, with shorter structs, gets defaults for what it
// doesn't know, and one built against a newer header is refused (ALOFT_EINVAL) by an older library
// if, and only if, it sets something that the library doesn't know.
//
// **fork**: a child has the loops' memory and not their threads. It may call exec or _exit, and
// nothing of Aloft's; what needs a loop is answered ALOFT_ESHUTDOWN or ALOFT_ECLOSED there, and a
// runtime can't be created or freed. All descriptors close at exec. The parent goes on unharmed.
//
// **Signals** are the application's: the library installs no handler, none for the process's end
// either, and needs SIGPIPE neither ignored nor handled. Loops' threads have the mask of the thread
// that creates the runtime.
// **Memory** comes from malloc and mmap. A program with a malloc of its own gives it to Aloft, too;
// there is no hook beside that, for the Swift runtime within calls malloc by its name.
// **Several runtimes** may live in a process, and know nothing of each other but by handles, which
// say by themselves whose they are. Names are a runtime's own.
//
// **Callbacks** must not block: they hold up every connection of their loop. They may call any
// function that may be called on a loop, close their own connection included. C++ exceptions and
// longjmp must not leave them.
#ifndef ALOFT_H
#define ALOFT_H

#include "aloft/base.h"

#include "aloft/mailbox.h"
#include "aloft/message.h"
#include "aloft/pool.h"
#include "aloft/queue.h"
#include "aloft/registry.h"
#include "aloft/supervision.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------------------------------------
// Runtimes

enum {
  // Gives each event loop's thread a descriptor table of its own, so that the process's descriptor
  // limit counts per loop. The tables are copies: what the process has open when the runtime is
  // created stays open in each of them until the runtime ends. Not with aloft_runtime_attach.
  ALOFT_PRIVATE_DESCRIPTORS = 1
};

typedef struct aloft_runtime_options {
  size_t struct_size;
  // Event loops, each on a thread of its own; at most 256 in a process. Default 1.
  uint32_t event_loops;
  // Connections of all loops together. Held against the descriptor limit at creation, and kept:
  // what arrives beyond it is refused. At most 1,048,576 a loop. Default 16,384.
  uint32_t connections_max;
  // Timers that may run at a time on one loop, beside connections' time-outs. At most 16,777,215.
  // Default 1,048,576. Memory is taken as they come to be used.
  uint32_t timers_max;
  // Calls of aloft_execute that may wait for a loop from all threads that are not loops of this
  // runtime together, rounded up to a power of two. At most 16,777,216. Default 4,096.
  uint32_t inbox_capacity;
  // The same from each of the other loops. Default 1,024.
  uint32_t sibling_inbox_capacity;
  // For how long at most a loop polls before it sleeps, in microseconds, up to 1,000,000. What
  // comes while it polls is served some 50 us sooner, and the processor is busy all that time. A
  // loop polls no longer than has paid lately. Default 0: it sleeps at once.
  uint32_t busy_poll_us_max;
  // ALOFT_PRIVATE_DESCRIPTORS or 0.
  uint32_t flags;
  // Processors to pin the loops to, in their order: loop i to processors[i]. Default: none.
  uint32_t processors_count;
  const uint32_t *processors; // [in]
} aloft_runtime_options;

// Creates a runtime and starts its event loops' threads.
//   options  [in]  or NULL for defaults
//   runtime  [out] the caller's, to be given to aloft_runtime_destroy
// Thread: any. Blocks: no longer than it takes to start threads.
// Errors: ALOFT_EINVAL (an option is out of range), ALOFT_EMFILE (the descriptor limit leaves no
// room for connections_max; the message has the numbers), ALOFT_ELIMIT (256 event loops live in the
// process), or the system's.
ALOFT_EXPORT int aloft_runtime_create(const aloft_runtime_options *options,
                                      aloft_runtime **runtime);

struct uv_loop_s; // uv_loop_t of <uv.h>

// Creates a runtime with one event loop, which is the application's own libuv loop.
//   loop     [in]  an initialised uv_loop_t, kept until the runtime has ended. It must be the same
//                  libuv, by library and version, that Aloft is linked with.
//   options  [in]  or NULL for defaults; event_loops must be 0 or 1, flags and processors_count 0,
//                  and busy_poll_us_max is best left at 0
//   runtime  [out] the caller's, to be given to aloft_runtime_destroy after it has ended
// The thread that calls is the event loop's thread from here on: it alone runs `loop`. Connections
// may be used in any of the application's libuv callbacks but uv_prepare_t's, and before uv_run.
// The runtime keeps uv_run(UV_RUN_DEFAULT) from returning until aloft_runtime_shutdown has done its
// work.
// Thread: the one that runs `loop`, and no thread that runs another event loop of Aloft's.
// Errors: as aloft_runtime_create, and ALOFT_EWRONGTHREAD.
ALOFT_EXPORT int aloft_runtime_attach(struct uv_loop_s *loop,
                                      const aloft_runtime_options *options,
                                      aloft_runtime **runtime);

// Begins to end a runtime: closes its listeners, calls on_drain for every open connection, and
// when all connections are gone, or after `drain_ms_max`, closes what is left and ends the loops.
//   drain_ms_max  how long connections may take; 0 closes them at once
//   on_ended      NULL, or called when all loops have ended (status 0), on the last loop's thread
//   context       kept for on_ended
// Thread: any. Errors: ALOFT_ESHUTDOWN (it was called before; on_ended is not called).
ALOFT_EXPORT int aloft_runtime_shutdown(aloft_runtime *runtime, uint32_t drain_ms_max,
                                        aloft_task on_ended, void *context);

// Waits until a runtime has ended. Doesn't begin to end it: see aloft_runtime_shutdown.
// Thread: any but a thread of an event loop. Blocks. Errors: ALOFT_EWRONGTHREAD; ALOFT_ENOTSUP for
// an attached runtime, which ends in the application's own uv_run.
ALOFT_EXPORT int aloft_runtime_wait(aloft_runtime *runtime);

// Frees a runtime. One that still runs is ended first, without draining: connections are closed
// with reason ALOFT_CLOSED_BY_SHUTDOWN.
//   runtime  [in]  or NULL, which does nothing. Not to be used any more when 0 is returned.
// Thread: any but a thread of the runtime's own loops; for an attached runtime, the thread that
// runs its libuv loop, from its on_ended callback on. Blocks until the loops' threads have ended.
// Errors: ALOFT_EWRONGTHREAD; ALOFT_EBUSY (attached, and not ended: uv_run has to go on till then).
ALOFT_EXPORT int aloft_runtime_destroy(aloft_runtime *runtime);

// The number of event loops; they have the indexes 0 to one less. Thread: any.
ALOFT_EXPORT int aloft_loop_count(const aloft_runtime *runtime);

// The index of the event loop whose thread this is. Thread: any. Errors: ALOFT_EWRONGTHREAD when it
// is none of this runtime's.
ALOFT_EXPORT int aloft_loop_index(const aloft_runtime *runtime);

// Has `task` called on a loop's thread: soon, after what the same thread sent to that loop before,
// and not during this call.
//   loop     index of the loop
//   context  kept for `task`
// When this returns 0, `task` is called exactly once: on the loop with status 0, or, if the runtime
// ends before, with ALOFT_ESHUTDOWN, on the loop's thread or the caller's, where it may free what
// `context` points to and call nothing of Aloft's on a connection.
// Thread: any. Errors: ALOFT_EAGAIN (the loop's inbox is full), ALOFT_ESHUTDOWN, ALOFT_ENOENT (no
// such loop).
ALOFT_EXPORT int aloft_execute(aloft_runtime *runtime, uint32_t loop, aloft_task task,
                               void *context);

// ---------------------------------------------------------------------------------------------
// Connections: options and callbacks

enum {
  ALOFT_FRAMING_NONE = 0, // on_data gets bytes as they come
  // A message is four bytes of length, big-endian, and as many bytes; on_data gets it whole and
  // without its length. aloft_write_frame sends one.
  ALOFT_FRAMING_LENGTH_PREFIXED = 1
};

typedef struct aloft_connection_options {
  size_t struct_size;
  // ALOFT_FRAMING_NONE (the default) or ALOFT_FRAMING_LENGTH_PREFIXED.
  uint32_t framing;
  // With framing: the longest message taken. A peer that announces more is reset, before memory is
  // taken for it. Default 1 MiB.
  uint32_t frame_bytes_max;
  // Queued output above which the connection's own reads pause. Default 64 KiB, or
  // queued_bytes_max if that is less.
  uint32_t high_water_bytes;
  // Queued output at which they go on, and at which on_writable is called. At most
  // high_water_bytes. Default 16 KiB, or high_water_bytes if that is less.
  uint32_t low_water_bytes;
  // Most output that may be queued, up to 1 GiB; a write beyond it answers ALOFT_EAGAIN. A single
  // larger message passes while nothing waits before it. At least high_water_bytes. Default 1 MiB,
  // or high_water_bytes if that is more.
  uint32_t queued_bytes_max;
  // Without a byte in either direction for so long, the connection is closed. Default: never.
  uint32_t idle_timeout_ms;
  // For aloft_connect: how long the attempt may take. Default 10,000.
  uint32_t connect_timeout_ms;
  // A peer that takes none of what is queued for it for so long is reset. Default 30,000.
  uint32_t stall_timeout_ms;
  // For aloft_listen: connections that may wait to be accepted; the system has its own bound
  // (net.core.somaxconn). Default 4,096.
  uint32_t backlog;
  // 0.
  uint32_t flags;
} aloft_connection_options;
// Time-outs are at most 2,147,483,647 ms, or ALOFT_NEVER.

// Why a connection was closed: XX(name, value, text).
#define ALOFT_CLOSED_MAP(XX)                                                                   \
  XX(BY_US, 1, "closed or reset from this side")                                               \
  XX(BY_PEER, 2, "both sides had finished")                                                    \
  XX(BY_SYSTEM, 3, "the system reported an error")                                             \
  XX(IDLE, 4, "no byte passed for the idle time-out")                                          \
  XX(CONNECT_TIMEOUT, 5, "the attempt to connect took too long")                               \
  XX(STALLED, 6, "the peer took none of what was queued for the stall time-out")               \
  XX(FRAME_TOO_LARGE, 7, "the peer announced a message above frame_bytes_max")                 \
  XX(BY_SHUTDOWN, 8, "the runtime ended")

#define ALOFT__ENUMERATOR(name, value, text) ALOFT_CLOSED_##name = value,
enum { ALOFT_CLOSED_MAP(ALOFT__ENUMERATOR) ALOFT_CLOSED_MAX = 8 };
#undef ALOFT__ENUMERATOR

// The text for a reason. Never NULL; the string is static. Thread: any.
ALOFT_EXPORT const char *aloft_close_reason_text(int reason);

// What is called as a connection lives. Each may be NULL. All calls for one connection come on its
// loop's thread, one at a time and in order: on_open, then on_data, on_writable, on_drain in any
// number, on_end at most once among them, then on_close. An attempt to connect that fails has
// on_close alone.
//
// `context` is what was given to aloft_listen or aloft_connect. It must stay good until on_close
// has been called for every connection of it and, for a listener, no more can come: see
// aloft_listener_close. A listener's callbacks come from all loops, at the same time.
typedef struct aloft_callbacks {
  size_t struct_size;
  // Accepted, or connected.
  void (*on_open)(aloft_connection connection, void *context);
  // Bytes, or one whole message with framing. `data` [in] is good until the call returns, and is
  // NULL only if `length` is 0, which it is for an empty message alone. Written back from where it
  // lies it isn't copied.
  void (*on_data)(aloft_connection connection, const void *data, size_t length, void *context);
  // The peer sends no more; it may still read. NULL: what is queued is sent, then the connection
  // is closed.
  void (*on_end)(aloft_connection connection, void *context);
  // There is room again after a write was answered ALOFT_EAGAIN.
  void (*on_writable)(aloft_connection connection, void *context);
  // The runtime shuts down: finish what is under way and close. NULL: what is queued is sent, then
  // the connection is closed.
  void (*on_drain)(aloft_connection connection, void *context);
  // The last call for this connection; its user data can be read here for the last time.
  // reason is ALOFT_CLOSED_*; error is 0 where nothing went wrong, else a negative code.
  void (*on_close)(aloft_connection connection, int reason, int error, void *context);
  // A listener had to turn a connection away, or a loop could not listen: ALOFT_ELIMIT at
  // connections_max, ALOFT_EMFILE, ... Told once, and again only after one has been accepted.
  void (*on_refused)(int error, void *context);
} aloft_callbacks;

// **Addresses** are text, as given and as returned: "127.0.0.1:7777", "[::1]:7777", and for
// Unix-domain sockets "unix:/run/a.sock", or "unix:@name" in Linux's abstract name space. IP
// addresses are literals; names are not looked up, for that would block.
// ALOFT_ADDRESS_SIZE is room for any of them with its NUL.
#define ALOFT_ADDRESS_SIZE 128

// ---------------------------------------------------------------------------------------------
// Listening and connecting

// Listens on every loop of the runtime. The system deals TCP connections out among the loops; a
// Unix-domain socket has one loop listen, which deals them out in turn (with private descriptors,
// it keeps them).
//   address    [in]  port 0 has the system choose: see aloft_listener_port. A Unix-domain socket's
//                    path must not exist; removing it is the application's.
//   options    [in]  or NULL for defaults
//   callbacks  [in]
//   context    kept for the callbacks
//   listener   [out] or NULL
// on_open may be called on another thread before this returns.
// Thread: any but an event loop of another runtime. Called from outside the loops it blocks until
// every loop listens. On a loop it doesn't block: that loop listens when it returns, the others
// soon after, and one that can't tells on_refused.
// Errors: ALOFT_EINVAL (an option, or the address), ALOFT_EADDRINUSE, ALOFT_EADDRNOTAVAIL,
// ALOFT_EACCES, ALOFT_ENAMETOOLONG, ALOFT_ELIMIT (64 listeners a runtime), ALOFT_ESHUTDOWN,
// ALOFT_EWRONGTHREAD, or the system's.
ALOFT_EXPORT int aloft_listen(aloft_runtime *runtime, const char *address,
                              const aloft_connection_options *options,
                              const aloft_callbacks *callbacks, void *context,
                              aloft_listener *listener);

// Accepts no more; open connections stay.
// Thread: any but an event loop of another runtime. Called from outside the loops it blocks until
// no loop accepts any more: from then on no on_open or on_refused comes from this listener. On a
// loop it doesn't block: that loop stops at once, the others soon after.
// Errors: ALOFT_ENOENT (closed already), ALOFT_EWRONGTHREAD.
ALOFT_EXPORT int aloft_listener_close(aloft_runtime *runtime, aloft_listener listener);

// The port that a listener is bound to, 0 for a Unix-domain socket. Thread: any.
// Errors: ALOFT_ENOENT.
ALOFT_EXPORT int aloft_listener_port(const aloft_runtime *runtime, aloft_listener listener);

// The address that a listener is bound to, with the port that the system chose.
//   text  [out] `size` bytes of the caller's, at least ALOFT_ADDRESS_SIZE for any address
// Thread: any. Errors: ALOFT_ENOENT, ALOFT_EMSGSIZE (`size` is too small).
ALOFT_EXPORT int aloft_listener_address(const aloft_runtime *runtime, aloft_listener listener,
                                        char *text, size_t size);

// Begins to connect on the calling loop; on_open follows, or on_close if the attempt fails, in a
// later turn. From another thread: aloft_execute a task that calls this.
//   address     [in]
//   local       [in]  the address to connect from, port 0 for any; NULL has the system choose
//   options     [in]  or NULL for defaults
//   callbacks   [in]
//   context     kept for the callbacks
//   connection  [out] or NULL
// Thread: a loop. Errors: ALOFT_EWRONGTHREAD, ALOFT_EINVAL (an option, or an address),
// ALOFT_ELIMIT (connections_max), ALOFT_ESHUTDOWN, or the system's: ALOFT_EADDRNOTAVAIL,
// ALOFT_EMFILE, ... and, for Unix-domain sockets, ALOFT_ECONNREFUSED, ALOFT_ENOENT, ALOFT_EAGAIN.
ALOFT_EXPORT int aloft_connect(aloft_runtime *runtime, const char *address, const char *local,
                               const aloft_connection_options *options,
                               const aloft_callbacks *callbacks, void *context,
                               aloft_connection *connection);

// ---------------------------------------------------------------------------------------------
// On a connection
//
// Thread, for all of these: its loop. Errors that each may return: ALOFT_ECLOSED for a connection
// that is closed or closing, or whose handle is stale or made up; ALOFT_EWRONGTHREAD off its loop's
// thread, which is found out before staleness is, and only while the loop of that number runs.

// Writes all of `data` or nothing. What a connection is given within one turn of the loop is sent
// with one system call at the turn's end; what the system doesn't take then is queued.
//   data    [in]  `length` bytes, copied unless they lie in what on_data was given; NULL only if
//                 `length` is 0
//   length  at most 1 GiB
// Errors: ALOFT_EAGAIN (nothing was taken, for the queue would pass queued_bytes_max; on_writable
// follows), ALOFT_EMSGSIZE. ALOFT_ECLOSED also after aloft_finish_writing.
ALOFT_EXPORT int aloft_write(aloft_connection connection, const void *data, size_t length);

// Writes one message of ALOFT_FRAMING_LENGTH_PREFIXED: four bytes of length, big-endian, and
// `data`; all or nothing. Parameters and errors as aloft_write.
ALOFT_EXPORT int aloft_write_frame(aloft_connection connection, const void *data, size_t length);

// Sends what is queued, then ends the sending side: the peer's on_end. What the peer sends is still
// read; when it ends too, the connection is closed.
ALOFT_EXPORT int aloft_finish_writing(aloft_connection connection);

// Sends what is queued, then closes. on_data is called no more; on_close follows, not from within
// this call. An attempt to connect is given up.
ALOFT_EXPORT int aloft_close(aloft_connection connection);

// Closes with a reset (RST); what is queued is lost. on_close follows, not from within this call.
// Works on a connection that is closing, too.
ALOFT_EXPORT int aloft_reset(aloft_connection connection);

// Stops reading: the peer is held back by TCP's own window. What was received in this turn is still
// handed to on_data. Idempotent.
ALOFT_EXPORT int aloft_pause_reading(aloft_connection connection);

// Reads again. Idempotent.
ALOFT_EXPORT int aloft_resume_reading(aloft_connection connection);

// 1 when it is open: between on_open and the first close, reset or failure. 0 when not.
// Errors: ALOFT_EWRONGTHREAD alone.
ALOFT_EXPORT int aloft_is_open(aloft_connection connection);

// Bytes accepted for writing and not yet taken by the system.
ALOFT_EXPORT int64_t aloft_queued_bytes(aloft_connection connection);

// Keeps a pointer of the application's with the connection, NULL at first. What it points to is
// the application's to free, in on_close at the latest.
ALOFT_EXPORT int aloft_set_user_data(aloft_connection connection, void *user_data);

// The pointer that was set, up to and including on_close; NULL where other functions would answer
// with an error.
ALOFT_EXPORT void *aloft_user_data(aloft_connection connection);

// The peer's address, and this side's. A Unix-domain socket without a name is "unix:".
//   text  [out] `size` bytes of the caller's, at least ALOFT_ADDRESS_SIZE for any address
// Errors: ALOFT_EMSGSIZE (`size` is too small); ALOFT_ECLOSED also within on_close.
ALOFT_EXPORT int aloft_peer_address(aloft_connection connection, char *text, size_t size);
ALOFT_EXPORT int aloft_local_address(aloft_connection connection, char *text, size_t size);

// The index of the connection's loop in its runtime, to aloft_execute on it. Says nothing about
// whether the connection is open.
// Thread: any. Errors: ALOFT_ECLOSED (no loop of this runtime's).
ALOFT_EXPORT int aloft_connection_loop(const aloft_runtime *runtime, aloft_connection connection);

// ---------------------------------------------------------------------------------------------
// Timers

typedef void (*aloft_timer_fired)(void *context);

// Calls `fired` on the calling loop, no sooner than `delay_ms` from now, and, if `period_ms` isn't
// 0, every `period_ms` from then on. Timers have a resolution of a millisecond. One that still runs
// when the runtime ends is dropped without a call.
//   context  kept for `fired`
//   timer    [out] or NULL
// Thread: a loop. Errors: ALOFT_EWRONGTHREAD, ALOFT_ELIMIT (timers_max), ALOFT_ESHUTDOWN.
ALOFT_EXPORT int aloft_timer_start(aloft_runtime *runtime, uint64_t delay_ms, uint32_t period_ms,
                                   aloft_timer_fired fired, void *context, aloft_timer *timer);

// Moves a running timer: it fires next `delay_ms` from now.
// Thread: its loop. Errors: ALOFT_ENOENT (it has fired for the last time, was cancelled, or never
// was), ALOFT_EWRONGTHREAD.
ALOFT_EXPORT int aloft_timer_rearm(aloft_runtime *runtime, aloft_timer timer, uint64_t delay_ms);

// Stops a timer, which then doesn't fire any more. A periodic one may stop itself from within its
// call. Thread: its loop. Errors: as aloft_timer_rearm.
ALOFT_EXPORT int aloft_timer_cancel(aloft_runtime *runtime, aloft_timer timer);

// ---------------------------------------------------------------------------------------------
// Statistics

// Counts since the runtime was created. Each is exact; loops go on while they are added up.
typedef struct aloft_statistics {
  size_t struct_size;
  uint64_t connections_open; // and attempts to connect under way
  uint64_t accepted;
  uint64_t connected; // attempts to connect that succeeded
  uint64_t refused;   // connections that listeners had to turn away
  uint64_t closed;    // calls of on_close
  uint64_t bytes_received;
  uint64_t bytes_written; // accepted for writing
  uint64_t receives;      // receive calls that brought bytes
  uint64_t turns;
  uint64_t sleeps;
  uint64_t timers_fired;
} aloft_statistics;

#define ALOFT_ALL_LOOPS UINT32_MAX

// Reads the counts of one loop, or of all together.
//   loop        index of the loop, or ALOFT_ALL_LOOPS
//   statistics  [out] struct_size is [in]; so many bytes are written
// Thread: any. Errors: ALOFT_ENOENT (no such loop).
ALOFT_EXPORT int aloft_statistics_get(const aloft_runtime *runtime, uint32_t loop,
                                      aloft_statistics *statistics);

#ifdef __cplusplus
}
#endif
#endif
