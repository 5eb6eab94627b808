// The application's own libuv loop: Aloft is a guest on it. The host's timers use connections
// between turns, other threads send work, and the loop runs on when Aloft has left.
#include <uv.h>
#include "check.h"

enum { ROUNDS = 100 };

static uv_loop_t loop;
static uv_timer_t starter, metronome;
static aloft_runtime *runtime;
static aloft_listener listener;
static aloft_connection client;
static char address[ALOFT_ADDRESS_SIZE];
static int echoed, beats, ended_with = 1, client_reason, errands;
static uint64_t connected_after_ms;

static void server_data(aloft_connection connection, const void *data, size_t length,
                        void *context) {
  (void)context;
  OK(aloft_write(connection, data, length));
}

static void client_open(aloft_connection connection, void *context) {
  (void)context;
  CHECK(connection.id == client.id);
  connected_after_ms = uv_now(&loop);
}

static void client_data(aloft_connection connection, const void *data, size_t length,
                        void *context) {
  (void)data;
  (void)context;
  CHECK(connection.id == client.id);
  echoed += (int)length;
}

static void client_close(aloft_connection connection, int reason, int error, void *context) {
  aloft_callbacks none = {.struct_size = sizeof none};
  (void)connection;
  (void)error;
  (void)context;
  client_reason = reason;
  // Who connects again at the end is refused, and is not waited for.
  EXPECT(ALOFT_ESHUTDOWN, aloft_connect(runtime, address, NULL, NULL, &none, NULL, NULL));
  EXPECT(ALOFT_ESHUTDOWN, aloft_timer_start(runtime, 0, 0, (aloft_timer_fired)abort, NULL, NULL));
}

static void ended(int status, void *context) {
  CHECK(context == &ended_with);
  ended_with = status;
  OK(aloft_runtime_destroy(runtime)); // as soon as can be
}

// The host's own timer, which fires between Aloft's turns: what it writes is sent all the same,
// though nothing else wakes the loop for an hour.
static void beat(uv_timer_t *timer) {
  if (!aloft_is_open(client)) return;
  if (beats == ROUNDS) {
    if (echoed < ROUNDS) return;
    uv_close((uv_handle_t *)timer, NULL);
    EXPECT(ALOFT_EBUSY, aloft_runtime_destroy(runtime));
    OK(aloft_runtime_shutdown(runtime, 0, ended, &ended_with));
    return;
  }
  beats++;
  OK(aloft_write(client, "x", 1));
}

// After the loop has slept for longer than the time-out: that counts from here.
static void start(uv_timer_t *timer) {
  aloft_callbacks callbacks = {.struct_size = sizeof callbacks,
                               .on_open = client_open,
                               .on_data = client_data,
                               .on_close = client_close};
  aloft_connection_options options = {.struct_size = sizeof options, .connect_timeout_ms = 100};
  uv_close((uv_handle_t *)timer, NULL);
  OK(aloft_connect(runtime, address, NULL, &options, &callbacks, NULL, &client));
}

static void errand_here(int status, void *context) {
  (void)context;
  CHECK(status == ALOFT_OK);
  EXPECT(0, aloft_loop_index(runtime));
  errands++;
}

static void from_elsewhere(void *unused) {
  (void)unused;
  EXPECT(ALOFT_EWRONGTHREAD, aloft_loop_index(runtime));
  EXPECT(ALOFT_ENOTSUP, aloft_runtime_wait(runtime));
  OK(aloft_execute(runtime, 0, errand_here, NULL));
}

static void attach(void) {
  aloft_runtime_options options = {.struct_size = sizeof options, .event_loops = 2};
  EXPECT(ALOFT_EINVAL, aloft_runtime_attach(&loop, &options, &runtime));
  options.event_loops = 0;
  options.flags = ALOFT_PRIVATE_DESCRIPTORS;
  EXPECT(ALOFT_EINVAL, aloft_runtime_attach(&loop, &options, &runtime));
  options.flags = 0;
  options.connections_max = 64;
  OK(aloft_runtime_attach(&loop, &options, &runtime));
  EXPECT(1, aloft_loop_count(runtime));
  EXPECT(0, aloft_loop_index(runtime)); // this thread is the event loop's, before uv_run too
}

static void run_once(void) {
  aloft_callbacks callbacks = {.struct_size = sizeof callbacks, .on_data = server_data};
  aloft_runtime *second;
  uv_thread_t other;
  attach();
  EXPECT(ALOFT_EWRONGTHREAD, aloft_runtime_attach(&loop, NULL, &second));
  OK(aloft_listen(runtime, "127.0.0.1:0", NULL, &callbacks, NULL, &listener));
  OK(aloft_listener_address(runtime, listener, address, sizeof address));
  uv_timer_init(&loop, &starter);
  uv_timer_start(&starter, start, 250, 0);
  uv_timer_init(&loop, &metronome);
  uv_timer_start(&metronome, beat, 1, 1);
  CHECK(uv_thread_create(&other, from_elsewhere, NULL) == 0);
  CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  uv_thread_join(&other);
  CHECK(connected_after_ms > 0);
  CHECK(beats == ROUNDS && echoed == ROUNDS);
  CHECK(errands == 1);
  CHECK(client_reason == ALOFT_CLOSED_BY_SHUTDOWN);
  CHECK(ended_with == ALOFT_OK);
  EXPECT(ALOFT_ECLOSED, aloft_write(client, "x", 1));
}

// A runtime that never had anything to do leaves, too.
static void run_idle(void) {
  attach();
  ended_with = 1;
  OK(aloft_runtime_shutdown(runtime, 1000, ended, &ended_with));
  CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  CHECK(ended_with == ALOFT_OK);
}

int main(void) {
  CHECK(uv_loop_init(&loop) == 0);
  run_once();
  run_idle();
  // Nothing of Aloft's is left on the loop.
  CHECK(uv_loop_close(&loop) == 0);
  puts("host: ok");
  return 0;
}
