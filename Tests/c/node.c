// Clusters, from C: three nodes in one program list each other, share the slots, call each other
// and send by name; keys are changed under way; one leaves, one is stopped and found out; and bad
// input is answered. Each node has a runtime of its own, as in a process of its own.
#include <ftw.h>
#include <time.h>
#include <unistd.h>
#include "aloft_node.h"
#include "check.h"

enum { NODES = 3, CALLS = 200 };

typedef struct peer {
  char name[2];
  char data[64];
  aloft_runtime *runtime;
  aloft_node *node;
  char address[ALOFT_ADDRESS_SIZE];
  uint32_t number;
  uint64_t incarnation;
  // What was told, under the mutex.
  pthread_mutex_t mutex;
  int joined, ups, downs, lefts, slot_changes, accepting, stopped, status, cancelled;
  int writables, undelivered, disorders;
  int messages[256], message_bytes[256], next_number[256]; // by channel
  aloft_request kept; // a call that isn't answered
} peer;

static char root[32] = "/tmp/aloft-node-c-";
static peer peers[NODES];
static const char secret[] = "a key for the tests of C programs";
static const char other_secret[] = "another key, for later, as long";

// ---- Helpers ----

static void pause_ms(long ms) {
  struct timespec time = {0, ms * 1000000};
  nanosleep(&time, NULL);
}

// Waits until something has come to be, for twenty seconds at most.
#define EVENTUALLY(condition)                                                                  \
  do {                                                                                         \
    int left_ = 20000;                                                                         \
    while (!(condition)) {                                                                     \
      CHECK(--left_ > 0 && #condition);                                                        \
      pause_ms(1);                                                                             \
    }                                                                                          \
  } while (0)

static int read_count(peer *p, int *count) {
  int value;
  pthread_mutex_lock(&p->mutex);
  value = *count;
  pthread_mutex_unlock(&p->mutex);
  return value;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw) {
  (void)status;
  (void)type;
  (void)ftw;
  return remove(path);
}

static aloft_node_status status_of(peer *p) {
  aloft_node_status status;
  memset(&status, 0, sizeof status);
  status.struct_size = sizeof status;
  OK(aloft_node_status_get(p->node, &status));
  return status;
}

// ---- Callbacks ----

static void on_event(aloft_node *node, const aloft_node_event *event, void *context) {
  peer *p = context;
  (void)node;
  CHECK(event->struct_size == sizeof *event);
  EXPECT(0, aloft_loop_index(p->runtime)); // its loop's thread
  pthread_mutex_lock(&p->mutex);
  switch (event->kind) {
  case ALOFT_NODE_JOINED:
    p->joined++;
    CHECK(event->node > 0 && event->incarnation > 0);
    p->number = event->node;
    p->incarnation = event->incarnation;
    break;
  case ALOFT_NODE_UP: p->ups++; break;
  case ALOFT_NODE_DOWN: p->downs++; break;
  case ALOFT_NODE_LEFT: p->lefts++; break;
  case ALOFT_NODE_SLOTS_CHANGED:
    CHECK(event->epoch > 0);
    p->slot_changes++;
    break;
  case ALOFT_NODE_ACCEPTING: p->accepting = (int)event->is_accepting; break;
  case ALOFT_NODE_REFUSED: CHECK(event->address != NULL && event->reason != NULL); break;
  default: break;
  }
  pthread_mutex_unlock(&p->mutex);
}

typedef struct late_reply {
  aloft_node *node;
  aloft_request request;
} late_reply;

// From a thread that is no loop's.
static void *reply_late(void *argument) {
  late_reply *late = argument;
  OK(aloft_node_reply(late->node, late->request, "late", 4));
  free(late);
  return NULL;
}

// The first byte says what is to be done.
static void on_call(aloft_node *node, aloft_request request, uint32_t from, uint32_t timeout_ms,
                    const void *data, size_t length, void *context) {
  peer *p = context;
  CHECK(from > 0 && from != p->number && timeout_ms > 0 && length > 0);
  switch (*(const char *)data) {
  case 'e': OK(aloft_node_reply(node, request, data, length)); break;
  case 'n': OK(aloft_node_reply(node, request, NULL, 0)); break;
  case 'r': OK(aloft_node_refuse(node, request, 7, "no", 2)); break;
  case 'k': p->kept = request; break;
  case 'l': {
    late_reply *late = malloc(sizeof *late);
    pthread_t thread;
    late->node = node;
    late->request = request;
    CHECK(pthread_create(&thread, NULL, reply_late, late) == 0);
    pthread_detach(thread);
    break;
  }
  default: CHECK(!"an order");
  }
}

static void on_call_cancelled(aloft_node *node, aloft_request request, void *context) {
  peer *p = context;
  (void)node;
  CHECK(memcmp(&request, &p->kept, sizeof request) == 0);
  pthread_mutex_lock(&p->mutex);
  p->cancelled++;
  pthread_mutex_unlock(&p->mutex);
}

static void on_channel(aloft_node *node, uint32_t from, uint32_t channel, const void *data,
                       size_t length, void *context) {
  peer *p = context;
  (void)node;
  CHECK(from > 0 && from != p->number && (data != NULL || length == 0));
  pthread_mutex_lock(&p->mutex);
  p->messages[channel]++;
  p->message_bytes[channel] += (int)length;
  if (length == sizeof(int)) {
    int number;
    memcpy(&number, data, sizeof number);
    if (number != p->next_number[channel]++) p->disorders++;
  }
  pthread_mutex_unlock(&p->mutex);
}

static void on_channel_writable(aloft_node *node, uint32_t to, uint32_t channel, uint32_t flags,
                                void *context) {
  peer *p = context;
  (void)node;
  CHECK(to > 0 && channel < 256 && flags <= ALOFT_SEND_ACKNOWLEDGED);
  pthread_mutex_lock(&p->mutex);
  p->writables++;
  pthread_mutex_unlock(&p->mutex);
}

static void on_undelivered(aloft_node *node, uint32_t to, uint32_t channel, uint32_t count,
                           void *context) {
  peer *p = context;
  (void)node;
  CHECK(to > 0 && channel < 256 && count > 0);
  pthread_mutex_lock(&p->mutex);
  p->undelivered += (int)count;
  pthread_mutex_unlock(&p->mutex);
}

static void on_stopped(aloft_node *node, int status, void *context) {
  peer *p = context;
  (void)node;
  pthread_mutex_lock(&p->mutex);
  p->stopped++;
  p->status = status;
  pthread_mutex_unlock(&p->mutex);
}

// ---- Nodes ----

static aloft_node_key key_of(const char *text) {
  aloft_node_key key;
  key.bytes = text;
  key.length = strlen(text);
  return key;
}

static int join(peer *p, const char *seed, const aloft_node_key *keys, uint32_t count) {
  aloft_node_options options;
  aloft_node_callbacks callbacks;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.name = p->name;
  options.data_directory = p->data;
  options.keys = keys;
  options.keys_count = count;
  options.timing = ALOFT_TIMING_RELAXED; // on a busy machine the others take the slow for dead
  options.seeds = &seed;
  options.seeds_count = seed != NULL;
  options.join_timeout_ms = 20000;
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_event = on_event;
  callbacks.on_call = on_call;
  callbacks.on_call_cancelled = on_call_cancelled;
  callbacks.on_stopped = on_stopped;
  callbacks.on_message = on_channel;
  callbacks.on_channel_writable = on_channel_writable;
  callbacks.on_undelivered = on_undelivered;
  return aloft_node_join(p->runtime, &options, &callbacks, p, &p->node);
}

static void begin(peer *p, int index, const char *seed) {
  aloft_runtime_options options;
  aloft_node_key key = key_of(secret);
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.connections_max = 256;
  options.event_loops = 2;
  memset(p, 0, sizeof *p);
  pthread_mutex_init(&p->mutex, NULL);
  p->name[0] = (char)('a' + index);
  snprintf(p->data, sizeof p->data, "%s/%s", root, p->name);
  OK(aloft_runtime_create(&options, &p->runtime));
  OK(join(p, seed, &key, 1));
  OK(aloft_node_address(p->node, p->address, sizeof p->address));
  EVENTUALLY(read_count(p, &p->joined) == 1);
}

static void end(peer *p) {
  OK(aloft_node_destroy(p->node));
  EXPECT(1, p->stopped);
  OK(aloft_runtime_destroy(p->runtime));
  p->node = NULL;
  p->runtime = NULL;
}

typedef struct count {
  int up, voters;
  uint32_t slots, least, most;
  const char *wanted; // a name, or NULL
  uint32_t state, weight, draining, wanted_slots;
} count;

static int count_member(const aloft_node_member *member, void *context) {
  count *c = context;
  CHECK(member->struct_size == sizeof *member);
  CHECK(strncmp(member->address, "127.0.0.1:", 10) == 0 && *member->zone == '\0');
  if (member->state == ALOFT_MEMBER_UP) c->up++;
  c->voters += (int)member->is_voter;
  c->slots += member->slots;
  if (c->least == 0 || member->slots < c->least) c->least = member->slots;
  if (member->slots > c->most) c->most = member->slots;
  if (c->wanted != NULL && strcmp(member->name, c->wanted) == 0) {
    c->state = member->state;
    c->weight = member->weight;
    c->draining = member->is_draining;
    c->wanted_slots = member->slots;
  }
  return 1;
}

static count count_of(peer *p, const char *wanted) {
  count c;
  int members;
  memset(&c, 0, sizeof c);
  c.wanted = wanted;
  c.state = ALOFT_MEMBER_LEFT;
  members = aloft_node_for_each_member(p->node, count_member, &c);
  CHECK(members > 0);
  EXPECT(members, status_of(p).members);
  return c;
}

// ---- Members and slots ----

static void test_members(void) {
  for (int i = 0; i < NODES; i++) {
    peer *p = &peers[i];
    aloft_node_status status;
    uint32_t owned[256] = {0};
    EVENTUALLY(count_of(p, NULL).up == NODES);
    EVENTUALLY(count_of(p, NULL).voters == NODES);
    EVENTUALLY(count_of(p, NULL).least >= ALOFT_SLOTS / NODES);
    CHECK(count_of(p, NULL).slots == ALOFT_SLOTS && count_of(p, NULL).most <= 5462);
    EVENTUALLY(read_count(p, &p->accepting) == 1);
    status = status_of(p);
    CHECK(status.node == p->number && status.incarnation == p->incarnation);
    CHECK(status.is_member == 1 && status.is_accepting == 1 && status.term > 0);
    CHECK(status.leader == status_of(&peers[0]).leader && status.leader != 0);
    for (uint32_t slot = 0; slot < ALOFT_SLOTS; slot++) {
      owned[aloft_node_slot_owner(p->node, slot)]++;
    }
    for (int j = 0; j < NODES; j++) CHECK(owned[peers[j].number] >= ALOFT_SLOTS / NODES);
  }
}

// ---- Calls ----

typedef struct answer {
  int status;
  int calls;
  size_t length;
  char text[16];
  pthread_mutex_t mutex;
} answer;

static answer answer_new(void) {
  answer a;
  memset(&a, 0, sizeof a);
  pthread_mutex_init(&a.mutex, NULL);
  return a;
}

static void answered(int status, const void *data, size_t length, void *context) {
  answer *a = context;
  pthread_mutex_lock(&a->mutex);
  a->status = status;
  a->length = length;
  if (length > 0) memcpy(a->text, data, length < 15 ? length : 15);
  if (status < 0) CHECK(data == NULL && *aloft_last_error_message() != '\0');
  a->calls++;
  pthread_mutex_unlock(&a->mutex);
}

static int calls_of(answer *a) {
  int calls;
  pthread_mutex_lock(&a->mutex);
  calls = a->calls;
  pthread_mutex_unlock(&a->mutex);
  return calls;
}

static int call_and_wait(uint32_t to, const char *data, size_t length, uint32_t timeout_ms,
                         answer *a) {
  *a = answer_new();
  OK(aloft_node_call(peers[0].node, to, data, length, timeout_ms, answered, a, NULL));
  EVENTUALLY(calls_of(a) == 1);
  return a->status;
}

static void test_calls(void) {
  answer a;
  char *large = calloc(1, 300000);
  uint32_t to = peers[1].number;
  EXPECT(0, call_and_wait(to, "echo", 4, 0, &a));
  CHECK(a.length == 4 && memcmp(a.text, "echo", 4) == 0);
  EXPECT(0, call_and_wait(to, "n", 1, 0, &a));
  CHECK(a.length == 0);
  EXPECT(7, call_and_wait(to, "r", 1, 0, &a));
  CHECK(a.length == 2 && memcmp(a.text, "no", 2) == 0);
  EXPECT(0, call_and_wait(to, "l", 1, 0, &a));
  CHECK(memcmp(a.text, "late", 4) == 0);
  large[0] = 'e';
  EXPECT(0, call_and_wait(to, large, 300000, 0, &a));
  CHECK(a.length == 300000);
  free(large);
  EXPECT(ALOFT_ETIMEDOUT, call_and_wait(to, "k", 1, 30, &a));
  EVENTUALLY(read_count(&peers[1], &peers[1].cancelled) == 1);
  EXPECT(ALOFT_ENOLINK, call_and_wait(77, "e", 1, 0, &a));
  EXPECT(ALOFT_ENOLINK, call_and_wait(1000, "e", 1, 0, &a));
}

static void test_cancel(void) {
  answer a = answer_new();
  aloft_call call;
  OK(aloft_node_call(peers[0].node, peers[1].number, "k", 1, 10000, answered, &a, &call));
  CHECK(call.id != 0);
  OK(aloft_node_cancel(peers[0].node, call));
  EVENTUALLY(calls_of(&a) == 1);
  EXPECT(ALOFT_ECANCELED, a.status);
  EVENTUALLY(read_count(&peers[1], &peers[1].cancelled) == 2);
  OK(aloft_node_cancel(peers[0].node, call)); // from here nobody can tell that it's over
}

// On the node's own loop: at once, without a copy, and with codes at once.
typedef struct burst {
  latch all;
  int failures;
  answer cancelled;
} burst;

static void burst_answered(int status, const void *data, size_t length, void *context) {
  burst *b = context;
  if (status != 0 || length != 5 || memcmp(data, "echo!", 5) != 0) b->failures++;
  latch_down(&b->all);
}

static void burst_send(void *argument) {
  burst *b = argument;
  aloft_node *node = peers[0].node;
  aloft_call call;
  for (int i = 0; i < CALLS; i++) {
    OK(aloft_node_call(node, peers[2].number, "echo!", 5, 0, burst_answered, b, NULL));
  }
  EXPECT(ALOFT_ENOLINK, aloft_node_call(node, 99, "e", 1, 0, burst_answered, b, NULL));
  EXPECT(ALOFT_EMSGSIZE,
         aloft_node_call(node, 99, "e", (64u << 20) + 1, 0, burst_answered, b, NULL));
  OK(aloft_node_call(node, peers[1].number, "k", 1, 0, answered, &b->cancelled, &call));
  CHECK(b->cancelled.calls == 0);
  OK(aloft_node_cancel(node, call));
  CHECK(b->cancelled.calls == 1 && b->cancelled.status == ALOFT_ECANCELED);
  EXPECT(ALOFT_ENOENT, aloft_node_cancel(node, call));
  EXPECT(ALOFT_EBUSY, aloft_node_destroy(node));
  status_of(&peers[0]); // asked, and answered at once
}

static void from_another_loop(void *argument) {
  aloft_node_status status;
  (void)argument;
  memset(&status, 0, sizeof status);
  status.struct_size = sizeof status;
  EXPECT(ALOFT_EWRONGTHREAD, aloft_node_status_get(peers[0].node, &status));
  CHECK(aloft_node_slot_owner(peers[0].node, 1) > 0);
}

static void test_loop(void) {
  burst b = {LATCH_INIT(CALLS), 0, {0}};
  b.cancelled = answer_new();
  on_loop(peers[0].runtime, 0, burst_send, &b);
  latch_wait(&b.all);
  CHECK(b.failures == 0);
  on_loop(peers[0].runtime, 1, from_another_loop, NULL);
}

// ---- Names ----

typedef struct inbox {
  pthread_mutex_t mutex;
  int got[NODES], disorders;
} inbox;

static int on_message(aloft_mailbox mailbox, aloft_message *message, void *context) {
  inbox *in = context;
  const unsigned char *bytes = aloft_message_data(message);
  (void)mailbox;
  CHECK(aloft_message_length(message) == 3);
  pthread_mutex_lock(&in->mutex);
  if (in->got[bytes[0]] != (bytes[1] | bytes[2] << 8)) in->disorders++;
  in->got[bytes[0]]++;
  pthread_mutex_unlock(&in->mutex);
  return 0;
}

static int got_all(inbox *in, int wanted) {
  int all = 1;
  pthread_mutex_lock(&in->mutex);
  for (int i = 0; i < NODES; i++) all &= in->got[i] == wanted;
  pthread_mutex_unlock(&in->mutex);
  return all;
}

static void test_names(void) {
  inbox in = {PTHREAD_MUTEX_INITIALIZER, {0}, 0};
  aloft_mailbox_callbacks callbacks;
  aloft_mailbox mailbox;
  aloft_target target;
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_message = on_message;
  OK(aloft_mailbox_open(peers[0].runtime, 1, NULL, &callbacks, &in, &mailbox));
  OK(aloft_registry_register(peers[0].runtime, aloft_key_name("orders"),
                             aloft_target_mailbox(mailbox), NULL));
  for (int i = 0; i < NODES; i++) {
    aloft_runtime *runtime = peers[i].runtime;
    EVENTUALLY(aloft_registry_look_up(runtime, aloft_key_name("orders"), &target) == 0);
    CHECK((target.id == mailbox.id) == (i == 0));
    for (int number = 0; number < 1000; number++) {
      unsigned char bytes[3];
      bytes[0] = (unsigned char)i;
      bytes[1] = (unsigned char)(number & 255);
      bytes[2] = (unsigned char)(number >> 8);
      OK(aloft_registry_send_bytes(runtime, aloft_key_name("orders"), bytes, 3,
                                   ALOFT_PRIORITY_NORMAL));
    }
  }
  EVENTUALLY(got_all(&in, 1000));
  CHECK(in.disorders == 0);
  OK(aloft_mailbox_close(mailbox, 0));
  for (int i = 0; i < NODES; i++) {
    EVENTUALLY(aloft_registry_look_up(peers[i].runtime, aloft_key_name("orders"), &target) ==
               ALOFT_ENONAME);
  }
}

static void test_statistics(void) {
  aloft_node_statistics statistics;
  memset(&statistics, 0, sizeof statistics);
  statistics.struct_size = sizeof statistics;
  OK(aloft_node_statistics_get(peers[0].node, &statistics));
  CHECK(statistics.links == NODES - 1 && statistics.links_up >= statistics.links);
  CHECK(statistics.calls_started >= CALLS && statistics.calls_timed_out == 1);
  CHECK(statistics.bytes_sent > 300000 && statistics.bytes_received > 300000);
  // A program that was built against an older header asks for less.
  memset(&statistics, 0xAA, sizeof statistics);
  statistics.struct_size = 16;
  OK(aloft_node_statistics_get(peers[0].node, &statistics));
  CHECK(statistics.links == NODES - 1 && statistics.links_up == 0xAAAAAAAAAAAAAAAA);
}

// ---- Changes of the cluster ----

static void done(int status, void *context) { answered(status, NULL, 0, context); }

#define DONE(code, function, ...)                                                              \
  do {                                                                                         \
    answer a_ = answer_new();                                                                  \
    OK(function(__VA_ARGS__, done, &a_));                                                      \
    EVENTUALLY(calls_of(&a_) == 1);                                                            \
    EXPECT(code, a_.status);                                                                   \
  } while (0)

// On the loop: whatever there is no room for is told of, and goes when there is.
enum { CHANNEL_MESSAGES = 2000, STREAM_BYTES = 3 << 20 };

typedef struct stream {
  int written;
  int status;
} stream;

static void write_more(void *argument) {
  static char bytes[64 << 10];
  stream *s = argument;
  aloft_node *node = peers[0].node;
  while (s->written < STREAM_BYTES) {
    size_t rest = (size_t)(STREAM_BYTES - s->written), taken = 0;
    s->status = aloft_node_write(node, peers[1].number, 9, bytes,
                                 rest < sizeof bytes ? rest : sizeof bytes, &taken);
    s->written += (int)taken;
    if (s->status != 0 || taken == 0) break;
  }
}

static void channels_on_loop(void *argument) {
  aloft_node *node = peers[0].node;
  uint32_t taken = 0;
  size_t count = 0;
  (void)argument;
  OK(aloft_node_broadcast(node, 200, "all", 3, &taken));
  CHECK(taken == NODES - 1);
  OK(aloft_node_send(node, peers[1].number, 201, 0, NULL, 0, NULL, NULL));
  EXPECT(ALOFT_ENOLINK, aloft_node_send(node, 99, 0, 0, "x", 1, NULL, NULL));
  EXPECT(ALOFT_ENOLINK, aloft_node_write(node, 99, 0, "x", 1, &count));
  EXPECT(ALOFT_EINVAL, aloft_node_write(node, peers[1].number, 256, "x", 1, &count));
  EXPECT(ALOFT_EINVAL, aloft_node_write(node, peers[1].number, 0, "x", 1, NULL));
  EXPECT(ALOFT_EINVAL, aloft_node_broadcast(node, 256, "x", 1, NULL));
}

static void test_channels(void) {
  aloft_node *node = peers[0].node;
  uint32_t to = peers[1].number;
  stream s = {0, 0};
  for (int i = 0; i < CHANNEL_MESSAGES; i++) {
    uint32_t flags = i % 2 == 0 ? 0 : ALOFT_SEND_ACKNOWLEDGED;
    int number = i / 2;
    OK(aloft_node_send(node, to, 5 + flags, flags, &number, sizeof number, NULL, NULL));
  }
  EVENTUALLY(read_count(&peers[1], &peers[1].messages[5]) == CHANNEL_MESSAGES / 2);
  EVENTUALLY(read_count(&peers[1], &peers[1].messages[6]) == CHANNEL_MESSAGES / 2);
  CHECK(peers[1].disorders == 0);
  DONE(ALOFT_OK, aloft_node_send, node, to, 7, 0, "x", 1);
  DONE(ALOFT_ENOLINK, aloft_node_send, node, 99, 7, 0, "x", 1);
  on_loop(peers[0].runtime, 0, channels_on_loop, NULL);
  EVENTUALLY(read_count(&peers[2], &peers[2].messages[200]) == 1);
  EVENTUALLY(read_count(&peers[1], &peers[1].messages[201]) == 1);
  EXPECT(ALOFT_EWRONGTHREAD, aloft_node_broadcast(node, 0, "x", 1, NULL));
  EXPECT(ALOFT_EINVAL, aloft_node_send(node, to, 256, 0, "x", 1, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_node_send(node, to, 0, 2, "x", 1, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_node_send(node, to, 0, 0, NULL, 1, NULL, NULL));
  // A stream of more bytes than a link takes at once.
  while (s.written < STREAM_BYTES) {
    int told = read_count(&peers[0], &peers[0].writables);
    on_loop(peers[0].runtime, 0, write_more, &s);
    EXPECT(0, s.status);
    if (s.written < STREAM_BYTES) EVENTUALLY(read_count(&peers[0], &peers[0].writables) > told);
  }
  EVENTUALLY(read_count(&peers[1], &peers[1].message_bytes[9]) == STREAM_BYTES);
}

static void test_changes(void) {
  DONE(ALOFT_OK, aloft_node_set_weight, peers[1].node, "c", 50);
  EVENTUALLY(count_of(&peers[0], "c").weight == 50);
  EVENTUALLY(count_of(&peers[0], "c").wanted_slots < 3300);
  DONE(ALOFT_OK, aloft_node_set_draining, peers[1].node, "c", 1);
  EVENTUALLY(count_of(&peers[0], "c").draining == 1);
  EVENTUALLY(count_of(&peers[0], "c").wanted_slots == 0);
  DONE(ALOFT_OK, aloft_node_set_draining, peers[2].node, "c", 0);
  EVENTUALLY(count_of(&peers[0], "c").wanted_slots > 3200);
  DONE(ALOFT_OK, aloft_node_set_weight, peers[0].node, "c", 100);
  DONE(ALOFT_ENONAME, aloft_node_set_weight, peers[1].node, "nobody", 50);
  DONE(ALOFT_ENONAME, aloft_node_forget, peers[0].node, "nobody");
  DONE(ALOFT_EREFUSED, aloft_node_forget, peers[0].node, "b");
}

// A new key is added, put first, and the old one taken away, while the cluster goes on. Then the
// old one opens no door any more.
static void test_keys(void) {
  aloft_node_key old_first[2], new_first[2];
  aloft_runtime_options options;
  peer stranger;
  old_first[0] = new_first[1] = key_of(secret);
  old_first[1] = new_first[0] = key_of(other_secret);
  for (int i = 0; i < NODES; i++) OK(aloft_node_set_keys(peers[i].node, old_first, 2));
  for (int i = 0; i < NODES; i++) OK(aloft_node_set_keys(peers[i].node, new_first, 2));
  for (int i = 0; i < NODES; i++) OK(aloft_node_set_keys(peers[i].node, new_first, 1));
  EXPECT(ALOFT_EINVAL, aloft_node_set_keys(peers[0].node, new_first, 0));
  EXPECT(ALOFT_EINVAL, aloft_node_set_keys(peers[0].node, NULL, 1));
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.connections_max = 64;
  memset(&stranger, 0, sizeof stranger);
  pthread_mutex_init(&stranger.mutex, NULL);
  stranger.name[0] = 'z';
  snprintf(stranger.data, sizeof stranger.data, "%s/z", root);
  OK(aloft_runtime_create(&options, &stranger.runtime));
  {
    aloft_node_options given;
    aloft_node_callbacks callbacks;
    aloft_node_key key = key_of(secret);
    const char *seed = peers[0].address;
    memset(&given, 0, sizeof given);
    given.struct_size = sizeof given;
    given.name = stranger.name;
    given.data_directory = stranger.data;
    given.keys = &key;
    given.keys_count = 1;
    given.seeds = &seed;
    given.seeds_count = 1;
    given.join_timeout_ms = 500;
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.on_stopped = on_stopped;
    OK(aloft_node_join(stranger.runtime, &given, &callbacks, &stranger, &stranger.node));
    EVENTUALLY(read_count(&stranger, &stranger.stopped) == 1);
    EXPECT(ALOFT_ETIMEDOUT, stranger.status);
    end(&stranger);
  }
  CHECK(count_of(&peers[0], NULL).up == NODES);
}

static void test_bad_input(void) {
  aloft_node_options options;
  aloft_node *node;
  aloft_node_key key = key_of(secret);
  aloft_node_key shorter = key_of("short");
  aloft_runtime *runtime = peers[0].runtime;
  const char *nowhere = "nowhere";
  char second[64];
  memset(&options, 0, sizeof options);
  EXPECT(ALOFT_EINVAL, aloft_node_join(runtime, NULL, NULL, NULL, &node));
  EXPECT(ALOFT_EINVAL, aloft_node_join(runtime, &options, NULL, NULL, &node)); // no struct_size
  options.struct_size = sizeof options;
  EXPECT(ALOFT_EINVAL, aloft_node_join(runtime, &options, NULL, NULL, &node)); // no name
  options.name = "x";
  options.data_directory = "/proc/no/such/place";
  EXPECT(ALOFT_EINVAL, aloft_node_join(runtime, &options, NULL, NULL, &node)); // no key
  options.keys = &shorter;
  options.keys_count = 1;
  EXPECT(ALOFT_EINVAL, aloft_node_join(runtime, &options, NULL, NULL, &node));
  options.keys = &key;
  options.role = 3;
  EXPECT(ALOFT_EINVAL, aloft_node_join(runtime, &options, NULL, NULL, &node));
  options.role = 0;
  options.loop = 9;
  EXPECT(ALOFT_ENOENT, aloft_node_join(runtime, &options, NULL, NULL, &node));
  options.loop = 0;
  options.seeds = &nowhere;
  options.seeds_count = 1;
  EXPECT(ALOFT_EINVAL, aloft_node_join(runtime, &options, NULL, NULL, &node));
  options.seeds_count = 0;
  EXPECT(ALOFT_ENODE, aloft_node_join(runtime, &options, NULL, NULL, &node));
  CHECK(strstr(aloft_last_error_message(), "/proc/no/such/place") != NULL);
  snprintf(second, sizeof second, "%s/second", root);
  options.data_directory = second;
  EXPECT(ALOFT_ENODE, aloft_node_join(runtime, &options, NULL, NULL, &node));
  CHECK(strstr(aloft_last_error_message(), "the runtime has a node") != NULL);
  EXPECT(ALOFT_EINVAL, aloft_node_slot_owner(peers[0].node, ALOFT_SLOTS));
  EXPECT(ALOFT_EINVAL, aloft_node_status_get(NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_node_call(peers[0].node, 1, NULL, 1, 0, answered, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_node_call(peers[0].node, 1, "x", 1, 0, NULL, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_node_set_weight(peers[0].node, "a", 65536, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_node_set_weight(peers[0].node, NULL, 1, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_node_set_certificate(peers[0].node, NULL));
  {
    aloft_request none = {{0, 0, 0}};
    EXPECT(ALOFT_EINVAL, aloft_node_refuse(peers[0].node, none, 1, NULL, 0));
    OK(aloft_node_reply(peers[0].node, none, "x", 1)); // nobody hears it
  }
  OK(aloft_node_destroy(NULL));
}

// ---- Ends ----

static void test_ends(void) {
  answer a = answer_new();
  // One leaves: its slots move first, and it is forgotten.
  DONE(ALOFT_OK, aloft_node_leave, peers[1].node, 20000);
  EVENTUALLY(read_count(&peers[1], &peers[1].stopped) == 1);
  EXPECT(0, peers[1].status);
  EVENTUALLY(count_of(&peers[0], "b").state == ALOFT_MEMBER_LEFT);
  EVENTUALLY(read_count(&peers[2], &peers[2].lefts) == 1);
  EXPECT(ALOFT_ECLOSED, aloft_node_for_each_member(peers[1].node, count_member, &a));
  end(&peers[1]);
  // One is stopped while it is called: the caller knows at once, and the cluster soon.
  OK(aloft_node_call(peers[0].node, peers[2].number, "k", 1, 20000, answered, &a, NULL));
  EVENTUALLY(peers[2].kept.words[0] != 0);
  OK(aloft_node_stop(peers[2].node));
  EVENTUALLY(calls_of(&a) == 1);
  EXPECT(ALOFT_ELINKDOWN, a.status);
  EVENTUALLY(read_count(&peers[2], &peers[2].stopped) == 1);
  EXPECT(0, peers[2].status);
}

// It comes back with its data directory: the same number, in another life.
static void test_return(void) {
  peer former = peers[2];
  aloft_node_key key = key_of(other_secret);
  OK(aloft_node_destroy(peers[2].node));
  peers[2].joined = peers[2].stopped = 0;
  OK(join(&peers[2], peers[0].address, &key, 1));
  EVENTUALLY(read_count(&peers[2], &peers[2].joined) == 1);
  CHECK(peers[2].number == former.number && peers[2].incarnation > former.incarnation);
  EVENTUALLY(count_of(&peers[0], NULL).up == NODES - 1);
}

int main(void) {
  memset(root + strlen(root), 'X', 6); // which mkdtemp replaces
  CHECK(mkdtemp(root) != NULL);
  for (int i = 0; i < NODES; i++) begin(&peers[i], i, i == 0 ? NULL : peers[0].address);
  test_members();
  test_calls();
  test_cancel();
  test_loop();
  test_names();
  test_statistics();
  test_channels();
  test_changes();
  test_keys();
  test_bad_input();
  test_ends();
  test_return();
  end(&peers[2]);
  end(&peers[0]);
  CHECK(nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
  puts("node: ok");
  return 0;
}
