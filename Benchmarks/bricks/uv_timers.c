#include "uv_timers.h"

#include <stdlib.h>
#include <time.h>
#include <uv.h>

struct bench_uv_timers {
  uv_loop_t loop;
  uint64_t fired;
  uint32_t count;
  uv_timer_t *timers;
};

/* Nanoseconds that this thread has run. */
static uint64_t thread_time(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void on_timer(uv_timer_t *timer) {
  bench_uv_timers *timers = timer->data;
  timers->fired++;
}

bench_uv_timers *bench_uv_timers_new(uint32_t count) {
  bench_uv_timers *timers = calloc(1, sizeof(*timers));
  if (timers == NULL) return NULL;
  timers->timers = calloc(count, sizeof(*timers->timers));
  if (timers->timers == NULL || uv_loop_init(&timers->loop) != 0) {
    free(timers->timers);
    free(timers);
    return NULL;
  }
  timers->count = count;
  for (uint32_t i = 0; i < count; i++) {
    uv_timer_init(&timers->loop, &timers->timers[i]);
    timers->timers[i].data = timers;
  }
  return timers;
}

void bench_uv_timers_free(bench_uv_timers *timers) {
  for (uint32_t i = 0; i < timers->count; i++) uv_close((uv_handle_t *)&timers->timers[i], NULL);
  uv_run(&timers->loop, UV_RUN_DEFAULT);
  uv_loop_close(&timers->loop);
  free(timers->timers);
  free(timers);
}

uint64_t bench_uv_timers_start(bench_uv_timers *timers, const uint32_t *which,
                               const uint32_t *timeouts, uint32_t count) {
  uint64_t begin = thread_time();
  for (uint32_t i = 0; i < count; i++)
    uv_timer_start(&timers->timers[which[i]], on_timer, timeouts[i], 0);
  return thread_time() - begin;
}

uint64_t bench_uv_timers_stop(bench_uv_timers *timers, const uint32_t *which, uint32_t count) {
  uint64_t begin = thread_time();
  for (uint32_t i = 0; i < count; i++) uv_timer_stop(&timers->timers[which[i]]);
  return thread_time() - begin;
}

uint64_t bench_uv_timers_run(bench_uv_timers *timers, uint64_t *fired) {
  timers->fired = 0;
  uint64_t begin = thread_time();
  uv_run(&timers->loop, UV_RUN_NOWAIT);
  uint64_t taken = thread_time() - begin;
  *fired = timers->fired;
  return taken;
}

void bench_uv_timers_update(bench_uv_timers *timers) { uv_update_time(&timers->loop); }

uint32_t bench_uv_timers_bytes(void) { return sizeof(uv_timer_t); }
