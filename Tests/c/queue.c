// Queues between threads: every message comes out once, those of a producer in its order; full,
// empty and closed are answers; and bad input is answered.
#include <stdbool.h>
#include "check.h"

enum { PRODUCERS = 2, CONSUMERS = 2, EACH = 50000 };

static aloft_queue *queue;
static uint64_t received[CONSUMERS], sums[CONSUMERS];

static void *produce(void *context) {
  uint64_t producer = *(uint64_t *)context;
  for (uint64_t i = 1; i <= EACH; i++) {
    aloft_message *message;
    int code;
    OK(aloft_message_create(&i, sizeof i, &message));
    OK(aloft_message_set_tag(message, producer));
    while ((code = aloft_queue_push(queue, message)) != ALOFT_OK) {
      CHECK(code == ALOFT_EFULL || code == ALOFT_EAGAIN);
      sched_yield();
    }
  }
  return NULL;
}

static void take(uint64_t consumer, aloft_message *message, uint64_t *last) {
  uint64_t number, producer = aloft_message_tag(message);
  memcpy(&number, aloft_message_data(message), sizeof number);
  CHECK(producer < PRODUCERS && number > last[producer]);
  last[producer] = number;
  received[consumer]++;
  sums[consumer] += number;
  aloft_message_release(message);
}

static void *consume(void *context) {
  uint64_t me = *(uint64_t *)context, last[PRODUCERS] = {0};
  aloft_message *messages[16];
  while (1) {
    int64_t count = 1;
    int code = aloft_queue_pop(queue, &messages[0]);
    if (me == 1 && code == ALOFT_OK) { // this one takes many at a time
      take(me, messages[0], last);
      count = aloft_queue_pop_many(queue, messages, 16);
      if (count == ALOFT_ECLOSED) break;
      CHECK(count >= 0);
    } else if (code == ALOFT_EAGAIN) {
      sched_yield();
      continue;
    } else if (code == ALOFT_ECLOSED) {
      break;
    }
    for (int64_t i = 0; i < count; i++) take(me, messages[i], last);
  }
  return NULL;
}

static void test_threads(void) {
  aloft_queue_options options;
  aloft_queue_statistics counts;
  pthread_t producers[PRODUCERS], consumers[CONSUMERS];
  uint64_t numbers[2] = {0, 1}, all = 0, sum = 0;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.capacity = 100; // 128
  OK(aloft_queue_create(&options, &queue));
  for (int i = 0; i < CONSUMERS; i++)
    CHECK(pthread_create(&consumers[i], NULL, consume, &numbers[i]) == 0);
  for (int i = 0; i < PRODUCERS; i++)
    CHECK(pthread_create(&producers[i], NULL, produce, &numbers[i]) == 0);
  for (int i = 0; i < PRODUCERS; i++) CHECK(pthread_join(producers[i], NULL) == 0);
  OK(aloft_queue_close(queue));
  for (int i = 0; i < CONSUMERS; i++) CHECK(pthread_join(consumers[i], NULL) == 0);
  for (int i = 0; i < CONSUMERS; i++) {
    all += received[i];
    sum += sums[i];
  }
  CHECK(all == (uint64_t)PRODUCERS * EACH);
  CHECK(sum == (uint64_t)PRODUCERS * EACH * (EACH + 1) / 2);
  memset(&counts, 0, sizeof counts);
  counts.struct_size = sizeof counts;
  OK(aloft_queue_statistics_get(queue, &counts));
  CHECK(counts.accepted == all && counts.delivered == all && counts.depth == 0);
  OK(aloft_queue_destroy(queue));
}

static aloft_message *text(const char *words) {
  aloft_message *message;
  OK(aloft_message_create(words, strlen(words), &message));
  return message;
}

static void test_limits(uint32_t overflow) {
  aloft_queue_options options;
  aloft_queue_statistics counts;
  aloft_message *message = NULL, *third = text("c");
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.capacity = 2;
  options.overflow = overflow;
  OK(aloft_queue_create(&options, &queue));
  EXPECT(ALOFT_EAGAIN, aloft_queue_pop(queue, &message));
  CHECK(aloft_queue_pop_many(queue, &message, 1) == 0);
  OK(aloft_queue_push(queue, text("a")));
  OK(aloft_queue_push(queue, text("b")));
  if (overflow == ALOFT_OVERFLOW_REFUSE) {
    EXPECT(ALOFT_EFULL, aloft_queue_push(queue, third));
    aloft_message_release(third); // still ours
  } else {
    OK(aloft_queue_push(queue, third));
  }
  OK(aloft_queue_pop(queue, &message));
  CHECK(*(char *)aloft_message_data(message) == (overflow == ALOFT_OVERFLOW_REFUSE ? 'a' : 'b'));
  OK(aloft_queue_close(queue));
  OK(aloft_queue_close(queue));
  EXPECT(ALOFT_ECLOSED, aloft_queue_push(queue, message));
  aloft_message_release(message);
  OK(aloft_queue_pop(queue, &message)); // what is inside comes out
  aloft_message_release(message);
  EXPECT(ALOFT_ECLOSED, aloft_queue_pop(queue, &message));
  CHECK(aloft_queue_pop_many(queue, &message, 1) == ALOFT_ECLOSED);
  memset(&counts, 0, sizeof counts);
  counts.struct_size = sizeof counts;
  OK(aloft_queue_statistics_get(queue, &counts));
  CHECK(counts.accepted == counts.delivered + counts.dropped + counts.depth);
  CHECK(counts.dropped == (overflow == ALOFT_OVERFLOW_REFUSE ? 0 : 1));
  OK(aloft_queue_destroy(queue));
}

// ---- Threads that wait ----

static void open_small(uint64_t capacity) {
  aloft_queue_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.capacity = capacity;
  OK(aloft_queue_create(&options, &queue));
}

static void *push_waiting(void *context) {
  uint64_t producer = *(uint64_t *)context;
  for (uint64_t i = 1; i <= EACH / 10; i++) {
    aloft_message *message;
    OK(aloft_message_create(&i, sizeof i, &message));
    OK(aloft_message_set_tag(message, producer));
    OK(aloft_queue_push_within(queue, message, ALOFT_NEVER));
  }
  return NULL;
}

static void *pop_waiting(void *context) {
  uint64_t me = *(uint64_t *)context, last[PRODUCERS] = {0};
  while (1) {
    aloft_message *message;
    // Some with a limit that may be reached, which loses nothing.
    int code = aloft_queue_pop_within(queue, &message, received[me] % 8 == 7 ? 1 : ALOFT_NEVER);
    if (code == ALOFT_ETIMEDOUT) continue;
    if (code == ALOFT_ECLOSED) return NULL;
    OK(code);
    take(me, message, last);
  }
}

// Nobody spins, and all comes out: who is too early or too late sleeps.
static void test_waiting_threads(void) {
  aloft_queue_statistics counts;
  pthread_t producers[PRODUCERS], consumers[CONSUMERS];
  uint64_t numbers[2] = {0, 1}, all = (uint64_t)PRODUCERS * EACH / 10;
  memset(received, 0, sizeof received);
  memset(sums, 0, sizeof sums);
  open_small(8);
  for (int i = 0; i < CONSUMERS; i++)
    CHECK(pthread_create(&consumers[i], NULL, pop_waiting, &numbers[i]) == 0);
  for (int i = 0; i < PRODUCERS; i++)
    CHECK(pthread_create(&producers[i], NULL, push_waiting, &numbers[i]) == 0);
  for (int i = 0; i < PRODUCERS; i++) CHECK(pthread_join(producers[i], NULL) == 0);
  OK(aloft_queue_close(queue)); // wakes those who wait, when all is out
  for (int i = 0; i < CONSUMERS; i++) CHECK(pthread_join(consumers[i], NULL) == 0);
  CHECK(received[0] + received[1] == all);
  CHECK(sums[0] + sums[1] == all * (EACH / 10 + 1) / 2);
  memset(&counts, 0, sizeof counts);
  counts.struct_size = sizeof counts;
  OK(aloft_queue_statistics_get(queue, &counts));
  CHECK(counts.accepted == all && counts.delivered == all && counts.depth == 0);
  OK(aloft_queue_destroy(queue));
}

static void *pop_until_closed(void *context) {
  aloft_message *message;
  EXPECT(ALOFT_ECLOSED, aloft_queue_pop_within(queue, &message, ALOFT_NEVER));
  return context;
}

// Those who wait are served by the functions that don't, and are told of the end.
static void *push_one(void *context) {
  OK(aloft_queue_push_within(queue, context, ALOFT_NEVER));
  return NULL;
}

static void test_waiting_limits(void) {
  aloft_message *message, *late = text("l"), *many[4];
  pthread_t thread;
  open_small(2);
  EXPECT(ALOFT_ETIMEDOUT, aloft_queue_pop_within(queue, &message, 0));
  EXPECT(ALOFT_ETIMEDOUT, aloft_queue_pop_within(queue, &message, 1));
  OK(aloft_queue_push_within(queue, text("a"), 0));
  OK(aloft_queue_push_within(queue, text("b"), 1));
  EXPECT(ALOFT_ETIMEDOUT, aloft_queue_push_within(queue, late, 0));
  EXPECT(ALOFT_ETIMEDOUT, aloft_queue_push_within(queue, late, 1)); // still ours
  CHECK(pthread_create(&thread, NULL, push_one, text("c")) == 0);
  // It comes in behind the two, whether it has come to wait by now or not.
  for (int got = 0; got < 3;) {
    int64_t count = aloft_queue_pop_many(queue, many, 4);
    CHECK(count >= 0);
    for (int64_t i = 0; i < count; i++) {
      CHECK(*(char *)aloft_message_data(many[i]) == "abc"[got++]);
      aloft_message_release(many[i]);
    }
    if (count == 0) sched_yield();
  }
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(pthread_create(&thread, NULL, pop_until_closed, NULL) == 0);
  OK(aloft_queue_close(queue));
  CHECK(pthread_join(thread, NULL) == 0);
  EXPECT(ALOFT_ECLOSED, aloft_queue_push_within(queue, late, ALOFT_NEVER));
  EXPECT(ALOFT_ECLOSED, aloft_queue_pop_within(queue, &message, 0));
  aloft_message_release(late);
  OK(aloft_queue_destroy(queue));
}

static void wait_on_loop(void *context) {
  aloft_message *message;
  EXPECT(ALOFT_EWRONGTHREAD, aloft_queue_pop_within(queue, &message, 0));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_queue_push_within(queue, context, ALOFT_NEVER));
}

static void test_waiting_on_loop(aloft_message *message) {
  aloft_runtime *runtime;
  OK(aloft_runtime_create(NULL, &runtime));
  on_loop(runtime, 0, wait_on_loop, message);
  OK(aloft_runtime_destroy(runtime));
}

static int create(aloft_queue_options options) {
  aloft_queue *made;
  if (options.struct_size == 0) options.struct_size = sizeof options;
  return aloft_queue_create(&options, &made);
}

static void test_bad_input(void) {
  aloft_message *message = text("m"), *got;
  EXPECT(ALOFT_EINVAL, aloft_queue_create(NULL, NULL));
  EXPECT(ALOFT_EINVAL, create((aloft_queue_options){.capacity = ((uint64_t)1 << 32) + 1}));
  EXPECT(ALOFT_EINVAL, create((aloft_queue_options){.overflow = 2}));
  EXPECT(ALOFT_EINVAL, create((aloft_queue_options){.flags = 1}));
  EXPECT(ALOFT_EINVAL, create((aloft_queue_options){.struct_size = 9}));
  OK(aloft_queue_create(NULL, &queue));
  EXPECT(ALOFT_EINVAL, aloft_queue_push(queue, NULL));
  EXPECT(ALOFT_EINVAL, aloft_queue_push(NULL, message));
  EXPECT(ALOFT_EINVAL, aloft_queue_pop(queue, NULL));
  EXPECT(ALOFT_EINVAL, aloft_queue_pop(NULL, &got));
  EXPECT(ALOFT_EINVAL, aloft_queue_pop_many(queue, NULL, 1));
  EXPECT(ALOFT_EINVAL, aloft_queue_pop_many(queue, &got, SIZE_MAX));
  EXPECT(ALOFT_EINVAL, aloft_queue_statistics_get(queue, NULL));
  EXPECT(ALOFT_EINVAL, aloft_queue_close(NULL));
  EXPECT(ALOFT_EINVAL, aloft_queue_push_within(queue, NULL, 0));
  EXPECT(ALOFT_EINVAL, aloft_queue_push_within(NULL, message, 0));
  EXPECT(ALOFT_EINVAL, aloft_queue_pop_within(queue, NULL, 0));
  EXPECT(ALOFT_EINVAL, aloft_queue_pop_within(NULL, &got, 0));
  test_waiting_on_loop(message);
  OK(aloft_queue_push(queue, message)); // released with the queue
  OK(aloft_queue_destroy(queue));
  OK(aloft_queue_destroy(NULL));
}

int main(void) {
  test_threads();
  test_limits(ALOFT_OVERFLOW_REFUSE);
  test_limits(ALOFT_OVERFLOW_DROP_OLDEST);
  test_waiting_threads();
  test_waiting_limits();
  test_bad_input();
  puts("queue: ok");
  return 0;
}
