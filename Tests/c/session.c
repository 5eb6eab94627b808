// Sessions, from C: three nodes in processes of their own, and clients in this one. Sessions are
// made, read, written, watched and closed; others' and forged ones are refused; the node that the
// client is at is killed with writes under way: each is done once, no event is missed, and another
// node's handler takes the sessions over.
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "aloft_node.h"
#include "check.h"

enum { NODES = 3, SESSIONS = 8, APPENDS = 24 };

static char root[40] = "/tmp/aloft-session-c-";
static const char secret[] = "a key for the tests of sessions";

static void pause_ms(long ms) {
  struct timespec time = {0, ms * 1000000};
  nanosleep(&time, NULL);
}

// Waits until something has come to be, for a minute at most.
#define EVENTUALLY(condition)                                                                  \
  do {                                                                                         \
    int left_ = 60000;                                                                         \
    while (!(condition)) {                                                                     \
      CHECK(--left_ > 0 && #condition);                                                        \
      pause_ms(1);                                                                             \
    }                                                                                          \
  } while (0)

static aloft_node_key key(void) {
  aloft_node_key made;
  made.bytes = secret;
  made.length = strlen(secret);
  return made;
}

static aloft_runtime *make_runtime(void) {
  aloft_runtime_options options;
  aloft_runtime *runtime;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.connections_max = 256;
  options.event_loops = 1;
  OK(aloft_runtime_create(&options, &runtime));
  return runtime;
}

// ---- A node, in a process of its own ----

static aloft_sessions *own;

// Tells the session's client that it was taken over.
static void on_started(aloft_node *node, const aloft_session_result *session, int is_new,
                       void *context) {
  (void)node;
  (void)context;
  CHECK(session->struct_size == sizeof *session && strlen(session->id) == 32);
  CHECK(session->version > 0 && session->phase == ALOFT_PHASE_ACTIVE);
  if (!is_new) OK(aloft_session_publish(own, session->id, "taken over", 10, NULL, NULL));
}

static int count_voter(const aloft_node_member *member, void *context) {
  *(int *)context += member->is_voter && member->slots > 0;
  return 1;
}

static int voters_of(aloft_node *node) {
  int voters = 0;
  aloft_node_for_each_member(node, count_voter, &voters);
  return voters;
}

static int run_node(const char *name, const char *seed) {
  aloft_runtime *runtime = make_runtime();
  aloft_node_options options;
  aloft_node_status status;
  aloft_session_handler handler;
  aloft_node_key one = key();
  aloft_node *node;
  char data[80], address[ALOFT_ADDRESS_SIZE], door[ALOFT_ADDRESS_SIZE];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  snprintf(data, sizeof data, "%s/%s", root, name);
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.name = name;
  options.data_directory = data;
  options.keys = &one;
  options.keys_count = 1;
  options.seeds = &seed;
  options.seeds_count = *seed != '\0';
  options.timing = ALOFT_TIMING_RELAXED; // on a busy machine the others take the slow for dead
  options.join_timeout_ms = 60000;
  options.session_listen = "127.0.0.1:0";
  OK(aloft_node_join(runtime, &options, NULL, NULL, &node));
  OK(aloft_node_sessions(node, "alice", 60000, &own));
  memset(&handler, 0, sizeof handler);
  handler.struct_size = sizeof handler;
  handler.on_started = on_started;
  OK(aloft_node_serve_sessions(node, &handler, NULL));
  memset(&status, 0, sizeof status);
  status.struct_size = sizeof status;
  do {
    pause_ms(5);
    OK(aloft_node_status_get(node, &status));
  } while (!status.is_member);
  OK(aloft_node_address(node, address, sizeof address));
  OK(aloft_node_session_address(node, door, sizeof door));
  printf("%u %s %s\n", status.node, address, door);
  fflush(stdout);
  EVENTUALLY(voters_of(node) == NODES);
  printf("ready\n");
  fflush(stdout);
  for (;;) pause(); // until it's killed
}

typedef struct process {
  pid_t pid;
  FILE *output;
  unsigned number;
  char address[ALOFT_ADDRESS_SIZE];
  char door[ALOFT_ADDRESS_SIZE];
} process;

static process nodes[NODES];

static void start(process *p, const char *program, const char *name, const char *seed) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  p->pid = fork();
  CHECK(p->pid >= 0);
  if (p->pid == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    execl(program, program, "node", root, name, seed, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  p->output = fdopen(ends[0], "r");
  CHECK(p->output != NULL);
  CHECK(fscanf(p->output, "%u %63s %63s", &p->number, p->address, p->door) == 3);
}

static void await_ready(process *p) {
  char word[16];
  CHECK(fscanf(p->output, "%15s", word) == 1 && strcmp(word, "ready") == 0);
}

static void kill_node(process *p) {
  CHECK(kill(p->pid, SIGKILL) == 0);
  CHECK(waitpid(p->pid, NULL, 0) == p->pid);
  fclose(p->output);
  p->pid = 0;
}

// ---- What clients are told ----

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

typedef struct answer {
  int calls, status;
  char id[ALOFT_SESSION_ID_SIZE];
  uint64_t version, number, first_event, next_event;
  uint32_t phase;
  size_t length;
  char state[256];
} answer;

static void answered(int status, const aloft_session_result *result, void *context) {
  answer *a = context;
  pthread_mutex_lock(&mutex);
  a->calls++;
  a->status = status;
  if (result != NULL) {
    CHECK(result->struct_size == sizeof *result);
    if (result->id != NULL) snprintf(a->id, sizeof a->id, "%s", result->id);
    a->version = result->version;
    a->number = result->number;
    a->first_event = result->first_event;
    a->next_event = result->next_event;
    a->phase = result->phase;
    a->length = result->length;
    CHECK(result->length <= sizeof a->state);
    if (result->length > 0) memcpy(a->state, result->state, result->length);
  }
  if (status != 0) CHECK(*aloft_last_error_message() != '\0');
  pthread_mutex_unlock(&mutex);
}

static int calls_of(answer *a) {
  int calls;
  pthread_mutex_lock(&mutex);
  calls = a->calls;
  pthread_mutex_unlock(&mutex);
  return calls;
}

// Asks, and waits for the answer: its status.
#define ASK(a, call)                                                                           \
  (memset((a), 0, sizeof *(a)), (void)(call), wait_for(a), (a)->status)

static void wait_for(answer *a) { EVENTUALLY(calls_of(a) == 1); }

typedef struct watcher {
  answer attached; // first: `done` and the callbacks have one context
  int events, taken, ended;
  uint64_t last;
  char text[APPENDS + 8];
} watcher;

static void on_event(uint64_t number, const void *data, size_t length, void *context) {
  watcher *w = context;
  pthread_mutex_lock(&mutex);
  CHECK(number > w->last); // in order, each once
  w->last = number;
  if (length == 1) {
    CHECK(w->events < APPENDS);
    w->text[w->events++] = *(const char *)data;
  } else {
    CHECK(length == 10 && memcmp(data, "taken over", 10) == 0);
    w->taken++;
  }
  pthread_mutex_unlock(&mutex);
}

static void on_ended(int status, void *context) {
  watcher *w = context;
  pthread_mutex_lock(&mutex);
  w->ended = status;
  pthread_mutex_unlock(&mutex);
}

static int read_int(int *value) {
  int read;
  pthread_mutex_lock(&mutex);
  read = *value;
  pthread_mutex_unlock(&mutex);
  return read;
}

typedef struct client {
  aloft_sessions *sessions;
  int node, resumed, failed;
} client;

static void on_state(const aloft_client_state *state, void *context) {
  client *c = context;
  pthread_mutex_lock(&mutex);
  CHECK(state->struct_size == sizeof *state);
  switch (state->kind) {
  case ALOFT_CLIENT_CONNECTED: c->node = (int)state->node; break;
  case ALOFT_CLIENT_RESUMING: c->resumed++; break;
  case ALOFT_CLIENT_FAILED:
    CHECK(state->reason != NULL);
    c->failed++;
    break;
  default: break;
  }
  pthread_mutex_unlock(&mutex);
}

static void connect_as(aloft_runtime *runtime, const char *principal, client *c) {
  aloft_client_options options;
  const char *addresses[NODES];
  char token[ALOFT_CLIENT_TOKEN_SIZE];
  aloft_node_key one = key();
  memset(c, 0, sizeof *c);
  for (int i = 0; i < NODES; i++) addresses[i] = nodes[i].door;
  OK(aloft_client_token(&one, principal, 0, token, sizeof token));
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.addresses = addresses;
  options.addresses_count = NODES;
  options.token = token;
  options.timeout_ms = 60000;
  options.on_state = on_state;
  options.context = c;
  OK(aloft_client_connect(runtime, &options, &c->sessions));
}

// ---- Tests ----

static void test_operations(aloft_sessions *s) {
  answer a, b;
  aloft_session_options options;
  aloft_session_field fields[2];
  uint64_t version;
  EXPECT(0, ASK(&a, aloft_session_create(s, "basket", "one", 3, NULL, answered, &a)));
  CHECK(strlen(a.id) == 32 && a.version > 0);
  EXPECT(0, ASK(&b, aloft_session_get(s, a.id, ALOFT_SESSION_LATEST, answered, &b)));
  CHECK(b.length == 3 && memcmp(b.state, "one", 3) == 0 && b.phase == ALOFT_PHASE_ACTIVE);
  version = b.version;
  EXPECT(0, ASK(&b, aloft_session_put(s, a.id, version, "two", 3, answered, &b)));
  CHECK(b.version > version);
  EXPECT(ALOFT_ESTALE, ASK(&b, aloft_session_put(s, a.id, version, "no", 2, answered, &b)));
  EXPECT(0, ASK(&b, aloft_session_append(s, a.id, "three", 5, answered, &b)));
  version = b.version;
  EXPECT(0, ASK(&b, aloft_session_get(s, a.id, version, answered, &b)));
  CHECK(b.length == 8 && memcmp(b.state, "twothree", 8) == 0 && b.version == version);
  EXPECT(0, ASK(&b, aloft_session_touch(s, a.id, answered, &b)));
  EXPECT(0, ASK(&b, aloft_session_find(s, "basket", answered, &b)));
  CHECK(strcmp(a.id, b.id) == 0);
  EXPECT(ALOFT_ENAMETAKEN,
         ASK(&b, aloft_session_create(s, "basket", NULL, 0, NULL, answered, &b)));
  EXPECT(0, ASK(&b, aloft_session_set_phase(s, a.id, ALOFT_PHASE_SUSPENDED, answered, &b)));
  EXPECT(ALOFT_EINVAL,
         ASK(&b, aloft_session_set_phase(s, a.id, ALOFT_PHASE_NEGOTIATING, answered, &b)));
  EXPECT(0, ASK(&b, aloft_session_close(s, a.id, answered, &b)));
  EXPECT(ALOFT_ECLOSED, ASK(&b, aloft_session_append(s, a.id, "x", 1, answered, &b)));

  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.state_max = 40;
  options.outbox_events_max = 1;
  EXPECT(0, ASK(&a, aloft_session_create(s, NULL, NULL, 0, &options, answered, &a)));
  memset(fields, 0, sizeof fields);
  fields[0].name = "a";
  fields[0].value = "1";
  fields[0].length = 1;
  fields[1].name = "b";
  fields[1].value = "2";
  fields[1].length = 1;
  EXPECT(0, ASK(&b, aloft_session_patch(s, a.id, fields, 2, answered, &b)));
  EXPECT(ALOFT_ELIMIT, ASK(&b, aloft_session_put(s, a.id, ALOFT_SESSION_ANY_VERSION,
                                                 "0123456789012345678901234567890123456789x", 41,
                                                 answered, &b)));
  EXPECT(0, ASK(&b, aloft_session_publish(s, a.id, "x", 1, answered, &b)));
  CHECK(b.number == 1);
  EXPECT(ALOFT_ELIMIT, ASK(&b, aloft_session_publish(s, a.id, "y", 1, answered, &b)));
  EXPECT(0, ASK(&b, aloft_session_acknowledge(s, a.id, 1, answered, &b)));
  CHECK(b.number == 2);
  options.durability = 9;
  EXPECT(ALOFT_EINVAL, aloft_session_create(s, NULL, NULL, 0, &options, answered, &b));
  EXPECT(ALOFT_EINVAL, aloft_session_append(s, NULL, "x", 1, answered, &b));
  EXPECT(ALOFT_EINVAL, aloft_session_append(NULL, a.id, "x", 1, answered, &b));
}

static void test_strangers(aloft_runtime *runtime, aloft_sessions *s) {
  client other;
  answer a, b;
  watcher w;
  char forged[ALOFT_SESSION_ID_SIZE];
  memset(&w, 0, sizeof w);
  EXPECT(0, ASK(&a, aloft_session_create(s, NULL, "mine", 4, NULL, answered, &a)));
  connect_as(runtime, "mallory", &other);
  EXPECT(ALOFT_EACCES, ASK(&b, aloft_session_get(other.sessions, a.id, ALOFT_SESSION_LATEST,
                                                 answered, &b)));
  EXPECT(ALOFT_EACCES, ASK(&b, aloft_session_append(other.sessions, a.id, "x", 1, answered, &b)));
  EXPECT(ALOFT_EACCES, ASK(&b, aloft_session_attach(other.sessions, a.id, 0, NULL, answered, &b,
                                                    NULL)));
  EXPECT(ALOFT_EACCES, ASK(&b, aloft_session_close(other.sessions, a.id, answered, &b)));
  memcpy(forged, a.id, sizeof forged);
  forged[5] = forged[5] == 'A' ? 'B' : 'A';
  EXPECT(ALOFT_ENOENT, ASK(&b, aloft_session_get(s, forged, 0, answered, &b)));
  EXPECT(ALOFT_ENOENT, ASK(&b, aloft_session_get(s, "short", 0, answered, &b)));
  OK(aloft_sessions_destroy(other.sessions));
}

static void test_bad_token(aloft_runtime *runtime) {
  aloft_client_options options;
  aloft_node_key one;
  client c;
  answer a;
  const char *address = nodes[0].door;
  char token[ALOFT_CLIENT_TOKEN_SIZE];
  memset(&c, 0, sizeof c);
  memset(&options, 0, sizeof options);
  one.bytes = "a key that is another cluster's";
  one.length = 31;
  OK(aloft_client_token(&one, "alice", 0, token, sizeof token));
  options.struct_size = sizeof options;
  options.addresses = &address;
  options.addresses_count = 1;
  options.token = "none";
  EXPECT(ALOFT_EINVAL, aloft_client_connect(runtime, &options, &c.sessions));
  options.token = token;
  options.on_state = on_state;
  options.context = &c;
  OK(aloft_client_connect(runtime, &options, &c.sessions));
  EVENTUALLY(read_int(&c.failed) == 1);
  EXPECT(ALOFT_ENODE, ASK(&a, aloft_session_create(c.sessions, NULL, "x", 1, NULL, answered, &a)));
  OK(aloft_sessions_destroy(c.sessions));
  EXPECT(ALOFT_EMSGSIZE, aloft_client_token(&one, "alice", 0, token, 8));
}

// The node that the client is at is killed, with writes of all sessions under way.
static void test_failover(aloft_sessions *s, client *c) {
  static answer made[SESSIONS], appended[SESSIONS][APPENDS], published[APPENDS];
  static watcher watchers[SESSIONS];
  aloft_attachment_callbacks callbacks;
  answer a;
  int victim = -1, taken = 0;
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_event = on_event;
  callbacks.on_ended = on_ended;
  for (int i = 0; i < SESSIONS; i++) {
    EXPECT(0, ASK(&made[i], aloft_session_create(s, NULL, NULL, 0, NULL, answered, &made[i])));
    OK(aloft_session_attach(s, made[i].id, 0, &callbacks, answered, &watchers[i], NULL));
    wait_for(&watchers[i].attached);
    EXPECT(0, watchers[i].attached.status);
  }
  for (int i = 0; i < NODES; i++) {
    if ((int)nodes[i].number == read_int(&c->node)) victim = i;
  }
  CHECK(victim >= 0);
  for (int n = 0; n < APPENDS; n++) {
    char letter = (char)('a' + n);
    if (n == APPENDS / 3) kill_node(&nodes[victim]);
    for (int i = 0; i < SESSIONS; i++) {
      OK(aloft_session_append(s, made[i].id, &letter, 1, answered, &appended[i][n]));
    }
    OK(aloft_session_publish(s, made[0].id, &letter, 1, answered, &published[n]));
  }
  for (int n = 0; n < APPENDS; n++) {
    for (int i = 0; i < SESSIONS; i++) {
      wait_for(&appended[i][n]);
      EXPECT(0, appended[i][n].status);
    }
    wait_for(&published[n]);
    EXPECT(0, published[n].status);
  }
  for (int i = 0; i < SESSIONS; i++) {
    EXPECT(0, ASK(&a, aloft_session_get(s, made[i].id, ALOFT_SESSION_LATEST, answered, &a)));
    CHECK(a.length == APPENDS);
    for (int n = 0; n < APPENDS; n++) CHECK(a.state[n] == 'a' + n);
  }
  EVENTUALLY(read_int(&watchers[0].events) == APPENDS);
  for (int n = 0; n < APPENDS; n++) CHECK(watchers[0].text[n] == 'a' + n);
  CHECK(read_int(&c->resumed) >= 1 && read_int(&c->node) != (int)nodes[victim].number);
  // Those that the dead node served are another's now, whose handler says so.
  for (int left = 60000; left > 0 && taken == 0; left--) {
    for (int i = 0; i < SESSIONS; i++) taken += read_int(&watchers[i].taken);
    pause_ms(1);
  }
  CHECK(taken > 0);
  EXPECT(0, ASK(&a, aloft_session_close(s, made[1].id, answered, &a)));
  EVENTUALLY(read_int(&watchers[1].ended) == ALOFT_ECLOSED);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw) {
  (void)status;
  (void)type;
  (void)ftw;
  return remove(path);
}

int main(int count, char **arguments) {
  aloft_runtime *runtime;
  client alice;
  if (count == 5 && strcmp(arguments[1], "node") == 0) {
    snprintf(root, sizeof root, "%s", arguments[2]);
    return run_node(arguments[3], arguments[4]);
  }
  memset(root + strlen(root), 'X', 6); // which mkdtemp replaces
  CHECK(mkdtemp(root) != NULL);
  start(&nodes[0], arguments[0], "a", "");
  start(&nodes[1], arguments[0], "b", nodes[0].address);
  start(&nodes[2], arguments[0], "c", nodes[0].address);
  for (int i = 0; i < NODES; i++) await_ready(&nodes[i]);
  runtime = make_runtime();
  connect_as(runtime, "alice", &alice);
  test_operations(alice.sessions);
  test_strangers(runtime, alice.sessions);
  test_bad_token(runtime);
  test_failover(alice.sessions, &alice);
  OK(aloft_sessions_destroy(alice.sessions));
  OK(aloft_sessions_destroy(NULL));
  OK(aloft_runtime_destroy(runtime));
  for (int i = 0; i < NODES; i++) {
    if (nodes[i].pid != 0) kill_node(&nodes[i]);
  }
  nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
  printf("session: ok\n");
  return 0;
}
