// The registry of a runtime: names for mailboxes and connections, and sending by name.
//
// A name stands for one target at most; a target may have many names. A name belongs to its
// target: it goes away by itself when the mailbox or connection ends, at the latest with its
// on_close. A *group* is a name that stands for many.
//
// Thread, for all functions here: any. None blocks. Look-ups write nothing and are never held up;
// each change of a name is one step, which all threads see in one order. A look-up and a change
// take O(1).
//
// Errors that each function with a key may return: ALOFT_EINVAL (the key is empty or of no known
// kind), ALOFT_ENAMETOOLONG (a name of more than 255 bytes); and, where a target is given to be
// named, ALOFT_ECLOSED (it has ended, or never was), ALOFT_EFOREIGN (it is of no loop of this
// runtime).
//
// How to read the comments is told at the head of aloft.h.
#ifndef ALOFT_REGISTRY_H
#define ALOFT_REGISTRY_H

#include <string.h>

#include "mailbox.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------------------------------------
// Keys and targets

enum {
  ALOFT_KEY_NAME = 1, // 1 to 255 bytes, of any value
  ALOFT_KEY_ID = 2,   // a number of 64 bits
  ALOFT_KEY_WIDE = 3  // a number of 128 bits
};

#define ALOFT_NAME_BYTES_MAX 255

// What is registered: three spaces that don't touch. Made by the functions below.
typedef struct aloft_key {
  uint32_t kind; // ALOFT_KEY_*
  uint32_t length;
  const void *name; // [in] `length` bytes
  uint64_t low;
  uint64_t high;
} aloft_key;

// A name by its bytes.
static inline aloft_key aloft_key_bytes(const void *name, size_t length) {
  aloft_key key = {ALOFT_KEY_NAME, length > UINT32_MAX ? UINT32_MAX : (uint32_t)length, name, 0, 0};
  return key;
}

// A name that ends with a NUL byte; NULL is an empty one.
static inline aloft_key aloft_key_name(const char *name) {
  return aloft_key_bytes(name, name == NULL ? 0 : strlen(name));
}

static inline aloft_key aloft_key_id(uint64_t id) {
  aloft_key key = {ALOFT_KEY_ID, 0, NULL, id, 0};
  return key;
}

static inline aloft_key aloft_key_wide(uint64_t high, uint64_t low) {
  aloft_key key = {ALOFT_KEY_WIDE, 0, NULL, low, high};
  return key;
}

enum { ALOFT_TARGET_NONE = 0, ALOFT_TARGET_MAILBOX = 1, ALOFT_TARGET_CONNECTION = 2 };

// Whom a name stands for.
typedef struct aloft_target {
  uint64_t id;   // that of the mailbox or connection
  uint32_t kind; // ALOFT_TARGET_*
  uint32_t zero;
} aloft_target;

static inline aloft_target aloft_target_mailbox(aloft_mailbox mailbox) {
  aloft_target target = {mailbox.id, ALOFT_TARGET_MAILBOX, 0};
  return target;
}

static inline aloft_target aloft_target_connection(aloft_connection connection) {
  aloft_target target = {connection.id, ALOFT_TARGET_CONNECTION, 0};
  return target;
}

// ---------------------------------------------------------------------------------------------
// Names

// Whom a name stands for at this moment.
//   target  [out]
// Errors: ALOFT_ENONAME.
ALOFT_EXPORT int aloft_registry_look_up(const aloft_runtime *runtime, aloft_key key,
                                        aloft_target *target);

// Looks many keys up: as many calls of aloft_registry_look_up, each one by itself, but names are
// looked up sixteen at a time, so that waiting for memory overlaps. Several times as fast where
// they are more than the processor's caches hold.
//   keys     [in]  `count` of them, of any kinds; names alone are looked up together
//   targets  [out] `count` of them: kind is ALOFT_TARGET_NONE for a key that is nobody's
// The answer is how many were found. Errors: those of any of the keys; then nothing is looked up.
ALOFT_EXPORT int64_t aloft_registry_look_up_many(const aloft_runtime *runtime,
                                                 const aloft_key *keys, size_t count,
                                                 aloft_target *targets);

// Gives a target a name that is nobody's. To do so again is no error and changes nothing.
//   holder  [out] or NULL: who has the name, when ALOFT_ENAMETAKEN is returned
// A connection's name stands at once; called on a thread that is not its loop's, one that has just
// ended isn't told of, and the name goes away by itself.
// Errors: ALOFT_ENAMETAKEN, ALOFT_ELIMIT (the registry is full).
ALOFT_EXPORT int aloft_registry_register(aloft_runtime *runtime, aloft_key key,
                                         aloft_target target, aloft_target *holder);

// Takes its name from a target, and from nobody else.
//   holder  [out] or NULL: who has the name, when ALOFT_ENOTOWNER is returned
// Errors: ALOFT_ENONAME, ALOFT_ENOTOWNER.
ALOFT_EXPORT int aloft_registry_unregister(aloft_runtime *runtime, aloft_key key,
                                           aloft_target target, aloft_target *holder);

// Hands a name from one target to another in one step: there is no moment at which it is nobody's.
//   expected  whose name it is; may have ended
//   holder    [out] or NULL: who has the name, when ALOFT_ENOTOWNER is returned
// Errors: ALOFT_ENONAME, ALOFT_ENOTOWNER, ALOFT_ELIMIT.
ALOFT_EXPORT int aloft_registry_replace(aloft_runtime *runtime, aloft_key key,
                                        aloft_target expected, aloft_target target,
                                        aloft_target *holder);

// Gives a target a name, whoever has it.
//   previous  [out] or NULL: who had it; ALOFT_TARGET_NONE for nobody
// Errors: ALOFT_ELIMIT.
ALOFT_EXPORT int aloft_registry_take_over(aloft_runtime *runtime, aloft_key key,
                                          aloft_target target, aloft_target *previous);

// How many keys of a kind there are, exact when nobody is changing any. Numbers of 64 and 128 bits
// are counted together.
// Errors: ALOFT_EINVAL (no such kind).
ALOFT_EXPORT int64_t aloft_registry_count(const aloft_runtime *runtime, uint32_t kind);

// Calls `visit` for each key of a kind, in no order, until it answers 0.
//   key  [in] good until the call returns
// Nobody is stopped meanwhile. A name that is there from beginning to end is seen exactly once; one
// that comes or goes meanwhile once or not at all. `visit` may use the registry.
// Errors: ALOFT_EINVAL (no such kind).
ALOFT_EXPORT int aloft_registry_for_each(const aloft_runtime *runtime, uint32_t kind,
                                         int (*visit)(aloft_key key, aloft_target target,
                                                      void *context),
                                         void *context);

// ---------------------------------------------------------------------------------------------
// Sending by name
//
// A mailbox gets the message as with aloft_mailbox_send. To a connection its bytes are written: at
// once on its own loop; else its loop is asked to, 0 means no more than that, and what its queue
// has no room for then is dropped. Errors, of these: ALOFT_ENONAME, ALOFT_EFULL (the mailbox or the
// connection's queue), ALOFT_EAGAIN (its loop is behind), ALOFT_ECLOSED (it has ended, and its name
// is about to go), ALOFT_EINVAL (no such priority).

//   message   a reference, which is taken over when 0 is returned
//   priority  ALOFT_PRIORITY_*
ALOFT_EXPORT int aloft_registry_send(aloft_runtime *runtime, aloft_key key,
                                     aloft_message *message, uint32_t priority);

// Sends a copy of bytes.
//   data    [in]  `length` bytes; NULL only if `length` is 0
// Errors: also ALOFT_EMSGSIZE.
ALOFT_EXPORT int aloft_registry_send_bytes(aloft_runtime *runtime, aloft_key key,
                                           const void *data, size_t length, uint32_t priority);

// Sends a message to each of many keys, in their order: as many calls of aloft_registry_send,
// looked up as by aloft_registry_look_up_many.
//   keys      [in]  `count` of them
//   messages  [in]  `count` references, a message for each key; [out] NULL for each that was
//             taken over, what is left is the caller's
//   codes     [out] NULL, or `count` of them: what aloft_registry_send would have answered
// The answer is how many were accepted. Errors: ALOFT_EINVAL (no such priority, or a message is
// NULL), and those of any of the keys; then nothing is sent.
ALOFT_EXPORT int64_t aloft_registry_send_many(aloft_runtime *runtime, const aloft_key *keys,
                                              aloft_message **messages, size_t count,
                                              uint32_t priority, int *codes);

// ---------------------------------------------------------------------------------------------
// Groups: a name with many members. The key is of ALOFT_KEY_NAME, in a space of its own.

// Makes a target a member; a group begins with its first. To join again changes nothing.
// Errors: ALOFT_ELIMIT.
ALOFT_EXPORT int aloft_group_join(aloft_runtime *runtime, aloft_key group, aloft_target member);

// Errors: ALOFT_ENONAME (no such group), ALOFT_ENOTOWNER (it is no member).
ALOFT_EXPORT int aloft_group_leave(aloft_runtime *runtime, aloft_key group, aloft_target member);

// How many members there are, 0 without such a group.
ALOFT_EXPORT int64_t aloft_group_count(const aloft_runtime *runtime, aloft_key group);

// The members as they stand at this moment.
//   members   [out] at most `capacity` are written
// The answer is how many there are, which may be more.
ALOFT_EXPORT int64_t aloft_group_members(const aloft_runtime *runtime, aloft_key group,
                                         aloft_target *members, size_t capacity);

enum {
  ALOFT_PICK_ROUND_ROBIN = 0, // in turn, all callers together
  ALOFT_PICK_LEAST_QUEUED = 1 // the one with the least before it, as far as is known
};

// Sends to one member. One who has ended is passed over, and so is one who is full as long as there
// are others. Message, priority and errors as aloft_registry_send.
//   pick  ALOFT_PICK_*
ALOFT_EXPORT int aloft_group_send(aloft_runtime *runtime, aloft_key group, uint32_t pick,
                                  aloft_message *message, uint32_t priority);

// Sends to all members as they stand at this moment.
//   message   a reference, which stays the caller's
//   accepted  [out] or NULL: how many accepted it
// The answer is how many members there were. Errors: ALOFT_EINVAL (no such priority).
ALOFT_EXPORT int64_t aloft_group_broadcast(aloft_runtime *runtime, aloft_key group,
                                           aloft_message *message, uint32_t priority,
                                           uint64_t *accepted);

// ---------------------------------------------------------------------------------------------
// Watches

// Somebody who is told of changes; the caller's until it is cancelled.
typedef struct aloft_watch aloft_watch;

// One change: whom the name no longer stands for, or who has left the group; and whom it stands
// for from now on, or who has joined. With both, it was handed over in one step.
typedef void (*aloft_changed)(aloft_target gone, aloft_target came, void *context);

// Has `changed` called on a loop at each change of a key from now on: in order, each exactly once,
// after it has happened. Changes that the loop has not come to wait, without a bound.
//   loop     index of the loop
//   changed  called on that loop; must not block
//   context  kept for `changed`
//   watch    [out] to be given to aloft_watch_cancel before the runtime is destroyed
//   initial  [out] or NULL: whom the name stands for as the watch begins
// Errors: ALOFT_ENOENT (no such loop).
ALOFT_EXPORT int aloft_registry_watch(aloft_runtime *runtime, aloft_key key, uint32_t loop,
                                      aloft_changed changed, void *context, aloft_watch **watch,
                                      aloft_target *initial);

// The same for the members of a group, one call for each that joins or leaves.
ALOFT_EXPORT int aloft_group_watch(aloft_runtime *runtime, aloft_key group, uint32_t loop,
                                   aloft_changed changed, void *context, aloft_watch **watch);

// Ends a watch and frees it.
//   watch  [in] not to be used any more
//   done   NULL, or called exactly once, on the watch's loop, when `changed` will be called no
//          more; with ALOFT_ESHUTDOWN, on whatever thread, when the runtime has ended
//   context  kept for `done`
// On the watch's own loop nothing more is told from when this returns; elsewhere one call may be
// under way.
ALOFT_EXPORT int aloft_watch_cancel(aloft_watch *watch, aloft_task done, void *context);

#ifdef __cplusplus
}
#endif
#endif
