// Bad input is answered with a code, and the message has the numbers: it crashes nothing. And what
// other versions' programs pass in: shorter and longer structs.
#include <errno.h>
#include <sys/resource.h>
#include "check.h"

static aloft_runtime *runtime;
static aloft_callbacks none;

#define EXPECT_MESSAGE(part) CHECK(strstr(aloft_last_error_message(), part) != NULL)

// ---- Words ----

static void test_words(void) {
  CHECK(aloft_last_error_message()[0] == '\0');
  CHECK(aloft_version() == ALOFT_VERSION);
  CHECK(strcmp(aloft_version_string(), "0.1.0") == 0);
  CHECK(strcmp(aloft_err_name(ALOFT_ECLOSED), "ECLOSED") == 0);
  CHECK(strcmp(aloft_err_name(0), "OK") == 0);
  CHECK(strcmp(aloft_err_name(-EXDEV), "EXDEV") == 0); // the system's, not in our list
  CHECK(strcmp(aloft_err_name(-100000), "EUNKNOWN") == 0);
  CHECK(strcmp(aloft_err_name(5), "EUNKNOWN") == 0);
  CHECK(strcmp(aloft_strerror(ALOFT_EADDRINUSE), "the address is in use") == 0);
  CHECK(strcmp(aloft_strerror(-EXDEV), strerror(EXDEV)) == 0);
  CHECK(strcmp(aloft_strerror(-100000), "unknown error") == 0);
  CHECK(strcmp(aloft_close_reason_text(ALOFT_CLOSED_STALLED), "unknown reason") != 0);
  CHECK(strcmp(aloft_close_reason_text(99), "unknown reason") == 0);
#define DIFFERENT(name, value, text)                                                           \
  CHECK(strcmp(aloft_err_name(ALOFT_##name), #name) == 0);                                      \
  CHECK(strcmp(aloft_strerror(value), text) == 0);
  ALOFT_ERRNO_MAP(DIFFERENT)
}

// ---- Runtimes ----

static int create(aloft_runtime_options options) {
  aloft_runtime *made = NULL;
  int code;
  if (options.struct_size == 0) options.struct_size = sizeof options;
  code = aloft_runtime_create(&options, &made);
  CHECK((code == ALOFT_OK) == (made != NULL));
  if (made != NULL) OK(aloft_runtime_destroy(made));
  return code;
}

static void test_runtime_options(void) {
  struct rlimit files, few;
  uint32_t processor = 0;
  EXPECT(ALOFT_EINVAL, aloft_runtime_create(NULL, NULL));
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.event_loops = 257}));
  EXPECT_MESSAGE("257");
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.connections_max = 1 << 21}));
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.timers_max = 1 << 24}));
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.inbox_capacity = (1 << 24) + 1}));
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.sibling_inbox_capacity = UINT32_MAX}));
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.busy_poll_us_max = 1000001}));
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.flags = 2}));
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.processors_count = 1}));
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.struct_size = 7}));
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.struct_size = 12}));
  EXPECT(ALOFT_EINVAL, create((aloft_runtime_options){.struct_size = 1u << 30}));
  EXPECT_MESSAGE("struct_size");
  OK(create((aloft_runtime_options){.connections_max = 8,
                                    .busy_poll_us_max = 50,
                                    .flags = ALOFT_PRIVATE_DESCRIPTORS,
                                    .processors_count = 1,
                                    .processors = &processor}));
  CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
  few = files;
  few.rlim_cur = 64;
  CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
  EXPECT(ALOFT_EMFILE, create((aloft_runtime_options){.connections_max = 5000}));
  EXPECT_MESSAGE("5000");
  EXPECT_MESSAGE("64");
  CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
}

static void test_struct_sizes(void) {
  aloft_runtime *made;
  struct {
    aloft_runtime_options known;
    uint64_t unknown[2];
  } newer = {{0}, {0, 0}};
  // An older program's: it ends after connections_max, and what follows is not its own.
  aloft_runtime_options older;
  memset(&older, 0xFF, sizeof older);
  older.struct_size = offsetof(aloft_runtime_options, timers_max);
  older.event_loops = 2;
  older.connections_max = 8;
  OK(aloft_runtime_create(&older, &made));
  EXPECT(2, aloft_loop_count(made));
  OK(aloft_runtime_destroy(made));
  newer.known.struct_size = sizeof newer;
  newer.known.connections_max = 8;
  OK(aloft_runtime_create(&newer.known, &made));
  OK(aloft_runtime_destroy(made));
  newer.unknown[1] = 1;
  EXPECT(ALOFT_EINVAL, aloft_runtime_create(&newer.known, &made));
  EXPECT_MESSAGE("64 bytes");
}

static void test_null_runtime(void) {
  aloft_timer timer = {1};
  aloft_listener listener = {1};
  aloft_connection connection = {1};
  aloft_statistics counts = {.struct_size = sizeof counts};
  char text[ALOFT_ADDRESS_SIZE];
  OK(aloft_runtime_destroy(NULL));
  EXPECT(ALOFT_EINVAL, aloft_runtime_attach(NULL, NULL, &runtime));
  EXPECT(ALOFT_EINVAL, aloft_runtime_shutdown(NULL, 0, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_runtime_wait(NULL));
  EXPECT(ALOFT_EINVAL, aloft_loop_count(NULL));
  EXPECT(ALOFT_EINVAL, aloft_loop_index(NULL));
  EXPECT(ALOFT_EINVAL, aloft_execute(NULL, 0, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_listen(NULL, "127.0.0.1:0", NULL, &none, NULL, &listener));
  EXPECT(ALOFT_EINVAL, aloft_listener_close(NULL, listener));
  EXPECT(ALOFT_EINVAL, aloft_listener_port(NULL, listener));
  EXPECT(ALOFT_EINVAL, aloft_listener_address(NULL, listener, text, sizeof text));
  EXPECT(ALOFT_EINVAL, aloft_connect(NULL, "127.0.0.1:1", NULL, NULL, &none, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_connection_loop(NULL, connection));
  EXPECT(ALOFT_EINVAL, aloft_timer_start(NULL, 0, 0, NULL, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_timer_rearm(NULL, timer, 0));
  EXPECT(ALOFT_EINVAL, aloft_timer_cancel(NULL, timer));
  EXPECT(ALOFT_EINVAL, aloft_statistics_get(NULL, 0, &counts));
}

// ---- Statistics ----

static void test_statistics(void) {
  struct {
    aloft_statistics known;
    uint64_t unknown;
  } newer;
  aloft_statistics older;
  EXPECT(ALOFT_EINVAL, aloft_statistics_get(runtime, 0, NULL));
  memset(&older, 0xFF, sizeof older);
  EXPECT(ALOFT_EINVAL, aloft_statistics_get(runtime, 0, &older)); // struct_size was never set
  older.struct_size = 24;
  EXPECT(ALOFT_ENOENT, aloft_statistics_get(runtime, 1, &older));
  OK(aloft_statistics_get(runtime, 0, &older));
  CHECK(older.struct_size == 24);
  CHECK(older.accepted == 0);
  CHECK(older.connected == UINT64_MAX); // beyond what it knows of
  memset(&newer, 0xFF, sizeof newer);
  newer.known.struct_size = sizeof newer;
  OK(aloft_statistics_get(runtime, ALOFT_ALL_LOOPS, &newer.known));
  CHECK(newer.known.struct_size == sizeof newer);
  CHECK(newer.known.closed == 0);
  CHECK(newer.unknown == 0);
}

// ---- Listening ----

static int listen_with(aloft_connection_options options) {
  aloft_listener listener;
  int code;
  options.struct_size = sizeof options;
  code = aloft_listen(runtime, "127.0.0.1:0", &options, &none, NULL, &listener);
  if (code == ALOFT_OK) OK(aloft_listener_close(runtime, listener));
  return code;
}

static void test_connection_options(void) {
  EXPECT(ALOFT_EINVAL, listen_with((aloft_connection_options){.framing = 2}));
  EXPECT(ALOFT_EINVAL, listen_with((aloft_connection_options){.flags = 1}));
  EXPECT(ALOFT_EINVAL, listen_with((aloft_connection_options){.queued_bytes_max = UINT32_MAX}));
  EXPECT(ALOFT_EINVAL, listen_with((aloft_connection_options){.idle_timeout_ms = 1u << 31}));
  EXPECT(ALOFT_EINVAL, listen_with((aloft_connection_options){.high_water_bytes = 10,
                                                              .low_water_bytes = 11}));
  EXPECT_MESSAGE("low_water_bytes 11, high_water_bytes 10");
  EXPECT(ALOFT_EINVAL, listen_with((aloft_connection_options){.high_water_bytes = 10,
                                                              .queued_bytes_max = 9}));
  OK(listen_with((aloft_connection_options){.high_water_bytes = 1u << 30}));
  OK(listen_with((aloft_connection_options){.queued_bytes_max = 1}));
  OK(listen_with((aloft_connection_options){.idle_timeout_ms = ALOFT_NEVER,
                                            .connect_timeout_ms = ALOFT_NEVER,
                                            .stall_timeout_ms = ALOFT_NEVER,
                                            .backlog = UINT32_MAX}));
}

static void test_listen(void) {
  static const char *const wrong[] = {
      "",           "127.0.0.1",     "127.0.0.1:",    "127.0.0.1:65536", "127.0.0.1:-1",
      "127.0.0.1: 1", "localhost:80",  "::1:80",        "[::1]",           "[127.0.0.1]:80",
      "[::1:80",    "1.2.3.4.5:80",  ":80",           "unix:",           "unix:@",
      "\xff\xfe:80", "127.0.0.1:99999999999999999999", "[]:80"};
  aloft_callbacks callbacks = {.struct_size = 20}; // no field ends there
  aloft_listener listener, again, all[64];
  char address[ALOFT_ADDRESS_SIZE], small[4], path[256];
  int at = 0;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    EXPECT(ALOFT_EINVAL, aloft_listen(runtime, wrong[i], NULL, &none, NULL, &listener));
  }
  EXPECT(ALOFT_EINVAL, aloft_listen(runtime, NULL, NULL, &none, NULL, &listener));
  EXPECT(ALOFT_EINVAL, aloft_listen(runtime, "127.0.0.1:0", NULL, NULL, NULL, &listener));
  EXPECT(ALOFT_EINVAL, aloft_listen(runtime, "127.0.0.1:0", NULL, &callbacks, NULL, &listener));
  memset(path, 'x', sizeof path);
  memcpy(path, "unix:/", 6);
  path[sizeof path - 1] = '\0';
  EXPECT(ALOFT_ENAMETOOLONG, aloft_listen(runtime, path, NULL, &none, NULL, &listener));
  EXPECT_MESSAGE("107");
  EXPECT(-ENOENT, aloft_listen(runtime, "unix:/no/such/place", NULL, &none, NULL, &listener));
  // Documentation's own network (RFC 5737), which no machine has.
  EXPECT(ALOFT_EADDRNOTAVAIL, aloft_listen(runtime, "192.0.2.1:0", NULL, &none, NULL, &listener));

  OK(aloft_listen(runtime, "127.0.0.1:0", NULL, &none, NULL, &listener));
  OK(aloft_listener_address(runtime, listener, address, sizeof address));
  EXPECT(ALOFT_EMSGSIZE, aloft_listener_address(runtime, listener, small, sizeof small));
  EXPECT(ALOFT_EMSGSIZE, aloft_listener_address(runtime, listener, small, 0));
  EXPECT(ALOFT_EINVAL, aloft_listener_address(runtime, listener, NULL, 9));
  EXPECT(ALOFT_EADDRINUSE, aloft_listen(runtime, address, NULL, &none, NULL, &again));
  EXPECT_MESSAGE(address);
  EXPECT(ALOFT_ENOENT, aloft_listener_close(runtime, (aloft_listener){0}));
  EXPECT(ALOFT_ENOENT, aloft_listener_close(runtime, (aloft_listener){UINT64_MAX}));
  OK(aloft_listener_close(runtime, listener));
  OK(aloft_listen(runtime, address, NULL, &none, NULL, &again)); // free again
  CHECK(again.id != listener.id);
  EXPECT(ALOFT_ENOENT, aloft_listener_close(runtime, listener)); // stale, and the index is reused
  OK(aloft_listener_close(runtime, again));

  for (at = 0; at < 64; at++) {
    OK(aloft_listen(runtime, "127.0.0.1:0", NULL, &none, NULL, &all[at]));
  }
  EXPECT(ALOFT_ELIMIT, aloft_listen(runtime, "127.0.0.1:0", NULL, &none, NULL, &listener));
  EXPECT_MESSAGE("64");
  while (at > 0) OK(aloft_listener_close(runtime, all[--at]));
}

// ---- Connections that are none ----

static void made_up(void *argument) {
  const uint64_t *ids = argument;
  int here = aloft_loop_index(runtime) >= 0;
  char text[ALOFT_ADDRESS_SIZE];
  for (; *ids != 1; ids++) {
    aloft_connection c = {*ids};
    // What the numbers of a live loop mean elsewhere depends on the thread first.
    int code = !here && (*ids >> 48 & 0xFF) == 0 ? ALOFT_EWRONGTHREAD : ALOFT_ECLOSED;
    EXPECT(code, aloft_write(c, "x", 1));
    EXPECT(code, aloft_write(c, NULL, 0));
    EXPECT(code, aloft_write_frame(c, "x", 1));
    EXPECT(ALOFT_EINVAL, aloft_write(c, NULL, 1));
    EXPECT(ALOFT_EMSGSIZE, aloft_write(c, "x", SIZE_MAX));
    EXPECT(ALOFT_EMSGSIZE, aloft_write_frame(c, "x", ((size_t)1 << 30) + 1));
    EXPECT(code, aloft_finish_writing(c));
    EXPECT(code, aloft_close(c));
    EXPECT(code, aloft_reset(c));
    EXPECT(code, aloft_pause_reading(c));
    EXPECT(code, aloft_resume_reading(c));
    EXPECT(code == ALOFT_ECLOSED ? 0 : code, aloft_is_open(c));
    EXPECT(code, aloft_queued_bytes(c));
    EXPECT(code, aloft_set_user_data(c, text));
    CHECK(aloft_user_data(c) == NULL);
    EXPECT(code, aloft_peer_address(c, text, sizeof text));
    EXPECT(code, aloft_local_address(c, text, sizeof text));
  }
}

static void test_made_up(void) {
  // A free slot, slots that never were, a generation that never was, other loops, other nodes.
  static const uint64_t ids[] = {0,           1ull << 28, 0xFFFFFull << 28, 0x0FFFFFFF, 2,
                                 7ull << 48, UINT64_MAX, 3ull << 56,       1};
  made_up((void *)(uintptr_t)ids);
  on_loop(runtime, 0, made_up, (void *)(uintptr_t)ids);
  EXPECT(ALOFT_ECLOSED, aloft_connection_loop(runtime, (aloft_connection){UINT64_MAX}));
}

static void test_connect(void *unused) {
  aloft_connection connection;
  (void)unused;
  EXPECT(ALOFT_EINVAL, aloft_connect(runtime, NULL, NULL, NULL, &none, NULL, &connection));
  EXPECT(ALOFT_EINVAL, aloft_connect(runtime, "1.1.1.1", NULL, NULL, &none, NULL, &connection));
  EXPECT(ALOFT_EINVAL, aloft_connect(runtime, "[::1]:1", "x", NULL, &none, NULL, &connection));
  EXPECT(ALOFT_EINVAL, aloft_connect(runtime, "[::1]:1", NULL, NULL, NULL, NULL, &connection));
  EXPECT(ALOFT_EADDRNOTAVAIL,
         aloft_connect(runtime, "127.0.0.1:1", "192.0.2.1:0", NULL, &none, NULL, &connection));
  EXPECT(ALOFT_ENOENT,
         aloft_connect(runtime, "unix:/no/such/place", NULL, NULL, &none, NULL, &connection));
  EXPECT(ALOFT_EINVAL, aloft_execute(runtime, 0, NULL, NULL));
  EXPECT(ALOFT_ENOENT, aloft_execute(runtime, 1, errand_run, NULL));
  EXPECT(ALOFT_EINVAL, aloft_timer_start(runtime, 0, 0, NULL, NULL, NULL));
}

int main(void) {
  none.struct_size = sizeof none;
  test_words();
  test_runtime_options();
  test_struct_sizes();
  test_null_runtime();
  // The first runtime's loops are gone, so this one's loop has number 0.
  OK(aloft_runtime_create(&(aloft_runtime_options){.struct_size = 16, .connections_max = 64},
                          &runtime));
  test_statistics();
  test_connection_options();
  test_listen();
  test_made_up();
  EXPECT(ALOFT_EWRONGTHREAD,
         aloft_connect(runtime, "127.0.0.1:1", NULL, NULL, &none, NULL, NULL));
  on_loop(runtime, 0, test_connect, NULL);
  OK(aloft_runtime_destroy(runtime));
  puts("errors: ok");
  return 0;
}
