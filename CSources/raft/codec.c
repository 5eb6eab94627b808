// Messages between libraft's members, as bytes: fixed fields of 64 bits, least byte first.
//
// What arrives is held against its own length before memory is taken for it, and against all that
// libraft takes for granted, for libraft as Debian builds it checks nothing.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
  VERSION = 1,
  HEAD_BYTES = 8,       // version, type, six zeros
  ENTRY_HEAD_BYTES = 16 // term, length and type
};
static const uint64_t INDEX_MAX = (uint64_t)1 << 62;

// Writing; the caller has made room.
static uint8_t *put(uint8_t *at, uint64_t value) {
  value = htole64(value);
  memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

static uint8_t *put_head(uint8_t *at, uint8_t type) {
  memset(at, 0, HEAD_BYTES);
  at[0] = VERSION;
  at[1] = type;
  return at + HEAD_BYTES;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t length) {
  if (length > 0) { memcpy(at, bytes, length); }
  return at + length;
}

// Reading, with an end in sight.
struct cursor {
  const uint8_t *at, *end;
  bool bad;
};

static uint64_t get(struct cursor *c) {
  uint64_t value = 0;
  if (c->bad || (size_t)(c->end - c->at) < sizeof value) {
    c->bad = true;
    return 0;
  }
  memcpy(&value, c->at, sizeof value);
  c->at += sizeof value;
  return le64toh(value);
}

static const uint8_t *get_bytes(struct cursor *c, uint64_t length) {
  if (c->bad || (uint64_t)(c->end - c->at) < length) {
    c->bad = true;
    return NULL;
  }
  const uint8_t *bytes = c->at;
  c->at += length;
  return bytes;
}

uint8_t *aloft__raft_frame(const uint8_t *bytes, size_t length, size_t *size) {
  uint8_t *framed = raft_malloc(FRAME_BYTES + length + 8);
  if (framed == NULL) { return NULL; }
  put_bytes(framed + FRAME_BYTES, bytes, length);
  *size = aloft__raft_frame_around(framed, length);
  return framed;
}

size_t aloft__raft_frame_around(uint8_t *framed, size_t length) {
  size_t padded = (length + 7) & ~(size_t)7;
  put(framed, length);
  memset(framed + FRAME_BYTES + length, 0, padded - length);
  return FRAME_BYTES + padded;
}

bool aloft__raft_unframe(const uint8_t *bytes, size_t size, const uint8_t **out, size_t *length) {
  struct cursor c = {bytes, bytes + size, false};
  uint64_t stated = get(&c);
  if (c.bad || stated > size - FRAME_BYTES) { return false; }
  if (((stated + 7) & ~(uint64_t)7) != size - FRAME_BYTES) { return false; }
  *out = c.at;
  *length = stated;
  return true;
}

// libraft's own form on disk: version, count, then number, address and role of each.
int aloft__raft_read_members(
    const uint8_t *bytes, size_t length, struct raft_configuration *out) {
  struct cursor c = {bytes, bytes + length, false};
  const uint8_t *version = get_bytes(&c, 1);
  uint64_t count = get(&c);
  if (c.bad || *version != 1 || count == 0 || count >= NODES) { return -EBADMSG; }
  bool seen[NODES] = {false};
  for (uint64_t i = 0; i < count; i++) {
    uint64_t node = get(&c);
    if (c.bad || node == 0 || node >= NODES || seen[node]) { return -EBADMSG; }
    seen[node] = true;
    const uint8_t *end = memchr(c.at, 0, (size_t)(c.end - c.at));
    if (end == NULL || end == c.at) { return -EBADMSG; }
    const char *address = (const char *)c.at;
    c.at = end + 1;
    const uint8_t *role = get_bytes(&c, 1);
    if (c.bad || *role > RAFT_SPARE) { return -EBADMSG; }
    if (out != NULL && raft_configuration_add(out, node, address, *role) != 0) {
      return -EBADMSG;
    }
  }
  return 0;
}

size_t aloft__raft_encoded_size(const struct raft_message *message) {
  if (message->type == RAFT_IO_REQUEST_VOTE) { return HEAD_BYTES + 6 * 8; }
  if (message->type != RAFT_IO_APPEND_ENTRIES) { return HEAD_BYTES + 3 * 8; }
  const struct raft_append_entries *args = &message->append_entries;
  size_t size = HEAD_BYTES + 5 * 8;
  for (unsigned i = 0; i < args->n_entries; i++) {
    size += ENTRY_HEAD_BYTES + args->entries[i].buf.len;
  }
  return size;
}

static uint8_t *put_entries(uint8_t *at, const struct raft_append_entries *args) {
  at = put(at, args->term);
  at = put(at, args->prev_log_index);
  at = put(at, args->prev_log_term);
  at = put(at, args->leader_commit);
  at = put(at, args->n_entries);
  for (unsigned i = 0; i < args->n_entries; i++) {
    const struct raft_entry *entry = &args->entries[i];
    at = put(at, entry->term);
    at = put(at, (uint64_t)entry->buf.len | (uint64_t)entry->type << 32);
  }
  for (unsigned i = 0; i < args->n_entries; i++) {
    at = put_bytes(at, args->entries[i].buf.base, args->entries[i].buf.len);
  }
  return at;
}

size_t aloft__raft_encode(uint8_t *out, const struct raft_message *message) {
  uint8_t *at = put_head(out, (uint8_t)message->type);
  switch (message->type) {
  case RAFT_IO_APPEND_ENTRIES: at = put_entries(at, &message->append_entries); break;
  case RAFT_IO_APPEND_ENTRIES_RESULT:
    at = put(at, message->append_entries_result.term);
    at = put(at, message->append_entries_result.rejected);
    at = put(at, message->append_entries_result.last_log_index);
    break;
  case RAFT_IO_REQUEST_VOTE:
    at = put(at, message->request_vote.term);
    at = put(at, message->request_vote.candidate_id);
    at = put(at, message->request_vote.last_log_index);
    at = put(at, message->request_vote.last_log_term);
    at = put(at, message->request_vote.disrupt_leader);
    at = put(at, message->request_vote.pre_vote);
    break;
  case RAFT_IO_REQUEST_VOTE_RESULT:
    at = put(at, message->request_vote_result.term);
    at = put(at, message->request_vote_result.vote_granted);
    at = put(at, (uint64_t)message->request_vote_result.pre_vote);
    break;
  case RAFT_IO_TIMEOUT_NOW:
    at = put(at, message->timeout_now.term);
    at = put(at, message->timeout_now.last_log_index);
    at = put(at, message->timeout_now.last_log_term);
    break;
  default: return 0;
  }
  return (size_t)(at - out);
}

size_t aloft__raft_part_size(const struct part *part) {
  return HEAD_BYTES + 8 * 8 + part->conf_length + part->length;
}

size_t aloft__raft_encode_part(uint8_t *out, const struct part *part) {
  uint8_t *at = put_head(out, MESSAGE_PART);
  at = put(at, part->term);
  at = put(at, part->index);
  at = put(at, part->index_term);
  at = put(at, part->conf_index);
  at = put(at, part->total);
  at = put(at, part->offset);
  at = put(at, part->conf_length);
  at = put(at, part->length);
  at = put_bytes(at, part->conf, part->conf_length);
  at = put_bytes(at, part->data, part->length);
  return (size_t)(at - out);
}

size_t aloft__raft_encode_part_ack(uint8_t *out, const struct part_ack *ack) {
  uint8_t *at = put_head(out, MESSAGE_PART_ACK);
  at = put(at, ack->term);
  at = put(at, ack->index);
  at = put(at, ack->have);
  return (size_t)(at - out);
}

void aloft__raft_drop_entries(struct raft_append_entries *args) {
  if (args->n_entries > 0) { raft_free(args->entries[0].batch); }
  raft_free(args->entries);
  args->entries = NULL;
  args->n_entries = 0;
}

// An entry that libraft and the state machine can do with.
static bool entry_fits(uint64_t type, const uint8_t *bytes, size_t length) {
  const uint8_t *own;
  size_t own_length;
  if (length == 0 || length % 8 != 0) { return false; }
  switch (type) {
  case RAFT_COMMAND: return aloft__raft_unframe(bytes, length, &own, &own_length);
  case RAFT_BARRIER: return length == 8;
  case RAFT_CHANGE: return aloft__raft_read_members(bytes, length, NULL) == 0;
  default: return false;
  }
}

// Walks the heads of entries; their bytes follow all heads. Returns the sum of lengths, or
// UINT64_MAX.
static uint64_t check_entries(
    const struct raft_append_entries *args, struct cursor heads, uint64_t count) {
  struct cursor data = heads;
  get_bytes(&data, count * ENTRY_HEAD_BYTES);
  uint64_t total = 0, previous = args->prev_log_term;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t term = get(&heads), shape = get(&heads);
    const uint8_t *bytes = get_bytes(&data, shape & UINT32_MAX);
    if (data.bad || !entry_fits(shape >> 32, bytes, shape & UINT32_MAX)) { return UINT64_MAX; }
    if (term < previous || term == 0 || term > args->term) { return UINT64_MAX; }
    previous = term;
    total += shape & UINT32_MAX;
  }
  return data.at == data.end ? total : UINT64_MAX;
}

static int get_entries(struct cursor *c, struct raft_append_entries *args) {
  args->term = get(c);
  args->prev_log_index = get(c);
  args->prev_log_term = get(c);
  args->leader_commit = get(c);
  uint64_t count = get(c);
  args->entries = NULL;
  args->n_entries = 0;
  if (c->bad || args->prev_log_index > INDEX_MAX || args->prev_log_term > args->term) {
    return -EBADMSG;
  }
  if ((args->prev_log_index == 0) != (args->prev_log_term == 0)) { return -EBADMSG; }
  if (count > (uint64_t)(c->end - c->at) / ENTRY_HEAD_BYTES) { return -EBADMSG; }
  uint64_t total = check_entries(args, *c, count);
  if (total == UINT64_MAX) { return -EBADMSG; }
  // Raft's rule, which libraft leaves out: beyond its last entry a message vouches for nothing.
  if (args->leader_commit > args->prev_log_index + count) {
    args->leader_commit = args->prev_log_index + count;
  }
  if (count == 0) { return 0; }
  args->entries = raft_malloc(count * sizeof *args->entries);
  uint8_t *batch = raft_malloc(total);
  if (args->entries == NULL || batch == NULL) {
    raft_free(args->entries);
    raft_free(batch);
    args->entries = NULL;
    return -ENOMEM;
  }
  args->n_entries = (unsigned)count;
  memcpy(batch, c->at + count * ENTRY_HEAD_BYTES, total);
  uint8_t *at = batch;
  for (unsigned i = 0; i < count; i++) {
    struct raft_entry *entry = &args->entries[i];
    entry->term = get(c);
    uint64_t shape = get(c);
    entry->type = (unsigned short)(shape >> 32);
    entry->buf.base = at;
    entry->buf.len = shape & UINT32_MAX;
    entry->batch = batch;
    at += entry->buf.len;
  }
  c->at = c->end;
  return 0;
}

static int get_part(struct cursor *c, struct part *part) {
  part->term = get(c);
  part->index = get(c);
  part->index_term = get(c);
  part->conf_index = get(c);
  part->total = get(c);
  part->offset = get(c);
  part->conf_length = get(c);
  part->length = get(c);
  part->conf = get_bytes(c, part->conf_length);
  part->data = get_bytes(c, part->length);
  if (c->bad || part->index == 0 || part->index > INDEX_MAX) { return -EBADMSG; }
  if (part->index_term == 0 || part->index_term > part->term) { return -EBADMSG; }
  if (part->conf_index == 0 || part->conf_index > part->index) { return -EBADMSG; }
  if (part->length == 0 || part->offset > part->total) { return -EBADMSG; }
  if (part->length > part->total - part->offset) { return -EBADMSG; }
  if ((part->offset == 0) != (part->conf_length > 0)) { return -EBADMSG; }
  if (part->offset > 0) { return 0; }
  return aloft__raft_read_members(part->conf, part->conf_length, NULL);
}

static void get_vote(struct cursor *c, struct raft_request_vote *vote) {
  vote->term = get(c);
  vote->candidate_id = get(c);
  vote->last_log_index = get(c);
  vote->last_log_term = get(c);
  vote->disrupt_leader = get(c) != 0;
  vote->pre_vote = get(c) != 0;
  if (vote->candidate_id == 0 || vote->candidate_id >= NODES) { c->bad = true; }
}

static int get_message(struct cursor *c, struct decoded *out) {
  struct raft_message *m = &out->message;
  uint64_t pre_vote;
  switch (out->type) {
  case RAFT_IO_APPEND_ENTRIES: return get_entries(c, &m->append_entries);
  case MESSAGE_PART: return get_part(c, &out->part);
  case RAFT_IO_APPEND_ENTRIES_RESULT:
    m->append_entries_result.term = get(c);
    m->append_entries_result.rejected = get(c);
    m->append_entries_result.last_log_index = get(c);
    break;
  case RAFT_IO_REQUEST_VOTE: get_vote(c, &m->request_vote); break;
  case RAFT_IO_REQUEST_VOTE_RESULT:
    m->request_vote_result.term = get(c);
    m->request_vote_result.vote_granted = get(c) != 0;
    pre_vote = get(c);
    if (pre_vote > raft_tribool_false) { c->bad = true; }
    m->request_vote_result.pre_vote = (raft_tribool)pre_vote;
    break;
  case RAFT_IO_TIMEOUT_NOW:
    m->timeout_now.term = get(c);
    m->timeout_now.last_log_index = get(c);
    m->timeout_now.last_log_term = get(c);
    break;
  case MESSAGE_PART_ACK:
    out->ack.term = get(c);
    out->ack.index = get(c);
    out->ack.have = get(c);
    break;
  default: return -EBADMSG;
  }
  return 0;
}

int aloft__raft_decode(struct decoded *out, const uint8_t *bytes, size_t length) {
  struct cursor c = {bytes, bytes + length, false};
  const uint8_t *head = get_bytes(&c, HEAD_BYTES);
  memset(out, 0, sizeof *out);
  if (head == NULL || head[0] != VERSION) { return -EBADMSG; }
  for (int i = 2; i < HEAD_BYTES; i++) {
    if (head[i] != 0) { return -EBADMSG; }
  }
  out->type = head[1];
  out->message.type = head[1];
  int status = get_message(&c, out);
  if (status != 0) { return status; }
  // A number of a term that nobody can reach would end every election for good.
  uint64_t term = out->type == RAFT_IO_APPEND_ENTRIES ? out->message.append_entries.term
                  : out->type == MESSAGE_PART         ? out->part.term
                                                      : 1;
  if (out->type != RAFT_IO_APPEND_ENTRIES && out->type != MESSAGE_PART && !c.bad) {
    struct cursor first = {bytes + HEAD_BYTES, bytes + length, false};
    term = get(&first);
  }
  if (!c.bad && c.at == c.end && term > 0 && term <= INDEX_MAX) { return 0; }
  if (out->type == RAFT_IO_APPEND_ENTRIES) {
    aloft__raft_drop_entries(&out->message.append_entries);
  }
  return -EBADMSG;
}

int aloft__raft_check_message(const uint8_t *bytes, size_t length) {
  struct decoded decoded;
  int status = aloft__raft_decode(&decoded, bytes, length);
  if (status == 0 && decoded.type == RAFT_IO_APPEND_ENTRIES) {
    aloft__raft_drop_entries(&decoded.message.append_entries);
  }
  return status;
}
