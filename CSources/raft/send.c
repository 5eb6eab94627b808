// libraft's messages: out to home, and in from it, past the guards.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void aloft__raft_later(
    aloft__raft *r, struct raft_io_send *request, raft_io_send_cb done, int status) {
  if (done == NULL) { return; }
  if (r->sent_count == r->sent_room) {
    r->sent_room = r->sent_room == 0 ? 64 : r->sent_room * 2;
    r->sent = realloc(r->sent, r->sent_room * sizeof *r->sent);
    if (r->sent == NULL) { abort(); }
  }
  r->sent[r->sent_count++] = (struct sent){request, done, status};
}

// Callbacks may lead to further sends.
void aloft__raft_sent(aloft__raft *r) {
  for (size_t i = 0; i < r->sent_count && !r->dead; i++) {
    struct sent sent = r->sent[i];
    sent.done(sent.request, sent.status);
  }
  r->sent_count = 0;
}

static bool send_one(aloft__raft *r, const struct raft_message *message) {
  size_t size = aloft__raft_encoded_size(message);
  uint8_t *room = aloft__raft_send_room(r, (uint8_t)message->server_id, size);
  if (room == NULL) { return false; }
  aloft__raft_encode(room, message);
  return true;
}

// A node that was sent the same and hasn't answered gets the entries again after an election's time
// only: libraft would send all of them with each heartbeat.
static bool may_send_entries(aloft__raft *r, uint8_t node, const struct raft_append_entries *args) {
  struct unanswered *u = &r->unanswered[node];
  uint64_t now = r->disk.time(&r->disk);
  bool same = u->term == args->term && u->previous == args->prev_log_index + 1;
  if (same && now - u->when_ms < r->options.election_ms) { return false; }
  *u = (struct unanswered){args->term, args->prev_log_index + 1, now};
  return true;
}

// Who loses its vote hears of it when that is agreed on. Were it the only one that has the change
// when the leader dies, it would neither stand for election, for it has no vote any more, nor give
// its vote to those who lack an entry that it has.
static unsigned without_change_against(
    const aloft__raft *r, uint8_t node, const struct raft_append_entries *args) {
  uint64_t change = aloft__raft_change_against(r, node);
  if (change == 0 || args->prev_log_index + args->n_entries < change) { return args->n_entries; }
  return args->prev_log_index >= change ? 0 : (unsigned)(change - args->prev_log_index - 1);
}

// libraft sends all that a follower lacks in one message. Here it becomes several, and what is too
// much is left for later: the follower's answer vouches for what it was sent, no further.
static int send_entries(aloft__raft *r, const struct raft_message *message) {
  struct raft_message piece = *message;
  struct raft_append_entries *args = &piece.append_entries;
  const struct raft_entry *entries = args->entries;
  unsigned left = without_change_against(r, (uint8_t)message->server_id, args), at = 0;
  r->commit_told[message->server_id] = args->leader_commit;
  if (left > 0 && !may_send_entries(r, (uint8_t)message->server_id, args)) { left = 0; }
  size_t total = 0;
  do {
    size_t bytes = 0;
    unsigned count = 0;
    while (count < left && (count == 0 || bytes + entries[at + count].buf.len <= MESSAGE_BYTES)) {
      bytes += entries[at + count++].buf.len;
    }
    args->entries = (struct raft_entry *)(uintptr_t)(entries + at);
    args->n_entries = count;
    if (!send_one(r, &piece)) { return RAFT_NOCONNECTION; }
    if (count == 0) { break; }
    args->prev_log_index += count;
    args->prev_log_term = entries[at + count - 1].term;
    at += count;
    left -= count;
    total += bytes;
  } while (left > 0 && total < MESSAGES_BYTES);
  return 0;
}

// A candidate may claim no more than it has on disk.
static void claim_what_is_stored(aloft__raft *r, struct raft_request_vote *vote) {
  if (atomic_load(&r->guards_removed) & ALOFT__RAFT_UNGUARDED_VOTE) { return; }
  if (vote->last_log_index <= r->stored_index) { return; }
  uint64_t term = aloft__raft_term_of(r, r->stored_index);
  if (term == 0 && r->stored_index > 0) { return; }
  vote->last_log_index = r->stored_index;
  vote->last_log_term = term;
}

int aloft__raft_io_send(
    struct raft_io *io, struct raft_io_send *request, const struct raft_message *message,
    raft_io_send_cb done) {
  aloft__raft *r = io->impl;
  int status = 0;
  if (message->server_id == 0 || message->server_id >= NODES) { return RAFT_NOCONNECTION; }
  if (r->dead || r->stopping) {
    aloft__raft_later(r, request, done, RAFT_CANCELED);
    return 0;
  }
  struct raft_message copy = *message;
  switch (message->type) {
  case RAFT_IO_APPEND_ENTRIES: status = send_entries(r, message); break;
  case RAFT_IO_INSTALL_SNAPSHOT:
    return aloft__raft_transfer_start(r, request, message, done);
  case RAFT_IO_APPEND_ENTRIES_RESULT: {
    struct raft_append_entries_result *result = &copy.append_entries_result;
    if (result->rejected == 0 && r->reply_limit != 0
        && result->last_log_index >= r->reply_limit) {
      result->last_log_index = r->reply_limit - 1;
    }
    send_one(r, &copy);
    break;
  }
  case RAFT_IO_REQUEST_VOTE:
    claim_what_is_stored(r, &copy.request_vote);
    send_one(r, &copy);
    break;
  default: send_one(r, &copy); break;
  }
  aloft__raft_later(r, request, done, status);
  return 0;
}

// libraft wants one a node; nobody connects to it.
void aloft__raft_address(char out[4], uint8_t node) {
  out[0] = (char)('0' + node / 100);
  out[1] = (char)('0' + node / 10 % 10);
  out[2] = (char)('0' + node % 10);
  out[3] = 0;
}

// Raft promises one leader a term. Where two say that they lead the same one, a disk has forgotten
// something, and nobody can tell what else: this node stops.
static bool one_leader(aloft__raft *r, uint64_t term, uint8_t node) {
  if (term < r->leader_term) { return true; }
  if (term == r->leader_term && node != r->leader_node) {
    aloft__raft_die(
        r,
        "Nodes %u and %u both say that they lead term %llu: one of them has lost part of its log."
        " Find out which (its disk, its data directory), replace it, then start this node again.",
        r->leader_node, node, (unsigned long long)term);
    return false;
  }
  r->leader_term = term;
  r->leader_node = node;
  return true;
}

void aloft__raft_deliver(aloft__raft *r, uint8_t node, struct raft_message *message) {
  char address[4];
  aloft__raft_address(address, node);
  message->server_id = node;
  message->server_address = address;
  r->receive(&r->io, message);
  r->reply_limit = 0;
}

static void receive_entries(aloft__raft *r, uint8_t node, struct raft_message *message) {
  struct raft_append_entries *args = &message->append_entries;
  if (!one_leader(r, args->term, node)) {
    aloft__raft_drop_entries(args);
    return;
  }
  if (args->n_entries > 0 && r->disk_low) {
    // The leader keeps its office, but this node's log grows no further.
    aloft__raft_drop_entries(args);
    COUNT(r, refused_for_disk);
    if (args->leader_commit > args->prev_log_index) {
      args->leader_commit = args->prev_log_index;
    }
  }
  if (args->term >= r->term && !aloft__raft_roll_back(r, args)) {
    aloft__raft_drop_entries(args);
    return;
  }
  r->reply_limit = args->prev_log_index + args->n_entries + 1;
  aloft__raft_deliver(r, node, message);
}

// Until our term's own entry is on disk, answers of followers are passed over: libraft counts them
// for entries of former terms, which a majority may have and still lose (Ongaro 2014, 3.6.2).
static bool holds_result(aloft__raft *r, const struct raft_append_entries_result *result) {
  if (atomic_load(&r->guards_removed) & ALOFT__RAFT_UNGUARDED_COMMIT) { return false; }
  if (result->term > r->term || raft_state(&r->raft) != RAFT_LEADER) { return false; }
  return r->leading_term != r->term || !r->own_stored;
}

void aloft__raft_receive_now(aloft__raft *r, uint8_t node, const uint8_t *bytes, size_t length) {
  struct decoded d;
  int status = aloft__raft_decode(&d, bytes, length);
  if (status != 0 || node == r->options.node) {
    COUNT(r, messages_refused);
    if (status == 0 && d.type == RAFT_IO_APPEND_ENTRIES) {
      aloft__raft_drop_entries(&d.message.append_entries);
    }
    return;
  }
  switch (d.type) {
  case RAFT_IO_APPEND_ENTRIES: receive_entries(r, node, &d.message); break;
  case MESSAGE_PART:
    if (one_leader(r, d.part.term, node)) { aloft__raft_transfer_part(r, node, &d.part); }
    break;
  case MESSAGE_PART_ACK: aloft__raft_transfer_ack(r, node, &d.ack); break;
  case RAFT_IO_APPEND_ENTRIES_RESULT:
    if (holds_result(r, &d.message.append_entries_result)) {
      COUNT(r, results_held);
      break;
    }
    r->unanswered[node].term = 0;
    aloft__raft_deliver_result(r, node, &d.message);
    break;
  case RAFT_IO_REQUEST_VOTE:
    // The sender is the candidate.
    if (d.message.request_vote.candidate_id == node) { aloft__raft_deliver(r, node, &d.message); }
    break;
  default: aloft__raft_deliver(r, node, &d.message); break;
  }
  if (!r->dead) { aloft__raft_after(r); }
}
