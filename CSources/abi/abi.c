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

SIZE(aloft_lease, 8);
SIZE(aloft_lease_wait, 8);
SIZE(aloft_pool_options, 72);
AT(aloft_pool_options, size, 8);
AT(aloft_pool_options, checks_returns, 48);
AT(aloft_pool_options, kept_per_loop, 68);
SIZE(aloft_pool_callbacks, 40);
AT(aloft_pool_callbacks, on_open, 8);
AT(aloft_pool_callbacks, on_drained, 32);
SIZE(aloft_pool_statistics, 152);
AT(aloft_pool_statistics, in_use, 8);
AT(aloft_pool_statistics, wait_us_max, 144);

SIZE(aloft_queue_options, 24);
AT(aloft_queue_options, capacity, 8);
AT(aloft_queue_options, overflow, 16);
AT(aloft_queue_options, flags, 20);
SIZE(aloft_queue_statistics, 48);
AT(aloft_queue_statistics, accepted, 8);
AT(aloft_queue_statistics, depth, 40);

SIZE(aloft_supervisor_options, 48);
AT(aloft_supervisor_options, strategy, 8);
AT(aloft_supervisor_options, children_max, 44);
SIZE(aloft_worker_callbacks, 48);
AT(aloft_worker_callbacks, on_start, 8);
AT(aloft_worker_callbacks, on_free, 40);
SIZE(aloft_worker_options, 40);
AT(aloft_worker_options, restart, 8);
AT(aloft_worker_options, redeliveries_max, 24);
AT(aloft_worker_options, mailbox, 32);
SIZE(aloft_process_callbacks, 32);
AT(aloft_process_callbacks, on_start, 8);
AT(aloft_process_callbacks, on_end, 24);
SIZE(aloft_process_options, 80);
AT(aloft_process_options, path, 8);
AT(aloft_process_options, restart, 40);
AT(aloft_process_options, progress_ms, 60);
AT(aloft_process_options, assignment, 64);
SIZE(aloft_supervisor_statistics, 32);

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
ERRNO(ECANCELED);
