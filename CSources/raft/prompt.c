// Sends at once what libraft would send with its next heartbeat only: the log to a member that has
// just come, further back to one that lacks more, and to all that an entry is committed.
//
// libraft asks its heartbeat's interval whether one is due; while that is 0 all are.
#include "internal.h"

static void hurry(aloft__raft *r, bool hurries) {
  raft_set_heartbeat_timeout(&r->raft, hurries ? 0 : r->options.heartbeat_ms);
}

static void beat(aloft__raft *r) {
  if (r->dead || r->stopping || !r->started || raft_state(&r->raft) != RAFT_LEADER) { return; }
  hurry(r, true);
  r->tick(&r->io);
  hurry(r, false);
}

// There is a way to a node, or one again: what was sent before is lost.
void aloft__raft_met(aloft__raft *r, uint8_t node) {
  r->unanswered[node].term = 0;
  beat(r);
}

// A leader's process is dead. libraft votes for nobody as long as it knows of a leader, and stands
// itself after once to twice an election's time: so a new one would be there when the last of a
// majority has waited for that. Voters stand by number, one after the other, lest they take each
// other's votes; who can't win, for others have more, is followed by the next.
void aloft__raft_gone(aloft__raft *r, uint8_t node) {
  if (r->dead || r->stopping || !r->started || raft_state(&r->raft) != RAFT_FOLLOWER) { return; }
  if (r->raft.follower_state.current_leader.id != node) { return; }
  r->raft.follower_state.current_leader.id = 0;
  unsigned before = 0;
  const struct raft_configuration *c = &r->raft.configuration;
  for (unsigned i = 0; i < c->n; i++) {
    const struct raft_server *server = &c->servers[i];
    bool votes = server->role == RAFT_VOTER && server->id != node;
    if (votes && server->id < r->options.node) { before++; }
  }
  uint64_t waited = r->disk.time(&r->disk) - r->raft.election_timer_start;
  uint64_t wanted = waited + STAND_FIRST_MS + (uint64_t)before * STAND_APART_MS;
  if (wanted < r->raft.follower_state.randomized_election_timeout) {
    r->raft.follower_state.randomized_election_timeout = (unsigned)wanted;
  }
}

// A follower's word that it lacks what was sent to it builds upon: libraft goes back, but would
// wait before it sends that. Each such word takes it further back, so there is an end to them.
void aloft__raft_deliver_result(aloft__raft *r, uint8_t node, struct raft_message *message) {
  bool hurries = message->append_entries_result.rejected != 0;
  if (hurries) { hurry(r, true); }
  aloft__raft_deliver(r, node, message);
  if (hurries) { hurry(r, false); }
}

static bool some_lack_news(const aloft__raft *r) {
  const struct raft_configuration *c = &r->raft.configuration;
  for (unsigned i = 0; i < c->n; i++) {
    const struct raft_server *server = &c->servers[i];
    if (server->id == r->options.node || server->id >= NODES || server->role == RAFT_SPARE) {
      continue;
    }
    if (r->commit_told[server->id] < r->raft.commit_index) { return true; }
  }
  return false;
}

static void on_news(uv_timer_t *timer) {
  aloft__raft *r = timer->data;
  if (r->dead || r->leading_term == 0 || !some_lack_news(r)) { return; }
  beat(r);
  aloft__raft_after(r);
}

// Followers learn what is committed by the next message. When entries follow each other that is the
// next one; if none comes within a millisecond, it is one without.
void aloft__raft_tell_commit(aloft__raft *r) {
  if (r->leading_term == 0 || r->raft.commit_index == r->commit_seen) { return; }
  r->commit_seen = r->raft.commit_index;
  if (!uv_is_active((uv_handle_t *)&r->news)) { uv_timer_start(&r->news, on_news, 1, 0); }
}
