// oneTBB's concurrent_hash_map. A look-up holds a reader's lock on its element.
#include <tbb/concurrent_hash_map.h>

#include "peer.h"

struct Same {
  static size_t hash(uint64_t key) { return peer_hash_id(key); }
  static bool equal(uint64_t a, uint64_t b) { return a == b; }
  static size_t hash(const peer_name &name) { return peer_hash_name(name.bytes, name.length); }
  static bool equal(const peer_name &a, const peer_name &b) {
    return peer_name_equal(a.bytes, a.length, b.bytes, b.length);
  }
};

using Ids = tbb::concurrent_hash_map<uint64_t, uint64_t, Same>;
using Names = tbb::concurrent_hash_map<peer_name, uint64_t, Same>;

struct peer_map {
  Ids ids;
  Names names;
};

static peer_map *peer_map_new(bool) { return new peer_map; }

// The table that was filled grew by itself; this gives it a bucket for each key.
static void peer_map_settle(peer_map *map, uint64_t count) {
  if (map->ids.empty())
    map->names.rehash(count);
  else
    map->ids.rehash(count);
}

static void peer_thread_begin(peer_map *) {}
static void peer_thread_end(peer_map *) {}
static void peer_thread_pause(peer_map *) {}

PEER_INLINE uint64_t peer_id_find(peer_map *map, uint64_t key) {
  Ids::const_accessor at;
  return map->ids.find(at, key) ? at->second : 0;
}

PEER_INLINE uint64_t peer_name_find(peer_map *map, const peer_name *name) {
  Names::const_accessor at;
  return map->names.find(at, *name) ? at->second : 0;
}

static bool peer_id_insert(peer_map *map, uint64_t key, uint64_t value) {
  return map->ids.emplace(key, value);
}

static bool peer_name_insert(peer_map *map, const peer_name *name, uint64_t value) {
  return map->names.emplace(*name, value);
}

static bool peer_id_remove(peer_map *map, uint64_t key) { return map->ids.erase(key); }
static bool peer_name_remove(peer_map *map, const peer_name *name) {
  return map->names.erase(*name);
}

#include "peer_map.h"
