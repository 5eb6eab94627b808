// One member of a replicated log, kept by libraft on a thread of its own.
//
// The owner, called home below, is one thread: it hands requests in and takes events out, and never
// waits for the disk. What libraft 0.15 gets wrong is guarded against here (docs/RAFT.md names each
// fault and its guard), so nothing but this shim may call it. Every function is home's unless its
// comment says otherwise. Results are 0 or a negative errno value.
#ifndef ALOFT_RAFT_H
#define ALOFT_RAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct aloft__raft aloft__raft;

// A sentence that says what is wrong and what to do.
#define ALOFT__RAFT_TEXT 512

enum { ALOFT__RAFT_VOTER = 0, ALOFT__RAFT_STANDBY = 1, ALOFT__RAFT_SPARE = 2 };

// What happened, in `aloft__raft_event.kind`.
enum {
  ALOFT__RAFT_APPLIED = 1,   // data: an entry, committed at index, term; token if `flag`
  ALOFT__RAFT_OUTCOME = 2,   // of token's request: `outcome`, index or node; data: text of FAILED
  ALOFT__RAFT_RESTORE = 3,   // data: a snapshot as of index; replaces all state
  ALOFT__RAFT_SNAPSHOT = 4,  // a snapshot as of index is wanted: aloft__raft_snapshot
  ALOFT__RAFT_LEADER = 5,    // node (0: none) leads term; `flag`: we do, and may serve
  ALOFT__RAFT_SEND = 6,      // data: a message for node
  ALOFT__RAFT_MEMBERS = 7,   // data: pairs of bytes, a node and its role, as of index
  ALOFT__RAFT_ENDED = 8,     // data: why; nothing but STOPPED follows
  ALOFT__RAFT_STOPPED = 9,   // the thread has ended: aloft__raft_free
};

enum {
  ALOFT__RAFT_COMMITTED = 0,
  ALOFT__RAFT_NOT_LEADER = 1,
  ALOFT__RAFT_UNKNOWN = 2,
  ALOFT__RAFT_BUSY = 3,
  ALOFT__RAFT_FAILED = 4,
};

// A record; the next one is `size` bytes further on.
typedef struct aloft__raft_event {
  uint32_t size;
  uint8_t kind;
  uint8_t node;
  uint8_t flag;
  uint8_t outcome;
  uint64_t index;
  uint64_t term;
  uint64_t token;
  const uint8_t *data;
  uint64_t length;
} aloft__raft_event;

// Records from `bytes` on, `used` bytes of them.
typedef struct aloft__raft_block {
  struct aloft__raft_block *next;
  uint32_t used;
  uint32_t size;
  uint8_t bytes[];
} aloft__raft_block;

typedef struct aloft__raft_options {
  uint8_t node;                  // 1...255
  uint8_t bootstrap;             // an empty directory becomes a cluster of one
  uint32_t election_ms;          // followers wait once to twice as long
  uint32_t heartbeat_ms;
  uint32_t segment_bytes;        // of a log file; a multiple of 4,096
  uint32_t snapshot_entries;     // a snapshot is made after so many entries,
  uint64_t snapshot_log_bytes;   // or after so many bytes of them; later if it's large itself
  uint32_t trailing_entries;     // kept behind a snapshot, for followers that lag
  uint64_t trailing_bytes;       // fewer of them, when they have more bytes; 0: however many
  uint32_t entry_bytes_max;
  uint32_t inflight_max;         // requests that are not answered yet
  uint64_t inflight_bytes_max;
  uint64_t outgoing_bytes_max;   // messages that home hasn't taken; further ones are dropped
  uint64_t snapshot_bytes_max;   // of a snapshot that another node sends
  uint64_t reserve_bytes;        // of disk: with less, entries are refused
} aloft__raft_options;

// Called on the raft thread when events wait and none did: home then calls aloft__raft_take. Once
// per batch at most.
typedef void (*aloft__raft_wake)(void *context);

// Checks and locks the directory, makes it if need be, and starts the thread, which loads the log.
// `text` gets a sentence if the result is not 0.
int aloft__raft_open(
    aloft__raft **out, const aloft__raft_options *options, const char *directory,
    aloft__raft_wake wake, void *context, char text[ALOFT__RAFT_TEXT]);

// After STOPPED.
void aloft__raft_free(aloft__raft *raft);

// Everything that has happened, in order. To be given back by aloft__raft_give_back.
aloft__raft_block *aloft__raft_take(aloft__raft *raft);
void aloft__raft_give_back(aloft__raft *raft, aloft__raft_block *blocks);

// Requests: -EAGAIN when too many or too large ones are under way, -EMSGSIZE.
int aloft__raft_propose(
    aloft__raft *raft, const uint8_t *bytes, size_t length, uint64_t token);
int aloft__raft_barrier(aloft__raft *raft, uint64_t token);
enum { ALOFT__RAFT_ADD = 0, ALOFT__RAFT_ASSIGN = 1, ALOFT__RAFT_REMOVE = 2 };
int aloft__raft_change(
    aloft__raft *raft, uint8_t change, uint8_t node, uint8_t role, uint64_t token);
int aloft__raft_transfer(aloft__raft *raft, uint8_t node);
int aloft__raft_receive(aloft__raft *raft, uint8_t node, const uint8_t *bytes, size_t length);
// There is a way to this node again: what a leader has for it is sent at once.
int aloft__raft_reach(aloft__raft *raft, uint8_t node);
// The process of this node is dead: if it led, its silence isn't waited for.
int aloft__raft_lost(aloft__raft *raft, uint8_t node);
// The answer to SNAPSHOT; null when none can be made now.
int aloft__raft_snapshot(
    aloft__raft *raft, uint64_t index, const uint8_t *bytes, size_t length);
// The same, put together in pieces that are copied once. It's taken whatever the result is.
typedef struct aloft__raft_image aloft__raft_image;
// Null, or false, when memory is out. `expected`: bytes that it will have, more or less.
aloft__raft_image *aloft__raft_image_begin(size_t expected);
bool aloft__raft_image_add(aloft__raft_image *image, const uint8_t *bytes, size_t length);
void aloft__raft_image_drop(aloft__raft_image *image);
int aloft__raft_snapshot_image(aloft__raft *raft, uint64_t index, aloft__raft_image *image);
// Lets writes under way finish, then ends the thread. Never refused.
void aloft__raft_stop(aloft__raft *raft);

// Any thread.
typedef struct aloft__raft_statistics {
  uint64_t requests;           // taken from home
  uint64_t batches;            // calls of raft_apply
  uint64_t wakes;              // of the raft thread by home
  uint64_t deliveries;         // of events to home
  uint64_t messages_sent;
  uint64_t messages_dropped;   // home had too many of them
  uint64_t messages_refused;   // malformed
  uint64_t results_held;       // answers of followers that came before our term's own entry
  uint64_t rollbacks;          // of a configuration change that was not committed
  uint64_t snapshots;          // written
  uint64_t refused_for_disk;   // entries
} aloft__raft_statistics;
void aloft__raft_read_statistics(const aloft__raft *raft, aloft__raft_statistics *out);

// For tests. Any thread. The next operation of a kind, after `skip` others, fails as a disk would.
enum {
  ALOFT__RAFT_FAIL_APPEND = 0,    // at its end
  ALOFT__RAFT_REJECT_APPEND = 1,  // at once
  ALOFT__RAFT_FAIL_TERM = 2,
  ALOFT__RAFT_FAIL_VOTE = 3,
  ALOFT__RAFT_FAIL_TRUNCATE = 4,
  ALOFT__RAFT_FAIL_SNAPSHOT = 5,
  ALOFT__RAFT_FAULTS = 6,
};
void aloft__raft_inject(aloft__raft *raft, int fault, uint32_t skip);
// While held, appended entries are written, but libraft doesn't learn of it.
void aloft__raft_hold_appends(aloft__raft *raft, bool held);
// Takes guards away, to show the faults that they guard against.
enum {
  ALOFT__RAFT_UNGUARDED_COMMIT = 1,
  ALOFT__RAFT_UNGUARDED_VOTE = 2,
  ALOFT__RAFT_UNGUARDED_DEMOTION = 4
};
void aloft__raft_remove_guards(aloft__raft *raft, uint32_t guards);

// Looks at a message as the raft thread would: 0, or -EBADMSG.
int aloft__raft_check_message(const uint8_t *bytes, size_t length);

#ifdef __cplusplus
}
#endif

#endif
