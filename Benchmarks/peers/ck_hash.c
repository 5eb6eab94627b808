// Concurrency Kit's hash table: any number of readers without a lock, and one writer at a time,
// which a spin lock lets in here. Tables and names that went are kept, so nothing is spent on their
// reclamation.
#include <ck_ht.h>
#include <ck_spinlock.h>

#include "peer.h"

typedef struct peer_map {
  ck_ht_t table;
  ck_spinlock_fas_t writer __attribute__((aligned(128)));
  peer_name *names, *names_end;  // the table keeps pointers to names
} peer_map;

static void *table_malloc(size_t bytes) { return malloc(bytes); }

static void table_free(void *memory, size_t bytes, bool readers) {
  (void)bytes;
  if (!readers) free(memory);
}

static struct ck_malloc allocator = {.malloc = table_malloc, .free = table_free};

static void hash_id(ck_ht_hash_t *hash, const void *key, size_t length, uint64_t seed) {
  (void)length, (void)seed;
  hash->value = peer_hash_id(*(const uintptr_t *)key);
}

static void hash_name(ck_ht_hash_t *hash, const void *key, size_t length, uint64_t seed) {
  (void)seed;
  hash->value = peer_hash_name(key, length);
}

static peer_map *peer_map_new(bool names) {
  peer_map *map = aligned_alloc(128, (sizeof *map + 127) / 128 * 128);
  if (!map) peer_fail("no memory");
  memset(map, 0, sizeof *map);
  ck_spinlock_fas_init(&map->writer);
  unsigned mode = names ? CK_HT_MODE_BYTESTRING : CK_HT_MODE_DIRECT;
  if (!ck_ht_init(&map->table, mode | CK_HT_WORKLOAD_DELETE, names ? hash_name : hash_id,
                  &allocator, 1024, 0))
    peer_fail("no table");
  return map;
}

static void peer_map_settle(peer_map *map, uint64_t count) { (void)map, (void)count; }
static void peer_thread_begin(peer_map *map) { (void)map; }
static void peer_thread_end(peer_map *map) { (void)map; }
static void peer_thread_pause(peer_map *map) { (void)map; }

PEER_INLINE uint64_t peer_id_find(peer_map *map, uint64_t key) {
  ck_ht_hash_t hash = {peer_hash_id(key)};
  ck_ht_entry_t entry;
  ck_ht_entry_key_set_direct(&entry, key);
  if (!ck_ht_get_spmc(&map->table, hash, &entry)) return 0;
  return ck_ht_entry_value_direct(&entry);
}

PEER_INLINE uint64_t peer_name_find(peer_map *map, const peer_name *name) {
  ck_ht_hash_t hash = {peer_hash_name(name->bytes, name->length)};
  ck_ht_entry_t entry;
  ck_ht_entry_key_set(&entry, name->bytes, name->length);
  if (!ck_ht_get_spmc(&map->table, hash, &entry)) return 0;
  return (uintptr_t)ck_ht_entry_value(&entry);
}

static bool peer_id_insert(peer_map *map, uint64_t key, uint64_t value) {
  ck_ht_hash_t hash = {peer_hash_id(key)};
  ck_ht_entry_t entry;
  ck_ht_entry_set_direct(&entry, hash, key, value);
  ck_spinlock_fas_lock(&map->writer);
  bool done = ck_ht_put_spmc(&map->table, hash, &entry);
  ck_spinlock_fas_unlock(&map->writer);
  return done;
}

static bool peer_name_insert(peer_map *map, const peer_name *name, uint64_t value) {
  enum { BLOCK = 4096 };
  ck_ht_hash_t hash = {peer_hash_name(name->bytes, name->length)};
  ck_ht_entry_t entry;
  ck_spinlock_fas_lock(&map->writer);
  if (map->names == map->names_end) {
    map->names = malloc(BLOCK * sizeof *map->names);
    if (!map->names) peer_fail("no memory");
    map->names_end = map->names + BLOCK;
  }
  peer_name *kept = map->names++;
  *kept = *name;
  ck_ht_entry_set(&entry, hash, kept->bytes, kept->length, (void *)(uintptr_t)value);
  bool done = ck_ht_put_spmc(&map->table, hash, &entry);
  ck_spinlock_fas_unlock(&map->writer);
  return done;
}

static bool peer_id_remove(peer_map *map, uint64_t key) {
  ck_ht_hash_t hash = {peer_hash_id(key)};
  ck_ht_entry_t entry;
  ck_ht_entry_key_set_direct(&entry, key);
  ck_spinlock_fas_lock(&map->writer);
  bool done = ck_ht_remove_spmc(&map->table, hash, &entry);
  ck_spinlock_fas_unlock(&map->writer);
  return done;
}

static bool peer_name_remove(peer_map *map, const peer_name *name) {
  ck_ht_hash_t hash = {peer_hash_name(name->bytes, name->length)};
  ck_ht_entry_t entry;
  ck_ht_entry_key_set(&entry, name->bytes, name->length);
  ck_spinlock_fas_lock(&map->writer);
  bool done = ck_ht_remove_spmc(&map->table, hash, &entry);
  ck_spinlock_fas_unlock(&map->writer);
  return done;
}

#include "peer_map.h"
