// Supervision: workers and processes that are started again when they fail.
//
// A *supervisor* lives on one event loop and starts *children*: workers, which are handlers with a
// mailbox, on any loop of the runtime, and operating-system processes. A worker fails when one of
// its callbacks answers with a negative code, takes too long, or is told to. Then its state is
// freed, and a new one is made; its mailbox stays, with its name and all that waits in it.
//
// Thread, for all functions on a supervisor: its loop, or a thread that is no event loop's. They
// block in the latter case, until the loop has come to them; not for children to start or stop.
// Errors that each may return: ALOFT_EWRONGTHREAD, ALOFT_ESHUTDOWN (the supervisor or the runtime
// has ended).
//
// How to read the comments is told at the head of aloft.h.
#ifndef ALOFT_SUPERVISION_H
#define ALOFT_SUPERVISION_H

#include "mailbox.h"

#ifdef __cplusplus
extern "C" {
#endif

// A supervisor: a pointer, good from its creation to its destruction.
typedef struct aloft_supervisor aloft_supervisor;

enum {
  ALOFT_ONE_FOR_ONE = 0,  // the child that has failed is started again
  ALOFT_ONE_FOR_ALL = 1,  // all children are stopped, the last one first, and started
  ALOFT_REST_FOR_ONE = 2  // the same for those that were started after it
};

typedef struct aloft_supervisor_options {
  size_t struct_size;
  // ALOFT_ONE_FOR_ONE (the default), ALOFT_ONE_FOR_ALL, ALOFT_REST_FOR_ONE.
  uint32_t strategy;
  // How many restarts within window_ms are too many: more than the larger of restarts_min and
  // restarts_percent of the number of children. The supervisor then ends. Defaults 3, 25 and 5,000.
  uint32_t restarts_min;
  uint32_t restarts_percent;
  uint32_t window_ms;
  // Most restarts of one child in a row without its having run for stable_ms; up to 255. Default 0:
  // any.
  uint32_t in_a_row_max;
  // How long a child that fails again waits: not at all the first time, then backoff_ms, doubled
  // each time up to backoff_ms_max, of which up to a half is taken off at random. Defaults 10 and
  // 5,000.
  uint32_t backoff_ms;
  uint32_t backoff_ms_max;
  // Who has run for so long is taken to be well again. Default 10,000.
  uint32_t stable_ms;
  // Children that may be on their way up, or down, at a time. Default 1: the order is strict.
  uint32_t in_flight_max;
  // Up to 16,777,216. Default 1,048,576.
  uint32_t children_max;
} aloft_supervisor_options;

enum {
  ALOFT_CHILD_STARTED = 1,    // it has come up
  ALOFT_CHILD_RESTARTING = 2, // it has ended, and is started again after a while
  ALOFT_SUPERVISOR_ENDED = 3  // `error` is 0 when that was asked for, else ALOFT_EFAILED
};

// Called on the supervisor's loop for what happens to its children.
//   name   [in]  of the child; NULL with ALOFT_SUPERVISOR_ENDED
//   error  0 when its work was done; else the callback's code, or ALOFT_ETIMEDOUT, ALOFT_ECLOSED
//          (one that it was linked to has ended), ALOFT_EFAILED, or the system's
typedef void (*aloft_supervisor_event)(int event, const char *name, int error, uint64_t after_ms,
                                       void *context);

// Creates a supervisor without children.
//   loop        index of the loop on which it lives
//   options     [in]  or NULL for defaults
//   on_event    NULL, or called for what happens
//   context     kept for on_event, until ALOFT_SUPERVISOR_ENDED
//   supervisor  [out] the caller's, to be given to aloft_supervisor_destroy
// Errors: ALOFT_EINVAL (an option), ALOFT_ENOENT (no such loop).
ALOFT_EXPORT int aloft_supervisor_create(aloft_runtime *runtime, uint32_t loop,
                                         const aloft_supervisor_options *options,
                                         aloft_supervisor_event on_event, void *context,
                                         aloft_supervisor **supervisor);

// Stops all children, the last one first, each within its limit, and frees the supervisor. To be
// called once, also when the supervisor has ended by itself, and before the runtime is destroyed.
//   done     NULL, or called exactly once, on the supervisor's loop, when nothing runs any more;
//            with ALOFT_ESHUTDOWN when the runtime has ended before
//   context  kept for `done`
// Thread: any. Errors: none but for NULL.
ALOFT_EXPORT int aloft_supervisor_destroy(aloft_supervisor *supervisor, aloft_task done,
                                          void *context);

// ---------------------------------------------------------------------------------------------
// Workers

// A worker within its callbacks: good for as long as the state that they are for.
typedef struct aloft_worker aloft_worker;

// What a worker does, on its loop's thread, one call at a time. Each may be NULL. `context` is the
// child's, from aloft_supervisor_add_worker; `state` is made anew for each start.
typedef struct aloft_worker_callbacks {
  size_t struct_size;
  // Before the first message. *state is NULL, and what it is set to is what the others are given. A
  // negative code: the start has failed; on_free follows, too.
  int (*on_start)(aloft_worker *worker, void **state, void *context);
  // A message, as with on_message of a mailbox. A negative code: the worker has failed.
  int (*on_message)(aloft_worker *worker, aloft_message *message, void *state, void *context);
  // It is stopped in order. Not called when it has failed, or is ended by force.
  void (*on_stop)(aloft_worker *worker, void *state, void *context);
  // One that it is linked to has ended. 0: that makes no difference; a negative code, or NULL in
  // the place of this function: the worker fails.
  int (*on_link_end)(aloft_worker *worker, aloft_mailbox other, void *state, void *context);
  // The last call for a state, whatever has become of it.
  void (*on_free)(void *state, void *context);
} aloft_worker_callbacks;

enum {
  ALOFT_PERMANENT = 0, // started again, however it ended
  ALOFT_TRANSIENT = 1, // started again if it failed, not when its work was done
  ALOFT_TEMPORARY = 2  // never started again; its end removes it
};

typedef struct aloft_worker_options {
  size_t struct_size;
  // ALOFT_PERMANENT (the default), ALOFT_TRANSIENT, ALOFT_TEMPORARY.
  uint32_t restart;
  // How long what waits in its mailbox may take to be handled when it is stopped; then it is
  // dropped. Default 5,000; ALOFT_NEVER to drop it at once.
  uint32_t stop_ms;
  // How long one message may take. A callback can't be taken off its thread: one that took too long
  // fails when it has returned. Default: no limit.
  uint32_t message_ms_max;
  // Within how long it must handle a message or call aloft_worker_progress. Default: never.
  uint32_t progress_ms;
  // How often a message at which it failed is handed to the next state; up to 254. Default 0: it is
  // dropped.
  uint32_t redeliveries_max;
  // Its mailbox: as aloft_mailbox_options, or NULL for defaults. [in]
  const aloft_mailbox_options *mailbox;
} aloft_worker_options;

// Adds a worker behind the other children and starts it. Its start may still be under way when this
// returns: ALOFT_CHILD_STARTED follows, or ALOFT_CHILD_RESTARTING.
//   name       [in]  1 to 255 bytes, unique among the supervisor's children
//   loop       index of the loop on which it lives
//   options    [in]  or NULL for defaults
//   callbacks  [in]
//   context    kept for the callbacks, until the supervisor has ended and on_free has been called
// Errors: ALOFT_EINVAL (an option, or the name), ALOFT_ENOENT (no such loop), ALOFT_ENAMETAKEN,
// ALOFT_ENAMETOOLONG, ALOFT_ELIMIT (children_max).
ALOFT_EXPORT int aloft_supervisor_add_worker(aloft_supervisor *supervisor, const char *name,
                                             uint32_t loop, const aloft_worker_options *options,
                                             const aloft_worker_callbacks *callbacks,
                                             void *context);

// The mailbox of a child, which stays the same while it is restarted.
//   mailbox  [out]
// Errors: ALOFT_ENONAME (no such child), ALOFT_ECLOSED (it has not been started yet, or is down for
// good).
ALOFT_EXPORT int aloft_supervisor_mailbox(aloft_supervisor *supervisor, const char *name,
                                          aloft_mailbox *mailbox);

// Thread, for these four: within the worker's callbacks, or else on its loop while its state lives.
// Errors: ALOFT_EWRONGTHREAD; ALOFT_ECLOSED (that state is no longer the worker's).

// The worker's mailbox. mailbox [out]
ALOFT_EXPORT int aloft_worker_mailbox(const aloft_worker *worker, aloft_mailbox *mailbox);
// Its work is done: on_stop is called, and one that is not permanent stays down.
ALOFT_EXPORT int aloft_worker_finish(aloft_worker *worker);
// It has failed.
//   error  a negative code, for ALOFT_CHILD_RESTARTING
ALOFT_EXPORT int aloft_worker_fail(aloft_worker *worker, int error);
// See aloft_worker_options.progress_ms.
ALOFT_EXPORT int aloft_worker_progress(aloft_worker *worker);

// ---------------------------------------------------------------------------------------------
// Processes

// What is told of a process worker, on the supervisor's loop. Each may be NULL. One set for all
// processes that follow each other under the name.
typedef struct aloft_process_callbacks {
  size_t struct_size;
  void (*on_start)(int pid, void *context);
  // A message that the process has written to its descriptor 3, without its length. `data` [in] is
  // good until the call returns.
  void (*on_data)(const void *data, size_t length, void *context);
  // It has ended: exited with `exit_code`, and `signal` is 0; or by a signal.
  void (*on_end)(int exit_code, int signal, void *context);
} aloft_process_callbacks;

// A program. Its descriptors are: 0 /dev/null, 1 and 2 this process's own, 3 the channel: a stream
// socket of messages, each with four bytes of length, big-endian, before it, in both directions.
// What is sent to the child's mailbox goes there.
typedef struct aloft_process_options {
  size_t struct_size;
  const char *path;              // [in]
  const char *const *arguments;  // [in] behind the program's name, ended by NULL; or NULL for none
  const char *const *environment; // [in] "NAME=value", ended by NULL; or NULL for none
  const char *directory;         // [in] or NULL for ours
  // As in aloft_worker_options.
  uint32_t restart;
  // How long it may take to end after the stop signal; then comes SIGKILL. Default 5,000.
  uint32_t stop_ms;
  // Default SIGTERM.
  uint32_t stop_signal;
  // Processes of this program that run and wait on their channels, so that one that is killed is
  // replaced at once; up to 1,024. Shared by all children of the same program.
  uint32_t spares;
  // 1: it has come up when its first message has come; 0: as soon as it has become its program.
  uint32_t waits_for_message;
  // Within how long it must send something. Default: never.
  uint32_t progress_ms;
  // The first message that each is sent, a spare when it is promoted: what it is to do.
  const void *assignment; // [in] `assignment_length` bytes, or NULL
  size_t assignment_length;
} aloft_process_options;

// Adds a process worker and starts it. Starting a process holds the loop up for some 0.5 ms.
//   name, callbacks, context as aloft_supervisor_add_worker
//   options  [in]
// Errors: as aloft_supervisor_add_worker.
ALOFT_EXPORT int aloft_supervisor_add_process(aloft_supervisor *supervisor, const char *name,
                                              const aloft_process_options *options,
                                              const aloft_process_callbacks *callbacks,
                                              void *context);

// The process that runs under a name just now, or 0. Errors: ALOFT_ENONAME.
ALOFT_EXPORT int aloft_supervisor_pid(aloft_supervisor *supervisor, const char *name);

// ---------------------------------------------------------------------------------------------
// Orders to single children
//
// Errors, of each: ALOFT_ENONAME (no such child), ALOFT_EBUSY (it is not in the state for that, or
// the supervisor is ending).

// Stops a child, which stays known: what waits in its mailbox is handled first, then that ends.
ALOFT_EXPORT int aloft_supervisor_stop(aloft_supervisor *supervisor, const char *name);
// Starts a child that is down, or waits for its back-off.
ALOFT_EXPORT int aloft_supervisor_start(aloft_supervisor *supervisor, const char *name);
// Stops a child and starts it again, which is no failure; its mailbox and what waits there stay.
ALOFT_EXPORT int aloft_supervisor_restart(aloft_supervisor *supervisor, const char *name);
// Stops a child and forgets it.
ALOFT_EXPORT int aloft_supervisor_remove(aloft_supervisor *supervisor, const char *name);

typedef struct aloft_supervisor_statistics {
  size_t struct_size;
  uint64_t children; // running or not
  uint64_t restarts; // that were allowed; of a group, one
  uint64_t spares;   // processes that wait to be promoted
} aloft_supervisor_statistics;

//   statistics  [out] struct_size is [in]; so many bytes are written
ALOFT_EXPORT int aloft_supervisor_statistics_get(aloft_supervisor *supervisor,
                                                 aloft_supervisor_statistics *statistics);

// ---------------------------------------------------------------------------------------------
// Monitors and links: of any mailboxes, supervised or not

// One who waits for a mailbox's end; the caller's until it is cancelled.
typedef struct aloft_monitor aloft_monitor;

enum { ALOFT_MAILBOX_GONE = 4 }; // it had ended before, or never was

// Called exactly once, on the mailbox's loop or, if it is gone, on any thread, also within the call
// that began it; not after aloft_monitor_cancel has returned 0. reason is ALOFT_MAILBOX_*.
typedef void (*aloft_monitored)(aloft_mailbox mailbox, int reason, void *context);

//   ended    called when the mailbox ends
//   context  kept for `ended`
//   monitor  [out] to be given to aloft_monitor_cancel
// Thread: any.
ALOFT_EXPORT int aloft_monitor_start(aloft_mailbox mailbox, aloft_monitored ended, void *context,
                                     aloft_monitor **monitor);

// Frees a monitor. Thread: any. Errors: ALOFT_ENOENT (`ended` has been called, or is being called;
// it is freed all the same).
ALOFT_EXPORT int aloft_monitor_cancel(aloft_monitor *monitor);

// Neither mailbox is to go on without the other: the first end, or failure of a worker, ends the
// other. A worker fails, unless its on_link_end says otherwise; another mailbox is closed.
// Thread: any. Errors: none: a mailbox that has ended already ends the other at once.
ALOFT_EXPORT int aloft_link(aloft_mailbox a, aloft_mailbox b);

#ifdef __cplusplus
}
#endif
#endif
