// The bytes of a connection: made when sent, compared when they come back, kept nowhere.
#include <string.h>
#include <sys/socket.h>

#include "internal.h"

// Message `sequence` of connection `index`: both numbers, then a pattern all messages share.
static void message_put(
  const struct bench_load *load, char *to, uint32_t index, uint64_t sequence) {
  uint64_t head = (uint64_t)index << 32 | (uint32_t)sequence;
  memcpy(to, load->pattern, load->options.bytes);
  memcpy(to, &head, sizeof head);
}

static bool slice_equal(
  const struct bench_load *load, const char *bytes, uint32_t index, uint64_t sequence,
  size_t offset, size_t length) {
  uint64_t head = (uint64_t)index << 32 | (uint32_t)sequence;
  size_t in_head = 0;
  if (offset < sizeof head) {
    in_head = sizeof head - offset < length ? sizeof head - offset : length;
    if (memcmp(bytes, (const char *)&head + offset, in_head) != 0) return false;
  }
  return memcmp(bytes + in_head, load->pattern + offset + in_head, length - in_head) == 0;
}

// The stream's bytes from `offset` on, whole messages up to the buffer's end: how many were put.
static size_t stream_put(
  struct bench_load *load, uint32_t index, uint64_t offset, uint64_t end) {
  size_t bytes = load->options.bytes, used = 0;
  size_t skip = (size_t)(offset % bytes);
  uint64_t sequence = offset / bytes;
  if (skip != 0) {
    message_put(load, load->out, index, sequence);
    used = bytes - skip;
    memmove(load->out, load->out + skip, used);
    sequence += 1;
  }
  while (offset + used < end && used + bytes <= BUFFER_BYTES) {
    message_put(load, load->out + used, index, sequence);
    used += bytes;
    sequence += 1;
  }
  return used;
}

// Sends what was asked for and not sent yet, as far as the socket takes it. False: it is broken.
bool load__flush(struct bench_load *load, uint32_t index) {
  struct connection *c = &load->connections[index];
  uint64_t end = c->wanted * load->options.bytes;
  while (c->bytes_sent < end) {
    size_t length = stream_put(load, index, c->bytes_sent, end);
    ssize_t sent = send(c->fd, load->out, length, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    c->bytes_sent += (uint64_t)sent;
    if ((size_t)sent < length) return true;
  }
  return true;
}

void load__issue(struct bench_load *load, uint32_t index, uint64_t count, uint64_t now) {
  struct connection *c = &load->connections[index];
  uint64_t depth = load->options.depth;
  if (load->mode != MODE_OPEN_LOOP) {
    uint64_t *ring = &load->sent_at[index * depth];
    for (uint64_t i = 0; i < count; i++) ring[(c->wanted + i) % depth] = now;
  }
  c->wanted += count;
  load->outstanding += count;
  load->result.sent += count;
}

static uint64_t began_at(const struct bench_load *load, uint32_t index, uint64_t sequence) {
  uint64_t depth = load->options.depth;
  if (load->mode != MODE_OPEN_LOOP) return load->sent_at[index * depth + sequence % depth];
  // The k-th request of this connection is number k x connections + index of the whole run.
  uint64_t turn = (sequence - load->connections[index].base) * load->options.connections + index;
  return load->window_begin + (uint64_t)((double)turn * load->period_ns);
}

static void answered(struct bench_load *load, uint32_t index, uint64_t sequence, uint64_t now) {
  load->outstanding -= 1;
  load->result.answered += 1;
  load->last_reply = now;
  bool counted = load->mode == MODE_OPEN_LOOP
    || (now >= load->window_begin && now < load->window_end);
  if (!counted) return;
  uint64_t began = began_at(load, index, sequence);
  uint64_t latency = now > began ? now - began : 0;
  load->result.ops += 1;
  load->histogram[histogram_index(latency)] += 1;
  if (latency > load->result.latency_max_ns) load->result.latency_max_ns = latency;
}

// Compares `length` received bytes with what they must be; how many messages they complete.
static uint64_t stream_check(
  struct bench_load *load, uint32_t index, const char *bytes, size_t length, uint64_t now) {
  struct connection *c = &load->connections[index];
  uint64_t completed = 0;
  size_t size = load->options.bytes;
  while (length > 0) {
    uint64_t sequence = c->bytes_got / size;
    size_t offset = (size_t)(c->bytes_got % size);
    size_t part = size - offset < length ? size - offset : length;
    if (c->bytes_got + part > c->bytes_sent) {
      load->result.mismatched += 1;  // never asked for
      return completed;
    }
    if (!slice_equal(load, bytes, index, sequence, offset, part)) load->result.mismatched += 1;
    c->bytes_got += part;
    bytes += part;
    length -= part;
    if (offset + part < size) continue;
    answered(load, index, sequence, now);
    completed += 1;
  }
  return completed;
}

// Takes what has arrived, and in the closed loop asks for as many again. A short receive means
// that the socket is empty: edge-triggered epoll tells when more comes. False: it is broken.
bool load__receive(struct bench_load *load, uint32_t index) {
  struct connection *c = &load->connections[index];
  for (;;) {
    ssize_t got = recv(c->fd, load->in, sizeof load->in, 0);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    uint64_t now = now_ns();
    uint64_t completed = stream_check(load, index, load->in, (size_t)got, now);
    if (load->mode == MODE_CLOSED_LOOP) {
      if (now >= load->window_end) load->stopping = true;
      uint64_t left = load->issued_max - load->result.sent;
      uint64_t again = load->stopping ? 0 : completed < left ? completed : left;
      if (again > 0) {
        load__issue(load, index, again, now);
        if (!load__flush(load, index)) return false;
      }
    }
    if ((size_t)got < sizeof load->in) return true;
  }
}
