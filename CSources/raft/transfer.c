// Snapshots between nodes: in parts, a few on their way at a time, so that neither the link nor
// memory has to take one whole. What is lost is sent again; what stands still is given up, and
// libraft starts anew.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static void end_outgoing(aloft__raft *r, uint8_t node, int status) {
  struct outgoing *o = &r->outgoing[node];
  if (o->request == NULL) { return; }
  raft_free(o->conf.base);
  aloft__raft_later(r, o->request, o->done, status);
  memset(o, 0, sizeof *o);
}

static void send_parts(aloft__raft *r, uint8_t node) {
  struct outgoing *o = &r->outgoing[node];
  while (o->sent < o->total && o->sent - o->acked < PARTS_WINDOW * PART_BYTES) {
    struct part part = {
      .term = o->term, .index = o->index, .index_term = o->index_term,
      .conf_index = o->conf_index, .total = o->total, .offset = o->sent,
      .data = o->data + o->sent, .length = o->total - o->sent};
    if (part.length > PART_BYTES) { part.length = PART_BYTES; }
    if (part.offset == 0) {
      part.conf = o->conf.base;
      part.conf_length = o->conf.len;
    }
    uint8_t *room = aloft__raft_send_room(r, node, aloft__raft_part_size(&part));
    if (room == NULL) { return; }
    aloft__raft_encode_part(room, &part);
    o->sent += part.length;
  }
}

int aloft__raft_transfer_start(
    aloft__raft *r, struct raft_io_send *request, const struct raft_message *message,
    raft_io_send_cb done) {
  uint8_t node = (uint8_t)message->server_id;
  const struct raft_install_snapshot *args = &message->install_snapshot;
  struct raft_buffer conf;
  if (raft_configuration_encode(&args->conf, &conf) != 0) { return RAFT_NOMEM; }
  end_outgoing(r, node, RAFT_CANCELED);
  r->outgoing[node] = (struct outgoing){
    .request = request, .done = done, .term = args->term, .index = args->last_index,
    .index_term = args->last_term, .conf_index = args->conf_index, .conf = conf,
    .data = args->data.base, .total = args->data.len,
    .progress_ms = r->disk.time(&r->disk)};
  // libraft starts anew after this time; at 16 MB/s the slowest of links is done by then.
  unsigned patience = 2 * TRANSFER_STALL_MS + (unsigned)(args->data.len >> 14);
  raft_set_install_snapshot_timeout(&r->raft, patience);
  send_parts(r, node);
  return 0;
}

void aloft__raft_transfer_ack(aloft__raft *r, uint8_t node, const struct part_ack *ack) {
  struct outgoing *o = &r->outgoing[node];
  if (o->request == NULL || ack->term != o->term || ack->index != o->index) { return; }
  if (ack->have > o->total || ack->have < o->acked) { return; }
  if (ack->have > o->acked) { o->progress_ms = r->disk.time(&r->disk); }
  o->acked = ack->have;
  if (o->sent < o->acked) { o->sent = o->acked; }
  if (o->acked == o->total) {
    end_outgoing(r, node, 0);
  } else {
    send_parts(r, node);
  }
}

void aloft__raft_transfer_tick(aloft__raft *r) {
  uint64_t now = r->disk.time(&r->disk);
  for (unsigned node = 1; node < NODES; node++) {
    struct outgoing *o = &r->outgoing[node];
    if (o->request == NULL) { continue; }
    uint64_t still = now - o->progress_ms;
    if (still > TRANSFER_STALL_MS || o->term != r->term) {
      end_outgoing(r, (uint8_t)node, RAFT_NOCONNECTION);
    } else if (still > r->options.election_ms) {
      o->sent = o->acked;
      send_parts(r, (uint8_t)node);
    }
  }
}

static void drop_incoming(aloft__raft *r) {
  struct incoming *in = &r->incoming;
  raft_free(in->data);
  raft_free(in->conf.base);
  memset(in, 0, sizeof *in);
}

static bool begin(aloft__raft *r, uint8_t node, const struct part *part) {
  struct incoming *in = &r->incoming;
  drop_incoming(r);
  if (part->total > r->options.snapshot_bytes_max) {
    COUNT(r, messages_refused);
    return false;
  }
  in->data = raft_malloc(part->total);
  in->conf.base = raft_malloc(part->conf_length);
  if (in->data == NULL || in->conf.base == NULL) {
    drop_incoming(r);
    return false;
  }
  in->conf.len = part->conf_length;
  memcpy(in->conf.base, part->conf, part->conf_length);
  in->node = node;
  in->term = part->term;
  in->index = part->index;
  in->index_term = part->index_term;
  in->conf_index = part->conf_index;
  in->total = part->total;
  return true;
}

static void acknowledge(aloft__raft *r, uint8_t node, const struct part *part, uint64_t have) {
  uint8_t *room = aloft__raft_send_room(r, node, PART_ACK_BYTES);
  struct part_ack ack = {part->term, part->index, have};
  if (room != NULL) { aloft__raft_encode_part_ack(room, &ack); }
}

// All is there: libraft gets it as one message, whose memory becomes its own.
static void install(aloft__raft *r) {
  struct incoming in = r->incoming;
  memset(&r->incoming, 0, sizeof r->incoming);
  struct raft_message message = {.type = RAFT_IO_INSTALL_SNAPSHOT};
  struct raft_install_snapshot *args = &message.install_snapshot;
  *args = (struct raft_install_snapshot){
    .term = in.term, .last_index = in.index, .last_term = in.index_term,
    .conf_index = in.conf_index, .data = {in.data, in.total}};
  raft_configuration_init(&args->conf);
  const uint8_t *own;
  size_t length;
  if (!aloft__raft_unframe(in.data, in.total, &own, &length)
      || aloft__raft_read_members(in.conf.base, in.conf.len, &args->conf) != 0) {
    COUNT(r, messages_refused);
    raft_configuration_close(&args->conf);
    raft_free(in.data);
    raft_free(in.conf.base);
    return;
  }
  raft_free(in.conf.base);
  aloft__raft_deliver(r, in.node, &message);
}

void aloft__raft_transfer_part(aloft__raft *r, uint8_t node, const struct part *part) {
  struct incoming *in = &r->incoming;
  if (part->term < r->term || r->disk_low) { return; }
  bool same = in->node == node && in->term == part->term && in->index == part->index
              && in->total == part->total;
  if (!same) {
    if (part->offset != 0 || !begin(r, node, part)) { return; }
  }
  if (part->offset == in->have) {
    memcpy(in->data + in->have, part->data, part->length);
    in->have += part->length;
  }
  acknowledge(r, node, part, in->have);
  if (in->have == in->total) { install(r); }
}

void aloft__raft_transfer_close(aloft__raft *r) {
  for (unsigned node = 1; node < NODES; node++) {
    end_outgoing(r, (uint8_t)node, RAFT_CANCELED);
  }
  drop_incoming(r);
}
