// What the C test programs share: a check that ends the program and says where, and a latch.
#ifndef CHECK_H
#define CHECK_H

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "aloft.h"

#define CHECK(condition)                                                                       \
  do {                                                                                         \
    if (!(condition)) {                                                                        \
      fprintf(stderr, "%s:%d: %s\n  last error: %s\n", __FILE__, __LINE__, #condition,          \
              aloft_last_error_message());                                                     \
      exit(1);                                                                                 \
    }                                                                                          \
  } while (0)

// The code that a call must answer with.
#define EXPECT(code, call)                                                                     \
  do {                                                                                         \
    int got_ = (int)(call);                                                                    \
    if (got_ != (code)) {                                                                      \
      fprintf(stderr, "%s:%d: %s\n  is %d %s, not %s; last error: %s\n", __FILE__, __LINE__,     \
              #call, got_, aloft_err_name(got_), aloft_err_name(code),                          \
              aloft_last_error_message());                                                     \
      exit(1);                                                                                 \
    }                                                                                          \
  } while (0)

#define OK(call) EXPECT(ALOFT_OK, call)

// Opens when it has been counted down.
typedef struct latch {
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  int left;
} latch;

#define LATCH_INIT(count) {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, (count)}

static inline void latch_down(latch *l) {
  pthread_mutex_lock(&l->mutex);
  if (--l->left == 0) pthread_cond_broadcast(&l->condition);
  pthread_mutex_unlock(&l->mutex);
}

static inline void latch_wait(latch *l) {
  pthread_mutex_lock(&l->mutex);
  while (l->left > 0) pthread_cond_wait(&l->condition, &l->mutex);
  pthread_mutex_unlock(&l->mutex);
}

// Runs a task on a loop and waits for it.
typedef struct errand {
  void (*work)(void *argument);
  void *argument;
  latch done;
} errand;

static inline void errand_run(int status, void *context) {
  errand *e = context;
  CHECK(status == ALOFT_OK);
  e->work(e->argument);
  latch_down(&e->done);
}

static inline void on_loop(aloft_runtime *runtime, uint32_t loop, void (*work)(void *argument),
                           void *argument) {
  errand e = {NULL, NULL, LATCH_INIT(1)};
  int code;
  e.work = work;
  e.argument = argument;
  while ((code = aloft_execute(runtime, loop, errand_run, &e)) == ALOFT_EAGAIN) sched_yield();
  OK(code);
  latch_wait(&e.done);
}

#endif
