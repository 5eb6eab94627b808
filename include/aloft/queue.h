// Queues: messages between any threads of the application's, bounded, without a lock.
//
// A queue belongs to no event loop and calls nobody back: threads push and pop, and are told when
// it is full or empty, or wait. The messages of one producer come out in its order. For an entity
// that lives on a loop, use a mailbox.
//
// Thread, for all functions here but aloft_queue_destroy: any, at the same time. Only the two whose
// names end in `_within` block.
//
// How to read the comments is told at the head of aloft.h.
#ifndef ALOFT_QUEUE_H
#define ALOFT_QUEUE_H

#include "mailbox.h"

#ifdef __cplusplus
extern "C" {
#endif

// A queue: a pointer, good from its creation to its destruction.
typedef struct aloft_queue aloft_queue;

typedef struct aloft_queue_options {
  size_t struct_size;
  // Most messages inside, rounded up to a power of two; up to 2^32. Default 1,024.
  uint64_t capacity;
  // ALOFT_OVERFLOW_REFUSE (the default): a push to a full queue is answered ALOFT_EFULL.
  // ALOFT_OVERFLOW_DROP_OLDEST: the oldest message is thrown out, and counted.
  uint32_t overflow;
  // 0.
  uint32_t flags;
} aloft_queue_options;

// Creates a queue: 16 bytes for each message of its capacity.
//   options  [in]  or NULL for defaults
//   queue    [out] the caller's, to be given to aloft_queue_destroy
// Errors: ALOFT_EINVAL (an option).
ALOFT_EXPORT int aloft_queue_create(const aloft_queue_options *options, aloft_queue **queue);

// Frees a queue, and releases what is inside. NULL does nothing.
// Thread: any, when no other uses it any more.
ALOFT_EXPORT int aloft_queue_destroy(aloft_queue *queue);

// Puts a message in. O(1), some 10 ns; no lock, no allocation.
//   message  a reference, which is taken over when 0 is returned
// Errors: ALOFT_EFULL; ALOFT_EAGAIN (a thread is in the middle of a pop, and room comes with its
// end); ALOFT_ECLOSED.
ALOFT_EXPORT int aloft_queue_push(aloft_queue *queue, aloft_message *message);

// Takes the oldest message out.
//   message  [out] a reference, the caller's
// Errors: ALOFT_EAGAIN (there is none, or the one whose turn it is is being pushed at this moment);
// ALOFT_ECLOSED (closed, and nothing is left).
ALOFT_EXPORT int aloft_queue_pop(aloft_queue *queue, aloft_message **message);

// Takes out as many as there are, oldest first, up to `capacity`.
//   messages  [out] references, the caller's
// The answer is how many. Errors: ALOFT_ECLOSED (closed, and nothing is left).
ALOFT_EXPORT int64_t aloft_queue_pop_many(aloft_queue *queue, aloft_message **messages,
                                          size_t capacity);

// The same two for threads that wait: for room, or for a message. Threads that wait are served in
// the order in which they came; the functions that don't wait may take what is there before them.
//   timeout_ms  how long to wait at most; 0 not at all, ALOFT_NEVER for no limit
// Thread: any but an event loop's. Blocks. Errors: ALOFT_ETIMEDOUT (there was no room, or no
// message, in time); ALOFT_ECLOSED, at once when the queue is closed; ALOFT_EWRONGTHREAD. A message
// that isn't accepted stays the caller's, and none is lost.
ALOFT_EXPORT int aloft_queue_push_within(aloft_queue *queue, aloft_message *message,
                                         uint32_t timeout_ms);
ALOFT_EXPORT int aloft_queue_pop_within(aloft_queue *queue, aloft_message **message,
                                        uint32_t timeout_ms);

// Pushes are refused from now on, those that wait included; what is inside can be popped, and then
// pops are refused. Idempotent.
ALOFT_EXPORT int aloft_queue_close(aloft_queue *queue);

// Exact counts: accepted is delivered, dropped and depth together.
typedef struct aloft_queue_statistics {
  size_t struct_size;
  uint64_t accepted;
  uint64_t delivered;
  uint64_t refused; // for want of room, or because it was closed
  uint64_t dropped; // thrown out to make room
  uint64_t depth;
} aloft_queue_statistics;

//   statistics  [out] struct_size is [in]; so many bytes are written
ALOFT_EXPORT int aloft_queue_statistics_get(const aloft_queue *queue,
                                            aloft_queue_statistics *statistics);

#ifdef __cplusplus
}
#endif
#endif
