// Clusters of nodes: who is there, who owns what, and calls between them.
//
// A *node* is a runtime's part in a cluster. Members agree, through a log that a majority of them
// keeps on disk, on who is in the cluster, who leads, and who owns each of 16,384 slots. A node
// that dies is found out (a closed socket within milliseconds, silence by heartbeats) and its slots
// go to the others. Who is cut off from the majority stops accepting, and goes on by itself when it
// is back. Names that are registered on any node (aloft_registry_register, of a mailbox) can be
// sent to from all: aloft_registry_send finds them, and the message takes one hop, in order for
// each sender, at most once.
//
// All of this is in libaloft_node, which has all of aloft.h in itself as well: link it in place of
// libaloft, not beside it. It needs libraft and OpenSSL, which libaloft doesn't.
//
// How to read the comments is told at the head of aloft.h. Beyond that:
//   Its loop  the event loop whose index was given to aloft_node_join: all callbacks of a node come
//             on its thread, one at a time, and must not block.
//   Asked     such a function may be called on the node's loop, where it answers at once, and on
//             any thread that is no event loop's, which it blocks until the loop has come to it.
//             Errors of each: ALOFT_EWRONGTHREAD on another event loop, ALOFT_ECLOSED when the node
//             has stopped, ALOFT_ESHUTDOWN when the runtime has ended.
// Where a callback is given a negative code, aloft_last_error_message has the sentence that goes
// with it, in there.
#ifndef ALOFT_NODE_H
#define ALOFT_NODE_H

#include "aloft.h"

#ifdef __cplusplus
extern "C" {
#endif

// A node: a pointer, good from aloft_node_join to aloft_node_destroy.
typedef struct aloft_node aloft_node;

// ---------------------------------------------------------------------------------------------
// Options

// The cluster's key: 16 to 1,024 bytes that all nodes have, and nobody else.
typedef struct aloft_node_key {
  const void *bytes; // [in]
  size_t length;
} aloft_node_key;

enum {
  ALOFT_ROLE_VOTER = 0,   // votes, and has a share of the slots
  ALOFT_ROLE_STANDBY = 1, // has a share, and never votes
  ALOFT_ROLE_WITNESS = 2  // votes, and has no share: the odd one in a third zone
};

// How soon a leader is taken for lost, and silence for death.
enum {
  ALOFT_TIMING_STANDARD = 0, // elections after 150 ms
  ALOFT_TIMING_FAST = 1,     // after 50 ms: one rack, processors to spare
  ALOFT_TIMING_RELAXED = 2   // after 1 s: several sites, or disks that stall
};

enum {
  // Links to other machines may be in plain text. Without it, and without certificates, links are
  // for loopback alone.
  ALOFT_PLAINTEXT_OFF_LOOPBACK = 1
};

// PEM texts. Both sides of a link show a certificate that one of the authorities vouches for.
typedef struct aloft_node_certificate {
  const char *certificate; // [in] and behind it what leads to an authority
  const char *private_key; // [in]
  const char *authorities; // [in]
} aloft_node_certificate;

typedef struct aloft_node_options {
  size_t struct_size;
  // 1 to 63 bytes, its own in the cluster. No default.
  const char *name; // [in]
  // The data directory: the log, and who the node is. Made when missing; one node's at a time. No
  // default.
  const char *data_directory; // [in]
  // 1 to 8. The first proves, all are accepted: to change keys without a stop, add the new one last
  // on all nodes, then put it first, then take the old one away; see aloft_node_set_keys.
  const aloft_node_key *keys; // [in]
  // Addresses of nodes to ask to be let in. Without any a new cluster is founded, unless the data
  // directory tells of a former life.
  const char *const *seeds; // [in]
  uint32_t keys_count;
  uint32_t seeds_count;
  // Where other nodes are listened for. Default "127.0.0.1:0".
  const char *listen; // [in]
  // What the others are told to dial, when that is another address.
  const char *advertise; // [in]
  // Nodes of differently named clusters don't talk. Default "aloft".
  const char *cluster; // [in]
  // What fails together has the same zone: copies are spread over zones. Default "".
  const char *zone; // [in]
  // Encrypted links. Default NULL: plain text.
  const aloft_node_certificate *certificate; // [in]
  // Its share of the slots, against the others', up to 65,535. Default 100.
  uint32_t weight;
  uint32_t role;   // ALOFT_ROLE_*
  uint32_t timing; // ALOFT_TIMING_*
  // Index of the event loop that links and callbacks live on. Default 0.
  uint32_t loop;
  // Messages that may wait for another node; then senders are told ALOFT_EFULL. Default 65,536.
  uint32_t queue_max;
  // For how long it tries to be let in. Default 30,000.
  uint32_t join_timeout_ms;
  // Bytes of disk space that are kept back: with less than that the node ends. Default 32 MiB.
  uint64_t disk_reserve_bytes;
  uint32_t flags; // ALOFT_PLAINTEXT_OFF_LOOPBACK or 0
  uint32_t zero;  // 0
  // Where clients of sessions are listened for (aloft_client_connect). Encrypted if links are.
  // Default NULL: nowhere.
  const char *session_listen; // [in]
} aloft_node_options;

// ---------------------------------------------------------------------------------------------
// What is told

enum {
  ALOFT_NODE_JOINED = 1,        // this node is a member: `node` and `incarnation` are its own
  ALOFT_NODE_UP = 2,            // another one is
  ALOFT_NODE_SUSPECTED = 3,     // not heard of for too long, by this node
  ALOFT_NODE_CLEARED = 4,       // heard of again
  ALOFT_NODE_DEAD = 5,          // found out here; the others agree in a moment (DOWN)
  ALOFT_NODE_DOWN = 6,          // the cluster has agreed that this life of it is over
  ALOFT_NODE_LEFT = 7,          // gone for good
  ALOFT_NODE_SLOTS_CHANGED = 8, // who owns what has changed: `epoch` is the number of the change
  ALOFT_NODE_ACCEPTING = 9,     // `is_accepting` tells whether a majority is in reach
  ALOFT_NODE_REFUSED = 10       // a link did not come about; once for an `address` and `reason`
};

// Something that has happened to the cluster, as this node came to know of it. Fields that the kind
// doesn't name are 0 and NULL.
typedef struct aloft_node_event {
  size_t struct_size; // of the library
  uint32_t kind;      // ALOFT_NODE_*; more may come
  uint32_t node;      // whom it is about: 1 to 254
  uint64_t incarnation; // which life of it
  uint64_t epoch;
  uint32_t is_accepting;
  uint32_t zero;
  const char *address; // good until the call returns
  const char *reason;  // good until the call returns
} aloft_node_event;

// A call of another node's: a value that may be copied, to be answered once. Don't take it apart.
typedef struct aloft_request {
  uint64_t words[3];
} aloft_request;

// What is called as a node lives, on its loop. Each may be NULL. `context` is what was given to
// aloft_node_join; it must stay good until on_stopped.
typedef struct aloft_node_callbacks {
  size_t struct_size;
  // `event` [in] is good until the call returns.
  void (*on_event)(aloft_node *node, const aloft_node_event *event, void *context);
  // Another node calls: answer with aloft_node_reply or aloft_node_refuse, in here or later, from
  // any thread. `data` [in] is good until the call returns. `timeout_ms` is how long the caller
  // waits. NULL: calls are refused with code 1.
  void (*on_call)(aloft_node *node, aloft_request request, uint32_t from, uint32_t timeout_ms,
                  const void *data, size_t length, void *context);
  // The caller no longer waits for the answer: its time is over, or it has given up. Not told when
  // its node is gone.
  void (*on_call_cancelled)(aloft_node *node, aloft_request request, void *context);
  // The last call: the data directory is free. status is 0 when the node was stopped or has left,
  // ALOFT_ETIMEDOUT when it was not let in in time, or ALOFT_ENODE.
  void (*on_stopped)(aloft_node *node, int status, void *context);
  // Another node has sent a message on a channel, or, with aloft_node_write, bytes of a stream.
  // `data` [in] is good until the call returns. NULL: what comes is dropped.
  void (*on_message)(aloft_node *node, uint32_t from, uint32_t channel, const void *data,
                     size_t length, void *context);
  // There is room on a channel to a node on which there was none. `flags` are those of the send.
  void (*on_channel_writable)(aloft_node *node, uint32_t to, uint32_t channel, uint32_t flags,
                              void *context);
  // So many acknowledged messages won't arrive: the life of the node that they were for is over.
  void (*on_undelivered)(aloft_node *node, uint32_t to, uint32_t channel, uint32_t count,
                         void *context);
} aloft_node_callbacks;

// ---------------------------------------------------------------------------------------------
// The beginning and the end

// Joins a cluster, founds one, or comes back to one: opens the data directory and listens, and goes
// on to be let in. ALOFT_NODE_JOINED follows, or on_stopped.
//   options    [in]
//   callbacks  [in]  or NULL
//   context    kept for the callbacks
//   node       [out] the caller's, to be given to aloft_node_destroy
// Callbacks may be called before this returns. A runtime has one node at a time: the next may join
// from on_stopped on.
// Thread: the loop of options.loop, or one that is no event loop's. Blocks in the latter case,
// until the loop has come to it.
// Errors: ALOFT_EINVAL (an option, an address), ALOFT_ENODE (the directory, the certificate or the
// address can't be used, or the runtime has a node; the message says why), ALOFT_ENOENT (no such
// loop), ALOFT_ELIMIT (64 listeners a runtime), ALOFT_ESHUTDOWN, ALOFT_EWRONGTHREAD.
ALOFT_EXPORT int aloft_node_join(aloft_runtime *runtime, const aloft_node_options *options,
                                 const aloft_node_callbacks *callbacks, void *context,
                                 aloft_node **node);

// Leaves the cluster for good: what it owns moves to the others first; then it stops.
//   timeout_ms  for how long `done` is put off; 0 is 30,000
//   done        NULL, or called exactly once, on the node's loop: with 0, and on_stopped follows;
//               with ALOFT_ETIMEDOUT (its part has not moved in time; it goes on trying), or as
//               aloft_node_forget's
//   context     kept for `done`
// Thread: any. Errors: as aloft_node_forget.
ALOFT_EXPORT int aloft_node_leave(aloft_node *node, uint32_t timeout_ms, aloft_task done,
                                  void *context);

// Stops taking part, without leaving: the others take it for dead until it comes back, with its
// data directory and under its name. on_stopped follows, not from within this call.
// Thread: any. Errors: ALOFT_ECLOSED (it has stopped), ALOFT_ESHUTDOWN.
ALOFT_EXPORT int aloft_node_stop(aloft_node *node);

// Frees a node. One that still runs is stopped first. To be done before the runtime is shut down.
//   node  [in] or NULL, which does nothing. Not to be used any more when 0 is returned.
// Thread: any thread that is no event loop's, which it blocks until on_stopped has returned; an
// event loop's from on_stopped on.
// Errors: ALOFT_EBUSY (on an event loop, and it has not stopped), ALOFT_ESHUTDOWN (the runtime has
// ended before the node, which is lost).
ALOFT_EXPORT int aloft_node_destroy(aloft_node *node);

// ---------------------------------------------------------------------------------------------
// The cluster as this node knows it

typedef struct aloft_node_status {
  size_t struct_size;
  uint32_t node;   // this node's number, 1 to 254; 0 before it was first let in
  uint32_t leader; // the number of the node that leads; 0 while none is known
  uint64_t incarnation;
  uint64_t term;  // of the log
  uint64_t epoch; // one up, at least, with every change of members or of who owns what
  uint32_t is_member;
  uint32_t is_accepting; // whether a majority is in reach
  uint32_t members;      // that aloft_node_for_each_member visits
  uint32_t zero;
} aloft_node_status;

//   status  [out] struct_size is [in]; so many bytes are written
// Asked.
ALOFT_EXPORT int aloft_node_status_get(aloft_node *node, aloft_node_status *status);

enum {
  ALOFT_MEMBER_UP = 0,
  ALOFT_MEMBER_LEAVING = 1, // gives its slots away, and goes
  ALOFT_MEMBER_DOWN = 2,    // this life of it is over; it may come back
  ALOFT_MEMBER_LEFT = 3
};

typedef struct aloft_node_member {
  size_t struct_size; // of the library
  uint32_t node;
  uint32_t state; // ALOFT_MEMBER_*
  uint64_t incarnation;
  const char *name;    // these three are good until the call returns
  const char *address; // where others reach it
  const char *zone;
  uint32_t weight;
  uint32_t role;  // ALOFT_ROLE_*: what it may be
  uint32_t slots; // that it owns, of 16,384
  uint32_t is_voter; // has a vote at present
  uint32_t is_draining;
  uint32_t is_suspected; // by the node that was asked
} aloft_node_member;

// Calls `visit` for each member, in the order of their numbers, until it answers 0.
//   visit    called before this returns, on the calling thread
//   member   [in] good until the call returns
//   context  for `visit`
// The answer is how many members there are. Asked.
ALOFT_EXPORT int aloft_node_for_each_member(aloft_node *node,
                                            int (*visit)(const aloft_node_member *member,
                                                         void *context),
                                            void *context);

#define ALOFT_SLOTS 16384

// The number of the node that owns a slot, 0 for nobody's. One load.
//   slot  below ALOFT_SLOTS
// Thread: any. Errors: ALOFT_EINVAL.
ALOFT_EXPORT int aloft_node_slot_owner(const aloft_node *node, uint32_t slot);

// Where it listens for other nodes, with the port that the system chose.
//   text  [out] `size` bytes of the caller's, at least ALOFT_ADDRESS_SIZE for any address
// Thread: any. Errors: ALOFT_EMSGSIZE (`size` is too small).
ALOFT_EXPORT int aloft_node_address(const aloft_node *node, char *text, size_t size);

// ---------------------------------------------------------------------------------------------
// Changes of the cluster
//
// Any node may ask for them.
//   name     [in] of the node that it is about, which may be another one
//   done     NULL, or called exactly once when 0 was returned, on the node's loop: with 0 when it
//            stands in the log and is known here; ALOFT_ENONAME (no node of that name is in the
//            cluster), ALOFT_EREFUSED, ALOFT_EAGAIN (too many requests are under way, or this node
//            is no member), ALOFT_EUNDECIDED, or ALOFT_ESHUTDOWN, on whatever thread
//   context  kept for `done`
// Thread: any. Errors of each: ALOFT_EAGAIN (its loop's inbox is full), ALOFT_ECLOSED (the node has
// stopped), ALOFT_ESHUTDOWN.

// A node's slots move to the others, and it stays a member; or it gets its share again.
ALOFT_EXPORT int aloft_node_set_draining(aloft_node *node, const char *name, int is_draining,
                                         aloft_task done, void *context);

// A node's share of the slots, against the others'; 0 for none.
// Errors: also ALOFT_EINVAL (above 65,535).
ALOFT_EXPORT int aloft_node_set_weight(aloft_node *node, const char *name, uint32_t weight,
                                       aloft_task done, void *context);

// A node that is down won't come back: the others no longer wait for it.
ALOFT_EXPORT int aloft_node_forget(aloft_node *node, const char *name, aloft_task done,
                                   void *context);

// Replaces the keys, for links from now on; those that are up stay up. The order in which to do
// it on all nodes is told at aloft_node_options.
//   keys  [in] `count` of them, 1 to 8
// Asked. Errors: also ALOFT_EINVAL.
ALOFT_EXPORT int aloft_node_set_keys(aloft_node *node, const aloft_node_key *keys,
                                     uint32_t count);

// Replaces the certificate, for links from now on; those that are up stay up.
//   certificate  [in]
// Asked. Errors: also ALOFT_EINVAL (it can't be used, or links of this node are in plain text).
ALOFT_EXPORT int aloft_node_set_certificate(aloft_node *node,
                                            const aloft_node_certificate *certificate);

// ---------------------------------------------------------------------------------------------
// Calls

// Names a call that is under way, to give it up.
typedef struct aloft_call {
  uint64_t id;
} aloft_call;

// What came of a call, on the caller's loop.
//   status  0: `data` is the reply. 1 to 255: the other side refused with this code, of which 1
//           says that it answers no calls; `data` is what it said. Else there is no data:
//           ALOFT_ETIMEDOUT (it may have been carried out, or still be), ALOFT_ELINKDOWN (it may
//           have been carried out), ALOFT_ENOLINK, ALOFT_EAGAIN (the link has no room, or 65,536
//           calls are under way), ALOFT_EMSGSIZE, ALOFT_ECANCELED, ALOFT_ECLOSED (the node has
//           stopped), or ALOFT_ESHUTDOWN, on whatever thread.
//   data    [in] good until the call returns; NULL only if `length` is 0
typedef void (*aloft_answered)(int status, const void *data, size_t length, void *context);

// Calls another node.
//   to          its number
//   data        [in] `length` bytes, up to 64 MiB; NULL only if `length` is 0
//   timeout_ms  how long to wait for the answer; 0 is 5,000
//   answered    called exactly once when 0 was returned, not from within this call
//   context     kept for `answered`
//   call        [out] or NULL: for aloft_node_cancel
// Thread: any. On the node's loop the bytes go straight to the link; elsewhere they are copied, and
// whatever is in the way of the call is told to `answered`.
// Errors: ALOFT_EAGAIN (elsewhere: its loop's inbox is full), ALOFT_ECLOSED, ALOFT_ESHUTDOWN; on
// the node's loop also ALOFT_ENOLINK and ALOFT_EMSGSIZE.
ALOFT_EXPORT int aloft_node_call(aloft_node *node, uint32_t to, const void *data, size_t length,
                                 uint32_t timeout_ms, aloft_answered answered, void *context,
                                 aloft_call *call);

// Gives a call up: `answered` is called with ALOFT_ECANCELED, on the node's loop, unless it was
// called before or is about to be, and the other side's on_call_cancelled.
// Thread: any. On the node's loop it takes effect at once, and `answered` is called from within it.
// Errors: ALOFT_ENOENT (the call is over; on the node's loop alone), ALOFT_EAGAIN, ALOFT_ECLOSED,
// ALOFT_ESHUTDOWN.
ALOFT_EXPORT int aloft_node_cancel(aloft_node *node, aloft_call call);

// Answers a call of another node's. Who answers twice, or too late, is not heard.
//   data  [in] `length` bytes, up to 64 MiB; NULL only if `length` is 0
// Thread: any. On the node's loop the bytes go straight to the link; elsewhere they are copied, and
// if the link has no room for them the caller is left to time out.
// Errors: ALOFT_EAGAIN (elsewhere: its loop's inbox is full), ALOFT_ECLOSED, ALOFT_ESHUTDOWN; on
// the node's loop ALOFT_EAGAIN when the link has no room, ALOFT_ENOLINK (the caller is gone) and
// ALOFT_EMSGSIZE, too.
ALOFT_EXPORT int aloft_node_reply(aloft_node *node, aloft_request request, const void *data,
                                  size_t length);

// Refuses, with a code of the application's, 2 to 255, and bytes that go with it.
// Parameters, threads and errors as aloft_node_reply; also ALOFT_EINVAL (another code).
ALOFT_EXPORT int aloft_node_refuse(aloft_node *node, aloft_request request, uint32_t code,
                                   const void *data, size_t length);

// ---------------------------------------------------------------------------------------------
// Channels: messages and bytes from node to node, in order on each of 256

enum {
  // Kept until the other node has it, sent again by the next link, and told of once; lost only with
  // the life of either node, of which on_undelivered tells. Taken while there is no link, too.
  // Without it a message may be lost with its link, and is never told of twice.
  ALOFT_SEND_ACKNOWLEDGED = 1 << 0,
};

// Sends a message to another node.
//   to       its number
//   channel  0 to 255; those with ALOFT_SEND_ACKNOWLEDGED have an order of their own
//   flags    0 or ALOFT_SEND_ACKNOWLEDGED
//   data     [in] `length` bytes, up to 64 MiB; NULL only if `length` is 0
//   done     elsewhere than on the node's loop: NULL, or called exactly once when 0 was returned,
//            on the node's loop, with what is an error there. On the node's loop it is not called.
//   context  kept for `done`
// Thread: any. On the node's loop the bytes go straight to the link; elsewhere they are copied.
// Errors: ALOFT_EINVAL, ALOFT_EAGAIN (elsewhere: its loop's inbox is full), ALOFT_ECLOSED,
// ALOFT_ESHUTDOWN; on the node's loop also ALOFT_EAGAIN (no room: on_channel_writable follows),
// ALOFT_ENOLINK and ALOFT_EMSGSIZE.
ALOFT_EXPORT int aloft_node_send(aloft_node *node, uint32_t to, uint32_t channel, uint32_t flags,
                                 const void *data, size_t length, aloft_task done, void *context);

// Sends a message, at most once, to all nodes that this one has a link to and room for.
//   taken  [out] or NULL: how many that were
// Thread: the node's loop. Errors: ALOFT_EINVAL, ALOFT_EMSGSIZE, ALOFT_ECLOSED,
// ALOFT_EWRONGTHREAD.
ALOFT_EXPORT int aloft_node_broadcast(aloft_node *node, uint32_t channel, const void *data,
                                      size_t length, uint32_t *taken);

// Writes bytes of a stream: they arrive in order, in pieces of any length.
//   taken  [out] how many of them were; fewer than `length` when there is no room for more, and
//          then on_channel_writable follows
// Thread: the node's loop. Errors: ALOFT_EINVAL, ALOFT_ENOLINK, ALOFT_ECLOSED,
// ALOFT_EWRONGTHREAD.
ALOFT_EXPORT int aloft_node_write(aloft_node *node, uint32_t to, uint32_t channel,
                                  const void *data, size_t length, size_t *taken);

// ---------------------------------------------------------------------------------------------
// Sessions
//
// A *session* outlives a connection, a process and a machine: a state, an outbox of numbered events
// and a number that nobody can guess, kept by all nodes of a cluster. Each is served by one node;
// when that dies, another one takes it over with everything that was acknowledged. Any node answers
// for any session.
//
// An `aloft_sessions` is a way to them, as one principal: that of a node's own program
// (aloft_node_sessions), or of a client outside of the cluster, which goes on at another node when
// its own is lost (aloft_client_connect). The functions are the same for both.
//
// Each names a session by its text, a string of 32 characters, and is answered by `done`:
//   done     called exactly once when 0 was returned, on the loop of the node or the client, not
//            from within the call, with what came of it; or NULL
//   context  kept for `done`
// Who gave `timeout_ms` 0 in the options waits 10,000 ms. Meanwhile nodes may die: a write carries
// a key of its own, and is repeated with it, so that it is done once.
// Thread: any. Bytes are copied.
// Errors of each: ALOFT_EINVAL, ALOFT_EAGAIN (the loop's inbox is full), ALOFT_ESHUTDOWN.
// `done` is told one of these:
//   0                   done
//   ALOFT_ENOENT        there is no such session, or no such text
//   ALOFT_ECLOSED       the session is closed, or has expired
//   ALOFT_ESTALE        another write came before: `version` says which
//   ALOFT_EACCES        it's another principal's
//   ALOFT_ENAMETAKEN    a session of that name is there
//   ALOFT_ELIMIT        a limit of the session's, the principal's or the cluster's: `number`
//   ALOFT_EINVAL        it makes no sense for the session as it is
//   ALOFT_EREFUSED      so few nodes vote, `number`, that the durability can't be had
//   ALOFT_EFULL         too much waits to be written; certainly not done
//   ALOFT_ENODE         nobody could answer in time; certainly not done
//   ALOFT_EUNDECIDED    nobody answered in time; it may be done, or come to be done
//   ALOFT_ESHUTDOWN     the node, the client or the runtime has ended; on whatever thread

// A session's text, with the NUL behind it.
#define ALOFT_SESSION_ID_SIZE 33

// A way to the sessions: a pointer, good until aloft_sessions_destroy.
typedef struct aloft_sessions aloft_sessions;

// What an acknowledged write survives.
enum {
  ALOFT_DURABILITY_REPLICATED = 0, // the loss of any minority of nodes
  ALOFT_DURABILITY_DURABLE = 1,    // the end of the process: for a cluster of one
  ALOFT_DURABILITY_LOCAL = 2       // nothing: it's in the memory of one node
};

// Where a session stands in its life.
enum {
  ALOFT_PHASE_NEGOTIATING = 0,
  ALOFT_PHASE_ACTIVE = 1,
  ALOFT_PHASE_SUSPENDED = 2,
  ALOFT_PHASE_CLOSED = 3
};

// What a session is made with. A field of 0 is its default.
typedef struct aloft_session_options {
  size_t struct_size;
  uint32_t durability;        // ALOFT_DURABILITY_*
  uint32_t is_negotiating;    // it begins in ALOFT_PHASE_NEGOTIATING and not in _ACTIVE
  uint32_t idle_timeout_ms;   // it ends when it wasn't used for so long, and nobody is attached
  uint32_t state_max;         // bytes. Default 65,536
  uint64_t lifetime_ms;       // it ends so long after it was made
  uint32_t outbox_events_max; // not acknowledged. Default 256
  uint32_t outbox_bytes_max;  // Default 65,536
  uint32_t keys_max;          // of the last writes, by which a repeated one is known. Default 8
  uint32_t zero;
} aloft_session_options;

// A session as an answer tells of it; fields that the function doesn't name are 0 and NULL. All of
// it is good until the call returns.
typedef struct aloft_session_result {
  size_t struct_size;   // of the library
  const char *id;       // the session's text
  uint64_t version;     // another one with each write of the state
  uint64_t number;      // of an event; a limit
  uint64_t first_event; // the first one in the outbox that isn't acknowledged
  uint64_t next_event;  // what the next one's number will be
  const void *state;
  size_t length;
  uint32_t phase; // ALOFT_PHASE_*
  uint32_t zero;
} aloft_session_result;

//   status  see above
//   result  [in] good until the call returns; NULL on ALOFT_ESHUTDOWN
typedef void (*aloft_session_done)(int status, const aloft_session_result *result,
                                   void *context);

// ---- Ways to the sessions ----

// The way of a node's own program.
//   principal   who it is, 1 to 255 bytes; NULL for a service that doesn't tell its users apart
//   timeout_ms  how long each request waits; 0 is 10,000
//   sessions    [out] to be given to aloft_sessions_destroy before the node is destroyed
// Thread: any. Errors: ALOFT_EINVAL.
ALOFT_EXPORT int aloft_node_sessions(aloft_node *node, const char *principal,
                                     uint32_t timeout_ms, aloft_sessions **sessions);

// Where a client stands.
enum {
  ALOFT_CLIENT_CONNECTED = 1, // `node` is the number of the node
  ALOFT_CLIENT_RESUMING = 2,  // the connection was lost: requests wait, and are repeated
  ALOFT_CLIENT_FAILED = 3     // for good: `reason` says why. What is asked fails
};

typedef struct aloft_client_state {
  size_t struct_size; // of the library
  uint32_t kind;      // ALOFT_CLIENT_*; more may come
  uint32_t node;
  const char *reason; // good until the call returns
} aloft_client_state;

typedef struct aloft_client_options {
  size_t struct_size;
  // Where nodes listen for clients (aloft_node_options.session_listen). Any will do; with several
  // the client goes on when one dies. No default.
  const char *const *addresses; // [in]
  // Who the client is: see aloft_client_token. No default.
  const char *token; // [in]
  // PEM of the authorities that vouch for nodes. Default NULL: plain text, for loopback alone.
  const char *authorities; // [in]
  // Told of each change, on the client's loop; or NULL.
  void (*on_state)(const aloft_client_state *state, void *context);
  void *context; // kept for on_state, until aloft_sessions_destroy has returned
  uint32_t addresses_count;
  uint32_t loop;        // index of its event loop. Default 0
  uint32_t timeout_ms;  // how long each request waits. Default 10,000
  uint32_t silence_ms;  // a node that says nothing for so long is left. Default 2,000
  uint32_t flags;       // ALOFT_PLAINTEXT_OFF_LOOPBACK or 0
  uint32_t zero;
} aloft_client_options;

// A client of a cluster: begins to connect, and goes on to. on_state tells when it is; what is
// asked before waits for that. A client's writes of one session are done in their order.
//   options   [in]
//   sessions  [out] to be given to aloft_sessions_destroy before the runtime is shut down
// Thread: the loop of options.loop, or one that is no event loop's, which it blocks until the loop
// has come to it.
// Errors: ALOFT_EINVAL (an option, an address, the token), ALOFT_ENOENT (no such loop),
// ALOFT_ESHUTDOWN, ALOFT_EWRONGTHREAD.
ALOFT_EXPORT int aloft_client_connect(aloft_runtime *runtime,
                                      const aloft_client_options *options,
                                      aloft_sessions **sessions);

// Ends a way: what waits is told ALOFT_ESHUTDOWN, ALOFT_ENODE or ALOFT_EUNDECIDED; a client's
// connection is closed. Sessions stay as they are.
//   sessions  [in] or NULL, which does nothing. Not to be used any more when 0 is returned.
// Thread: its loop, or one that is no event loop's, which it blocks until the loop has come to it:
// nothing is told once it has returned.
// Errors: ALOFT_EWRONGTHREAD.
ALOFT_EXPORT int aloft_sessions_destroy(aloft_sessions *sessions);

#define ALOFT_CLIENT_TOKEN_SIZE 640

// Makes a token with which a client is let in as a principal, for as long as the key is one of the
// cluster's.
//   key        [in] of the cluster
//   principal  1 to 255 bytes
//   valid_s    seconds for which it's good; 0 for as long as the key is
//   text       [out] `size` bytes of the caller's, at least ALOFT_CLIENT_TOKEN_SIZE for any token
// Thread: any. Errors: ALOFT_EINVAL, ALOFT_EMSGSIZE.
ALOFT_EXPORT int aloft_client_token(const aloft_node_key *key, const char *principal,
                                    uint64_t valid_s, char *text, size_t size);

// ---- To make, to find, to read ----

// Makes a session.
//   name     up to 255 bytes, its own in the cluster; NULL for a number that nobody can guess
//   state    [in] `length` bytes; NULL only if `length` is 0
//   options  [in] or NULL
// The result has `id` and `version`.
ALOFT_EXPORT int aloft_session_create(aloft_sessions *sessions, const char *name,
                                      const void *state, size_t length,
                                      const aloft_session_options *options,
                                      aloft_session_done done, void *context);

// The text of the session with this name, whether it's there or not: the result has `id`.
ALOFT_EXPORT int aloft_session_find(aloft_sessions *sessions, const char *name,
                                    aloft_session_done done, void *context);

// What anybody was answered before is in it.
#define ALOFT_SESSION_LATEST UINT64_MAX

// The session: the result has all but `number`.
//   at_least  ALOFT_SESSION_LATEST; or a version: the node that is asked answers for itself if it
//             knows of that one or a later one, and else the session's owner. With the greatest
//             version that one was ever answered, one never goes back in time.
ALOFT_EXPORT int aloft_session_get(aloft_sessions *sessions, const char *id, uint64_t at_least,
                                   aloft_session_done done, void *context);

// ---- To write: the result has `version` ----

#define ALOFT_SESSION_ANY_VERSION UINT64_MAX

// Another state.
//   expected  the version that the session has to be of, or ALOFT_SESSION_ANY_VERSION
//   state     [in] `length` bytes; NULL only if `length` is 0
ALOFT_EXPORT int aloft_session_put(aloft_sessions *sessions, const char *id, uint64_t expected,
                                   const void *state, size_t length, aloft_session_done done,
                                   void *context);

// More behind the state.
ALOFT_EXPORT int aloft_session_append(aloft_sessions *sessions, const char *id, const void *data,
                                      size_t length, aloft_session_done done, void *context);

// A named part of a state that is made of such.
typedef struct aloft_session_field {
  const char *name;  // [in] 1 to 255 bytes
  const void *value; // [in] NULL takes the field away
  size_t length;
} aloft_session_field;

// Sets and takes away named fields.
//   fields  [in] `count` of them, 1 to 64
ALOFT_EXPORT int aloft_session_patch(aloft_sessions *sessions, const char *id,
                                     const aloft_session_field *fields, uint32_t count,
                                     aloft_session_done done, void *context);

// Another phase: negotiating goes on to active, active and suspended to each other.
ALOFT_EXPORT int aloft_session_set_phase(aloft_sessions *sessions, const char *id, uint32_t phase,
                                         aloft_session_done done, void *context);

// Ends the session. What it held is gone.
ALOFT_EXPORT int aloft_session_close(aloft_sessions *sessions, const char *id,
                                     aloft_session_done done, void *context);

// It's in use: its idle time begins anew. It's no write: the result has no version.
ALOFT_EXPORT int aloft_session_touch(aloft_sessions *sessions, const char *id,
                                     aloft_session_done done, void *context);

// ---- The outbox ----

// Puts an event into the outbox, where it stays until it's acknowledged: the result has `number`.
ALOFT_EXPORT int aloft_session_publish(aloft_sessions *sessions, const char *id, const void *data,
                                       size_t length, aloft_session_done done, void *context);

// All events up to that number have arrived, and are no longer kept: the result has the first one
// left as `number`.
ALOFT_EXPORT int aloft_session_acknowledge(aloft_sessions *sessions, const char *id,
                                           uint64_t through, aloft_session_done done,
                                           void *context);

// What an attachment tells, on the loop, one at a time. Each may be NULL.
typedef struct aloft_attachment_callbacks {
  size_t struct_size;
  // An event, in order, each once, whatever becomes of connections and nodes. `data` [in] is good
  // until the call returns.
  void (*on_event)(uint64_t number, const void *data, size_t length, void *context);
  // The session is over (ALOFT_ECLOSED, ALOFT_ENOENT), or the way to it is. The last call; not
  // after aloft_session_detach.
  void (*on_ended)(int status, void *context);
} aloft_attachment_callbacks;

// Names an attachment.
typedef struct aloft_attachment {
  uint64_t id;
} aloft_attachment;

#define ALOFT_SESSION_NO_EVENTS UINT64_MAX

// Attaches to a session: it doesn't expire until that ends, and its events are told of.
//   from        the first event that is wanted, of those that aren't acknowledged;
//               ALOFT_SESSION_NO_EVENTS for none
//   callbacks   [in] or NULL
//   done        the result has all but `number`. After another status than 0 it isn't attached
//   context     kept for `done` and the callbacks
//   attachment  [out] or NULL: for aloft_session_detach
ALOFT_EXPORT int aloft_session_attach(aloft_sessions *sessions, const char *id, uint64_t from,
                                      const aloft_attachment_callbacks *callbacks,
                                      aloft_session_done done, void *context,
                                      aloft_attachment *attachment);

// Ends it. Nothing is told any more from when it takes effect: on the loop, at once.
// Thread: any. Errors: ALOFT_EAGAIN, ALOFT_ESHUTDOWN.
ALOFT_EXPORT int aloft_session_detach(aloft_sessions *sessions, aloft_attachment attachment);

// ---- Serving ----

// What a node's program does for each session that the node serves, on the node's loop. Each may be
// NULL. `session` [in] has `id`, and in the first two all but `number`; it's good until the call
// returns.
typedef struct aloft_session_handler {
  size_t struct_size;
  // This node serves it from now on. `is_new`: it was just made; else it's an older one.
  void (*on_started)(aloft_node *node, const aloft_session_result *session, int is_new,
                     void *context);
  // Its state or phase has changed, and is this now.
  void (*on_changed)(aloft_node *node, const aloft_session_result *session, void *context);
  // An event is in its outbox: `session` has `number`.
  void (*on_published)(aloft_node *node, const aloft_session_result *session, void *context);
  // It's over.
  void (*on_ended)(aloft_node *node, const aloft_session_result *session, int is_expired,
                   void *context);
  // Another node serves it, or will; or this node stops.
  void (*on_stopped)(aloft_node *node, const aloft_session_result *session, void *context);
} aloft_session_handler;

// Has the handler told of each session that the node serves: of those that it serves already at
// first.
//   handler  [in] or NULL: nobody is told any more
//   context  kept for the handler
// Asked.
ALOFT_EXPORT int aloft_node_serve_sessions(aloft_node *node, const aloft_session_handler *handler,
                                           void *context);

// Where the node listens for clients, with the port that the system chose; "" if it doesn't.
//   text  [out] `size` bytes of the caller's, at least ALOFT_ADDRESS_SIZE for any address
// Asked. Errors: also ALOFT_EMSGSIZE.
ALOFT_EXPORT int aloft_node_session_address(aloft_node *node, char *text, size_t size);

// ---------------------------------------------------------------------------------------------
// Statistics

// Counts since the node was made.
typedef struct aloft_node_statistics {
  size_t struct_size;
  uint64_t links;         // up at this moment
  uint64_t links_up;      // that came up
  uint64_t links_refused; // handshakes that were turned away, on either side
  uint64_t bytes_sent;
  uint64_t bytes_received;
  uint64_t messages_sent;     // for mailboxes of other nodes, on their way or beyond
  uint64_t messages_received; // for mailboxes of this one
  uint64_t messages_dropped;  // came for a mailbox that has ended or is full, or had no link
  uint64_t calls_started;
  uint64_t calls_answered;
  uint64_t calls_timed_out;
  uint64_t answers_late; // came when nobody waited any more
  uint64_t heartbeats_sent;
  uint64_t heartbeats_received;
} aloft_node_statistics;

//   statistics  [out] struct_size is [in]; so many bytes are written
// Asked.
ALOFT_EXPORT int aloft_node_statistics_get(aloft_node *node, aloft_node_statistics *statistics);

#ifdef __cplusplus
}
#endif
#endif
