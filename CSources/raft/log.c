// What the log holds, learnt from what passes on its way to the disk: the term of each entry as
// runs of one term, and the configurations.
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static void *grown(void *memory, size_t *room, size_t count, size_t each) {
  if (count < *room) { return memory; }
  *room = *room == 0 ? 8 : *room * 2;
  memory = realloc(memory, *room * each);
  if (memory == NULL) { abort(); }
  return memory;
}

uint64_t aloft__raft_term_of(const aloft__raft *r, uint64_t index) {
  if (index >= r->next_index) { return 0; }
  for (size_t i = r->runs_count; i > 0; i--) {
    if (r->runs[i - 1].first <= index) { return r->runs[i - 1].term; }
  }
  return 0;
}

static void note_run(aloft__raft *r, uint64_t first, uint64_t term) {
  if (r->runs_count > 0 && r->runs[r->runs_count - 1].term == term) { return; }
  r->runs = grown(r->runs, &r->runs_room, r->runs_count, sizeof *r->runs);
  r->runs[r->runs_count++] = (struct run){first, term};
}

static void forget_changes(aloft__raft *r, size_t from) {
  for (size_t i = from; i < r->changes_count; i++) { free(r->changes[i].data.base); }
  if (from < r->changes_count) { r->changes_count = from; }
}

void aloft__raft_log_reset(aloft__raft *r, uint64_t next_index) {
  r->runs_count = 0;
  forget_changes(r, 0);
  r->next_index = next_index;
  r->stored_index = next_index - 1;
}

static struct raft_buffer copied(const struct raft_buffer *data) {
  struct raft_buffer copy = {malloc(data->len), data->len};
  if (copy.base == NULL) { abort(); }
  memcpy(copy.base, data->base, data->len);
  return copy;
}

void aloft__raft_log_append(aloft__raft *r, const struct raft_entry *entry) {
  note_run(r, r->next_index, entry->term);
  if (entry->type == RAFT_CHANGE) {
    r->changes = grown(r->changes, &r->changes_room, r->changes_count, sizeof *r->changes);
    r->changes[r->changes_count++] =
        (struct change_entry){r->next_index, copied(&entry->buf)};
  }
  r->next_index++;
}

void aloft__raft_log_truncate(aloft__raft *r, uint64_t index) {
  while (r->runs_count > 0 && r->runs[r->runs_count - 1].first >= index) { r->runs_count--; }
  size_t kept = r->changes_count;
  while (kept > 0 && r->changes[kept - 1].index >= index) { kept--; }
  forget_changes(r, kept);
  r->next_index = index;
  if (r->stored_index >= index) { r->stored_index = index - 1; }
}

// Runs that end before `index` won't be asked for.
void aloft__raft_log_trim(aloft__raft *r, uint64_t index) {
  size_t gone = 0;
  while (gone + 1 < r->runs_count && r->runs[gone + 1].first <= index) { gone++; }
  if (gone == 0) { return; }
  r->runs_count -= gone;
  memmove(r->runs, r->runs + gone, r->runs_count * sizeof *r->runs);
}

void aloft__raft_members_set(aloft__raft *r, uint64_t index, const struct raft_buffer *data) {
  free(r->members.data.base);
  r->members = (struct change_entry){index, copied(data)};
}

void aloft__raft_tell_members(aloft__raft *r) {
  struct raft_configuration c;
  raft_configuration_init(&c);
  const struct raft_buffer *data = &r->members.data;
  uint8_t pairs[2 * NODES];
  size_t length = 0;
  if (aloft__raft_read_members(data->base, data->len, &c) == 0) {
    for (unsigned i = 0; i < c.n; i++) {
      int role = c.servers[i].role;
      pairs[length++] = (uint8_t)c.servers[i].id;
      pairs[length++] = role == RAFT_VOTER     ? ALOFT__RAFT_VOTER
                        : role == RAFT_STANDBY ? ALOFT__RAFT_STANDBY
                                               : ALOFT__RAFT_SPARE;
    }
  }
  raft_configuration_close(&c);
  aloft__raft_event event = {.kind = ALOFT__RAFT_MEMBERS, .index = r->members.index};
  aloft__raft_emit(r, &event, pairs, length);
}

// Configurations up to `index` are applied: home hears of each.
void aloft__raft_members_applied(aloft__raft *r, uint64_t index) {
  size_t done = 0;
  while (done < r->changes_count && r->changes[done].index <= index) {
    free(r->members.data.base);
    r->members = r->changes[done++];
    aloft__raft_tell_members(r);
  }
  if (done == 0) { return; }
  r->changes_count -= done;
  memmove(r->changes, r->changes + done, r->changes_count * sizeof *r->changes);
}

// The first entry of ours that `args` contradicts; 0 if none.
static uint64_t conflict_of(const aloft__raft *r, const struct raft_append_entries *args) {
  for (unsigned i = 0; i < args->n_entries; i++) {
    uint64_t index = args->prev_log_index + 1 + i;
    uint64_t term = aloft__raft_term_of(r, index);
    if (index >= r->next_index) { return 0; }
    if (term != 0 && term != args->entries[i].term) { return index; }
  }
  return 0;
}

// libraft takes back a configuration by looking for the one before in its log, where a snapshot may
// have removed it, and not at all if the configuration was read from disk. So it is taken back here
// before libraft truncates. False when memory is out.
bool aloft__raft_roll_back(aloft__raft *r, const struct raft_append_entries *args) {
  uint64_t index = conflict_of(r, args);
  if (index == 0 || r->changes_count == 0) { return true; }
  if (r->changes[r->changes_count - 1].index < index) { return true; }
  size_t kept = r->changes_count;
  while (kept > 0 && r->changes[kept - 1].index >= index) { kept--; }
  const struct change_entry *last = kept > 0 ? &r->changes[kept - 1] : &r->members;
  struct raft_configuration c;
  raft_configuration_init(&c);
  if (last->data.base != NULL
      && aloft__raft_read_members(last->data.base, last->data.len, &c) != 0) {
    raft_configuration_close(&c);
    return false;
  }
  raft_configuration_close(&r->raft.configuration);
  r->raft.configuration = c;
  r->raft.configuration_index = r->members.index;
  r->raft.configuration_uncommitted_index = kept > 0 ? last->index : 0;
  COUNT(r, rollbacks);
  return true;
}
