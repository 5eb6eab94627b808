// The bytes of a connection: made when sent, compared when they come back, kept nowhere.
// No division and no copy of a payload per message: the server must be the dearer end.
#include <string.h>
#include <sys/socket.h>

#include "internal.h"

// A message begins with both numbers; then comes a pattern that all messages share.
static uint64_t head_of(uint32_t index, uint64_t sequence) {
  return (uint64_t)index << 32 | (uint32_t)sequence;
}

// Whether `bytes` are those of message `sequence` from `offset` on.
static bool slice_equal(
  const struct bench_load *load, const char *bytes, uint32_t index, uint64_t sequence,
  size_t offset, size_t length) {
  uint64_t head = head_of(index, sequence);
  size_t in_head = 0;
  if (offset < sizeof head) {
    in_head = sizeof head - offset < length ? sizeof head - offset : length;
    if (memcmp(bytes, (const char *)&head + offset, in_head) != 0) return false;
  }
  return memcmp(bytes + in_head, load->pattern + offset + in_head, length - in_head) == 0;
}

// The rest of the message that was sent in part: how long it is.
static size_t part_put(struct bench_load *load, uint32_t index, const struct connection *c) {
  uint64_t head = head_of(index, c->sent);
  memcpy(load->part, load->pattern, load->options.bytes);
  memcpy(load->part, &head, sizeof head);
  memmove(load->part, load->part + c->sent_part, load->options.bytes - c->sent_part);
  return load->options.bytes - c->sent_part;
}

// As many of the messages that are wanted as the buffer holds: how long they are.
static size_t whole_put(struct bench_load *load, uint32_t index, const struct connection *c) {
  uint64_t count = c->wanted - c->sent;
  if (count > load->out_room) count = load->out_room;
  char *to = load->out;
  for (uint64_t i = 0; i < count; i++, to += load->options.bytes) {
    uint64_t head = head_of(index, c->sent + i);
    memcpy(to, &head, sizeof head);
  }
  return (size_t)(to - load->out);
}

// Sends what was asked for and not sent yet, as far as the socket takes it. False: it is broken.
bool load__flush(struct bench_load *load, uint32_t index) {
  struct connection *c = &load->connections[index];
  while (c->sent < c->wanted) {
    bool whole = c->sent_part == 0;
    size_t length = whole ? whole_put(load, index, c) : part_put(load, index, c);
    ssize_t sent = send(c->fd, whole ? load->out : load->part, length, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    uint64_t bytes = c->sent_part + (uint64_t)sent;
    c->sent += bytes / load->options.bytes;
    c->sent_part = (uint32_t)(bytes % load->options.bytes);
    if ((size_t)sent < length) return true;
  }
  return true;
}

static uint64_t *instant(const struct bench_load *load, uint32_t index, uint64_t sequence) {
  return &load->sent_at[index * load->ring_size + (sequence & (load->ring_size - 1))];
}

void load__issue(struct bench_load *load, uint32_t index, uint64_t count, uint64_t now) {
  struct connection *c = &load->connections[index];
  if (load->mode != MODE_OPEN_LOOP) {
    for (uint64_t i = 0; i < count; i++) *instant(load, index, c->wanted + i) = now;
  }
  c->wanted += count;
  load->outstanding += count;
  load->result.sent += count;
}

static uint64_t began_at(const struct bench_load *load, uint32_t index, uint64_t sequence) {
  if (load->mode != MODE_OPEN_LOOP) return *instant(load, index, sequence);
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
    size_t part = size - c->got_part < length ? size - c->got_part : length;
    bool asked_for = c->got < c->sent || c->got_part + part <= c->sent_part;
    if (!asked_for || !slice_equal(load, bytes, index, c->got, c->got_part, part))
      load->result.mismatched += 1;
    if (!asked_for) return completed;
    bytes += part;
    length -= part;
    c->got_part += (uint32_t)part;
    if (c->got_part < size) break;
    answered(load, index, c->got, now);
    c->got_part = 0;
    c->got += 1;
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
