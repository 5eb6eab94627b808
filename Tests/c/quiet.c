// A message costs no allocation: malloc is interposed and counted while thousands of messages go
// to and fro, through callbacks, aloft_write and aloft_write_frame, and with user data looked up.
#include "check.h"

enum { WARM_UP = 100, ROUNDS = 2000 };

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

// Touched by all threads, with the compilers' own atomics: C99 has none.
static int counting, allocations;

static void counted(void) {
  if (!__atomic_load_n(&counting, __ATOMIC_RELAXED)) return;
  __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t bytes) {
  counted();
  return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
  counted();
  return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes) {
  counted();
  return __libc_realloc(memory, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
  counted();
  *memory = __libc_memalign(alignment, bytes);
  return *memory == NULL ? 12 : 0;
}

typedef struct talk {
  aloft_runtime *runtime;
  char address[ALOFT_ADDRESS_SIZE];
  aloft_connection_options options;
  int round;
  latch done;
} talk;

static const char message[64];

static void answer(aloft_connection connection, const void *data, size_t length, void *context) {
  talk *t = context;
  CHECK(aloft_user_data(connection) == NULL);
  OK(t->options.framing ? aloft_write_frame(connection, data, length)
                        : aloft_write(connection, data, length));
}

static void ask(aloft_connection connection, void *context) {
  answer(connection, message, sizeof message, context);
}

static void ask_again(aloft_connection connection, const void *data, size_t length,
                      void *context) {
  talk *t = context;
  (void)data;
  CHECK(length == sizeof message);
  t->round++;
  if (t->round == WARM_UP) __atomic_store_n(&counting, 1, __ATOMIC_RELAXED);
  if (t->round == WARM_UP + ROUNDS) {
    __atomic_store_n(&counting, 0, __ATOMIC_RELAXED);
    latch_down(&t->done);
  } else {
    ask(connection, context);
  }
}

static void start(void *argument) {
  talk *t = argument;
  aloft_callbacks callbacks = {.struct_size = sizeof callbacks, .on_open = ask};
  callbacks.on_data = ask_again;
  OK(aloft_connect(t->runtime, t->address, NULL, &t->options, &callbacks, t, NULL));
}

static void play(uint32_t framing) {
  static talk t;
  static const talk fresh = {.done = LATCH_INIT(1)};
  aloft_runtime_options options = {.struct_size = sizeof options, .connections_max = 4};
  aloft_callbacks callbacks = {.struct_size = sizeof callbacks, .on_data = answer};
  aloft_listener listener;
  t = fresh;
  t.options.struct_size = sizeof t.options;
  t.options.framing = framing;
  OK(aloft_runtime_create(&options, &t.runtime));
  OK(aloft_listen(t.runtime, "127.0.0.1:0", &t.options, &callbacks, &t, &listener));
  OK(aloft_listener_address(t.runtime, listener, t.address, sizeof t.address));
  on_loop(t.runtime, 0, start, &t);
  latch_wait(&t.done);
  OK(aloft_runtime_destroy(t.runtime));
  printf("framing %u: %d allocations for %d messages\n", framing,
         __atomic_load_n(&allocations, __ATOMIC_RELAXED), 2 * ROUNDS);
}

int main(void) {
  play(ALOFT_FRAMING_NONE);
  play(ALOFT_FRAMING_LENGTH_PREFIXED);
  CHECK(__atomic_load_n(&allocations, __ATOMIC_RELAXED) == 0);
  puts("quiet: ok");
  return 0;
}
