// The loops of a table under test. A peer defines `peer_map` and the functions below, then includes
// this, so that its calls can be inlined.
//
//   peer_map *peer_map_new(bool names);
//   void peer_map_settle(peer_map *, uint64_t count);     // after the keys are in
//   void peer_thread_begin(peer_map *), peer_thread_end(peer_map *), peer_thread_pause(peer_map *);
//   bool peer_id_insert(peer_map *, uint64_t key, uint64_t value), peer_id_remove(...);
//   uint64_t peer_id_find(peer_map *, uint64_t key);      // 0: none
//   bool peer_name_insert(peer_map *, const peer_name *, uint64_t value), peer_name_remove(...);
//   uint64_t peer_name_find(peer_map *, const peer_name *);
//
// Run as `PROGRAM ids|names COUNT CORE CORE`, it fills a table, says `ready INSERT_NS`, and answers
// each line `lookup` or `mixed` with nanoseconds an operation, until its input ends.
#ifndef PEER_MAP_H
#define PEER_MAP_H

#include "peer.h"

typedef struct peer_bench {
  peer_map *map;
  uint64_t count;
  bool names;
  int cores[2];
  peer_name *queries;  // names are looked up in this order; it is read from end to end
  uint64_t queries_count;
  peer_order order;
} peer_bench;

// At least more than a branch predictor can learn.
enum { PEER_QUERIES_MIN = 64 << 10, PEER_QUERIES_MAX = 2 << 20, PEER_INSERTIONS_MIN = 200000 };

static double peer_fill(peer_bench *bench) {
  // Small tables several times over, so that the time can be told.
  uint64_t tables = (PEER_INSERTIONS_MIN + bench->count - 1) / bench->count, taken = 0;
  enum { CHUNK = 1024 };
  static peer_name names[CHUNK];
  for (uint64_t table = 0; table < tables; table++) {
    bench->map = peer_map_new(bench->names);
    // Only now: threads that a library starts for itself are to have all processors.
    peer_pin(bench->cores[0]);
    for (uint64_t first = 0; first < bench->count; first += CHUNK) {
      uint64_t end = first + CHUNK < bench->count ? first + CHUNK : bench->count, failed = 0;
      for (uint64_t i = first; bench->names && i < end; i++) names[i - first] = peer_name_of(i);
      uint64_t begin = peer_now();
      if (bench->names) {
        for (uint64_t i = first; i < end; i++)
          failed += !peer_name_insert(bench->map, &names[i - first], i + 1);
      } else {
        for (uint64_t i = first; i < end; i++)
          failed += !peer_id_insert(bench->map, peer_id(i), i + 1);
      }
      taken += peer_now() - begin;
      if (failed) peer_fail("a key was refused");
      peer_thread_pause(bench->map);
    }
  }
  peer_map_settle(bench->map, bench->count);
  return (double)taken / (double)(tables * bench->count);
}

static void peer_queries(peer_bench *bench) {
  uint64_t wanted = bench->count;
  if (wanted < PEER_QUERIES_MIN) wanted = PEER_QUERIES_MIN;
  if (wanted > PEER_QUERIES_MAX) wanted = PEER_QUERIES_MAX;
  bench->queries_count = wanted;
  bench->queries = (peer_name *)malloc(wanted * sizeof(peer_name));
  if (!bench->queries) peer_fail("no memory");
  peer_order order = {42};
  for (uint64_t i = 0; i < wanted; i++)
    bench->queries[i] = peer_name_of(peer_next(&order, bench->count));
}

// A slice of look-ups, all of which must hit; what they find is added up. The values of 64-bit keys
// are checked against the sum that they must give; names must merely be there.
static __attribute__((noinline)) void peer_ids_slice(peer_map *map, uint64_t count,
                                                     peer_order *order) {
  uint64_t found = 0, wanted = 0;
  for (int i = 0; i < PEER_SLICE; i++) {
    uint64_t index = peer_next(order, count);
    found += peer_id_find(map, peer_id(index));
    wanted += index + 1;
  }
  if (found != wanted) peer_fail("a key was not found");
}

static __attribute__((noinline)) void peer_names_slice(peer_map *map, const peer_name *queries) {
  uint64_t missing = 0;
  for (int i = 0; i < PEER_SLICE; i++) missing += peer_name_find(map, &queries[i]) == 0;
  if (missing) peer_fail("a name was not found");
}

static double peer_lookup(peer_bench *bench) {
  static uint64_t at;
  uint64_t done = 0, begin = peer_now(), taken;
  peer_thread_begin(bench->map);
  do {
    if (bench->names) {
      if (at + PEER_SLICE > bench->queries_count) at = 0;
      peer_names_slice(bench->map, bench->queries + at);
      at += PEER_SLICE;
    } else {
      peer_ids_slice(bench->map, bench->count, &bench->order);
    }
    peer_thread_pause(bench->map);
    done += PEER_SLICE;
    taken = peer_now() - begin;
  } while (taken < PEER_ROUND_NS);
  peer_thread_end(bench->map);
  return (double)taken / (double)done;
}

// Two threads, each nine look-ups and then a write: a new key of its own, or the same one away.
typedef struct peer_mixer {
  peer_bench *bench;
  pthread_barrier_t *gate;
  int core;
  uint64_t next;  // its first key beyond those of the table; grows by two keys at a time
  peer_order order;
  uint64_t at;
  double result;
} peer_mixer;

enum { PEER_READS = 9, PEER_WRITES_SLICE = PEER_SLICE / (PEER_READS + 1) / 2 * 2 };

static __attribute__((noinline)) void peer_mixed_ids(peer_mixer *mixer) {
  peer_map *map = mixer->bench->map;
  uint64_t count = mixer->bench->count, found = 0, wanted = 0, failed = 0;
  for (int write = 0; write < PEER_WRITES_SLICE; write++) {
    for (int read = 0; read < PEER_READS; read++) {
      uint64_t index = peer_next(&mixer->order, count);
      found += peer_id_find(map, peer_id(index));
      wanted += index + 1;
    }
    uint64_t key = peer_id(mixer->next);
    if (write & 1) {
      failed += !peer_id_remove(map, key);
      mixer->next += 2;
    } else {
      failed += !peer_id_insert(map, key, 1);
    }
  }
  if (found != wanted || failed) peer_fail("an operation failed among two threads");
}

static __attribute__((noinline)) void peer_mixed_names(peer_mixer *mixer) {
  peer_map *map = mixer->bench->map;
  uint64_t failed = 0;
  peer_name name = peer_name_of(mixer->next);
  if (mixer->at + PEER_SLICE > mixer->bench->queries_count) mixer->at = 0;
  const peer_name *query = mixer->bench->queries + mixer->at;
  for (int write = 0; write < PEER_WRITES_SLICE; write++) {
    for (int read = 0; read < PEER_READS; read++) failed += peer_name_find(map, query++) == 0;
    if (write & 1) {
      failed += !peer_name_remove(map, &name);
      mixer->next += 2;
      name = peer_name_of(mixer->next);
    } else {
      failed += !peer_name_insert(map, &name, 1);
    }
  }
  mixer->at += PEER_SLICE;
  if (failed) peer_fail("an operation failed among two threads");
}

static void *peer_mix_body(void *context) {
  peer_mixer *mixer = (peer_mixer *)context;
  peer_pin(mixer->core);
  peer_thread_begin(mixer->bench->map);
  pthread_barrier_wait(mixer->gate);
  uint64_t done = 0, begin = peer_now(), taken;
  do {
    if (mixer->bench->names)
      peer_mixed_names(mixer);
    else
      peer_mixed_ids(mixer);
    peer_thread_pause(mixer->bench->map);
    done += PEER_WRITES_SLICE * (PEER_READS + 1);
    taken = peer_now() - begin;
  } while (taken < PEER_ROUND_NS);
  peer_thread_end(mixer->bench->map);
  mixer->result = (double)taken / (double)done;
  return NULL;
}

static double peer_mixed(peer_bench *bench) {
  static uint64_t used;  // keys that earlier rounds may have taken
  enum { ROUND_KEYS = 1 << 24 };
  pthread_barrier_t gate;
  pthread_t threads[2];
  peer_mixer mixers[2];
  pthread_barrier_init(&gate, NULL, 2);
  for (unsigned i = 0; i < 2; i++) {
    peer_mixer mixer = {bench, &gate, bench->cores[i], bench->count + used + i,
                        {bench->order.state + i}, i * bench->queries_count / 2, 0};
    mixers[i] = mixer;
    if (pthread_create(&threads[i], NULL, peer_mix_body, &mixers[i])) peer_fail("no thread");
  }
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&gate);
  used += ROUND_KEYS;
  return (mixers[0].result + mixers[1].result) / 2;
}

int main(int argc, char **argv) {
  if (argc != 5) peer_fail("wants ids|names COUNT CORE CORE");
  peer_bench bench = {NULL, strtoull(argv[2], NULL, 10), strcmp(argv[1], "names") == 0,
                      {atoi(argv[3]), atoi(argv[4])}, NULL, 0, {42}};
  char line[64];
  printf("ready %.3f\n", peer_fill(&bench));
  fflush(stdout);
  if (bench.names) peer_queries(&bench);
  while (fgets(line, sizeof line, stdin)) {
    bool mixed = strcmp(line, "mixed\n") == 0;
    printf("%.3f\n", mixed ? peer_mixed(&bench) : peer_lookup(&bench));
    fflush(stdout);
  }
  return 0;
}

#endif
