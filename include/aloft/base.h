// What every part of Aloft's C interface rests on: the version, the error codes, the handles.
// How to read the comments is told at the head of aloft.h.
#ifndef ALOFT_BASE_H
#define ALOFT_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ALOFT_EXPORT __attribute__((visibility("default")))

// ---------------------------------------------------------------------------------------------
// Version

#define ALOFT_VERSION_MAJOR 0
#define ALOFT_VERSION_MINOR 1
#define ALOFT_VERSION_PATCH 0
#define ALOFT_VERSION \
  (ALOFT_VERSION_MAJOR << 16 | ALOFT_VERSION_MINOR << 8 | ALOFT_VERSION_PATCH)

// ALOFT_VERSION of the library, which may differ from that of this header. Thread: any.
ALOFT_EXPORT uint32_t aloft_version(void);

// The same as text, "0.1.0". The string is static. Thread: any.
ALOFT_EXPORT const char *aloft_version_string(void);

// ---------------------------------------------------------------------------------------------
// Errors

// Every code: XX(name, value, text). What the system reports keeps its negated errno value, also
// where it isn't in this list; codes below -4000 are Aloft's own.
#define ALOFT_ERRNO_MAP(XX)                                                                    \
  XX(EPERM, -1, "operation not permitted")                                                     \
  XX(ENOENT, -2, "no such timer, listener, loop or file")                                      \
  XX(EAGAIN, -11, "no room now; try again later")                                              \
  XX(ENOMEM, -12, "out of memory")                                                             \
  XX(EACCES, -13, "permission denied")                                                         \
  XX(EBUSY, -16, "the runtime has not ended yet")                                              \
  XX(EINVAL, -22, "invalid argument")                                                          \
  XX(ENFILE, -23, "the system's file table is full")                                           \
  XX(EMFILE, -24, "the process's descriptor limit is too low")                                 \
  XX(EPIPE, -32, "the peer takes no more")                                                     \
  XX(ENAMETOOLONG, -36, "the name is too long, or a Unix-domain socket's path")                \
  XX(EMSGSIZE, -90, "the message is above the size limit")                                     \
  XX(ENOTSUP, -95, "not supported")                                                            \
  XX(EAFNOSUPPORT, -97, "the address family is not supported")                                 \
  XX(EADDRINUSE, -98, "the address is in use")                                                 \
  XX(EADDRNOTAVAIL, -99, "the address is not available")                                       \
  XX(ENETUNREACH, -101, "the network is unreachable")                                          \
  XX(ECONNABORTED, -103, "the connection was aborted")                                         \
  XX(ECONNRESET, -104, "the connection was reset by the peer")                                 \
  XX(ENOBUFS, -105, "no buffer space is left")                                                 \
  XX(ESHUTDOWN, -108, "the runtime is shutting down or has ended")                             \
  XX(ETIMEDOUT, -110, "timed out")                                                             \
  XX(ECONNREFUSED, -111, "the connection was refused")                                         \
  XX(EHOSTUNREACH, -113, "the host is unreachable")                                            \
  XX(ECANCELED, -125, "given up by who asked for it")                                          \
  XX(ECLOSED, -4001, "it is closed, closing, or was never opened")                             \
  XX(EWRONGTHREAD, -4002, "called on a thread that may not call this")                         \
  XX(ELIMIT, -4003, "a limit is reached")                                                      \
  XX(EFULL, -4004, "it takes no more now; try again later")                                    \
  XX(ENAMETAKEN, -4005, "the name is another's")                                               \
  XX(ENONAME, -4006, "the name stands for nobody")                                             \
  XX(ENOTOWNER, -4007, "the name is not of the one who was named as its owner")                \
  XX(EFOREIGN, -4008, "it belongs to another runtime")                                         \
  XX(ESTALE, -4009, "returned or told before, taken back, or never given")                     \
  XX(EUPSTREAM, -4010, "the upstream has failed too often and is left alone for a while")      \
  XX(EFAILED, -4011, "a worker or process has failed")                                         \
  XX(ENODE, -4012, "the node can't take part in its cluster; the message says what to do")     \
  XX(ENOLINK, -4013, "there is no link to that node; it was certainly not done")               \
  XX(ELINKDOWN, -4014, "the link ended meanwhile; it may have been done")                      \
  XX(EREFUSED, -4015, "the cluster has refused")                                               \
  XX(EUNDECIDED, -4016, "no majority answered in time; it may be done, or come to be done")

#define ALOFT__ENUMERATOR(name, value, text) ALOFT_##name = value,
enum {
  ALOFT_OK = 0,
  ALOFT_ERRNO_MAP(ALOFT__ENUMERATOR)
  ALOFT_ERRNO_MIN = -4095 // no code is below
};
#undef ALOFT__ENUMERATOR

// The text for a code of ALOFT_ERRNO_MAP, else the system's text for the errno value `-code`, else
// "unknown error". Never NULL; the string is static. Thread: any.
ALOFT_EXPORT const char *aloft_strerror(int code);

// The name of a code, "EADDRINUSE", else "EUNKNOWN". Never NULL; the string is static. Thread: any.
ALOFT_EXPORT const char *aloft_err_name(int code);

// What went wrong in the last call of the calling thread that failed, with the numbers that
// matter: "connectionsMax is 100000, but the descriptor limit of 1024 leaves room for ...". Empty
// before the first failure; a call that succeeds doesn't clear it, and neither does what fails as
// a matter of course: ALOFT_EAGAIN and ALOFT_ECLOSED of the functions on a connection.
// Never NULL; the string is the thread's own and stays until its next failing call or its end.
// Thread: any.
ALOFT_EXPORT const char *aloft_last_error_message(void);

// ---------------------------------------------------------------------------------------------
// Handles

// A runtime: a pointer, good from its creation to its destruction.
typedef struct aloft_runtime aloft_runtime;

// A connection, a listener, a timer: values that may be copied and kept for ever. One whose
// connection is gone is *stale*; functions find that out and say so. No valid one is 0, and two
// are equal when their `id` is. Don't take an `id` apart.
typedef struct aloft_connection {
  uint64_t id;
} aloft_connection;

typedef struct aloft_listener {
  uint64_t id;
} aloft_listener;

typedef struct aloft_timer {
  uint64_t id;
} aloft_timer;

// A time that never comes. A time-out of 0 is the default.
#define ALOFT_NEVER UINT32_MAX

// Called exactly once: with 0 when the work was done as asked for, or with ALOFT_ESHUTDOWN when
// the runtime ended first.
typedef void (*aloft_task)(int status, void *context);

#ifdef __cplusplus
}
#endif
#endif
