// What the parts of the shim share. All of it belongs to the raft thread, but for what says "home"
// or "shared".
#ifndef ALOFT_RAFT_INTERNAL_H
#define ALOFT_RAFT_INTERNAL_H

#include <pthread.h>
#include <raft.h>
#include <raft/uv.h>
#include <stdatomic.h>
#include <uv.h>

#include "include/aloft_raft.h"

enum {
  NODES = 256,
  // Entries of one call of raft_apply, and their bytes: well below a log file's size.
  BATCH_ENTRIES = 1024,
  BATCH_BYTES = 1 << 20,
  // Bytes of entries in one message, and in all that one call of libraft's makes.
  MESSAGE_BYTES = 1 << 20,
  MESSAGES_BYTES = 8 << 20,
  // Of a snapshot, for each entry that the log may have before the next one.
  SNAPSHOT_BYTES_PER_ENTRY = 2048,
  // A snapshot travels in parts, so many of them on their way.
  PART_BYTES = 256 << 10,
  PARTS_WINDOW = 4,
  // When a leader is known to be dead, until the first voter stands, and between it and the next.
  STAND_FIRST_MS = 10,
  STAND_APART_MS = 40,
  // How long a snapshot's transfer may stand still, a change of members be tried again, and a
  // write finish before a stop gives it up.
  TRANSFER_STALL_MS = 5000,
  CHANGE_RETRY_MS = 30000,
  STOP_PATIENCE_MS = 5000,
};

// Before an entry's own bytes: their length; after them, zeros up to a multiple of 8, as libraft
// wants it. Of a snapshot, the same.
enum { FRAME_BYTES = 8 };

// From home, through a ring.
enum request_kind {
  REQUEST_PROPOSE,
  REQUEST_BARRIER,
  REQUEST_CHANGE,
  REQUEST_TRANSFER,
  REQUEST_RECEIVE,
  REQUEST_SNAPSHOT,
  REQUEST_MET,
  REQUEST_GONE,
};
struct request {
  uint8_t kind;
  uint8_t node;
  uint8_t role;
  uint8_t change;
  uint64_t token; // of SNAPSHOT: its index
  uint8_t *bytes; // framed for PROPOSE and SNAPSHOT; ours to free
  size_t length;
};

// In the log, not applied yet; its token is answered when it is.
struct pending {
  uint64_t index;
  uint64_t term;
  uint64_t token;
  uint32_t bytes;
  bool barrier;
};

// Entries from `first` on are of `term`, until the next run.
struct run {
  uint64_t first;
  uint64_t term;
};

// A configuration in the log.
struct change_entry {
  uint64_t index;
  struct raft_buffer data; // as libraft encodes it
};

struct append {
  struct raft_io_append disk;
  struct raft_io_append *request;
  raft_io_append_cb done;
  aloft__raft *raft;
  uint64_t first;
  unsigned count;
  uint32_t cut; // what had been cut off before
  bool fails;
  struct append *next; // while held
};

// A send's callback may not be called before the send returns.
struct sent {
  struct raft_io_send *request;
  raft_io_send_cb done;
  int status;
};

// A snapshot on its way to a node.
struct outgoing {
  struct raft_io_send *request; // null: none
  raft_io_send_cb done;
  uint64_t term, index, index_term, conf_index;
  struct raft_buffer conf; // ours
  const uint8_t *data;     // libraft's until `done`
  size_t total, acked, sent;
  uint64_t progress_ms;
};

// A snapshot on its way here.
struct incoming {
  uint8_t node; // 0: none
  uint64_t term, index, index_term, conf_index;
  struct raft_buffer conf;
  uint8_t *data;
  size_t total, have;
};

// The last entries sent to a node that hasn't answered yet.
struct unanswered {
  uint64_t term, previous, when_ms;
};

struct aloft__raft {
  aloft__raft_options options;
  char directory[4096];
  int directory_fd;
  int lock_fd;
  aloft__raft_wake wake;
  void *context;
  pthread_t thread;

  uv_loop_t loop;
  uv_async_t async;
  uv_prepare_t prepare;
  uv_idle_t idle;
  uv_timer_t news;
  struct raft raft;
  struct raft_io io;   // what libraft sees
  struct raft_io disk; // raft_uv
  struct raft_uv_transport transport;
  struct raft_fsm fsm;
  raft_io_tick_cb tick;
  raft_io_recv_cb receive;
  raft_io_close_cb closed;
  uint64_t random;

  bool started;  // raft_start has succeeded
  bool dead;     // ended: libraft is not called any more
  bool append_failed;
  bool stopping; // by home
  bool closing;  // raft_close has been called
  bool finished;
  bool loading;
  uint64_t stop_ms;

  // What is in the log.
  uint64_t term;
  uint64_t next_index;
  uint64_t stored_index; // on disk
  struct run *runs;
  size_t runs_count, runs_room;
  struct change_entry *changes; // beyond `members`
  size_t changes_count, changes_room;
  struct change_entry members; // the last one that is applied
  uint32_t cuts;
  // Truncations that have not been seen on disk yet: the lowest one, and the last; 0 for none.
  uint64_t truncated_from, truncated_at;
  uint64_t log_bytes;          // applied since the last snapshot

  // Leadership.
  uint64_t leader_term; // the last term of which a leader is known, and it
  uint8_t leader_node;
  uint64_t leading_term;  // ours; 0: we don't lead
  uint64_t own_index;     // the barrier of our term; 0: not appended yet
  bool own_stored;
  uint8_t told_leader;
  uint64_t told_term;
  bool told_self;
  bool told_any;
  struct raft_transfer transfer;
  bool transferring;

  // Under way.
  struct pending *pending; // a ring of `pending_room`
  size_t pending_from, pending_count, pending_room;
  struct append *held, **held_last;
  unsigned disk_under_way;
  struct raft_io_snapshot_put put;
  struct raft_io_snapshot_put *put_request;
  raft_io_snapshot_put_cb put_done;
  uint64_t put_index;
  bool put_install;
  bool put_fails;
  struct raft_io_async_work *take;
  raft_io_async_work_cb take_done;
  uint64_t take_index;
  unsigned kept; // entries that stay behind it
  size_t taken_length; // of the last one
  uint8_t *snapshot;
  size_t snapshot_length;
  struct sent *sent;
  size_t sent_count, sent_room;
  struct raft_change change;
  bool changing;
  bool change_waits; // for its next try
  uint64_t change_next_ms;
  uint8_t change_kind, change_node, change_role;
  uint64_t change_token;
  uint64_t change_ms;
  struct outgoing outgoing[NODES];
  struct incoming incoming;
  struct unanswered unanswered[NODES];
  uint64_t commit_told[NODES]; // what each was told last, and what was last seen
  uint64_t commit_seen;
  uint64_t reply_limit; // the last index that the message at hand vouches for
  bool disk_low;
  bool reserve_there;

  // Events that are being gathered.
  aloft__raft_block *blocks, **blocks_last, *block;
  char ended[ALOFT__RAFT_TEXT];

  // Shared with home.
  struct request *ring;
  size_t ring_mask;
  _Alignas(64) _Atomic(size_t) ring_tail; // home writes
  size_t ring_head_seen;                  // home's
  _Alignas(64) _Atomic(size_t) ring_head; // the raft thread writes
  _Alignas(64) _Atomic(bool) sleeping;
  _Atomic(bool) stop_wanted;
  _Atomic(uint32_t) inflight;
  _Atomic(uint64_t) inflight_bytes;
  _Atomic(uint64_t) incoming_bytes;
  _Atomic(uint64_t) outgoing_bytes;
  pthread_mutex_t outbox_lock; // held for a few instructions
  aloft__raft_block *outbox, **outbox_last;
  aloft__raft_block *spare;
  _Atomic(uint64_t) counts[sizeof(aloft__raft_statistics) / sizeof(uint64_t)];
  _Atomic(int64_t) faults[ALOFT__RAFT_FAULTS]; // -1: none; else so many go well first
  _Atomic(bool) appends_held;
  _Atomic(uint32_t) guards_removed;
};

#define COUNT(r, field)                                                                            \
  atomic_fetch_add_explicit(                                                                       \
      &(r)->counts[offsetof(aloft__raft_statistics, field) / sizeof(uint64_t)], 1,                 \
      memory_order_relaxed)

// codec.c: messages as bytes. Encoders append to a SEND event.
struct part {
  uint64_t term, index, index_term, conf_index, total, offset;
  const uint8_t *conf, *data;
  size_t conf_length, length;
};
struct part_ack {
  uint64_t term, index, have;
};
enum { MESSAGE_PART = RAFT_IO_INSTALL_SNAPSHOT, MESSAGE_PART_ACK = 7 };
struct decoded {
  uint8_t type; // RAFT_IO_..., or MESSAGE_...
  struct raft_message message;
  struct part part;
  struct part_ack ack;
};
size_t aloft__raft_encode(uint8_t *out, const struct raft_message *message);
size_t aloft__raft_encoded_size(const struct raft_message *message);
size_t aloft__raft_encode_part(uint8_t *out, const struct part *part);
size_t aloft__raft_part_size(const struct part *part);
enum { PART_ACK_BYTES = 32 };
size_t aloft__raft_encode_part_ack(uint8_t *out, const struct part_ack *ack);
// 0 or -EBADMSG. Entries are copied; a part points into `bytes`.
int aloft__raft_decode(struct decoded *out, const uint8_t *bytes, size_t length);
void aloft__raft_drop_entries(struct raft_append_entries *entries);
// Holds an entry's own bytes against its frame.
bool aloft__raft_unframe(const uint8_t *bytes, size_t size, const uint8_t **out, size_t *length);
uint8_t *aloft__raft_frame(const uint8_t *bytes, size_t length, size_t *size);
// Around bytes that stand behind FRAME_BYTES of room, and before 8 more. Answers the whole size.
size_t aloft__raft_frame_around(uint8_t *framed, size_t length);
// -EBADMSG unless it is a configuration of ours; fills in an empty one if `out` is not null.
int aloft__raft_read_members(
    const uint8_t *bytes, size_t length, struct raft_configuration *out);

// directory.c
int aloft__raft_directory_open(aloft__raft *raft, char text[ALOFT__RAFT_TEXT]);
void aloft__raft_directory_close(aloft__raft *raft);
bool aloft__raft_directory_has_log(aloft__raft *raft);
void aloft__raft_check_room(aloft__raft *raft);
// Whether cuts at `first`, and at last at `last`, have come off, before more is written than that.
bool aloft__raft_truncations_seen(aloft__raft *raft, uint64_t first, uint64_t last);

// segments.c
void aloft__raft_check_segments(aloft__raft *raft);

// events.c
uint8_t *aloft__raft_emit(
    aloft__raft *raft, const aloft__raft_event *event, const void *data, size_t length);
void aloft__raft_flush(aloft__raft *raft);
void aloft__raft_outcome(aloft__raft *raft, uint64_t token, uint8_t outcome, uint64_t index);
void aloft__raft_failed(aloft__raft *raft, uint64_t token, const char *text);
// Room for a message of `length` bytes to `node`, or null.
uint8_t *aloft__raft_send_room(aloft__raft *raft, uint8_t node, size_t length);
void aloft__raft_die(aloft__raft *raft, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// log.c: what the log holds, as seen on its way to the disk.
uint64_t aloft__raft_term_of(const aloft__raft *raft, uint64_t index);
void aloft__raft_log_reset(aloft__raft *raft, uint64_t next_index);
void aloft__raft_log_append(aloft__raft *raft, const struct raft_entry *entry);
void aloft__raft_log_truncate(aloft__raft *raft, uint64_t index);
void aloft__raft_log_trim(aloft__raft *raft, uint64_t index);
void aloft__raft_members_set(aloft__raft *raft, uint64_t index, const struct raft_buffer *data);
void aloft__raft_members_applied(aloft__raft *raft, uint64_t index);
void aloft__raft_tell_members(aloft__raft *raft);
bool aloft__raft_roll_back(aloft__raft *raft, const struct raft_append_entries *entries);

// writes.c: libraft's own, without the kernel's AIO. Any thread.
void aloft__raft_take_over_writes(void);

// io.c
void aloft__raft_io_init(aloft__raft *raft);
void aloft__raft_release_held(aloft__raft *raft);
bool aloft__raft_fails(aloft__raft *raft, int fault);

// send.c
int aloft__raft_io_send(
    struct raft_io *io, struct raft_io_send *request, const struct raft_message *message,
    raft_io_send_cb done);
void aloft__raft_sent(aloft__raft *raft);
void aloft__raft_address(char out[4], uint8_t node);
void aloft__raft_deliver(aloft__raft *raft, uint8_t node, struct raft_message *message);
void aloft__raft_receive_now(aloft__raft *raft, uint8_t node, const uint8_t *bytes, size_t length);

// prompt.c: what can't wait for the next heartbeat.
void aloft__raft_met(aloft__raft *raft, uint8_t node);
void aloft__raft_gone(aloft__raft *raft, uint8_t node);
void aloft__raft_deliver_result(aloft__raft *raft, uint8_t node, struct raft_message *message);
void aloft__raft_tell_commit(aloft__raft *raft);

// transfer.c: snapshots in parts.
int aloft__raft_transfer_start(
    aloft__raft *raft, struct raft_io_send *request, const struct raft_message *message,
    raft_io_send_cb done);
void aloft__raft_transfer_ack(aloft__raft *raft, uint8_t node, const struct part_ack *ack);
void aloft__raft_transfer_tick(aloft__raft *raft);
void aloft__raft_transfer_part(aloft__raft *raft, uint8_t node, const struct part *part);
void aloft__raft_transfer_close(aloft__raft *raft);
void aloft__raft_later(
    aloft__raft *raft, struct raft_io_send *request, raft_io_send_cb done, int status);

// requests.c
void aloft__raft_serve(aloft__raft *raft);
bool aloft__raft_requests_wait(aloft__raft *raft);
void aloft__raft_answer_pending(aloft__raft *raft, uint8_t outcome);
bool aloft__raft_pending_push(aloft__raft *raft, struct pending pending);
void aloft__raft_pending_pop(aloft__raft *raft);
void aloft__raft_refuse_requests(aloft__raft *raft);

// image.c
uint8_t *aloft__raft_image_take(aloft__raft_image *image, size_t *size);

// changes.c: one change of members at a time.
void aloft__raft_change_begin(aloft__raft *raft, const struct request *request);
void aloft__raft_change_go_on(aloft__raft *raft);
uint64_t aloft__raft_change_against(const aloft__raft *raft, uint8_t node);
void aloft__raft_change_lost(aloft__raft *raft);

// machine.c: the state machine, and leadership.
void aloft__raft_machine_init(aloft__raft *raft);
void aloft__raft_after(aloft__raft *raft);
void aloft__raft_snapshot_taken(
    aloft__raft *raft, uint64_t index, uint8_t *bytes, size_t length);

#endif
