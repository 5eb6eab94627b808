// liburcu's lock-free hash table, with the flavour of RCU whose readers cost least (QSBR).
//
// The table grows by itself while it is filled and is then given a bucket for each key, which is
// its best shape. Removed nodes are left where they are, so nothing is spent on grace periods.
#include <urcu/urcu-qsbr.h>

#include <urcu/rculfhash.h>

#include "peer.h"

typedef struct peer_map {
  struct cds_lfht *table;
} peer_map;

typedef struct id_node {
  struct cds_lfht_node node;
  uint64_t key, value;
} id_node;

typedef struct name_node {
  struct cds_lfht_node node;
  uint64_t value;
  peer_name name;
} name_node;

// Nodes come from blocks, which costs less than malloc.
static __thread uint8_t *block, *block_end;

static void *node_new(size_t bytes) {
  enum { BLOCK = 1 << 20 };
  if ((size_t)(block_end - block) < bytes) {
    block = aligned_alloc(64, BLOCK);
    if (!block) peer_fail("no memory");
    block_end = block + BLOCK;
  }
  void *node = block;
  block += bytes;
  return node;
}

static peer_map *peer_map_new(bool names) {
  (void)names;
  static bool registered;
  if (!registered) urcu_qsbr_register_thread();
  registered = true;
  peer_map *map = malloc(sizeof *map);
  map->table = cds_lfht_new_flavor(
    1024, 1024, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, &urcu_qsbr_flavor, NULL);
  if (!map->table) peer_fail("no table");
  return map;
}

static void peer_map_settle(peer_map *map, uint64_t count) {
  uint64_t buckets = 1024;
  while (buckets < count) buckets *= 2;
  urcu_qsbr_thread_offline();
  cds_lfht_resize(map->table, buckets);
  urcu_qsbr_thread_online();
}

// The main thread stays registered; others come and go.
static pthread_t main_thread;
__attribute__((constructor)) static void note_main(void) { main_thread = pthread_self(); }
static bool is_main(void) { return pthread_equal(main_thread, pthread_self()); }

static void peer_thread_begin(peer_map *map) {
  (void)map;
  if (!is_main()) urcu_qsbr_register_thread();
}

static void peer_thread_end(peer_map *map) {
  (void)map;
  if (!is_main()) urcu_qsbr_unregister_thread();
}

static void peer_thread_pause(peer_map *map) {
  (void)map;
  urcu_qsbr_quiescent_state();
}

static int id_match(struct cds_lfht_node *node, const void *key) {
  return caa_container_of(node, id_node, node)->key == *(const uint64_t *)key;
}

static int name_match(struct cds_lfht_node *node, const void *key) {
  const name_node *found = caa_container_of(node, name_node, node);
  const peer_name *name = key;
  return peer_name_equal(found->name.bytes, found->name.length, name->bytes, name->length);
}

PEER_INLINE id_node *id_node_find(peer_map *map, uint64_t key) {
  struct cds_lfht_iter at;
  cds_lfht_lookup(map->table, peer_hash_id(key), id_match, &key, &at);
  struct cds_lfht_node *node = cds_lfht_iter_get_node(&at);
  return node ? caa_container_of(node, id_node, node) : NULL;
}

PEER_INLINE name_node *name_node_find(peer_map *map, const peer_name *name) {
  struct cds_lfht_iter at;
  cds_lfht_lookup(map->table, peer_hash_name(name->bytes, name->length), name_match, name, &at);
  struct cds_lfht_node *node = cds_lfht_iter_get_node(&at);
  return node ? caa_container_of(node, name_node, node) : NULL;
}

PEER_INLINE uint64_t peer_id_find(peer_map *map, uint64_t key) {
  urcu_qsbr_read_lock();
  id_node *found = id_node_find(map, key);
  uint64_t value = found ? found->value : 0;
  urcu_qsbr_read_unlock();
  return value;
}

PEER_INLINE uint64_t peer_name_find(peer_map *map, const peer_name *name) {
  urcu_qsbr_read_lock();
  name_node *found = name_node_find(map, name);
  uint64_t value = found ? found->value : 0;
  urcu_qsbr_read_unlock();
  return value;
}

static bool peer_id_insert(peer_map *map, uint64_t key, uint64_t value) {
  id_node *node = node_new(sizeof *node);
  cds_lfht_node_init(&node->node);
  node->key = key;
  node->value = value;
  return cds_lfht_add_unique(map->table, peer_hash_id(key), id_match, &key, &node->node)
         == &node->node;
}

static bool peer_name_insert(peer_map *map, const peer_name *name, uint64_t value) {
  name_node *node = node_new(sizeof *node);
  cds_lfht_node_init(&node->node);
  node->value = value;
  node->name = *name;
  uint64_t hash = peer_hash_name(name->bytes, name->length);
  return cds_lfht_add_unique(map->table, hash, name_match, name, &node->node) == &node->node;
}

static bool peer_id_remove(peer_map *map, uint64_t key) {
  id_node *found = id_node_find(map, key);
  return found && cds_lfht_del(map->table, &found->node) == 0;
}

static bool peer_name_remove(peer_map *map, const peer_name *name) {
  name_node *found = name_node_find(map, name);
  return found && cds_lfht_del(map->table, &found->node) == 0;
}

#include "peer_map.h"
