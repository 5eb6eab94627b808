// Work that is sent to loops, and timers: order, places, refusals, and what is owed at the end.
#include "check.h"

enum { TASKS = 200 };

static aloft_runtime *runtime;

// Tasks of one thread run in order, on the loop that was asked.
typedef struct sequence {
  int next;
  latch done;
} sequence;

static sequence order = {0, LATCH_INIT(TASKS)};
static int numbers[TASKS];

static void in_order(int status, void *context) {
  CHECK(status == ALOFT_OK);
  EXPECT(1, aloft_loop_index(runtime));
  CHECK(*(int *)context == order.next);
  order.next++;
  latch_down(&order.done);
}

static void test_order(void) {
  for (int i = 0; i < TASKS; i++) {
    numbers[i] = i;
    OK(aloft_execute(runtime, 1, in_order, &numbers[i]));
  }
  latch_wait(&order.done);
}

// From loop to loop and back.
static latch rounds = LATCH_INIT(100);

static void hop(int status, void *context) {
  uint32_t here = (uint32_t)(size_t)context;
  CHECK(status == ALOFT_OK);
  EXPECT((int)here, aloft_loop_index(runtime));
  if (rounds.left > 1) OK(aloft_execute(runtime, 1 - here, hop, (void *)(size_t)(1 - here)));
  latch_down(&rounds);
}

// A loop that is held up: its inbox fills, and says so.
static latch held = LATCH_INIT(1), let_go = LATCH_INIT(1);
static int ran;

static void hold(void *unused) {
  (void)unused;
  latch_down(&held);
  latch_wait(&let_go); // what no real callback may do
}

static void hold_task(int status, void *unused) {
  CHECK(status == ALOFT_OK);
  hold(unused);
}

static void count(int status, void *unused) {
  (void)unused;
  CHECK(status == ALOFT_OK);
  ran++;
}

static void nothing(void *unused) { (void)unused; }

static void test_full(void) {
  int accepted = 0, code;
  OK(aloft_execute(runtime, 0, hold_task, NULL));
  latch_wait(&held);
  while ((code = aloft_execute(runtime, 0, count, NULL)) == ALOFT_OK) CHECK(++accepted < 100000);
  EXPECT(ALOFT_EAGAIN, code);
  CHECK(accepted == 16); // inbox_capacity
  CHECK(strstr(aloft_last_error_message(), "16") != NULL);
  latch_down(&let_go);
  while (aloft_execute(runtime, 0, count, NULL) == ALOFT_EAGAIN) continue;
  on_loop(runtime, 0, nothing, NULL);
  CHECK(ran == accepted + 1);
}

// Timers.
typedef struct ticker {
  aloft_timer timer, late, moved;
  int ticks;
  latch done;
} ticker;

static ticker t = {{0}, {0}, {0}, 0, LATCH_INIT(2)};

static void never(void *unused) {
  (void)unused;
  CHECK(!"a cancelled timer fired");
}

static void tick(void *context) {
  ticker *each = context;
  if (++each->ticks < 3) return;
  CHECK(each->ticks == 3);
  OK(aloft_timer_cancel(runtime, each->timer));
  EXPECT(ALOFT_ENOENT, aloft_timer_cancel(runtime, each->timer));
  EXPECT(ALOFT_ENOENT, aloft_timer_rearm(runtime, each->timer, 1));
  OK(aloft_timer_cancel(runtime, each->late));
  // Moved from an hour ahead to now.
  OK(aloft_timer_rearm(runtime, each->moved, 0));
  latch_down(&each->done);
}

static void moved(void *context) {
  ticker *each = context;
  CHECK(each->ticks == 3);
  EXPECT(ALOFT_ENOENT, aloft_timer_cancel(runtime, each->moved));
  latch_down(&each->done);
}

static void start_timers(void *unused) {
  (void)unused;
  OK(aloft_timer_start(runtime, 1, 1, tick, &t, &t.timer));
  OK(aloft_timer_start(runtime, 3600000, 0, never, NULL, &t.late));
  OK(aloft_timer_start(runtime, 3600000, 0, moved, &t, &t.moved));
  OK(aloft_timer_start(runtime, UINT64_MAX, 0, never, NULL, NULL));
  // timers_max is 4.
  EXPECT(ALOFT_ELIMIT, aloft_timer_start(runtime, 1, 0, never, NULL, NULL));
}

static void other_loops_timer(void *unused) {
  (void)unused;
  EXPECT(ALOFT_EWRONGTHREAD, aloft_timer_cancel(runtime, t.late));
  EXPECT(ALOFT_ENOENT, aloft_timer_cancel(runtime, (aloft_timer){0}));
  EXPECT(ALOFT_ENOENT, aloft_timer_cancel(runtime, (aloft_timer){0xFFFFFFFFFFFFFFFF}));
}

static void test_timers(void) {
  EXPECT(ALOFT_EWRONGTHREAD, aloft_timer_start(runtime, 1, 0, never, NULL, NULL));
  on_loop(runtime, 0, start_timers, NULL);
  on_loop(runtime, 1, other_loops_timer, NULL);
  latch_wait(&t.done);
}

// Each task is told exactly once, also when the loop ends first.
static int told, run_in_time;
static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER;

static void owed(int status, void *unused) {
  (void)unused;
  CHECK(status == ALOFT_OK || status == ALOFT_ESHUTDOWN);
  pthread_mutex_lock(&telling);
  told++;
  run_in_time += status == ALOFT_OK;
  pthread_mutex_unlock(&telling);
}

static int told_so_far(void) {
  pthread_mutex_lock(&telling);
  int so_far = told;
  pthread_mutex_unlock(&telling);
  return so_far;
}

static int sent;

static void *send_until_the_end(void *unused) {
  int code;
  (void)unused;
  do {
    code = aloft_execute(runtime, (uint32_t)sent % 2, owed, NULL);
    sent += code == ALOFT_OK;
    CHECK(code == ALOFT_OK || code == ALOFT_EAGAIN || code == ALOFT_ESHUTDOWN);
  } while (code != ALOFT_ESHUTDOWN);
  return NULL;
}

static void shut_down_here(void *unused) {
  (void)unused;
  EXPECT(ALOFT_EWRONGTHREAD, aloft_runtime_wait(runtime));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_runtime_destroy(runtime));
  OK(aloft_runtime_shutdown(runtime, 0, NULL, NULL));
}

static void test_owed(void) {
  pthread_t sender;
  CHECK(pthread_create(&sender, NULL, send_until_the_end, NULL) == 0);
  while (told_so_far() < 1000) on_loop(runtime, 0, nothing, NULL);
  on_loop(runtime, 0, shut_down_here, NULL);
  pthread_join(sender, NULL);
  OK(aloft_runtime_wait(runtime));
  OK(aloft_runtime_destroy(runtime));
  CHECK(told == sent);
  CHECK(run_in_time > 0);
}

int main(void) {
  aloft_runtime_options options = {0};
  options.struct_size = sizeof options;
  options.event_loops = 2;
  options.connections_max = 16;
  options.timers_max = 4;
  OK(aloft_runtime_create(&options, &runtime));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_loop_index(runtime));
  test_order();
  OK(aloft_execute(runtime, 0, hop, (void *)0));
  latch_wait(&rounds);
  test_timers();
  OK(aloft_runtime_destroy(runtime)); // without a shutdown, with timers still running

  options.inbox_capacity = 16;
  OK(aloft_runtime_create(&options, &runtime));
  test_full();
  test_owed();
  puts("loops: ok");
  return 0;
}
