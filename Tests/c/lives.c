// How connections live and end: room and the lack of it, each reason to close, limits, the wrong
// thread, and a runtime that drains.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include "check.h"

static aloft_runtime *runtime;
static char address[ALOFT_ADDRESS_SIZE];
static int port;

// What the program's own end of a connection has seen.
typedef struct end {
  aloft_connection connection;
  size_t got;
  int opened, writable, drained, reason, error, refused;
  latch open, closed;
} end;

static const end fresh = {.open = LATCH_INIT(1), .closed = LATCH_INIT(1)};

static void on_open(aloft_connection connection, void *context) {
  end *e = context;
  e->connection = connection;
  e->opened++;
  latch_down(&e->open);
}

static void on_data(aloft_connection connection, const void *data, size_t length, void *context) {
  end *e = context;
  (void)data;
  CHECK(connection.id == e->connection.id);
  e->got += length;
}

static void on_close(aloft_connection connection, int reason, int error, void *context) {
  end *e = context;
  char text[ALOFT_ADDRESS_SIZE];
  EXPECT(ALOFT_ECLOSED, aloft_peer_address(connection, text, sizeof text));
  EXPECT(ALOFT_ECLOSED, aloft_reset(connection));
  e->reason = reason;
  e->error = error;
  latch_down(&e->closed);
}

static aloft_callbacks callbacks = {.struct_size = sizeof(aloft_callbacks),
                                    .on_open = on_open,
                                    .on_data = on_data,
                                    .on_close = on_close};
static aloft_connection_options options = {.struct_size = sizeof(aloft_connection_options)};

static aloft_listener serve(end *e) {
  aloft_listener listener;
  *e = fresh;
  OK(aloft_listen(runtime, "127.0.0.1:0", &options, &callbacks, e, &listener));
  OK(aloft_listener_address(runtime, listener, address, sizeof address));
  port = aloft_listener_port(runtime, listener);
  return listener;
}

// The peer: a plain blocking socket.
static int plain(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(fd >= 0);
  CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
  return fd;
}

// ---- Room ----

static char chunk[64 << 10];
static size_t filled;
static int full;

static void pour(aloft_connection connection) {
  int code;
  while ((code = aloft_write(connection, chunk, sizeof chunk)) == ALOFT_OK) filled += sizeof chunk;
  EXPECT(ALOFT_EAGAIN, code);
}

static void open_and_pour(aloft_connection connection, void *context) {
  EXPECT(0, aloft_queued_bytes(connection));
  pour(connection);
  CHECK(aloft_queued_bytes(connection) > 0);
  full = 1;
  on_open(connection, context);
}

static void writable(aloft_connection connection, void *context) {
  end *e = context;
  CHECK(full);
  CHECK(aloft_queued_bytes(connection) <= 16 << 10); // low water
  if (e->writable++ < 3) {
    pour(connection);
  } else {
    OK(aloft_write(connection, "end", 3));
    OK(aloft_close(connection)); // after all of it
    EXPECT(ALOFT_ECLOSED, aloft_close(connection));
    EXPECT(ALOFT_ECLOSED, aloft_write(connection, "x", 1));
  }
}

static void test_room(void) {
  static char sink[1 << 16];
  end e;
  size_t got = 0;
  ssize_t count;
  aloft_listener listener;
  int fd;
  callbacks.on_open = open_and_pour;
  callbacks.on_writable = writable;
  listener = serve(&e);
  fd = plain();
  latch_wait(&e.open);
  while ((count = recv(fd, sink, sizeof sink, 0)) > 0) got += (size_t)count;
  CHECK(count == 0);
  latch_wait(&e.closed);
  CHECK(got == filled + 3);
  CHECK(e.writable == 4);
  CHECK(e.reason == ALOFT_CLOSED_BY_US);
  close(fd);
  callbacks.on_open = on_open;
  callbacks.on_writable = NULL;
  OK(aloft_listener_close(runtime, listener));
}

// ---- Reasons ----

static void reset_it(void *argument) { OK(aloft_reset(((end *)argument)->connection)); }

static void pause_it(void *argument) { OK(aloft_pause_reading(((end *)argument)->connection)); }

static void resume_it(void *argument) { OK(aloft_resume_reading(((end *)argument)->connection)); }

static void test_reset_by_us(void) {
  end e;
  char byte;
  aloft_listener listener = serve(&e);
  int fd = plain();
  latch_wait(&e.open);
  on_loop(runtime, 0, reset_it, &e);
  CHECK(recv(fd, &byte, 1, 0) < 0);
  latch_wait(&e.closed);
  CHECK(e.reason == ALOFT_CLOSED_BY_US);
  close(fd);
  OK(aloft_listener_close(runtime, listener));
}

static void test_reset_by_peer(void) {
  end e;
  struct linger now = {1, 0};
  aloft_listener listener = serve(&e);
  int fd = plain();
  latch_wait(&e.open);
  CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
  close(fd);
  latch_wait(&e.closed);
  CHECK(e.reason == ALOFT_CLOSED_BY_SYSTEM);
  CHECK(e.error == ALOFT_ECONNRESET);
  OK(aloft_listener_close(runtime, listener));
}

static void test_paused(void) {
  end e;
  aloft_listener listener = serve(&e);
  int fd = plain();
  latch_wait(&e.open);
  on_loop(runtime, 0, pause_it, &e);
  CHECK(send(fd, "hello", 5, 0) == 5);
  on_loop(runtime, 0, pause_it, &e);
  on_loop(runtime, 0, resume_it, &e);
  close(fd);
  latch_wait(&e.closed);
  CHECK(e.got == 5);
  OK(aloft_listener_close(runtime, listener));
}

static void test_idle(void) {
  end e;
  aloft_listener listener;
  int fd;
  options.idle_timeout_ms = 20;
  listener = serve(&e);
  fd = plain();
  latch_wait(&e.closed);
  CHECK(e.reason == ALOFT_CLOSED_IDLE);
  CHECK(e.error == ALOFT_ETIMEDOUT);
  close(fd);
  options.idle_timeout_ms = 0;
  OK(aloft_listener_close(runtime, listener));
}

static void test_stalled(void) {
  end e;
  aloft_listener listener;
  int fd;
  options.stall_timeout_ms = 50;
  callbacks.on_open = open_and_pour;
  listener = serve(&e);
  fd = plain(); // which reads nothing
  latch_wait(&e.closed);
  CHECK(e.reason == ALOFT_CLOSED_STALLED);
  CHECK(e.error == ALOFT_ETIMEDOUT);
  close(fd);
  options.stall_timeout_ms = 0;
  callbacks.on_open = on_open;
  OK(aloft_listener_close(runtime, listener));
}

static void test_frame_too_large(void) {
  static const unsigned char frames[] = {0, 0, 0, 0, 0, 0, 0, 2, 'h', 'i', 0, 0, 1, 1};
  end e;
  aloft_listener listener;
  int fd;
  options.framing = ALOFT_FRAMING_LENGTH_PREFIXED;
  options.frame_bytes_max = 256;
  listener = serve(&e);
  fd = plain();
  CHECK(send(fd, frames, sizeof frames, 0) == sizeof frames);
  latch_wait(&e.closed);
  CHECK(e.got == 2);
  CHECK(e.reason == ALOFT_CLOSED_FRAME_TOO_LARGE);
  CHECK(e.error == ALOFT_EMSGSIZE);
  close(fd);
  options.framing = 0;
  options.frame_bytes_max = 0;
  OK(aloft_listener_close(runtime, listener));
}

static void dial(void *argument) {
  end *e = argument;
  OK(aloft_connect(runtime, address, NULL, &options, &callbacks, e, &e->connection));
}

static void test_refused_by_peer(void) {
  end server, e = fresh;
  OK(aloft_listener_close(runtime, serve(&server))); // a port that nobody listens on
  on_loop(runtime, 0, dial, &e);
  latch_wait(&e.closed);
  CHECK(e.opened == 0);
  CHECK(e.reason == ALOFT_CLOSED_BY_SYSTEM);
  CHECK(e.error == ALOFT_ECONNREFUSED);
}

static void dial_and_close(void *argument) {
  end *e = argument;
  dial(e);
  OK(aloft_close(e->connection));
  CHECK(e->reason == 0); // not from within the call
}

static void test_given_up(void) {
  end server, e = fresh;
  aloft_listener listener = serve(&server);
  on_loop(runtime, 0, dial_and_close, &e);
  latch_wait(&e.closed);
  CHECK(e.opened == 0);
  CHECK(e.reason == ALOFT_CLOSED_BY_US);
  latch_wait(&server.closed); // the system had made the connection by then
  OK(aloft_listener_close(runtime, listener));
}

// ---- The wrong thread ----

static void test_wrong_thread(void) {
  end e;
  char text[ALOFT_ADDRESS_SIZE];
  aloft_listener listener = serve(&e);
  int fd = plain();
  latch_wait(&e.open);
  EXPECT(ALOFT_EWRONGTHREAD, aloft_write(e.connection, "x", 1));
  CHECK(strlen(aloft_last_error_message()) > 0);
  EXPECT(ALOFT_EWRONGTHREAD, aloft_write_frame(e.connection, "x", 1));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_finish_writing(e.connection));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_close(e.connection));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_reset(e.connection));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_pause_reading(e.connection));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_resume_reading(e.connection));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_is_open(e.connection));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_queued_bytes(e.connection));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_set_user_data(e.connection, &e));
  CHECK(aloft_user_data(e.connection) == NULL);
  EXPECT(ALOFT_EWRONGTHREAD, aloft_local_address(e.connection, text, sizeof text));
  EXPECT(0, aloft_connection_loop(runtime, e.connection)); // any thread may
  close(fd);
  latch_wait(&e.closed);
  CHECK(e.reason == ALOFT_CLOSED_BY_US);
  OK(aloft_listener_close(runtime, listener));
}

// ---- Limits ----

static void on_refused(int error, void *context) {
  end *e = context;
  e->refused = error;
  latch_down(&e->closed);
}

static void dial_too_many(void *argument) {
  end *e = argument;
  EXPECT(ALOFT_ELIMIT,
         aloft_connect(runtime, address, NULL, &options, &callbacks, e, &e->connection));
  CHECK(strstr(aloft_last_error_message(), "4") != NULL);
}

static void open_only(aloft_connection connection, void *context) {
  (void)connection;
  (void)context;
}

static void test_limit(void) {
  end e;
  aloft_listener listener;
  int fds[5];
  callbacks.on_open = open_only;
  callbacks.on_refused = on_refused;
  callbacks.on_close = NULL;
  listener = serve(&e);
  for (int i = 0; i < 5; i++) fds[i] = plain(); // connections_max is 4
  latch_wait(&e.closed);
  CHECK(e.refused == ALOFT_ELIMIT);
  on_loop(runtime, 0, dial_too_many, &e);
  for (int i = 0; i < 5; i++) close(fds[i]);
  OK(aloft_listener_close(runtime, listener));
  callbacks.on_open = on_open;
  callbacks.on_refused = NULL;
  callbacks.on_close = on_close;
}

// ---- The end ----

static void on_drain(aloft_connection connection, void *context) {
  end *e = context;
  e->drained++;
  OK(aloft_write(connection, "bye", 3));
  OK(aloft_close(connection));
}

static void keep(aloft_connection connection, void *context) {
  (void)connection;
  ((end *)context)->drained++;
}

// One that says good-bye, one that is closed for want of on_drain, one that ignores it.
static void test_drain(void) {
  end polite, silent, stubborn;
  char bye[8];
  int fds[3];
  callbacks.on_drain = on_drain;
  serve(&polite);
  fds[0] = plain();
  callbacks.on_drain = NULL;
  serve(&silent);
  fds[1] = plain();
  callbacks.on_drain = keep;
  serve(&stubborn);
  fds[2] = plain();
  latch_wait(&polite.open);
  latch_wait(&silent.open);
  latch_wait(&stubborn.open);
  OK(aloft_runtime_shutdown(runtime, 50, NULL, NULL));
  CHECK(recv(fds[0], bye, sizeof bye, MSG_WAITALL) == 3);
  CHECK(memcmp(bye, "bye", 3) == 0);
  CHECK(recv(fds[1], bye, 1, 0) == 0);
  OK(aloft_runtime_wait(runtime));
  CHECK(polite.drained == 1 && polite.reason == ALOFT_CLOSED_BY_US);
  CHECK(silent.reason == ALOFT_CLOSED_BY_US);
  CHECK(stubborn.drained == 1 && stubborn.reason == ALOFT_CLOSED_BY_SHUTDOWN);
  CHECK(stubborn.error == 0);
  for (int i = 0; i < 3; i++) close(fds[i]);
  EXPECT(ALOFT_ECLOSED, aloft_write(polite.connection, "x", 1)); // its loop is gone
  OK(aloft_runtime_destroy(runtime));
  EXPECT(ALOFT_ECLOSED, aloft_write(polite.connection, "x", 1));
}

int main(void) {
  aloft_runtime_options few = {.struct_size = sizeof few, .connections_max = 4};
  OK(aloft_runtime_create(&few, &runtime));
  test_room();
  test_reset_by_us();
  test_reset_by_peer();
  test_paused();
  test_idle();
  test_stalled();
  test_frame_too_large();
  test_refused_by_peer();
  test_given_up();
  test_wrong_thread();
  test_limit();
  OK(aloft_runtime_destroy(runtime));
  OK(aloft_runtime_create(&few, &runtime));
  test_drain();
  puts("lives: ok");
  return 0;
}
