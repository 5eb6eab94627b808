// Connections: readiness in, bytes out.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include "internal.h"

static inline aloft__loop *loop_of(connection *c) { return c->poll.data; }

void aloft__interest_update(connection *c) {
  uint8_t wanted = 0;
  if (c->state == SLOT_CONNECTING) {
    wanted = UV_WRITABLE;
  } else {
    if (c->reading && !c->ended) wanted |= UV_READABLE;
    if (c->queued > 0 && c->ended != INPUT_FAILED) wanted |= UV_WRITABLE;
  }
  // Who wants nothing is still to hear of a reset, which epoll tells with whatever is asked for:
  // urgent data, which nobody sends.
  uint8_t watched = wanted == 0 && c->ended != INPUT_FAILED && !c->unwatched;
  if (wanted == c->interest && watched == c->watched) return;
  c->interest = wanted;
  c->watched = watched;
  if (wanted == 0 && !watched) {
    uv_poll_stop(&c->poll);
  } else {
    uv_poll_start(&c->poll, watched ? UV_PRIORITIZED : wanted, aloft__on_ready);
  }
}

static int socket_error(int descriptor) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return -errno;
  return -error;
}

static void failed(aloft__loop *loop, connection *c, int status) {
  if (c->ended == INPUT_FAILED) return; // once is enough
  c->ended = INPUT_FAILED;
  aloft__event *event = event_add(loop, ALOFT__EVENT_FAILED, c->slot);
  event->status = status;
}

// Drops the `sent` bytes at the front of the queue.
static void queue_advance(connection *c, size_t sent) {
  c->queued -= (uint32_t)sent;
  while (c->queue != NULL) {
    chunk *first = c->queue;
    uint32_t there = first->end - first->start;
    if (sent < there) {
      first->start += (uint32_t)sent;
      return;
    }
    sent -= there;
    c->queue = first->next;
    if (first->next != NULL) first->next->last = first->last;
    free(first);
  }
}

static int queue_append(connection *c, const uint8_t *data, size_t length) {
  chunk *last = c->queue != NULL ? c->queue->last : NULL;
  if (last != NULL) {
    size_t room = last->capacity - last->end;
    size_t part = length < room ? length : room;
    memcpy(last->bytes + last->end, data, part);
    last->end += (uint32_t)part;
    c->queued += (uint32_t)part;
    data += part;
    length -= part;
  }
  if (length == 0) return 0;
  // Sizes that leave no gap in malloc's bins: a whole number of 4-KiB pages, header included.
  size_t capacity = ((length + sizeof(chunk) + 4095) & ~(size_t)4095) - sizeof(chunk);
  chunk *fresh = malloc(sizeof(chunk) + capacity);
  if (fresh == NULL) return -ENOMEM;
  fresh->next = NULL;
  fresh->last = fresh;
  fresh->start = 0;
  fresh->end = (uint32_t)length;
  fresh->capacity = (uint32_t)capacity;
  memcpy(fresh->bytes, data, length);
  if (last != NULL) {
    last->next = fresh;
    c->queue->last = fresh;
  } else {
    c->queue = fresh;
  }
  c->queued += (uint32_t)length;
  return 0;
}

static ssize_t send_pieces(int descriptor, struct iovec *pieces, size_t count) {
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
  ssize_t sent;
  do {
    sent = count == 1 ? send(descriptor, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL)
                      : sendmsg(descriptor, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
}

// Sends what is queued. Returns 0 or a negative errno value.
static int queue_send(connection *c) {
  while (c->queued > 0) {
    struct iovec pieces[GATHER_MAX];
    size_t count = 0, bytes = 0;
    for (chunk *k = c->queue; k != NULL && count < GATHER_MAX; k = k->next) {
      pieces[count].iov_base = k->bytes + k->start;
      pieces[count].iov_len = k->end - k->start;
      bytes += pieces[count++].iov_len;
    }
    ssize_t sent = send_pieces(descriptor_of(c), pieces, count);
    if (sent < 0) return (int)sent;
    queue_advance(c, (size_t)sent);
    if ((size_t)sent < bytes) return 0;
  }
  return 0;
}

static void on_connected(aloft__loop *loop, connection *c, int status) {
  int error = socket_error(descriptor_of(c));
  if (error != 0 || status < 0) {
    failed(loop, c, error != 0 ? error : status);
    return;
  }
  c->state = SLOT_OPEN;
  c->reading = 1;
  aloft__interest_update(c);
  event_add(loop, ALOFT__EVENT_CONNECTED, c->slot);
}

static void on_writable(aloft__loop *loop, connection *c) {
  uint32_t before = c->queued;
  int status = queue_send(c);
  if (status < 0) {
    failed(loop, c, status);
    return;
  }
  if (c->queued == before) return;
  aloft__interest_update(c);
  event_add(loop, ALOFT__EVENT_PROGRESS, c->slot)->length = before - c->queued;
}

// Reads once; `error` is what the socket is known to have failed with, 0 for nothing.
static void on_readable(aloft__loop *loop, connection *c, int error) {
  uint8_t *into = loop->arena + loop->arena_used;
  ssize_t got;
  do {
    got = recv(descriptor_of(c), into, loop->options.read_bytes, 0);
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    aloft__event *event = event_add(loop, ALOFT__EVENT_DATA, c->slot);
    event->data = into;
    event->length = (uint32_t)got;
    // The next message starts on a line of its own; 16 bytes keep loads aligned.
    loop->arena_used += ((uint32_t)got + 15u) & ~15u;
  } else if (error != 0) {
    // Asking for the error has cleared it, and what reads like an end is none.
    failed(loop, c, error);
  } else if (got == 0) {
    c->ended = INPUT_ENDED;
    event_add(loop, ALOFT__EVENT_END, c->slot);
  } else if (errno != EAGAIN) {
    failed(loop, c, -errno);
  }
}

void aloft__on_ready(uv_poll_t *handle, int status, int events) {
  connection *c = (connection *)handle;
  aloft__loop *loop = loop_of(c);
  // Room for all that this call can add, so that no flush happens halfway.
  if (loop->event_count + 3 > loop->options.events_max ||
      loop->arena_used + loop->options.read_bytes > loop->options.arena_bytes) {
    aloft__flush(loop, 0);
    if (c->state == SLOT_CLOSING) return;
  }
  if (c->state == SLOT_CONNECTING) {
    on_connected(loop, c, status);
    return;
  }
  if (status < 0) {
    // libuv saw an error and has stopped the handle. What had arrived before can still be read.
    c->interest = c->watched = 0;
    int error = socket_error(descriptor_of(c));
    if (error == 0) error = -ECONNRESET;
    if (c->reading && c->ended == INPUT_OPEN) on_readable(loop, c, error);
    failed(loop, c, error);
    return;
  }
  if (events & UV_PRIORITIZED) {
    // Both sides have ended, or somebody does send urgent data; it would be told for ever.
    c->unwatched = 1;
    aloft__interest_update(c);
    return;
  }
  if ((events & UV_WRITABLE) && c->queued > 0) on_writable(loop, c);
  if ((events & UV_READABLE) && c->reading && !c->ended) on_readable(loop, c, 0);
}

int aloft__open(aloft__loop *loop, int descriptor, uint8_t state, uint32_t *slot) {
  int status;
  connection *c = aloft__slot_take(loop, &status);
  if (c == NULL) return status;
  status = uv_poll_init(loop->uv, &c->poll, descriptor);
  if (status < 0) {
    aloft__slot_give(loop, c);
    return status;
  }
  loop->handles_open++;
  c->poll.data = loop;
  c->state = state;
  c->reading = state == SLOT_OPEN;
  aloft__interest_update(c);
  *slot = c->slot;
  return 0;
}

int aloft__adopt(aloft__loop *loop, int descriptor, uint32_t *slot) {
  return aloft__open(loop, descriptor, SLOT_OPEN, slot);
}

int aloft__connect(aloft__loop *loop, const struct sockaddr *address, socklen_t length,
                   const struct sockaddr *local, socklen_t local_length, uint32_t *slot) {
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int on = 1;
  if (address->sa_family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int status = 0;
  if (local != NULL) {
    // The port is chosen at connect(), when the whole four-tuple is known: 28,000 a pair.
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, local, local_length) != 0) status = -errno;
  }
  if (status == 0 && connect(fd, address, length) != 0 && errno != EINPROGRESS) status = -errno;
  if (status == 0) status = aloft__open(loop, fd, SLOT_CONNECTING, slot);
  if (status < 0) close(fd);
  return status;
}

static void on_connection_closed(uv_handle_t *handle) {
  connection *c = (connection *)handle;
  aloft__loop *loop = loop_of(c);
  aloft__slot_give(loop, c);
  aloft__handle_closed(loop);
}

void aloft__reset_on_close(int descriptor) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void aloft__connection_close(aloft__loop *loop, connection *c, int reset) {
  (void)loop;
  int descriptor = descriptor_of(c);
  c->state = SLOT_CLOSING;
  // What is cut off must not look like an orderly end.
  reset = reset || c->queued > 0;
  while (c->queue != NULL) {
    chunk *first = c->queue;
    c->queue = first->next;
    free(first);
  }
  c->queued = 0;
  if (reset) aloft__reset_on_close(descriptor);
  // libuv has let go of the descriptor when uv_close returns; of the handle, in the callback.
  uv_close((uv_handle_t *)&c->poll, on_connection_closed);
  close(descriptor);
}

// Queues what is left of the chain after its first `sent` bytes.
static int chain_queue(connection *c, const aloft__operation *all, uint32_t at, size_t sent) {
  for (; at != ALOFT__NO_SEGMENT; at = all[at].next) {
    size_t length = all[at].length;
    if (sent >= length) {
      sent -= length;
      continue;
    }
    int status = queue_append(c, all[at].data + sent, length - sent);
    if (status < 0) return status;
    sent = 0;
  }
  return 0;
}

// Try first, queue what is left. Returns the bytes added to the queue, or a negative errno value.
static int64_t operation_write(connection *c, const aloft__operation *all, uint32_t at) {
  if (c->state != SLOT_OPEN) return -ENOTCONN;
  size_t sent = 0;
  uint32_t before = c->queued;
  if (before == 0) {
    uint32_t from = at;
    for (;;) {
      struct iovec pieces[GATHER_MAX];
      size_t count = 0, bytes = 0;
      for (; from != ALOFT__NO_SEGMENT && count < GATHER_MAX; from = all[from].next) {
        pieces[count].iov_base = (void *)(uintptr_t)all[from].data;
        pieces[count].iov_len = all[from].length;
        bytes += pieces[count++].iov_len;
      }
      ssize_t now = send_pieces(descriptor_of(c), pieces, count);
      if (now < 0) return now;
      sent += (size_t)now;
      if ((size_t)now < bytes) break;
      if (from == ALOFT__NO_SEGMENT) return 0;
    }
  }
  int status = chain_queue(c, all, at, sent);
  if (status < 0) return status;
  aloft__interest_update(c);
  return c->queued - before;
}

static int64_t operation_end(connection *c) {
  if (c->state != SLOT_OPEN) return -ENOTCONN;
  if (shutdown(descriptor_of(c), SHUT_WR) == 0) return 0;
  // A peer's reset shows here as ENOTCONN; the socket knows better.
  int status = -errno, error = socket_error(descriptor_of(c));
  return error != 0 ? error : status;
}

uint32_t aloft__submit(aloft__loop *loop, aloft__operation *operations, uint32_t count) {
  uint32_t results = 0;
  for (uint32_t i = 0; i < count; i++) {
    aloft__operation *op = &operations[i];
    if (op->kind == ALOFT__OP_SEGMENT) continue;
    connection *c = slot_at(loop, op->slot);
    op->result = 0;
    switch (op->kind) {
    case ALOFT__OP_WRITE: op->result = operation_write(c, operations, i); break;
    case ALOFT__OP_END: op->result = operation_end(c); break;
    case ALOFT__OP_CLOSE:
    case ALOFT__OP_DROP:
    case ALOFT__OP_RESET:
      if (op->kind == ALOFT__OP_CLOSE && c->queued > 0) {
        op->result = c->queued;
      } else if (c->state == SLOT_OPEN || c->state == SLOT_CONNECTING) {
        aloft__connection_close(loop, c, op->kind == ALOFT__OP_RESET);
      }
      break;
    case ALOFT__OP_PAUSE:
    case ALOFT__OP_RESUME:
      if (c->state != SLOT_OPEN) break;
      c->reading = op->kind == ALOFT__OP_RESUME;
      aloft__interest_update(c);
      break;
    }
    results += op->result != 0;
  }
  return results;
}

int aloft__connection_name(aloft__loop *loop, uint32_t slot, int peer,
                           struct sockaddr_storage *name, socklen_t *length) {
  connection *c = slot_at(loop, slot);
  // The descriptor's number may be another connection's by now.
  if (c->state == SLOT_FREE || c->state == SLOT_CLOSING) return -ENOTCONN;
  *length = sizeof *name;
  int status = peer ? getpeername(descriptor_of(c), (struct sockaddr *)name, length)
                    : getsockname(descriptor_of(c), (struct sockaddr *)name, length);
  return status == 0 ? 0 : -errno;
}
