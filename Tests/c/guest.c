// The library is a guest in its process: it leaves signals, their masks, the program's end and its
// malloc alone, and two runtimes live side by side without knowing of each other.
#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>
#include "check.h"

// ---- The program's own: what runs at its end ----

static int counting, at_exits;

int __cxa_atexit(void (*function)(void *), void *argument, void *library) {
  static int (*real)(void (*)(void *), void *, void *);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "__cxa_atexit");
  if (__atomic_load_n(&counting, __ATOMIC_RELAXED)) at_exits++;
  return real(function, argument, library);
}

// ---- Signals ----

typedef struct habits {
  struct sigaction actions[65];
  sigset_t mask;
} habits;

static void look(habits *h) {
  memset(h, 0, sizeof *h);
  for (int i = 1; i <= 64; i++) sigaction(i, NULL, &h->actions[i]);
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &h->mask) == 0);
}

static void same(const habits *a, const habits *b) {
  for (int i = 1; i <= 64; i++) {
    CHECK(a->actions[i].sa_handler == b->actions[i].sa_handler);
    CHECK(a->actions[i].sa_flags == b->actions[i].sa_flags);
    CHECK(sigismember(&a->mask, i) == sigismember(&b->mask, i));
  }
}

// ---- Two runtimes ----

typedef struct side {
  aloft_runtime *runtime;
  aloft_listener listener;
  aloft_mailbox mailbox;
  aloft_connection out;
  char address[ALOFT_ADDRESS_SIZE];
  const char *peer; // whose address it dials
  int messages;
  size_t echoed;
  latch done, gone;
} side;

static side sides[2] = {{.done = LATCH_INIT(2), .gone = LATCH_INIT(1)},
                        {.done = LATCH_INIT(2), .gone = LATCH_INIT(1)}};

static void serve(aloft_connection connection, const void *data, size_t length, void *context) {
  (void)context;
  OK(aloft_write(connection, data, length));
}

static int on_message(aloft_mailbox mailbox, aloft_message *message, void *context) {
  side *s = context;
  CHECK(mailbox.id == s->mailbox.id);
  CHECK(aloft_message_length(message) == 5);
  s->messages++;
  latch_down(&s->done);
  return 0;
}

static void on_open(aloft_connection connection, void *context) {
  side *s = context;
  side *other = s == &sides[0] ? &sides[1] : &sides[0];
  OK(aloft_write(connection, "hello", 5));
  // From one runtime's loop to the other's mailbox.
  OK(aloft_mailbox_send_bytes(other->mailbox, "hello", 5, ALOFT_PRIORITY_NORMAL));
}

static void on_data(aloft_connection connection, const void *data, size_t length, void *context) {
  side *s = context;
  CHECK(connection.id == s->out.id);
  (void)data;
  s->echoed += length;
  if (s->echoed == 5) latch_down(&s->done);
}

static void on_close(aloft_connection connection, int reason, int error, void *context) {
  (void)connection, (void)reason, (void)error;
  latch_down(&((side *)context)->gone);
}

static void dial(void *argument) {
  static const aloft_callbacks callbacks = {.struct_size = sizeof callbacks,
                                            .on_open = on_open,
                                            .on_data = on_data,
                                            .on_close = on_close};
  side *s = argument;
  OK(aloft_connect(s->runtime, s->peer, NULL, NULL, &callbacks, s, &s->out));
}

static void begin(side *s) {
  aloft_callbacks callbacks = {.struct_size = sizeof callbacks, .on_data = serve};
  aloft_mailbox_callbacks box = {.struct_size = sizeof box, .on_message = on_message};
  OK(aloft_runtime_create(NULL, &s->runtime));
  OK(aloft_listen(s->runtime, "127.0.0.1:0", NULL, &callbacks, NULL, &s->listener));
  OK(aloft_listener_address(s->runtime, s->listener, s->address, sizeof s->address));
  OK(aloft_mailbox_open(s->runtime, 0, NULL, &box, s, &s->mailbox));
}

static void foreign(void *argument) {
  side *s = argument;
  side *other = s == &sides[0] ? &sides[1] : &sides[0];
  EXPECT(0, aloft_loop_index(s->runtime));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_loop_index(other->runtime));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_close(other->out));
}

static void test_two(void) {
  side *a = &sides[0], *b = &sides[1];
  aloft_key name = aloft_key_name("one");
  begin(a);
  begin(b);
  a->peer = b->address;
  b->peer = a->address;
  on_loop(a->runtime, 0, dial, a);
  on_loop(b->runtime, 0, dial, b);
  latch_wait(&a->done);
  latch_wait(&b->done);
  on_loop(a->runtime, 0, foreign, a);
  on_loop(b->runtime, 0, foreign, b);
  // The same name in both is two names.
  OK(aloft_registry_register(a->runtime, name, aloft_target_mailbox(a->mailbox), NULL));
  CHECK(aloft_registry_send_bytes(b->runtime, name, "hello", 5, ALOFT_PRIORITY_NORMAL) < 0);
  OK(aloft_registry_register(b->runtime, name, aloft_target_mailbox(b->mailbox), NULL));
  // One ends, and the other hears of it as of any peer and goes on.
  OK(aloft_runtime_destroy(a->runtime));
  latch_wait(&b->gone);
  CHECK(aloft_mailbox_send_bytes(a->mailbox, "hello", 5, ALOFT_PRIORITY_NORMAL) < 0);
  CHECK(aloft_write(a->out, "x", 1) < 0);
  b->done = (latch)LATCH_INIT(1);
  OK(aloft_registry_send_bytes(b->runtime, name, "hello", 5, ALOFT_PRIORITY_NORMAL));
  latch_wait(&b->done);
  CHECK(b->messages == 2);
  OK(aloft_runtime_destroy(b->runtime));
}

int main(void) {
  habits before, after;
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  CHECK(pthread_sigmask(SIG_BLOCK, &mask, NULL) == 0);
  CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
  look(&before);
  __atomic_store_n(&counting, 1, __ATOMIC_RELAXED);
  test_two();
  __atomic_store_n(&counting, 0, __ATOMIC_RELAXED);
  CHECK(at_exits == 0);
  look(&after);
  same(&before, &after);
  puts("guest: ok");
  return 0;
}
