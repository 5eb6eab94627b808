// Changes of members: one at a time, and tried again where libraft says no for a while. An addition
// takes two steps, for libraft adds spares only.
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static int raft_role(uint8_t role) {
  switch (role) {
  case ALOFT__RAFT_VOTER: return RAFT_VOTER;
  case ALOFT__RAFT_STANDBY: return RAFT_STANDBY;
  default: return RAFT_SPARE;
  }
}

// The node's role in a configuration, or -1.
static int role_in(const struct change_entry *change, uint8_t node) {
  struct raft_configuration c;
  raft_configuration_init(&c);
  int role = -1;
  if (change->data.base != NULL
      && aloft__raft_read_members(change->data.base, change->data.len, &c) == 0) {
    for (unsigned i = 0; i < c.n; i++) {
      if (c.servers[i].id == node) { role = c.servers[i].role; }
    }
  }
  raft_configuration_close(&c);
  return role;
}

// The node's role in the newest configuration, or -1.
static int role_of(const aloft__raft *r, uint8_t node) {
  return role_in(r->changes_count > 0 ? &r->changes[r->changes_count - 1] : &r->members, node);
}

// The change that takes this node's vote and isn't agreed on yet; 0 if there is none.
uint64_t aloft__raft_change_against(const aloft__raft *r, uint8_t node) {
  if (atomic_load(&r->guards_removed) & ALOFT__RAFT_UNGUARDED_DEMOTION) { return 0; }
  const struct change_entry *before = &r->members;
  for (size_t i = 0; i < r->changes_count; i++) {
    const struct change_entry *change = &r->changes[i];
    bool takes = role_in(before, node) == RAFT_VOTER && role_in(change, node) != RAFT_VOTER;
    if (takes && change->index > r->raft.commit_index) { return change->index; }
    before = change;
  }
  return 0;
}

static void end_change(aloft__raft *r, uint8_t outcome) {
  r->changing = r->change_waits = false;
  aloft__raft_outcome(r, r->change_token, outcome, raft_last_applied(&r->raft));
}

// Within libraft's call: the next step waits until that has returned.
static void on_changed(struct raft_change *change, int status) {
  aloft__raft *r = change->data;
  if (r->dead || !r->changing) { return; }
  if (status == RAFT_LEADERSHIPLOST || status == RAFT_NOTLEADER) {
    end_change(r, ALOFT__RAFT_UNKNOWN);
    return;
  }
  // Who was to vote hasn't caught up in time, or is gone. Who asks is told, for there may be
  // something better to do than to wait for it: nobody can be added meanwhile.
  if (status == RAFT_NOCONNECTION && r->change_kind == ALOFT__RAFT_ASSIGN) {
    end_change(r, ALOFT__RAFT_BUSY);
    return;
  }
  uint64_t now = r->disk.time(&r->disk);
  r->change_waits = true;
  r->change_next_ms = status == 0 ? now : now + r->options.election_ms;
}

static int take_step(aloft__raft *r, int role) {
  char address[4];
  aloft__raft_address(address, r->change_node);
  r->change.data = r;
  if (r->change_kind == ALOFT__RAFT_REMOVE) {
    return raft_remove(&r->raft, &r->change, r->change_node, on_changed);
  }
  if (role < 0) {
    return raft_add(&r->raft, &r->change, r->change_node, address, on_changed);
  }
  return raft_assign(
      &r->raft, &r->change, r->change_node, raft_role(r->change_role), on_changed);
}

void aloft__raft_change_go_on(aloft__raft *r) {
  uint64_t now = r->disk.time(&r->disk);
  if (!r->change_waits || now < r->change_next_ms || r->dead) { return; }
  // The newest configuration is of no use while it may still be taken back.
  bool settled = r->changes_count == 0;
  int role = role_of(r, r->change_node);
  bool done = r->change_kind == ALOFT__RAFT_REMOVE ? role < 0 : role == raft_role(r->change_role);
  if (settled && done) {
    end_change(r, ALOFT__RAFT_COMMITTED);
    return;
  }
  if (settled && role < 0 && r->change_kind == ALOFT__RAFT_ASSIGN) {
    r->changing = r->change_waits = false;
    aloft__raft_failed(r, r->change_token, "There is no such member to give a role to: add it.");
    return;
  }
  if (now - r->change_ms > CHANGE_RETRY_MS) {
    end_change(r, ALOFT__RAFT_BUSY);
    return;
  }
  r->change_waits = false;
  int status = settled ? take_step(r, role) : RAFT_CANTCHANGE;
  if (status != 0 && r->changing) {
    r->change_waits = true;
    r->change_next_ms = now + r->options.heartbeat_ms;
  }
}

void aloft__raft_change_begin(aloft__raft *r, const struct request *request) {
  if (r->changing) {
    aloft__raft_outcome(r, request->token, ALOFT__RAFT_BUSY, 0);
    return;
  }
  if (!r->told_self || r->leading_term == 0) {
    aloft__raft_outcome(r, request->token, ALOFT__RAFT_NOT_LEADER, 0);
    return;
  }
  r->changing = r->change_waits = true;
  r->change_kind = request->change;
  r->change_node = request->node;
  r->change_role = request->role;
  r->change_token = request->token;
  r->change_ms = r->change_next_ms = r->disk.time(&r->disk);
  aloft__raft_change_go_on(r);
}

// Leadership is lost, or the log ends.
void aloft__raft_change_lost(aloft__raft *r) {
  if (r->changing) { end_change(r, ALOFT__RAFT_UNKNOWN); }
}
