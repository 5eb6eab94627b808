// What the files of the clients share.
#ifndef BENCH_CLIENTS_INTERNAL_H
#define BENCH_CLIENTS_INTERNAL_H

#include "bench_clients.h"
#include "internal.h"

#define SLICE_NS (100ull * 1000 * 1000)
// A node whose connections broke isn't tried for so long.
#define SHUNNED_NS (2ull * 1000 * 1000 * 1000)

enum life { LIFE_CLOSED, LIFE_CONNECTING, LIFE_CREATING, LIFE_RESUMING, LIFE_READY, LIFE_GONE };
enum ask_kind { ASK_CREATE = 1, ASK_RESUME = 2, ASK_READ = 3, ASK_UPDATE = 4 };
enum answer_code { ANSWER_DONE, ANSWER_REFUSED, ANSWER_UNCERTAIN, ANSWER_GONE };

// Behind four bytes of length, big-endian, in both directions. Then comes a state, or when a
// session was made or is to be resumed, its name. Both ends are on one machine, so numbers are as
// they lie in memory.
struct wire {
  uint8_t kind;
  uint8_t code;
  uint16_t unused;
  uint32_t owner;   // in answers: the number of the node that serves the session
  uint64_t number;  // of a write
};

enum {
  FRAME_HEAD = 4,
  FRAME_MAX = FRAME_HEAD + sizeof(struct wire) + BENCH_STATE_MAX,
  NAME_BYTES = 32,  // of a session, as the cluster names it to the world outside
};

struct client {
  int fd;
  uint8_t life;
  uint8_t target;
  uint8_t reads;      // under way
  uint8_t is_queued;  // waits for its turn to connect
  int8_t wanted;      // the target to go to, or -1
  uint8_t has_session;
  uint32_t part_bytes;
  char *part;         // of an answer that has not come whole
  uint64_t writing;   // number of the write under way, or 0
  uint64_t acked;     // greatest number acknowledged
  uint64_t sent;      // greatest number sent
  uint64_t seen;      // greatest number read
  uint64_t floor;     // what a read under way must not be older than
  uint64_t begun_at;  // of the burst under way
  uint64_t broken_at; // of the connection that broke last
  uint64_t back_at;   // of the session after that
  char name[NAME_BYTES];
};

struct bench_clients {
  struct bench_clients_options options;
  int epoll;
  struct client *clients;
  uint64_t shunned_until[BENCH_TARGETS_MAX];
  uint32_t *queue;      // clients that are to connect, a ring
  uint32_t queue_head, queue_count;
  uint32_t cursor;      // whose turn it is to ask
  uint32_t connecting;
  uint32_t waiting;     // clients with requests under way
  uint64_t ready;
  uint64_t random;
  uint64_t updates_debt; // in hundredths of an update
  uint64_t measure_begin, measure_end;
  uint32_t *slices;     // BUCKETS counts for each
  uint64_t *slice_max;
  size_t slice_count;
  struct bench_clients_result result;

  struct epoll_event events[EVENTS_MAX];
  uint64_t histogram[BUCKETS];
  char in[BUFFER_BYTES + FRAME_MAX];
  char out[BENCH_BURST_MAX * FRAME_MAX];
};

// clients_life.c
uint64_t clients__random(struct bench_clients *all);
void clients__queue(struct bench_clients *all, uint32_t index);
void clients__connect_some(struct bench_clients *all, uint64_t now);
void clients__connected(struct bench_clients *all, uint32_t index, const struct epoll_event *event);
void clients__broken(struct bench_clients *all, uint32_t index, uint64_t now);
void clients__move(struct bench_clients *all, uint32_t index, int wanted);
void clients__close(struct bench_clients *all, uint32_t index);

// clients_wire.c
bool clients__hello(struct bench_clients *all, uint32_t index);
bool clients__burst(struct bench_clients *all, uint32_t index, uint64_t now, bool only_read);
bool clients__receive(struct bench_clients *all, uint32_t index);

#endif
