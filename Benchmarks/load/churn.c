// Connections that come and go while the others stay.
#include "internal.h"

struct churn {
  uint32_t cursor;
  uint64_t cycles;
  uint64_t cycles_max;
  uint64_t failures_max;  // after as many, failed connects are left closed
  uint64_t end;
};

static bool is_idle(const struct connection *c) {
  return c->phase == PHASE_OPEN && c->got == c->wanted;
}

static void reopen(struct bench_load *load, const struct churn *churn, uint32_t index) {
  while (load->result.failed < churn->failures_max && !load__connect_begin(load, index)) {
  }
}

// Closes the next idle connection and begins to reopen it; false when there is none.
static bool churn_next(struct bench_load *load, struct churn *churn) {
  uint32_t count = load->options.connections;
  for (uint32_t looked = 0; looked < count; looked++) {
    uint32_t index = churn->cursor;
    churn->cursor = (churn->cursor + 1) % count;
    if (!is_idle(&load->connections[index])) continue;
    load__close(load, index, churn->cycles % 2 == 0);
    churn->cycles += 1;
    reopen(load, churn, index);
    return true;
  }
  return false;
}

static void churn_event(
  struct bench_load *load, const struct churn *churn, const struct epoll_event *event) {
  uint32_t index = event->data.u32;
  if (load->connections[index].phase == PHASE_OPEN) load__serve(load, event);
  if (load->connections[index].phase != PHASE_CONNECTING) return;
  if (load__connect_finish(load, event)) load__issue_and_flush(load, index, 1);
  else reopen(load, churn, index);
}

static uint64_t in_flight(const struct bench_load *load) {
  return load->connects_in_flight + load->outstanding;
}

void bench_load_churn(
  bench_load *load, uint32_t in_flight_max, uint64_t duration_ns, uint64_t cycles_max,
  struct bench_load_result *result) {
  uint64_t began = now_ns(), cpu_began = cpu_now_ns(), now = began;
  struct churn churn = {
    .cycles_max = cycles_max, .failures_max = 1000, .end = began + duration_ns};
  load__run_begin(load, MODE_EACH);
  load->window_begin = began;
  load->window_end = churn.end;
  for (;;) {
    bool more = now < churn.end;
    while (more && in_flight(load) < in_flight_max && churn.cycles < churn.cycles_max)
      more = churn_next(load, &churn);
    if (in_flight(load) == 0 || now > churn.end + DRAIN_NS) break;
    int count = load__wait(load, now, churn.end + DRAIN_NS);
    for (int i = 0; i < count; i++) churn_event(load, &churn, &load->events[i]);
    now = now_ns();
  }
  load__connects_abandon(load);
  load->result.lost += load->outstanding;
  load->result.window_ns = now - began;
  load__end(load, began, cpu_began);
  *result = load->result;
}
