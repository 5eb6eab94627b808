// An echo server and its clients in one program: content, order and counts are right, over TCP,
// IPv6 and Unix-domain sockets, with and without frames, and it ends by draining.
#include <unistd.h>
#include "check.h"

enum { LOOPS = 2, CLIENTS = 8, ROUNDS = 40, MESSAGE_MAX = 5000 };

typedef struct client {
  struct scene *scene;
  aloft_connection connection;
  uint32_t seed;
  int round;
  size_t sent, got; // of this round
  int closed;
} client;

typedef struct scene {
  aloft_runtime *runtime;
  const char *address; // to listen on
  char bound[ALOFT_ADDRESS_SIZE];
  int framed;
  aloft_connection_options options;
  aloft_callbacks callbacks;
  aloft_listener listener;
  latch done;
  client clients[LOOPS][CLIENTS];
} scene;

static unsigned char letter(const client *c, size_t at) {
  return (unsigned char)(c->seed + (uint32_t)c->round * 7u + (uint32_t)at * 31u);
}

static void speak(client *c) {
  unsigned char message[MESSAGE_MAX];
  c->sent = 1 + (c->seed * 7919u + (uint32_t)c->round * 104729u) % MESSAGE_MAX;
  c->got = 0;
  for (size_t i = 0; i < c->sent; i++) message[i] = letter(c, i);
  OK(c->scene->framed ? aloft_write_frame(c->connection, message, c->sent)
                      : aloft_write(c->connection, message, c->sent));
  memset(message, 0xEE, sizeof message); // the bytes are ours again
}

static void client_open(aloft_connection connection, void *context) {
  client *c = context;
  char peer[ALOFT_ADDRESS_SIZE];
  CHECK(connection.id == c->connection.id);
  EXPECT(1, aloft_is_open(connection));
  OK(aloft_peer_address(connection, peer, sizeof peer));
  CHECK(strcmp(peer, c->scene->bound) == 0 || strncmp(c->scene->bound, "unix:@", 6) == 0);
  speak(c);
}

static void client_data(aloft_connection connection, const void *data, size_t length,
                        void *context) {
  client *c = context;
  const unsigned char *bytes = data;
  CHECK(connection.id == c->connection.id);
  CHECK(c->got + length <= c->sent);
  if (c->scene->framed) CHECK(length == c->sent);
  for (size_t i = 0; i < length; i++) CHECK(bytes[i] == letter(c, c->got + i));
  c->got += length;
  if (c->got < c->sent) return;
  if (++c->round < ROUNDS) {
    speak(c);
  } else {
    OK(aloft_finish_writing(connection));
    EXPECT(ALOFT_ECLOSED, aloft_write(connection, "x", 1));
  }
}

static void client_close(aloft_connection connection, int reason, int error, void *context) {
  client *c = context;
  CHECK(reason == ALOFT_CLOSED_BY_PEER);
  CHECK(error == 0);
  CHECK(c->round == ROUNDS);
  CHECK(!c->closed);
  c->closed = 1;
  EXPECT(ALOFT_ECLOSED, aloft_write(connection, "x", 1));
  EXPECT(ALOFT_ECLOSED, aloft_close(connection));
  EXPECT(0, aloft_is_open(connection));
  latch_down(&c->scene->done);
}

static void start_clients(void *argument) {
  scene *s = argument;
  aloft_callbacks callbacks = {0};
  int loop = aloft_loop_index(s->runtime);
  CHECK(loop >= 0 && loop < LOOPS);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_open = client_open;
  callbacks.on_data = client_data;
  callbacks.on_close = client_close;
  for (int i = 0; i < CLIENTS; i++) {
    client *c = &s->clients[loop][i];
    c->scene = s;
    c->seed = (uint32_t)(loop * CLIENTS + i);
    OK(aloft_connect(s->runtime, s->bound, NULL, &s->options, &callbacks, c, &c->connection));
    EXPECT(loop, aloft_connection_loop(s->runtime, c->connection));
    EXPECT(0, aloft_is_open(c->connection)); // not yet
  }
}

// The server: user data holds a count of its own, which goes with the connection.
static void server_open(aloft_connection connection, void *context) {
  scene *s = context;
  CHECK(aloft_loop_index(s->runtime) == aloft_connection_loop(s->runtime, connection));
  CHECK(aloft_user_data(connection) == NULL);
  OK(aloft_set_user_data(connection, calloc(1, sizeof(size_t))));
}

static void server_data(aloft_connection connection, const void *data, size_t length,
                        void *context) {
  scene *s = context;
  *(size_t *)aloft_user_data(connection) += length;
  OK(s->framed ? aloft_write_frame(connection, data, length)
               : aloft_write(connection, data, length));
}

static void server_close(aloft_connection connection, int reason, int error, void *context) {
  size_t *total = aloft_user_data(connection);
  (void)context;
  CHECK(reason == ALOFT_CLOSED_BY_US); // on_end is NULL, which closes
  CHECK(error == 0);
  CHECK(*total > ROUNDS);
  free(total);
}

static void start_server(void *argument) {
  scene *s = argument;
  OK(aloft_listen(s->runtime, s->address, &s->options, &s->callbacks, s, &s->listener));
  OK(aloft_listener_address(s->runtime, s->listener, s->bound, sizeof s->bound));
}

static void stop_server(void *argument) {
  scene *s = argument;
  OK(aloft_listener_close(s->runtime, s->listener));
  EXPECT(ALOFT_ENOENT, aloft_listener_close(s->runtime, s->listener));
  EXPECT(ALOFT_ENOENT, aloft_listener_port(s->runtime, s->listener));
}

// `on` is the loop that starts and stops the server, or -1 for this thread.
static void play(aloft_runtime *runtime, const char *address, int framed, int on) {
  static scene s;
  static const latch fresh = LATCH_INIT(LOOPS * CLIENTS);
  memset(&s, 0, sizeof s);
  s.runtime = runtime;
  s.address = address;
  s.framed = framed;
  s.done = fresh;
  s.options.struct_size = sizeof s.options;
  s.options.framing = framed ? ALOFT_FRAMING_LENGTH_PREFIXED : ALOFT_FRAMING_NONE;
  s.options.frame_bytes_max = MESSAGE_MAX;
  s.callbacks.struct_size = sizeof s.callbacks;
  s.callbacks.on_open = server_open;
  s.callbacks.on_data = server_data;
  s.callbacks.on_close = server_close;
  if (on >= 0) {
    on_loop(runtime, (uint32_t)on, start_server, &s);
  } else {
    start_server(&s);
  }
  if (strncmp(address, "unix:", 5) == 0) {
    EXPECT(0, aloft_listener_port(runtime, s.listener));
    CHECK(strcmp(s.bound, address) == 0);
  } else {
    CHECK(aloft_listener_port(runtime, s.listener) > 0);
  }
  for (uint32_t loop = 0; loop < LOOPS; loop++) on_loop(runtime, loop, start_clients, &s);
  latch_wait(&s.done);
  if (on >= 0) {
    on_loop(runtime, (uint32_t)on, stop_server, &s);
  } else {
    stop_server(&s);
  }
}

static aloft_runtime *ended_runtime;

static void ended(int status, void *context) {
  CHECK(status == ALOFT_OK);
  EXPECT(ALOFT_EWRONGTHREAD, aloft_runtime_wait(ended_runtime));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_runtime_destroy(ended_runtime));
  latch_down(context);
}

static void run(uint32_t flags) {
  static const latch shut = LATCH_INIT(1);
  static latch end = LATCH_INIT(1);
  enum { SCENES = 6 };
  aloft_runtime *runtime;
  aloft_runtime_options options = {0};
  aloft_statistics counts = {0}, one = {0};
  char path[ALOFT_ADDRESS_SIZE];
  options.struct_size = sizeof options;
  options.event_loops = LOOPS;
  options.connections_max = 256;
  options.flags = flags;
  end = shut;
  OK(aloft_runtime_create(&options, &runtime));
  EXPECT(LOOPS, aloft_loop_count(runtime));
  ended_runtime = runtime;
  play(runtime, "127.0.0.1:0", 0, -1);
  play(runtime, "127.0.0.1:0", 1, 0);
  play(runtime, "[::1]:0", 1, 1);
  snprintf(path, sizeof path, "unix:/tmp/aloft-test-%d.sock", (int)getpid());
  play(runtime, path, 0, -1);
  unlink(path + 5);
  play(runtime, path, 1, 1);
  unlink(path + 5);
  snprintf(path, sizeof path, "unix:@aloft-test-%d", (int)getpid());
  play(runtime, path, 0, -1);

  counts.struct_size = one.struct_size = sizeof counts;
  OK(aloft_statistics_get(runtime, ALOFT_ALL_LOOPS, &counts));
  OK(aloft_statistics_get(runtime, 0, &one));
  CHECK(counts.struct_size == sizeof counts);
  CHECK(counts.connected == SCENES * LOOPS * CLIENTS);
  CHECK(counts.accepted == counts.connected);
  CHECK(counts.refused == 0);
  CHECK(counts.bytes_written >= counts.bytes_received);
  CHECK(counts.receives >= SCENES * LOOPS * CLIENTS * ROUNDS);
  CHECK(one.connected == SCENES * CLIENTS);
  CHECK(one.turns <= counts.turns);

  OK(aloft_runtime_shutdown(runtime, 5000, ended, &end));
  EXPECT(ALOFT_ESHUTDOWN, aloft_runtime_shutdown(runtime, 0, ended, &end));
  OK(aloft_runtime_wait(runtime));
  latch_wait(&end);
  OK(aloft_statistics_get(runtime, ALOFT_ALL_LOOPS, &counts));
  CHECK(counts.connections_open == 0);
  CHECK(counts.closed == 2 * SCENES * LOOPS * CLIENTS);
  EXPECT(ALOFT_ESHUTDOWN, aloft_execute(runtime, 0, ended, &end));
  EXPECT(ALOFT_ESHUTDOWN, aloft_listen(runtime, "127.0.0.1:0", NULL,
                                       &(aloft_callbacks){.struct_size = sizeof(aloft_callbacks)},
                                       NULL, NULL));
  OK(aloft_runtime_destroy(runtime));
}

int main(void) {
  run(0);
  run(ALOFT_PRIVATE_DESCRIPTORS);
  puts("echo: ok");
  return 0;
}
