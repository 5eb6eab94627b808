// What clients ask, and what they make of the answers.
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "clients.h"

static void state_put(char *to, uint64_t number, uint32_t bytes) {
  memset(to, (int)(uint8_t)number, bytes);
  memcpy(to, &number, sizeof number);
}

static char *ask_put(
  const struct bench_clients *all, const struct client *c, char *to, enum ask_kind kind,
  uint64_t number) {
  uint32_t behind = kind == ASK_READ ? 0
    : kind == ASK_RESUME ? (uint32_t)NAME_BYTES : all->options.state_bytes;
  uint32_t head = htonl((uint32_t)sizeof(struct wire) + behind);
  struct wire ask = {.kind = (uint8_t)kind, .number = number};
  memcpy(to, &head, sizeof head);
  memcpy(to + FRAME_HEAD, &ask, sizeof ask);
  to += FRAME_HEAD + sizeof ask;
  if (kind == ASK_RESUME) memcpy(to, c->name, NAME_BYTES);
  else if (behind > 0) state_put(to, number, behind);
  return to + behind;
}

static bool put_out(const struct bench_clients *all, const struct client *c, const char *end) {
  size_t length = (size_t)(end - all->out);
  // A client's requests are few and short: a socket that does not take them all is broken.
  return send(c->fd, all->out, length, MSG_NOSIGNAL) == (ssize_t)length;
}

// The first word on a connection: makes the session, or has it resumed.
bool clients__hello(struct bench_clients *all, uint32_t index) {
  struct client *c = &all->clients[index];
  char *end = ask_put(all, c, all->out, c->has_session ? ASK_RESUME : ASK_CREATE, 0);
  c->life = c->has_session ? LIFE_RESUMING : LIFE_CREATING;
  return put_out(all, c, end);
}

// Some requests at once: reads, and an update when it is time for one.
bool clients__burst(struct bench_clients *all, uint32_t index, uint64_t now, bool only_read) {
  struct client *c = &all->clients[index];
  uint32_t burst = only_read ? 1 : all->options.burst, update_at = burst;
  if (!only_read) {
    all->updates_debt += burst * all->options.updates_percent;
    if (all->updates_debt >= 100) {
      all->updates_debt -= 100;
      update_at = (uint32_t)(clients__random(all) >> 33) % burst;
    }
  }
  char *end = all->out;
  c->floor = c->acked > c->seen ? c->acked : c->seen;
  for (uint32_t i = 0; i < burst; i++) {
    if (i == update_at) {
      c->writing = ++c->sent;
      end = ask_put(all, c, end, ASK_UPDATE, c->writing);
    } else {
      c->reads += 1;
      end = ask_put(all, c, end, ASK_READ, 0);
    }
  }
  c->begun_at = now;
  all->waiting += 1;
  return put_out(all, c, end);
}

static bool state_is_whole(const char *state, uint64_t number, uint32_t bytes) {
  for (uint32_t i = sizeof number; i < bytes; i++)
    if ((uint8_t)state[i] != (uint8_t)number) return false;
  return true;
}

// A session's state as it was answered, held against what the client knows.
static void state_judge(
  struct bench_clients *all, struct client *c, const char *state, uint32_t bytes,
  uint64_t floor) {
  uint64_t number = 0;
  if (bytes >= sizeof number) memcpy(&number, state, sizeof number);
  if (bytes != all->options.state_bytes || !state_is_whole(state, number, bytes)) {
    all->result.garbled += 1;
    return;
  }
  if (number < floor) all->result.lost_acked += 1;
  if (number > c->sent) all->result.from_future += 1;
  if (number > c->seen) c->seen = number;
}

static int target_of(const struct bench_clients *all, uint32_t node) {
  for (uint32_t i = 0; i < all->options.target_count; i++)
    if (all->options.targets[i].node == node) return (int)i;
  return -1;
}

// Where the session is served, if it is elsewhere.
static int better_target(const struct bench_clients *all, const struct client *c, uint32_t owner) {
  int target = target_of(all, owner);
  return target == c->target ? -1 : target;
}

static void hello_answered(
  struct bench_clients *all, uint32_t index, const struct wire *answer, const char *state,
  uint32_t bytes, uint64_t now) {
  struct client *c = &all->clients[index];
  if (answer->code == ANSWER_GONE) {
    all->result.sessions_gone += 1;
    clients__close(all, index);
    c->life = LIFE_GONE;
    return;
  }
  if (answer->code != ANSWER_DONE) {
    all->result.resumes_failed += 1;
    return clients__move(all, index, -1);
  }
  if (c->life == LIFE_CREATING) {
    if (bytes != NAME_BYTES) {
      all->result.garbled += 1;
      return clients__broken(all, index, now);
    }
    all->result.created += 1;
    memcpy(c->name, state, NAME_BYTES);
    c->has_session = 1;
    // Resumed next, here or where it is served: that is what attaches this connection to it.
    int better = better_target(all, c, answer->owner);
    if (better >= 0) return clients__move(all, index, better);
    if (!clients__hello(all, index)) clients__broken(all, index, now);
    return;
  }
  uint64_t floor = c->acked > c->seen ? c->acked : c->seen;
  state_judge(all, c, state, bytes, floor);
  bool was_broken = c->broken_at > c->back_at;
  if (was_broken) c->back_at = now;
  // Whoever comes from a node that died is served by the one that it found, and follows its session
  // with its next request: first everybody is to be back.
  int better = was_broken ? -1 : better_target(all, c, answer->owner);
  if (better >= 0 && all->shunned_until[better] <= now) {
    all->result.moved += 1;
    return clients__move(all, index, better);
  }
  all->connecting -= 1;
  c->life = LIFE_READY;
  all->ready += 1;
  all->result.settled_at = now;
}

static void measured(struct bench_clients *all, const struct client *c, uint64_t now) {
  if (now < all->measure_begin || now >= all->measure_end) return;
  size_t slice = (now - all->measure_begin) / SLICE_NS;
  if (slice >= all->slice_count) return;
  uint64_t latency = now - c->begun_at;
  all->slices[slice * BUCKETS + histogram_index(latency)] += 1;
  if (latency > all->slice_max[slice]) all->slice_max[slice] = latency;
}

static void request_answered(
  struct bench_clients *all, uint32_t index, const struct wire *answer, const char *state,
  uint32_t bytes, uint64_t now) {
  struct client *c = &all->clients[index];
  bool is_read = answer->kind == ASK_READ && c->reads > 0;
  bool is_update = answer->kind == ASK_UPDATE && c->writing != 0
    && answer->number == c->writing;
  if (!is_read && !is_update) {
    all->result.garbled += 1;
    return;
  }
  if (is_read) c->reads -= 1;
  else c->writing = 0;
  if (c->reads == 0 && c->writing == 0) all->waiting -= 1;
  switch (answer->code) {
    case ANSWER_DONE:
      if (is_read) {
        all->result.reads += 1;
        state_judge(all, c, state, bytes, c->floor);
      } else {
        all->result.updates += 1;
        if (answer->number > c->acked) c->acked = answer->number;
      }
      measured(all, c, now);
      break;
    case ANSWER_REFUSED: all->result.refused += 1; break;
    case ANSWER_UNCERTAIN: all->result.uncertain += 1; break;
    default: all->result.sessions_gone += 1; break;
  }
  int better = better_target(all, c, answer->owner);
  bool is_idle = c->reads == 0 && c->writing == 0;
  if (better >= 0 && is_idle && all->shunned_until[better] <= now) {
    all->result.moved += 1;
    clients__move(all, index, better);
  }
}

// Whole answers from the front of `bytes`; how much they were. What moves a client away ends it.
static size_t answers_take(
  struct bench_clients *all, uint32_t index, const char *bytes, size_t length, uint64_t now) {
  const struct client *c = &all->clients[index];
  int fd = c->fd;
  size_t at = 0;
  while (c->fd == fd && length - at >= FRAME_HEAD) {
    uint32_t head;
    memcpy(&head, bytes + at, sizeof head);
    uint32_t size = ntohl(head);
    if (size < sizeof(struct wire) || size > FRAME_MAX - FRAME_HEAD) {
      all->result.garbled += 1;
      clients__broken(all, index, now);
      return length;
    }
    if (length - at < FRAME_HEAD + size) break;
    struct wire answer;
    memcpy(&answer, bytes + at + FRAME_HEAD, sizeof answer);
    const char *state = bytes + at + FRAME_HEAD + sizeof answer;
    uint32_t state_bytes = size - (uint32_t)sizeof answer;
    if (c->life == LIFE_READY) request_answered(all, index, &answer, state, state_bytes, now);
    else hello_answered(all, index, &answer, state, state_bytes, now);
    at += FRAME_HEAD + size;
  }
  return c->fd == fd ? at : length;
}

static bool part_keep(struct client *c, const char *bytes, size_t length) {
  if (length > 0 && c->part == NULL) c->part = malloc(FRAME_MAX);
  if (length > 0 && (c->part == NULL || length > FRAME_MAX)) return false;
  if (length > 0) memcpy(c->part, bytes, length);
  c->part_bytes = (uint32_t)length;
  return true;
}

// Takes what has arrived. False: the connection is broken.
bool clients__receive(struct bench_clients *all, uint32_t index) {
  struct client *c = &all->clients[index];
  for (;;) {
    size_t kept = c->part_bytes;
    if (kept > 0) memcpy(all->in, c->part, kept);
    int fd = c->fd;
    ssize_t got = recv(fd, all->in + kept, BUFFER_BYTES, 0);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    size_t length = kept + (size_t)got;
    c->part_bytes = 0;
    size_t taken = answers_take(all, index, all->in, length, now_ns());
    // It went elsewhere meanwhile.
    if (c->fd != fd) return true;
    if (!part_keep(c, all->in + taken, length - taken)) return false;
    if ((size_t)got < BUFFER_BYTES) return true;
  }
}
