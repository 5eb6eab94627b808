// What home is told: records gathered in blocks on the raft thread, handed over before it sleeps.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { BLOCK_BYTES = 64 << 10 };

// Out of memory, nothing that was promised can be kept.
static void *allocate(size_t size) {
  void *memory = malloc(size);
  if (memory == NULL) { abort(); }
  return memory;
}

static aloft__raft_block *block_with_room(aloft__raft *r, size_t size) {
  if (r->block != NULL && r->block->size - r->block->used >= size) { return r->block; }
  aloft__raft_block *block = NULL;
  if (size <= BLOCK_BYTES - sizeof *block) {
    pthread_mutex_lock(&r->outbox_lock);
    block = r->spare;
    if (block != NULL) { r->spare = block->next; }
    pthread_mutex_unlock(&r->outbox_lock);
  }
  if (block == NULL) {
    size_t whole = size + sizeof *block > BLOCK_BYTES ? size + sizeof *block : BLOCK_BYTES;
    block = allocate(whole);
    block->size = (uint32_t)(whole - sizeof *block);
  }
  block->used = 0;
  block->next = NULL;
  *r->blocks_last = block;
  r->blocks_last = &block->next;
  r->block = block;
  return block;
}

// Adds a record and room for `length` bytes behind it, copied from `data` unless that is null.
// `length` is below 4 GiB, or the bytes are elsewhere: a snapshot's, which are the record's own.
uint8_t *aloft__raft_emit(
    aloft__raft *r, const aloft__raft_event *event, const void *data, size_t length) {
  size_t size = (sizeof *event + length + 7) & ~(size_t)7;
  aloft__raft_block *block = block_with_room(r, size);
  aloft__raft_event *record = (aloft__raft_event *)(void *)(block->bytes + block->used);
  block->used += (uint32_t)size;
  *record = *event;
  record->size = (uint32_t)size;
  uint8_t *bytes = (uint8_t *)(record + 1);
  if (event->data == NULL) {
    record->data = bytes;
    record->length = length;
  }
  if (data != NULL && length > 0) { memcpy(bytes, data, length); }
  return bytes;
}

static void tell(
    aloft__raft *r, uint64_t token, uint8_t outcome, uint64_t index, const char *text) {
  aloft__raft_event event = {.kind = ALOFT__RAFT_OUTCOME, .outcome = outcome, .index = index};
  event.token = token;
  event.node = r->told_leader;
  atomic_fetch_sub_explicit(&r->inflight, 1, memory_order_relaxed);
  aloft__raft_emit(r, &event, text, text != NULL ? strlen(text) : 0);
}

void aloft__raft_outcome(aloft__raft *r, uint64_t token, uint8_t outcome, uint64_t index) {
  tell(r, token, outcome, index, NULL);
}

void aloft__raft_failed(aloft__raft *r, uint64_t token, const char *text) {
  tell(r, token, ALOFT__RAFT_FAILED, 0, text);
}

uint8_t *aloft__raft_send_room(aloft__raft *r, uint8_t node, size_t length) {
  uint64_t waiting = atomic_load_explicit(&r->outgoing_bytes, memory_order_relaxed);
  if (waiting + length > r->options.outgoing_bytes_max) {
    COUNT(r, messages_dropped);
    return NULL;
  }
  atomic_fetch_add_explicit(&r->outgoing_bytes, length, memory_order_relaxed);
  COUNT(r, messages_sent);
  aloft__raft_event event = {.kind = ALOFT__RAFT_SEND, .node = node};
  return aloft__raft_emit(r, &event, NULL, length);
}

void aloft__raft_flush(aloft__raft *r) {
  if (r->blocks == NULL) { return; }
  pthread_mutex_lock(&r->outbox_lock);
  bool first = r->outbox == NULL;
  *r->outbox_last = r->blocks;
  r->outbox_last = r->blocks_last;
  pthread_mutex_unlock(&r->outbox_lock);
  r->blocks = r->block = NULL;
  r->blocks_last = &r->blocks;
  if (first) {
    COUNT(r, deliveries);
    r->wake(r->context);
  }
}

aloft__raft_block *aloft__raft_take(aloft__raft *r) {
  pthread_mutex_lock(&r->outbox_lock);
  aloft__raft_block *blocks = r->outbox;
  r->outbox = NULL;
  r->outbox_last = &r->outbox;
  pthread_mutex_unlock(&r->outbox_lock);
  return blocks;
}

// Messages have left; a snapshot's bytes are freed. One block of the usual size is kept.
void aloft__raft_give_back(aloft__raft *r, aloft__raft_block *blocks) {
  uint64_t sent = 0;
  while (blocks != NULL) {
    aloft__raft_block *block = blocks;
    blocks = block->next;
    for (uint32_t at = 0; at < block->used;) {
      aloft__raft_event *event = (aloft__raft_event *)(void *)(block->bytes + at);
      if (event->kind == ALOFT__RAFT_SEND) { sent += event->length; }
      if (event->kind == ALOFT__RAFT_RESTORE) { raft_free((void *)(uintptr_t)event->token); }
      at += event->size;
    }
    bool keeps = block->size + sizeof *block == BLOCK_BYTES;
    if (keeps) {
      pthread_mutex_lock(&r->outbox_lock);
      keeps = r->spare == NULL;
      if (keeps) {
        block->next = NULL;
        r->spare = block;
      }
      pthread_mutex_unlock(&r->outbox_lock);
    }
    if (!keeps) { free(block); }
  }
  atomic_fetch_sub_explicit(&r->outgoing_bytes, sent, memory_order_relaxed);
}

// The end: from here on libraft is not called, what it calls does nothing, and home hears why.
void aloft__raft_die(aloft__raft *r, const char *format, ...) {
  if (r->dead) { return; }
  r->dead = true;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(r->ended, sizeof r->ended, format, arguments);
  va_end(arguments);
  uv_stop(&r->loop);
}

void aloft__raft_read_statistics(const aloft__raft *r, aloft__raft_statistics *out) {
  uint64_t values[sizeof *out / sizeof(uint64_t)];
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    values[i] = atomic_load_explicit(&r->counts[i], memory_order_relaxed);
  }
  memcpy(out, values, sizeof *out);
}
