// Names: they stand for one, go away with their owner, and change hands in one step, whatever
// threads do; groups, watches and sending by name are as the header says; bad input is answered.
#include <stdbool.h>
#include "check.h"

static aloft_runtime *runtime;

// ---- Mailboxes that count ----

typedef struct counter {
  aloft_mailbox mailbox;
  int got;
  latch enough;
  latch closed;
} counter;

static int on_message(aloft_mailbox mailbox, aloft_message *message, void *context) {
  counter *c = context;
  (void)mailbox;
  (void)message;
  c->got++;
  latch_down(&c->enough);
  return 0;
}

static void on_close(aloft_mailbox mailbox, int reason, void *context) {
  (void)mailbox;
  (void)reason;
  latch_down(&((counter *)context)->closed);
}

static void counter_open(counter *c, uint32_t loop, int wanted) {
  aloft_mailbox_callbacks callbacks;
  latch enough = LATCH_INIT(1), closed = LATCH_INIT(1);
  enough.left = wanted;
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_message = on_message;
  callbacks.on_close = on_close;
  c->got = 0;
  c->enough = enough;
  c->closed = closed;
  OK(aloft_mailbox_open(runtime, loop, NULL, &callbacks, c, &c->mailbox));
}

static void nothing(void *context) { (void)context; }

// The names of a mailbox are gone behind its on_close, on its loop.
static void counter_close(counter *c, uint32_t loop) {
  OK(aloft_mailbox_close(c->mailbox, 1));
  latch_wait(&c->closed);
  on_loop(runtime, loop, nothing, NULL);
}

static bool same(aloft_target a, aloft_target b) { return a.id == b.id && a.kind == b.kind; }

// ---- Names ----

static void test_names(aloft_key key) {
  static counter first, second;
  aloft_target one, other, found;
  counter_open(&first, 0, 1);
  counter_open(&second, 1, 2);
  one = aloft_target_mailbox(first.mailbox);
  other = aloft_target_mailbox(second.mailbox);
  EXPECT(ALOFT_ENONAME, aloft_registry_look_up(runtime, key, &found));
  OK(aloft_registry_register(runtime, key, one, NULL));
  OK(aloft_registry_register(runtime, key, one, NULL)); // again is no error
  EXPECT(ALOFT_ENAMETAKEN, aloft_registry_register(runtime, key, other, &found));
  CHECK(same(found, one));
  OK(aloft_registry_look_up(runtime, key, &found));
  CHECK(same(found, one));
  CHECK(aloft_registry_count(runtime, key.kind) == 1);
  EXPECT(ALOFT_ENOTOWNER, aloft_registry_unregister(runtime, key, other, &found));
  CHECK(same(found, one));
  EXPECT(ALOFT_ENOTOWNER, aloft_registry_replace(runtime, key, other, one, &found));
  OK(aloft_registry_replace(runtime, key, one, other, NULL));
  OK(aloft_registry_send_bytes(runtime, key, "x", 1, ALOFT_PRIORITY_NORMAL));
  OK(aloft_registry_take_over(runtime, key, one, &found));
  CHECK(same(found, other));
  OK(aloft_registry_send_bytes(runtime, key, "x", 1, ALOFT_PRIORITY_NORMAL));
  latch_wait(&first.enough);
  OK(aloft_registry_unregister(runtime, key, one, NULL));
  EXPECT(ALOFT_ENONAME, aloft_registry_unregister(runtime, key, one, NULL));
  EXPECT(ALOFT_ENONAME, aloft_registry_replace(runtime, key, one, other, NULL));
  OK(aloft_registry_take_over(runtime, key, other, &found));
  CHECK(found.kind == ALOFT_TARGET_NONE);
  OK(aloft_registry_send_bytes(runtime, key, "x", 1, ALOFT_PRIORITY_NORMAL));
  latch_wait(&second.enough);
  counter_close(&second, 1); // and its name goes with it
  EXPECT(ALOFT_ENONAME, aloft_registry_look_up(runtime, key, &found));
  EXPECT(ALOFT_ECLOSED, aloft_registry_register(runtime, key, other, NULL));
  counter_close(&first, 0);
  CHECK(aloft_registry_count(runtime, key.kind) == 0);
}

typedef struct census {
  uint64_t seen, sum;
  uint64_t stop_after;
} census;

static int count_key(aloft_key key, aloft_target target, void *context) {
  census *c = context;
  CHECK(target.kind == ALOFT_TARGET_MAILBOX);
  c->seen++;
  if (key.kind == ALOFT_KEY_NAME) {
    CHECK(key.length == sizeof(uint32_t));
    uint32_t number;
    memcpy(&number, key.name, sizeof number);
    c->sum += number;
  } else {
    c->sum += key.low;
  }
  return c->seen != c->stop_after;
}

static void test_many(void) {
  static counter owner;
  enum { MANY = 5000 };
  census names = {0, 0, 0}, ids = {0, 0, 0}, few = {0, 0, 7};
  aloft_target target;
  counter_open(&owner, 1, 1);
  target = aloft_target_mailbox(owner.mailbox);
  for (uint32_t i = 0; i < MANY; i++) {
    OK(aloft_registry_register(runtime, aloft_key_bytes(&i, sizeof i), target, NULL));
    OK(aloft_registry_register(runtime, aloft_key_id(i), target, NULL));
  }
  OK(aloft_registry_for_each(runtime, ALOFT_KEY_NAME, count_key, &names));
  OK(aloft_registry_for_each(runtime, ALOFT_KEY_ID, count_key, &ids));
  OK(aloft_registry_for_each(runtime, ALOFT_KEY_ID, count_key, &few));
  CHECK(names.seen == MANY && names.sum == (uint64_t)MANY * (MANY - 1) / 2);
  CHECK(ids.seen == MANY && ids.sum == names.sum && few.seen == 7);
  counter_close(&owner, 1);
  CHECK(aloft_registry_count(runtime, ALOFT_KEY_NAME) == 0);
  CHECK(aloft_registry_count(runtime, ALOFT_KEY_ID) == 0);
}

// ---- Threads that want the same name ----

enum { RACERS = 4, ROUNDS = 2000 };
static counter racing[RACERS];
static int won[RACERS];

static void *race(void *context) {
  size_t me = (size_t)context;
  aloft_target target = aloft_target_mailbox(racing[me].mailbox), found;
  for (uint64_t i = 0; i < ROUNDS; i++) {
    int code = aloft_registry_register(runtime, aloft_key_id(i), target, &found);
    CHECK(code == ALOFT_OK || code == ALOFT_ENAMETAKEN);
    if (code == ALOFT_OK) won[me]++;
    if (code == ALOFT_ENAMETAKEN) CHECK(!same(found, target));
  }
  return NULL;
}

static void test_race(void) {
  pthread_t threads[RACERS];
  int sum = 0;
  for (size_t i = 0; i < RACERS; i++) counter_open(&racing[i], (uint32_t)i % 2, 1);
  for (size_t i = 0; i < RACERS; i++)
    CHECK(pthread_create(&threads[i], NULL, race, (void *)i) == 0);
  for (size_t i = 0; i < RACERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  for (size_t i = 0; i < RACERS; i++) sum += won[i];
  CHECK(sum == ROUNDS); // each name has exactly one owner
  CHECK(aloft_registry_count(runtime, ALOFT_KEY_ID) == ROUNDS);
  for (size_t i = 0; i < RACERS; i++) counter_close(&racing[i], (uint32_t)i % 2);
  CHECK(aloft_registry_count(runtime, ALOFT_KEY_ID) == 0);
}

// ---- Groups ----

static void test_groups(void) {
  static counter members[3];
  aloft_key group = aloft_key_name("workers");
  aloft_target list[2];
  aloft_message *message;
  uint64_t accepted = 0;
  CHECK(aloft_group_count(runtime, group) == 0);
  OK(aloft_message_create("task", 4, &message));
  EXPECT(ALOFT_ENONAME, aloft_group_send(runtime, group, 0, message, ALOFT_PRIORITY_NORMAL));
  CHECK(aloft_group_broadcast(runtime, group, message, ALOFT_PRIORITY_NORMAL, &accepted) == 0);
  for (uint32_t i = 0; i < 3; i++) {
    counter_open(&members[i], i % 2, 3);
    OK(aloft_group_join(runtime, group, aloft_target_mailbox(members[i].mailbox)));
    OK(aloft_group_join(runtime, group, aloft_target_mailbox(members[i].mailbox)));
  }
  CHECK(aloft_group_count(runtime, group) == 3);
  CHECK(aloft_group_members(runtime, group, list, 2) == 3);
  CHECK(aloft_group_members(runtime, group, NULL, 0) == 3);
  CHECK(list[0].kind == ALOFT_TARGET_MAILBOX && !same(list[0], list[1]));
  CHECK(aloft_group_broadcast(runtime, group, message, ALOFT_PRIORITY_NORMAL, &accepted) == 3);
  CHECK(accepted == 3);
  aloft_message_release(message); // it stayed ours
  for (int i = 0; i < 6; i++) {
    OK(aloft_message_create("task", 4, &message));
    OK(aloft_group_send(runtime, group, ALOFT_PICK_ROUND_ROBIN, message, ALOFT_PRIORITY_NORMAL));
  }
  for (int i = 0; i < 3; i++) latch_wait(&members[i].enough); // in turn: two each, and the one
  OK(aloft_message_create("task", 4, &message));
  OK(aloft_group_send(runtime, group, ALOFT_PICK_LEAST_QUEUED, message, ALOFT_PRIORITY_NORMAL));
  OK(aloft_group_leave(runtime, group, aloft_target_mailbox(members[0].mailbox)));
  EXPECT(ALOFT_ENOTOWNER,
         aloft_group_leave(runtime, group, aloft_target_mailbox(members[0].mailbox)));
  CHECK(aloft_group_count(runtime, group) == 2);
  for (uint32_t i = 0; i < 3; i++) counter_close(&members[i], i % 2);
  CHECK(aloft_group_count(runtime, group) == 0);
}

// ---- Watches ----

typedef struct diary {
  int came, gone;
  aloft_target last;
  latch lines;
} diary;

static void on_changed(aloft_target gone, aloft_target came, void *context) {
  diary *d = context;
  CHECK(same(gone, d->last)); // each change begins where the last one ended
  d->last = came;
  d->gone += gone.kind != ALOFT_TARGET_NONE;
  d->came += came.kind != ALOFT_TARGET_NONE;
  latch_down(&d->lines);
}

static void on_done(int status, void *context) {
  OK(status);
  latch_down(context);
}

static void test_watch(void) {
  static counter first, second;
  static diary d;
  latch lines = LATCH_INIT(3), done = LATCH_INIT(1);
  aloft_key key = aloft_key_name("watched");
  aloft_watch *watch;
  aloft_target initial = {1, 1, 1};
  counter_open(&first, 0, 1);
  counter_open(&second, 1, 1);
  d.lines = lines;
  OK(aloft_registry_watch(runtime, key, 0, on_changed, &d, &watch, &initial));
  CHECK(initial.kind == ALOFT_TARGET_NONE);
  OK(aloft_registry_register(runtime, key, aloft_target_mailbox(first.mailbox), NULL));
  OK(aloft_registry_take_over(runtime, key, aloft_target_mailbox(second.mailbox), NULL));
  counter_close(&second, 1);
  latch_wait(&d.lines);
  CHECK(d.came == 2 && d.gone == 2 && d.last.kind == ALOFT_TARGET_NONE);
  OK(aloft_watch_cancel(watch, on_done, &done));
  latch_wait(&done);
  OK(aloft_registry_register(runtime, key, aloft_target_mailbox(first.mailbox), NULL));
  counter_close(&first, 0);
  CHECK(d.came == 2);
}

static void on_member(aloft_target gone, aloft_target came, void *context) {
  diary *d = context;
  CHECK((gone.kind == ALOFT_TARGET_NONE) != (came.kind == ALOFT_TARGET_NONE));
  d->gone += gone.kind != ALOFT_TARGET_NONE;
  d->came += came.kind != ALOFT_TARGET_NONE;
  latch_down(&d->lines);
}

static void test_group_watch(void) {
  static counter member;
  static diary d;
  latch lines = LATCH_INIT(2);
  aloft_key group = aloft_key_name("watched group");
  aloft_watch *watch;
  d.lines = lines;
  counter_open(&member, 1, 1);
  OK(aloft_group_watch(runtime, group, 0, on_member, &d, &watch));
  OK(aloft_group_join(runtime, group, aloft_target_mailbox(member.mailbox)));
  counter_close(&member, 1);
  latch_wait(&d.lines);
  CHECK(d.came == 1 && d.gone == 1);
  OK(aloft_watch_cancel(watch, NULL, NULL));
}

// ---- Many at once ----

enum { BATCH = 100 };

// Names and numbers mixed, of which each third is nobody's.
static void batch_keys(aloft_key *keys, uint32_t *numbers, bool is_mixed) {
  for (uint32_t i = 0; i < BATCH; i++) {
    numbers[i] = i;
    keys[i] = is_mixed && i % 7 == 1 ? aloft_key_id(i) : aloft_key_bytes(&numbers[i], 4);
  }
}

static void send_batch(void *context) {
  aloft_key *keys = context;
  aloft_message *messages[BATCH];
  int codes[BATCH];
  for (int i = 0; i < BATCH; i++) OK(aloft_message_create(&i, sizeof i, &messages[i]));
  CHECK(aloft_registry_send_many(runtime, keys, messages, BATCH, 1, codes) == BATCH - 34);
  for (int i = 0; i < BATCH; i++) {
    EXPECT(i % 3 == 0 ? ALOFT_ENONAME : ALOFT_OK, codes[i]);
    CHECK((messages[i] == NULL) == (i % 3 != 0));
    aloft_message_release(messages[i]); // what wasn't taken is ours
  }
}

static void test_batches(bool is_mixed) {
  static counter near, far;
  aloft_key keys[BATCH];
  uint32_t numbers[BATCH];
  aloft_target found[BATCH], owners[2];
  aloft_watch *watch;
  aloft_message *message = NULL;
  counter_open(&near, 0, 2 * 33);
  counter_open(&far, 1, 2 * 33);
  owners[0] = aloft_target_mailbox(near.mailbox);
  owners[1] = aloft_target_mailbox(far.mailbox);
  batch_keys(keys, numbers, is_mixed);
  for (int i = 0; i < BATCH; i++)
    if (i % 3 != 0) OK(aloft_registry_register(runtime, keys[i], owners[i % 3 - 1], NULL));
  // One that is watched is looked up another way.
  OK(aloft_registry_watch(runtime, keys[4], 0, on_changed, NULL, &watch, NULL));
  memset(found, 0xff, sizeof found);
  CHECK(aloft_registry_look_up_many(runtime, keys, BATCH, found) == BATCH - 34);
  for (int i = 0; i < BATCH; i++)
    CHECK(i % 3 == 0 ? found[i].kind == ALOFT_TARGET_NONE : same(found[i], owners[i % 3 - 1]));
  CHECK(aloft_registry_look_up_many(runtime, keys, 0, NULL) == 0);
  CHECK(aloft_registry_look_up_many(runtime, NULL, 0, NULL) == 0);
  CHECK(aloft_registry_send_many(runtime, NULL, NULL, 0, 1, NULL) == 0);
  send_batch(keys);
  on_loop(runtime, 0, send_batch, keys);
  latch_wait(&near.enough);
  latch_wait(&far.enough);
  OK(aloft_watch_cancel(watch, NULL, NULL));
  counter_close(&near, 0);
  counter_close(&far, 1);
  OK(aloft_message_create("m", 1, &message));
  CHECK(aloft_registry_send_many(runtime, &keys[1], &message, 1, 1, NULL) == 0); // nobody's now
  aloft_message_release(message);
}

// One bad key, or message, and nothing is done.
static void test_bad_batches(void) {
  static counter c;
  char name[256];
  aloft_key good = aloft_key_name("good"), bad[5];
  aloft_message *message, *messages[20];
  aloft_target found[20];
  aloft_key keys[20];
  memset(name, 'n', sizeof name);
  bad[0] = good;
  bad[0].kind = 4;
  bad[1] = aloft_key_name("");
  bad[2] = aloft_key_bytes(NULL, 3);
  bad[3] = aloft_key_bytes(name, 256);
  bad[4] = aloft_key_bytes(name, SIZE_MAX);
  counter_open(&c, 0, 1);
  OK(aloft_registry_register(runtime, good, aloft_target_mailbox(c.mailbox), NULL));
  OK(aloft_message_create("m", 1, &message));
  for (int b = 0; b < 5; b++) {
    int code = b < 3 ? ALOFT_EINVAL : ALOFT_ENAMETOOLONG;
    for (int i = 0; i < 20; i++) {
      keys[i] = i == 18 ? bad[b] : good; // in the second sixteen
      messages[i] = message;
    }
    memset(found, 0xff, sizeof found);
    EXPECT(code, aloft_registry_look_up_many(runtime, keys, 20, found));
    EXPECT(code, aloft_registry_send_many(runtime, keys, messages, 20, 1, NULL));
    CHECK(found[0].kind == UINT32_MAX && messages[0] == message);
  }
  keys[18] = good;
  EXPECT(ALOFT_EINVAL, aloft_registry_look_up_many(NULL, keys, 20, found));
  EXPECT(ALOFT_EINVAL, aloft_registry_look_up_many(runtime, NULL, 20, found));
  EXPECT(ALOFT_EINVAL, aloft_registry_look_up_many(runtime, keys, 20, NULL));
  EXPECT(ALOFT_EINVAL, aloft_registry_look_up_many(runtime, keys, SIZE_MAX, found));
  EXPECT(ALOFT_EINVAL, aloft_registry_send_many(NULL, keys, messages, 20, 1, NULL));
  EXPECT(ALOFT_EINVAL, aloft_registry_send_many(runtime, NULL, messages, 20, 1, NULL));
  EXPECT(ALOFT_EINVAL, aloft_registry_send_many(runtime, keys, NULL, 20, 1, NULL));
  EXPECT(ALOFT_EINVAL, aloft_registry_send_many(runtime, keys, messages, SIZE_MAX, 1, NULL));
  EXPECT(ALOFT_EINVAL, aloft_registry_send_many(runtime, keys, messages, 20, 4, NULL));
  messages[19] = NULL;
  EXPECT(ALOFT_EINVAL, aloft_registry_send_many(runtime, keys, messages, 20, 1, NULL));
  aloft_message_release(message);
  counter_close(&c, 0);
  CHECK(c.got == 0);
}

// ---- Bad input ----

static int look_up(aloft_key key) {
  aloft_target found;
  return aloft_registry_look_up(runtime, key, &found);
}

static void test_bad_input(void) {
  static counter c;
  char name[256];
  aloft_key key = aloft_key_name("a"), odd = key, null = {ALOFT_KEY_NAME, 3, NULL, 0, 0};
  aloft_target target, found;
  aloft_target forged[] = {{0, 1, 0}, {2, 1, 0}, {UINT64_MAX - 1, 1, 0}, {UINT64_MAX, 2, 0}};
  aloft_message *message;
  aloft_watch *watch;
  census none = {0, 0, 0};
  memset(name, 'n', sizeof name);
  counter_open(&c, 0, 1);
  target = aloft_target_mailbox(c.mailbox);
  odd.kind = 4;
  OK(aloft_message_create("m", 1, &message));
  EXPECT(ALOFT_ENAMETOOLONG, look_up(aloft_key_bytes(name, 256)));
  EXPECT(ALOFT_ENONAME, look_up(aloft_key_bytes(name, 255)));
  EXPECT(ALOFT_ENAMETOOLONG, look_up(aloft_key_bytes(name, SIZE_MAX)));
  EXPECT(ALOFT_EINVAL, look_up(aloft_key_name("")));
  EXPECT(ALOFT_EINVAL, look_up(aloft_key_name(NULL)));
  EXPECT(ALOFT_EINVAL, look_up(null));
  EXPECT(ALOFT_EINVAL, look_up(odd));
  EXPECT(ALOFT_EINVAL, aloft_registry_look_up(runtime, key, NULL));
  EXPECT(ALOFT_EINVAL, aloft_registry_look_up(NULL, key, &found));
  EXPECT(ALOFT_EINVAL, aloft_registry_register(NULL, key, target, NULL));
  for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
    int code = aloft_registry_register(runtime, key, forged[i], NULL);
    CHECK(code == ALOFT_ECLOSED || code == ALOFT_EFOREIGN);
  }
  target.kind = 3;
  EXPECT(ALOFT_EINVAL, aloft_registry_register(runtime, key, target, NULL));
  EXPECT(ALOFT_EINVAL, aloft_registry_count(runtime, 9));
  EXPECT(ALOFT_EINVAL, aloft_registry_for_each(runtime, 9, count_key, &none));
  EXPECT(ALOFT_EINVAL, aloft_registry_for_each(runtime, ALOFT_KEY_NAME, NULL, &none));
  EXPECT(ALOFT_EINVAL, aloft_registry_send(runtime, key, NULL, 1));
  EXPECT(ALOFT_EINVAL, aloft_registry_send(runtime, key, message, 4));
  EXPECT(ALOFT_ENONAME, aloft_registry_send(runtime, key, message, 1));
  EXPECT(ALOFT_ENONAME, aloft_registry_send_bytes(runtime, key, "m", 1, 1));
  EXPECT(ALOFT_EINVAL, aloft_group_send(runtime, aloft_key_id(1), 0, message, 1));
  EXPECT(ALOFT_EINVAL, aloft_group_send(runtime, key, 2, message, 1));
  EXPECT(ALOFT_EINVAL, aloft_group_count(runtime, aloft_key_id(1)));
  EXPECT(ALOFT_EINVAL, aloft_group_broadcast(runtime, key, NULL, 1, NULL));
  EXPECT(ALOFT_EINVAL, aloft_registry_watch(runtime, key, 0, NULL, NULL, &watch, NULL));
  EXPECT(ALOFT_EINVAL, aloft_registry_watch(runtime, key, 0, on_changed, NULL, NULL, NULL));
  EXPECT(ALOFT_ENOENT, aloft_registry_watch(runtime, key, 2, on_changed, NULL, &watch, NULL));
  EXPECT(ALOFT_EINVAL, aloft_watch_cancel(NULL, NULL, NULL));
  aloft_message_release(message);
  counter_close(&c, 0);
}

int main(void) {
  aloft_runtime_options options = {0};
  options.struct_size = sizeof options;
  options.event_loops = 2;
  options.connections_max = 64;
  OK(aloft_runtime_create(&options, &runtime));
  test_names(aloft_key_name("orders"));
  test_names(aloft_key_id(0));
  test_names(aloft_key_wide(7, 0));
  test_many();
  test_race();
  test_groups();
  test_watch();
  test_group_watch();
  test_batches(false);
  test_batches(true);
  test_bad_batches();
  test_bad_input();
  OK(aloft_runtime_destroy(runtime));
  puts("registry: ok");
  return 0;
}
