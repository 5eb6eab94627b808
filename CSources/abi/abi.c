// Compile-time checks of the public header: sizes and offsets that callers were built against.
// A change here breaks them; a field appended to a struct only adds a line.
#include <errno.h>
#include "aloft.h"

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has changed its size")
#define AT(type, field, offset) \
  _Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")

// Handles go in one register.
SIZE(aloft_connection, 8);
SIZE(aloft_listener, 8);
SIZE(aloft_timer, 8);

SIZE(aloft_runtime_options, 48);
AT(aloft_runtime_options, struct_size, 0);
AT(aloft_runtime_options, event_loops, 8);
AT(aloft_runtime_options, connections_max, 12);
AT(aloft_runtime_options, timers_max, 16);
AT(aloft_runtime_options, inbox_capacity, 20);
AT(aloft_runtime_options, sibling_inbox_capacity, 24);
AT(aloft_runtime_options, busy_poll_us_max, 28);
AT(aloft_runtime_options, flags, 32);
AT(aloft_runtime_options, processors_count, 36);
AT(aloft_runtime_options, processors, 40);

SIZE(aloft_connection_options, 48);
AT(aloft_connection_options, struct_size, 0);
AT(aloft_connection_options, framing, 8);
AT(aloft_connection_options, frame_bytes_max, 12);
AT(aloft_connection_options, high_water_bytes, 16);
AT(aloft_connection_options, low_water_bytes, 20);
AT(aloft_connection_options, queued_bytes_max, 24);
AT(aloft_connection_options, idle_timeout_ms, 28);
AT(aloft_connection_options, connect_timeout_ms, 32);
AT(aloft_connection_options, stall_timeout_ms, 36);
AT(aloft_connection_options, backlog, 40);
AT(aloft_connection_options, flags, 44);

SIZE(aloft_callbacks, 64);
AT(aloft_callbacks, struct_size, 0);
AT(aloft_callbacks, on_open, 8);
AT(aloft_callbacks, on_data, 16);
AT(aloft_callbacks, on_end, 24);
AT(aloft_callbacks, on_writable, 32);
AT(aloft_callbacks, on_drain, 40);
AT(aloft_callbacks, on_close, 48);
AT(aloft_callbacks, on_refused, 56);

SIZE(aloft_statistics, 96);
AT(aloft_statistics, struct_size, 0);
AT(aloft_statistics, connections_open, 8);
AT(aloft_statistics, timers_fired, 88);

SIZE(aloft_mailbox, 8);
SIZE(aloft_mailbox_options, 32);
AT(aloft_mailbox_options, capacity, 8);
AT(aloft_mailbox_options, overflow, 12);
AT(aloft_mailbox_options, high_water, 16);
AT(aloft_mailbox_options, low_water, 20);
AT(aloft_mailbox_options, messages_per_turn, 24);
AT(aloft_mailbox_options, flags, 28);

SIZE(aloft_mailbox_callbacks, 40);
AT(aloft_mailbox_callbacks, on_message, 8);
AT(aloft_mailbox_callbacks, on_drained, 16);
AT(aloft_mailbox_callbacks, on_pressure, 24);
AT(aloft_mailbox_callbacks, on_close, 32);

SIZE(aloft_mailbox_statistics, 56);
AT(aloft_mailbox_statistics, received, 8);
AT(aloft_mailbox_statistics, oldest_age_ms, 48);

SIZE(aloft_key, 32);
AT(aloft_key, length, 4);
AT(aloft_key, name, 8);
AT(aloft_key, low, 16);
AT(aloft_key, high, 24);
SIZE(aloft_target, 16);
AT(aloft_target, id, 0);
AT(aloft_target, kind, 8);

// A code of the system's is its negated errno value.
#define ERRNO(name) _Static_assert(ALOFT_##name == -name, #name " has another number")
ERRNO(EPERM);
ERRNO(ENOENT);
ERRNO(EAGAIN);
ERRNO(ENOMEM);
ERRNO(EACCES);
ERRNO(EBUSY);
ERRNO(EINVAL);
ERRNO(ENFILE);
ERRNO(EMFILE);
ERRNO(EPIPE);
ERRNO(ENAMETOOLONG);
ERRNO(EMSGSIZE);
ERRNO(ENOTSUP);
ERRNO(EAFNOSUPPORT);
ERRNO(EADDRINUSE);
ERRNO(EADDRNOTAVAIL);
ERRNO(ENETUNREACH);
ERRNO(ECONNABORTED);
ERRNO(ECONNRESET);
ERRNO(ENOBUFS);
ERRNO(ESHUTDOWN);
ERRNO(ETIMEDOUT);
ERRNO(ECONNREFUSED);
ERRNO(EHOSTUNREACH);
