// Messages: bytes with a count of references, which pass from a socket to a mailbox to a socket
// without being copied.
//
// A *reference* is what aloft_message_create and aloft_message_retain give, and each has to be
// given back: by aloft_message_release, or by a call whose comment says that it takes it over.
// Such a call takes it when it succeeds, and only then. Whoever holds a reference may read the
// bytes; they may be written by whoever holds the only one, and by nobody once there are two.
//
// How to read the comments is told at the head of aloft.h.
#ifndef ALOFT_MESSAGE_H
#define ALOFT_MESSAGE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

// A message: a pointer, good for as long as the caller holds a reference to it.
typedef struct aloft_message aloft_message;

// The longest message.
#define ALOFT_MESSAGE_BYTES_MAX (1u << 30)

// Creates a message with a copy of `data`.
//   data     [in]  `length` bytes; or NULL, and the bytes are not initialised: see
//                  aloft_message_data
//   message  [out] a reference, the caller's
// Memory comes from the thread that calls, without a lock, and goes back there when the last
// reference is released, wherever that is. O(length).
// Thread: any. Errors: ALOFT_EMSGSIZE (`length` is above ALOFT_MESSAGE_BYTES_MAX).
ALOFT_EXPORT int aloft_message_create(const void *data, size_t length, aloft_message **message);

// A message of bytes that a connection has received: from within on_data, all that it was given or
// a part of it. They are not copied, unless they are few, or messages hold much of what the loop
// receives into.
//   data     [in]  `length` bytes; bytes that lie elsewhere are copied
//   message  [out] a reference, the caller's
// Thread: a loop's, of any runtime. Errors: ALOFT_EWRONGTHREAD, ALOFT_EMSGSIZE.
ALOFT_EXPORT int aloft_message_take(const void *data, size_t length, aloft_message **message);

// Writes a message from where it lies, as aloft_write does with bytes; only what the system doesn't
// take at once is copied.
//   message  a reference, which is taken over when 0 is returned
// Thread and errors: as aloft_write.
ALOFT_EXPORT int aloft_write_message(aloft_connection connection, aloft_message *message);

// The same as aloft_write_frame does it: its length, then its bytes.
ALOFT_EXPORT int aloft_write_message_frame(aloft_connection connection, aloft_message *message);

// One more reference to the same bytes. The answer is `message`; NULL for NULL.
// Thread: any that holds a reference.
ALOFT_EXPORT aloft_message *aloft_message_retain(aloft_message *message);

// Gives a reference back. NULL does nothing. Thread: any.
ALOFT_EXPORT void aloft_message_release(aloft_message *message);

// The bytes; never NULL but for NULL. Thread: any that holds a reference.
ALOFT_EXPORT void *aloft_message_data(aloft_message *message);

// How many bytes there are; 0 for NULL. Thread: any that holds a reference.
ALOFT_EXPORT size_t aloft_message_length(const aloft_message *message);

// A word that goes with the bytes, to say what they are or to whom to answer; 0 at first. Set by
// whoever holds the only reference. The tag of NULL is 0.
// Thread: any that holds a reference. Errors: none but for NULL.
ALOFT_EXPORT int aloft_message_set_tag(aloft_message *message, uint64_t tag);
ALOFT_EXPORT uint64_t aloft_message_tag(const aloft_message *message);

#ifdef __cplusplus
}
#endif
#endif
