// Mailboxes: messages to an entity that lives on one event loop.
//
// A mailbox belongs to one event loop for life; its callbacks come on that loop's thread, one at a
// time. Any thread may send to it. A message that was accepted is handed to on_message exactly
// once, or dropped with the mailbox when that ends first; messages of one sender and priority come
// in the order in which they were sent.
//
// How to read the comments is told at the head of aloft.h.
#ifndef ALOFT_MAILBOX_H
#define ALOFT_MAILBOX_H

#include "message.h"

#ifdef __cplusplus
extern "C" {
#endif

// A mailbox: a value that may be copied and kept for ever, and sent to from any thread. Once the
// mailbox has ended functions say ALOFT_ECLOSED; a handle never comes to mean another mailbox. No
// valid one is 0. Don't take an `id` apart.
typedef struct aloft_mailbox {
  uint64_t id;
} aloft_mailbox;

enum {
  // A send to a full mailbox is answered ALOFT_EFULL.
  ALOFT_OVERFLOW_REFUSE = 0,
  // The oldest message of the least urgent priority that waits is dropped and counted. Those on
  // their way from other threads are beside the capacity.
  ALOFT_OVERFLOW_DROP_OLDEST = 1
};

// How soon a message is handed out among those that wait in its mailbox: the more urgent first.
// After 31 in a row that passed over less urgent ones, the one that has waited longest is next.
enum {
  ALOFT_PRIORITY_URGENT = 0,
  ALOFT_PRIORITY_NORMAL = 1,
  ALOFT_PRIORITY_LOW = 2,
  ALOFT_PRIORITY_LOWEST = 3
};

// Limits of one kind of mailbox, counted in messages. Zero is the default everywhere.
typedef struct aloft_mailbox_options {
  size_t struct_size;
  // Most messages that may wait, those on their way included; up to 2^30. There are never more. A
  // sender may be told ALOFT_EFULL early: busy loops keep back up to an eighth of the capacity.
  // Default 0: no bound.
  uint32_t capacity;
  // ALOFT_OVERFLOW_REFUSE (the default) or ALOFT_OVERFLOW_DROP_OLDEST.
  uint32_t overflow;
  // From this many on the connections that feed the mailbox are not read from; see
  // aloft_mailbox_attach. Default 0: never.
  uint32_t high_water;
  // At or below this many they are read from again; below high_water. Default: half of that.
  uint32_t low_water;
  // Messages handed out at most before other mailboxes of the loop have their turn. Default 64.
  uint32_t messages_per_turn;
  // 0.
  uint32_t flags;
} aloft_mailbox_options;

// Why a mailbox has ended.
enum {
  ALOFT_MAILBOX_CLOSED = 1,
  ALOFT_MAILBOX_FAILED = 2,     // on_message failed, and nobody was there to restart it
  ALOFT_MAILBOX_BY_SHUTDOWN = 3 // the runtime has ended
};

// What is called as a mailbox lives, on its loop's thread, one at a time. Each may be NULL. The
// same callbacks may serve many mailboxes, also of several loops, which call at the same time.
// `context` is what was given to aloft_mailbox_open; it must stay good until on_close.
typedef struct aloft_mailbox_callbacks {
  size_t struct_size;
  // A message. `message` [in] is good until the call returns: to keep it or to send it on, take a
  // reference with aloft_message_retain. 0, or a negative code: the handler has failed. Then the
  // mailbox is suspended until its supervisor restarts it, or ends if it has none.
  int (*on_message)(aloft_mailbox mailbox, aloft_message *message, void *context);
  // It was closed to be drained, and all that had been sent has been handed out; on_close follows.
  void (*on_drained)(aloft_mailbox mailbox, void *context);
  // The number of messages that wait has risen to high_water (is_high 1), or fallen to low_water.
  void (*on_pressure)(aloft_mailbox mailbox, int is_high, void *context);
  // The last call; reason is ALOFT_MAILBOX_*.
  void (*on_close)(aloft_mailbox mailbox, int reason, void *context);
} aloft_mailbox_callbacks;

// Opens a mailbox on a loop. O(1), some 100 bytes.
//   loop       index of the loop
//   options    [in]  or NULL for defaults
//   callbacks  [in]
//   context    kept for the callbacks
//   mailbox    [out]
// Thread: that loop's, or one that is no event loop's. Blocks in the latter case, until the loop
// has come to it: callbacks may be called before this returns.
// Errors: ALOFT_EINVAL (an option), ALOFT_ENOENT (no such loop), ALOFT_ELIMIT (16,777,216 mailboxes
// are open on the loop), ALOFT_ESHUTDOWN, ALOFT_EWRONGTHREAD.
ALOFT_EXPORT int aloft_mailbox_open(aloft_runtime *runtime, uint32_t loop,
                                    const aloft_mailbox_options *options,
                                    const aloft_mailbox_callbacks *callbacks, void *context,
                                    aloft_mailbox *mailbox);

// ---------------------------------------------------------------------------------------------
// Sending
//
// Thread: any. Errors, of these three: ALOFT_EFULL (as many wait as the mailbox takes),
// ALOFT_EAGAIN (as many messages are on their way to its loop as that takes), ALOFT_ECLOSED (the
// mailbox has ended, or never was), ALOFT_EINVAL (no such priority).

// Sends a message. Never blocks.
//   message   a reference, which is taken over when 0 is returned
//   priority  ALOFT_PRIORITY_*
ALOFT_EXPORT int aloft_mailbox_send(aloft_mailbox mailbox, aloft_message *message,
                                    uint32_t priority);

// Sends a copy of bytes. Never blocks.
//   data    [in]  `length` bytes; NULL only if `length` is 0
// Errors: also ALOFT_EMSGSIZE.
ALOFT_EXPORT int aloft_mailbox_send_bytes(aloft_mailbox mailbox, const void *data, size_t length,
                                          uint32_t priority);

// Sends when there is room, in the order of those who wait. Never blocks.
//   message     a reference, which is taken over when 0 is returned
//   timeout_ms  how long to wait for room
//   done        NULL, or called exactly once when 0 was returned, with 0, ALOFT_ETIMEDOUT or
//               ALOFT_ECLOSED: during this call, or later on the mailbox's loop. What wasn't
//               accepted has been released.
//   context     kept for `done`
// Errors: ALOFT_EINVAL alone.
ALOFT_EXPORT int aloft_mailbox_send_within(aloft_mailbox mailbox, aloft_message *message,
                                           uint32_t priority, uint32_t timeout_ms,
                                           aloft_task done, void *context);

// ---------------------------------------------------------------------------------------------
// A sender of a thread's own
//
// A *sender* gathers: up to 256 messages for an event loop are handed over at once, which costs a
// fraction of as many single sends. It is for a thread that sends much; on an event loop it is not
// needed, for loops gather by themselves.
//
// What was accepted leaves with the 256th message for that loop, with aloft_sender_flush, or with
// aloft_sender_destroy. Until then it keeps back a share of bounded mailboxes' room. Order is kept
// among what one sender sends to a mailbox, not with regard to aloft_mailbox_send on the same
// thread.
//
// Thread, for all functions on a sender: any, one at a time. None blocks.

// A sender: a pointer, good from its creation to its destruction.
typedef struct aloft_sender aloft_sender;

// Creates a sender.
//   sender  [out] the caller's, to be given to aloft_sender_destroy
// It outlives its runtime: from the runtime's end on sends are answered ALOFT_ECLOSED.
ALOFT_EXPORT int aloft_sender_create(const aloft_runtime *runtime, aloft_sender **sender);

// Hands over what is gathered, of which nothing is refused, and frees a sender. NULL does nothing.
ALOFT_EXPORT int aloft_sender_destroy(aloft_sender *sender);

// As aloft_mailbox_send and aloft_mailbox_send_bytes, parameters and errors: 0 means that the
// message has been taken and leaves as is told above; ALOFT_EAGAIN, that 256 messages are gathered
// for its loop and that takes none just now. To mailboxes of other runtimes they are sent at once.
ALOFT_EXPORT int aloft_sender_send(aloft_sender *sender, aloft_mailbox mailbox,
                                   aloft_message *message, uint32_t priority);
ALOFT_EXPORT int aloft_sender_send_bytes(aloft_sender *sender, aloft_mailbox mailbox,
                                         const void *data, size_t length, uint32_t priority);

// Hands over what is gathered.
// Errors: ALOFT_EAGAIN (a loop takes no more just now; what is left stays gathered, in order).
ALOFT_EXPORT int aloft_sender_flush(aloft_sender *sender);

// ---------------------------------------------------------------------------------------------
// On a mailbox

// Ends a mailbox: from here on senders are told ALOFT_ECLOSED.
//   drain  0: what waits is dropped. 1: it is handed out first, and with it whatever event loops
//          had sent before.
// On the mailbox's loop this takes effect at once, from elsewhere when the loop comes to it;
// on_close follows, not from within this call.
// Thread: any. Errors: ALOFT_ECLOSED (it has ended).
ALOFT_EXPORT int aloft_mailbox_close(aloft_mailbox mailbox, int drain);

// 1 when it takes messages at this moment, else 0. Thread: any.
ALOFT_EXPORT int aloft_mailbox_is_open(aloft_mailbox mailbox);

// The index of the mailbox's loop in its runtime, to aloft_execute on it. Says nothing about
// whether the mailbox is open. Thread: any. Errors: ALOFT_ECLOSED (no loop of this runtime's).
ALOFT_EXPORT int aloft_mailbox_loop(const aloft_runtime *runtime, aloft_mailbox mailbox);

// Thread, for all that follow: the mailbox's loop. Errors that each may return: ALOFT_ECLOSED, and
// ALOFT_EWRONGTHREAD off its loop's thread.

// Messages wait from here on, until aloft_mailbox_resume. Idempotent.
ALOFT_EXPORT int aloft_mailbox_suspend(aloft_mailbox mailbox);
ALOFT_EXPORT int aloft_mailbox_resume(aloft_mailbox mailbox);

// Keeps a pointer of the application's with the mailbox, NULL at first.
ALOFT_EXPORT int aloft_mailbox_set_user_data(aloft_mailbox mailbox, void *user_data);

// The pointer that was set; NULL where other functions would answer with an error, and in on_close.
ALOFT_EXPORT void *aloft_mailbox_user_data(aloft_mailbox mailbox);

// Has the connection's reads pause while the mailbox is above its high-water mark. The connection
// may be any loop's; a mailbox may have many, and a connection several mailboxes.
ALOFT_EXPORT int aloft_mailbox_attach(aloft_mailbox mailbox, aloft_connection connection);
ALOFT_EXPORT int aloft_mailbox_detach(aloft_mailbox mailbox, aloft_connection connection);

// A mailbox's counters, exact at the moment of asking.
typedef struct aloft_mailbox_statistics {
  size_t struct_size;
  uint64_t received; // handled, dropped and depth together
  uint64_t handled;  // given to on_message
  uint64_t dropped;  // to make room for newer ones
  uint64_t refused;  // sends that were answered ALOFT_EFULL
  uint64_t depth;    // messages that wait
  uint64_t oldest_age_ms;
} aloft_mailbox_statistics;

//   statistics  [out] struct_size is [in]; so many bytes are written
ALOFT_EXPORT int aloft_mailbox_statistics_get(aloft_mailbox mailbox,
                                              aloft_mailbox_statistics *statistics);

#ifdef __cplusplus
}
#endif
#endif
