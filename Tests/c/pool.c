// Pools: a resource has one borrower at a time, whatever threads do; who waits is served in order,
// or told why not; what is broken is closed; and bad input is answered: a lease returned twice, an
// answer that nobody asked for, a pool that ends under load.
#include <stdbool.h>
#include "check.h"

static aloft_runtime *runtime;

// ---- Resources that count their borrowers ----

typedef struct thing {
  int number;
  int borrowers; // changed by the borrower alone; a data race if there are two
  bool is_open;
} thing;

typedef struct shop {
  aloft_pool *pool;
  int opened, closed, checked, failing;
  bool checks_fail, opens_later;
  uint32_t pending[8]; // slots that wait for their resource
  int pending_count;
  latch drained;
} shop;

static thing *thing_new(shop *s) {
  thing *t = calloc(1, sizeof *t);
  CHECK(t != NULL);
  t->number = ++s->opened;
  t->is_open = true;
  return t;
}

static void on_open(aloft_pool *pool, uint32_t slot, uint32_t upstream, void *context) {
  shop *s = context;
  CHECK(upstream == 0);
  if (s->failing > 0) {
    s->failing--;
    OK(aloft_pool_open_failed(pool, slot));
    EXPECT(ALOFT_ESTALE, aloft_pool_open_failed(pool, slot)); // told already
    return;
  }
  if (s->opens_later) {
    CHECK(s->pending_count < 8);
    s->pending[s->pending_count++] = slot;
    return;
  }
  EXPECT(ALOFT_EINVAL, aloft_pool_opened(pool, slot, NULL));
  OK(aloft_pool_opened(pool, slot, thing_new(s)));
}

static void on_close_thing(aloft_pool *pool, uint32_t slot, void *resource, void *context) {
  shop *s = context;
  thing *t = resource;
  CHECK(t->is_open && t->borrowers == 0);
  s->closed++;
  free(t);
  OK(aloft_pool_closed(pool, slot));
  (void)s;
}

static void on_check(aloft_pool *pool, uint32_t slot, void *resource, void *context) {
  shop *s = context;
  CHECK(((thing *)resource)->is_open);
  s->checked++;
  OK(aloft_pool_checked(pool, slot, !s->checks_fail));
}

static void on_drained(void *context) { latch_down(&((shop *)context)->drained); }

static aloft_pool_callbacks callbacks_of(bool checks) {
  aloft_pool_callbacks callbacks;
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_open = on_open;
  callbacks.on_close = on_close_thing;
  if (checks) callbacks.on_check = on_check;
  callbacks.on_drained = on_drained;
  return callbacks;
}

static aloft_pool_options options_of(uint32_t size) {
  aloft_pool_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.size = size;
  return options;
}

static void shop_open(shop *s, aloft_pool_options options, bool checks) {
  aloft_pool_callbacks callbacks = callbacks_of(checks);
  latch drained = LATCH_INIT(1);
  s->drained = drained;
  OK(aloft_pool_create(runtime, 0, &options, &callbacks, s, &s->pool));
}

static void on_done(int status, void *context) {
  OK(status);
  latch_down(context);
}

static void shop_close(shop *s) {
  latch done = LATCH_INIT(1);
  OK(aloft_pool_destroy(s->pool, 0, on_done, &done));
  latch_wait(&done);
  latch_wait(&s->drained);
  CHECK(s->opened == s->closed);
}

// ---- One who asks ----

typedef struct asker {
  int status;
  aloft_lease lease;
  thing *thing;
  latch answered;
  int *turn; // counts answers, to see their order
  int at;
} asker;

static void on_leased(int status, aloft_lease lease, void *resource, void *context) {
  asker *a = context;
  CHECK((status == ALOFT_OK) == (lease.id != 0) && (status == ALOFT_OK) == (resource != NULL));
  a->status = status;
  a->lease = lease;
  a->thing = resource;
  if (a->turn != NULL) a->at = ++*a->turn;
  latch_down(&a->answered);
}

static void ask(asker *a, aloft_pool *pool, uint32_t timeout_ms) {
  latch answered = LATCH_INIT(1);
  a->answered = answered;
  a->status = 1;
  OK(aloft_pool_lease(pool, timeout_ms, on_leased, a));
}

static int answer(asker *a) {
  latch_wait(&a->answered);
  return a->status;
}

static aloft_pool_statistics statistics_of(aloft_pool *pool) {
  aloft_pool_statistics statistics;
  memset(&statistics, 0, sizeof statistics);
  statistics.struct_size = sizeof statistics;
  OK(aloft_pool_statistics_get(pool, &statistics));
  return statistics;
}

static void test_lease(void) {
  static shop s;
  static asker a, b, waiting[3];
  aloft_lease lease, stale;
  void *resource;
  int turn = 0;
  aloft_pool_statistics counts;
  shop_open(&s, options_of(2), false);
  EXPECT(ALOFT_EAGAIN, aloft_pool_try_lease(s.pool, &lease, &resource)); // nothing is open yet
  ask(&a, s.pool, 0);
  OK(answer(&a));
  ask(&b, s.pool, 0);
  OK(answer(&b));
  CHECK(a.thing != b.thing && a.lease.id != b.lease.id);
  EXPECT(ALOFT_EAGAIN, aloft_pool_try_lease(s.pool, &lease, NULL));
  for (int i = 0; i < 3; i++) {
    waiting[i].turn = &turn;
    ask(&waiting[i], s.pool, ALOFT_NEVER);
    while (statistics_of(s.pool).waiting != (uint64_t)i + 1) sched_yield();
  }
  OK(aloft_pool_return(s.pool, a.lease, ALOFT_LEASE_SOUND));
  OK(answer(&waiting[0]));
  CHECK(waiting[0].thing == a.thing && waiting[0].at == 1); // handed over
  stale = a.lease;
  EXPECT(ALOFT_ESTALE, aloft_pool_return(s.pool, stale, ALOFT_LEASE_SOUND)); // twice
  OK(aloft_pool_return(s.pool, b.lease, ALOFT_LEASE_SOUND));
  OK(answer(&waiting[1]));
  OK(aloft_pool_return(s.pool, waiting[0].lease, ALOFT_LEASE_BROKEN)); // another one is opened
  OK(answer(&waiting[2]));
  CHECK(waiting[1].at == 2 && waiting[2].at == 3);
  for (int i = 1; i < 3; i++) OK(aloft_pool_return(s.pool, waiting[i].lease, ALOFT_LEASE_SOUND));
  for (int i = 0; i < 3; i++)
    EXPECT(ALOFT_ESTALE, aloft_pool_return(s.pool, waiting[i].lease, ALOFT_LEASE_BROKEN));
  while (aloft_pool_try_lease(s.pool, &lease, &resource) != ALOFT_OK) sched_yield();
  CHECK(((thing *)resource)->is_open);
  OK(aloft_pool_return(s.pool, lease, ALOFT_LEASE_SOUND));
  counts = statistics_of(s.pool);
  CHECK(counts.in_use == 0 && counts.idle == 2 && counts.opened == 3 && counts.leases == 6);
  shop_close(&s);
}

// ---- Giving up ----

static aloft_lease_wait ask_cancellably(asker *a, aloft_pool *pool) {
  aloft_lease_wait wait = {UINT64_MAX};
  latch answered = LATCH_INIT(1);
  a->answered = answered;
  a->status = 1;
  OK(aloft_pool_lease_cancellable(pool, ALOFT_NEVER, on_leased, a, &wait));
  return wait;
}

typedef struct cancelling {
  aloft_pool *pool;
  aloft_lease_wait wait;
  asker *asker;
} cancelling;

static void cancel_at_home(void *context) {
  cancelling *c = context;
  OK(aloft_pool_lease_cancel(c->pool, c->wait));
  CHECK(c->asker->status == ALOFT_ECANCELED); // during the call
}

static void test_cancel(void) {
  static shop s, other;
  static asker first, waiting[4], none;
  aloft_lease_wait waits[4], forged[] = {{0}, {77}, {UINT64_MAX}};
  cancelling at_home;
  shop_open(&s, options_of(1), false);
  shop_open(&other, options_of(1), false);
  waits[0] = ask_cancellably(&first, s.pool); // has one opened
  OK(answer(&first));
  EXPECT(ALOFT_ESTALE, aloft_pool_lease_cancel(s.pool, waits[0])); // it has been answered
  OK(aloft_pool_return(s.pool, first.lease, ALOFT_LEASE_SOUND));
  while (statistics_of(s.pool).idle != 1) sched_yield();
  CHECK(ask_cancellably(&first, s.pool).id == 0); // called at once
  OK(answer(&first));
  for (int i = 0; i < 4; i++) waits[i] = ask_cancellably(&waiting[i], s.pool);
  OK(aloft_pool_lease_cancel(s.pool, waits[1]));
  EXPECT(ALOFT_ESTALE, aloft_pool_lease_cancel(s.pool, waits[1])); // given up before
  EXPECT(ALOFT_ECANCELED, answer(&waiting[1]));
  at_home.pool = s.pool;
  at_home.wait = waits[2];
  at_home.asker = &waiting[2];
  on_loop(runtime, 0, cancel_at_home, &at_home);
  for (size_t i = 0; i < sizeof forged / sizeof *forged; i++)
    EXPECT(ALOFT_ESTALE, aloft_pool_lease_cancel(s.pool, forged[i]));
  EXPECT(ALOFT_ESTALE, aloft_pool_lease_cancel(other.pool, waits[3]));
  EXPECT(ALOFT_EINVAL, aloft_pool_lease_cancel(NULL, waits[3]));
  EXPECT(ALOFT_EINVAL, aloft_pool_lease_cancellable(NULL, 1, on_leased, &none, &waits[1]));
  EXPECT(ALOFT_EINVAL, aloft_pool_lease_cancellable(s.pool, 1, NULL, &none, &waits[1]));
  EXPECT(ALOFT_EINVAL, aloft_pool_lease_cancellable(s.pool, 1, on_leased, &none, NULL));
  OK(aloft_pool_return(s.pool, first.lease, ALOFT_LEASE_SOUND));
  OK(answer(&waiting[0]));
  OK(aloft_pool_return(s.pool, waiting[0].lease, ALOFT_LEASE_SOUND));
  OK(answer(&waiting[3])); // those who gave up are passed over
  OK(aloft_pool_return(s.pool, waiting[3].lease, ALOFT_LEASE_SOUND));
  CHECK(statistics_of(s.pool).waiting == 0);
  shop_close(&s);
  shop_close(&other);
}

// Threads give up what others return at the same moment: each is answered once, and no lease is
// lost.
static void *borrow_or_give_up(void *context) {
  shop *s = context;
  for (int i = 0; i < 2000; i++) {
    asker a;
    aloft_lease_wait wait;
    int code;
    a.turn = NULL;
    wait = ask_cancellably(&a, s->pool);
    if (i % 3 == 0) sched_yield();
    code = aloft_pool_lease_cancel(s->pool, wait);
    CHECK(code == ALOFT_OK || code == ALOFT_ESTALE);
    if (answer(&a) == ALOFT_OK) {
      CHECK(a.thing->borrowers++ == 0);
      CHECK(--a.thing->borrowers == 0);
      OK(aloft_pool_return(s->pool, a.lease, ALOFT_LEASE_SOUND));
    } else {
      EXPECT(ALOFT_ECANCELED, a.status);
      EXPECT(ALOFT_OK, code);
    }
  }
  return NULL;
}

static void test_cancel_races(void) {
  static shop s;
  pthread_t threads[4];
  shop_open(&s, options_of(1), false);
  for (int i = 0; i < 4; i++)
    CHECK(pthread_create(&threads[i], NULL, borrow_or_give_up, &s) == 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(statistics_of(s.pool).in_use == 0 && statistics_of(s.pool).waiting == 0);
  shop_close(&s);
}

// ---- Many threads ----

enum { THREADS = 4, CYCLES = 3000 };

static void *borrow(void *context) {
  shop *s = context;
  for (int i = 0; i < CYCLES; i++) {
    aloft_lease lease;
    void *resource;
    thing *t;
    int code = aloft_pool_try_lease(s->pool, &lease, &resource);
    if (code == ALOFT_OK) {
      t = resource;
    } else {
      asker a;
      EXPECT(ALOFT_EAGAIN, code);
      a.turn = NULL;
      ask(&a, s->pool, ALOFT_NEVER);
      OK(answer(&a));
      lease = a.lease;
      t = a.thing;
    }
    CHECK(t->is_open && t->borrowers++ == 0);
    if (i % 64 == 0) sched_yield();
    CHECK(--t->borrowers == 0);
    OK(aloft_pool_return(s->pool, lease, i % 500 == 499 ? ALOFT_LEASE_BROKEN : ALOFT_LEASE_SOUND));
    EXPECT(ALOFT_ESTALE, aloft_pool_return(s->pool, lease, ALOFT_LEASE_SOUND));
  }
  return NULL;
}

static void test_threads(void) {
  static shop s;
  pthread_t threads[THREADS];
  aloft_pool_statistics counts;
  shop_open(&s, options_of(2), false);
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, borrow, &s) == 0);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  counts = statistics_of(s.pool);
  CHECK(counts.in_use == 0 && counts.waiting == 0 && counts.leases == THREADS * CYCLES);
  shop_close(&s);
}

// ---- Refusals ----

static void open_pending(void *context) {
  shop *s = context;
  for (int i = 0; i < s->pending_count; i++)
    OK(aloft_pool_opened(s->pool, s->pending[i], thing_new(s)));
  s->pending_count = 0;
}

static void test_refusals(void) {
  static shop s;
  static asker first, late, over, last;
  aloft_pool_options options = options_of(1);
  options.waiters_max = 2;
  s.opens_later = true;
  shop_open(&s, options, false);
  ask(&first, s.pool, ALOFT_NEVER);
  ask(&late, s.pool, 1);
  EXPECT(ALOFT_ETIMEDOUT, answer(&late));
  ask(&last, s.pool, ALOFT_NEVER);
  while (statistics_of(s.pool).waiting != 2) sched_yield();
  ask(&over, s.pool, ALOFT_NEVER);
  EXPECT(ALOFT_EFULL, answer(&over));
  on_loop(runtime, 0, open_pending, &s);
  OK(answer(&first));
  EXPECT(ALOFT_ESTALE, aloft_pool_opened(s.pool, 0, &s)); // nobody asked
  EXPECT(ALOFT_ESTALE, aloft_pool_closed(s.pool, 0));
  EXPECT(ALOFT_ESTALE, aloft_pool_checked(s.pool, 0, 1));
  EXPECT(ALOFT_ESTALE, aloft_pool_opened(s.pool, 77, &s));
  {
    latch done = LATCH_INIT(1);
    OK(aloft_pool_destroy(s.pool, ALOFT_NEVER, on_done, &done)); // while one is lent and one waits
    EXPECT(ALOFT_ECLOSED, answer(&last));
    OK(aloft_pool_return(s.pool, first.lease, ALOFT_LEASE_SOUND));
    latch_wait(&done);
    latch_wait(&s.drained);
  }
  CHECK(s.opened == 1 && s.closed == 1);
}

static void test_breaker(void) {
  static shop s;
  static asker a;
  aloft_pool_options options = options_of(1);
  options.failures_max = 2;
  options.pause_ms = 60000;
  options.pause_ms_max = 60000;
  s.failing = 2;
  shop_open(&s, options, false);
  ask(&a, s.pool, ALOFT_NEVER);
  EXPECT(ALOFT_EUPSTREAM, answer(&a));
  CHECK(statistics_of(s.pool).upstreams_down == 1);
  CHECK(statistics_of(s.pool).open_failures == 2);
  ask(&a, s.pool, ALOFT_NEVER);
  EXPECT(ALOFT_EUPSTREAM, answer(&a)); // at once
  shop_close(&s);
}

static void test_checks(void) {
  static shop s;
  static asker a;
  shop_open(&s, options_of(1), true);
  ask(&a, s.pool, 0);
  OK(answer(&a));
  OK(aloft_pool_return(s.pool, a.lease, ALOFT_LEASE_DOUBTFUL));
  ask(&a, s.pool, 0);
  OK(answer(&a));
  CHECK(s.checked == 1 && s.opened == 1);
  s.checks_fail = true;
  OK(aloft_pool_return(s.pool, a.lease, ALOFT_LEASE_DOUBTFUL));
  ask(&a, s.pool, 0);
  OK(answer(&a));
  CHECK(s.checked == 2 && s.opened == 2 && s.closed == 1);
  OK(aloft_pool_return(s.pool, a.lease, ALOFT_LEASE_SOUND));
  shop_close(&s);
}

static void test_reclaim(void) {
  static shop s;
  static asker a, b;
  aloft_pool_options options = options_of(1);
  options.lease_ms_max = 4;
  shop_open(&s, options, false);
  ask(&a, s.pool, 0);
  OK(answer(&a));
  ask(&b, s.pool, ALOFT_NEVER); // gets one when the first borrower has lost its own
  OK(answer(&b));
  EXPECT(ALOFT_ESTALE, aloft_pool_return(s.pool, a.lease, ALOFT_LEASE_SOUND));
  CHECK(statistics_of(s.pool).reclaimed >= 1);
  (void)aloft_pool_return(s.pool, b.lease, ALOFT_LEASE_SOUND);
  shop_close(&s);
}

static void test_borrowers(void) {
  static shop s;
  static asker a, b;
  aloft_mailbox_callbacks none;
  aloft_mailbox mailbox;
  const aloft_connection gone = {0};
  memset(&none, 0, sizeof none);
  none.struct_size = sizeof none;
  for (uint32_t loop = 0; loop < 2; loop++) {
    OK(aloft_mailbox_open(runtime, loop, NULL, &none, NULL, &mailbox));
    shop_open(&s, options_of(1), false);
    ask(&a, s.pool, 0);
    OK(answer(&a));
    OK(aloft_pool_bind_mailbox(s.pool, a.lease, mailbox));
    ask(&b, s.pool, ALOFT_NEVER);
    while (statistics_of(s.pool).waiting != 1) sched_yield();
    OK(aloft_mailbox_close(mailbox, 0));
    OK(answer(&b)); // the mailbox has lost it
    EXPECT(ALOFT_ESTALE, aloft_pool_return(s.pool, a.lease, ALOFT_LEASE_SOUND));
    EXPECT(ALOFT_ESTALE, aloft_pool_bind_mailbox(s.pool, a.lease, mailbox));
    EXPECT(ALOFT_ESTALE, aloft_pool_bind_loop(s.pool, a.lease, 0));
    EXPECT(ALOFT_ENOENT, aloft_pool_bind_loop(s.pool, b.lease, 2));
    OK(aloft_pool_bind_loop(s.pool, b.lease, 1));
    CHECK(statistics_of(s.pool).reclaimed == 1);
    // One that has ended, or never was.
    OK(aloft_pool_bind_connection(s.pool, b.lease, gone));
    while (statistics_of(s.pool).reclaimed != 2) sched_yield();
    EXPECT(ALOFT_ESTALE, aloft_pool_return(s.pool, b.lease, ALOFT_LEASE_SOUND));
    shop_close(&s);
  }
}

static void test_resize(void) {
  static shop s;
  static asker a[3];
  aloft_pool_options options = options_of(1);
  options.size_limit = 3;
  shop_open(&s, options, false);
  OK(aloft_pool_resize(s.pool, 3, 0, 0));
  for (int i = 0; i < 3; i++) {
    ask(&a[i], s.pool, 0);
    OK(answer(&a[i]));
  }
  EXPECT(ALOFT_EINVAL, aloft_pool_resize(s.pool, 4, 0, 0));
  EXPECT(ALOFT_EINVAL, aloft_pool_resize(s.pool, 0, 0, 0));
  EXPECT(ALOFT_EINVAL, aloft_pool_resize(s.pool, 2, 3, 0));
  EXPECT(ALOFT_EINVAL, aloft_pool_resize(s.pool, UINT32_MAX, 0, UINT32_MAX));
  for (int i = 0; i < 3; i++) OK(aloft_pool_return(s.pool, a[i].lease, ALOFT_LEASE_SOUND));
  shop_close(&s);
}

// ---- Bad input ----

static int create(aloft_pool_options options) {
  static shop s;
  aloft_pool *made;
  aloft_pool_callbacks callbacks = callbacks_of(false);
  if (options.struct_size == 0) options.struct_size = sizeof options;
  return aloft_pool_create(runtime, 0, &options, &callbacks, &s, &made);
}

static void off_home(void *context) {
  aloft_pool_statistics statistics;
  memset(&statistics, 0, sizeof statistics);
  statistics.struct_size = sizeof statistics;
  EXPECT(ALOFT_EWRONGTHREAD, aloft_pool_statistics_get(context, &statistics));
}

static void test_bad_input(void) {
  static shop s, other;
  static asker a;
  aloft_pool *made;
  aloft_lease lease, forged[] = {{0}, {1}, {UINT64_MAX}, {0}};
  aloft_pool_callbacks callbacks = callbacks_of(false), none;
  memset(&none, 0, sizeof none);
  EXPECT(ALOFT_EINVAL, aloft_pool_create(runtime, 0, NULL, &none, NULL, &made)); // no size
  none.struct_size = sizeof none;
  EXPECT(ALOFT_EINVAL, aloft_pool_create(runtime, 0, NULL, &none, NULL, &made)); // no on_open
  EXPECT(ALOFT_EINVAL, aloft_pool_create(runtime, 0, NULL, NULL, NULL, &made));
  EXPECT(ALOFT_EINVAL, aloft_pool_create(NULL, 0, NULL, &callbacks, NULL, &made));
  EXPECT(ALOFT_EINVAL, aloft_pool_create(runtime, 0, NULL, &callbacks, NULL, NULL));
  EXPECT(ALOFT_ENOENT, aloft_pool_create(runtime, 2, NULL, &callbacks, NULL, &made));
  EXPECT(ALOFT_EINVAL, create((aloft_pool_options){.size = 4097}));
  EXPECT(ALOFT_EINVAL, create((aloft_pool_options){.size = 4000, .overflow = 97}));
  EXPECT(ALOFT_EINVAL, create((aloft_pool_options){.size_min = 11}));
  EXPECT(ALOFT_EINVAL, create((aloft_pool_options){.size_limit = 5000}));
  EXPECT(ALOFT_EINVAL, create((aloft_pool_options){.waiters_max = (1 << 20) + 1}));
  EXPECT(ALOFT_EINVAL, create((aloft_pool_options){.upstreams = 256}));
  EXPECT(ALOFT_EINVAL, create((aloft_pool_options){.lifetime_jitter_percent = 101}));
  EXPECT(ALOFT_EINVAL, create((aloft_pool_options){.checks_returns = 2}));
  EXPECT(ALOFT_EINVAL, create((aloft_pool_options){.struct_size = 5}));
  shop_open(&s, options_of(1), false);
  shop_open(&other, options_of(1), false);
  ask(&a, s.pool, 0);
  OK(answer(&a));
  forged[3].id = a.lease.id + 1;
  for (size_t i = 0; i < sizeof forged / sizeof *forged; i++)
    EXPECT(ALOFT_ESTALE, aloft_pool_return(s.pool, forged[i], ALOFT_LEASE_SOUND));
  EXPECT(ALOFT_ESTALE, aloft_pool_return(other.pool, a.lease, ALOFT_LEASE_SOUND));
  EXPECT(ALOFT_EINVAL, aloft_pool_return(s.pool, a.lease, 3));
  EXPECT(ALOFT_EINVAL, aloft_pool_return(NULL, a.lease, 0));
  EXPECT(ALOFT_EINVAL, aloft_pool_try_lease(NULL, &lease, NULL));
  EXPECT(ALOFT_EINVAL, aloft_pool_try_lease(s.pool, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_pool_lease(s.pool, 1, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_pool_lease(NULL, 1, on_leased, NULL));
  EXPECT(ALOFT_EINVAL, aloft_pool_statistics_get(s.pool, NULL));
  EXPECT(ALOFT_EINVAL, aloft_pool_destroy(NULL, 0, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_pool_opened(NULL, 0, NULL));
  on_loop(runtime, 1, off_home, s.pool);
  OK(aloft_pool_return(s.pool, a.lease, ALOFT_LEASE_SOUND));
  shop_close(&s);
  shop_close(&other);
}

// ---- The runtime ends first ----

static void on_done_late(int status, void *context) {
  EXPECT(ALOFT_ESHUTDOWN, status);
  latch_down(context);
}

static void test_shutdown(void) {
  static shop s;
  static asker a, b, c, d;
  aloft_lease_wait wait;
  latch done = LATCH_INIT(1);
  aloft_pool *made;
  aloft_pool_callbacks callbacks = callbacks_of(false);
  shop_open(&s, options_of(1), false);
  ask(&a, s.pool, 0);
  OK(answer(&a));
  ask(&b, s.pool, ALOFT_NEVER);
  wait = ask_cancellably(&d, s.pool);
  OK(aloft_runtime_shutdown(runtime, 0, NULL, NULL));
  OK(aloft_runtime_wait(runtime));
  EXPECT(ALOFT_ECLOSED, answer(&b));
  EXPECT(ALOFT_ECLOSED, answer(&d));
  EXPECT(ALOFT_ESTALE, aloft_pool_lease_cancel(s.pool, wait));
  ask(&c, s.pool, ALOFT_NEVER);
  EXPECT(ALOFT_ECLOSED, answer(&c));
  OK(aloft_pool_return(s.pool, a.lease, ALOFT_LEASE_SOUND)); // and is closed
  latch_wait(&s.drained);
  OK(aloft_pool_destroy(s.pool, 0, on_done_late, &done));
  latch_wait(&done);
  CHECK(s.opened == 1 && s.closed == 1);
  EXPECT(ALOFT_ESHUTDOWN, aloft_pool_create(runtime, 0, NULL, &callbacks, &s, &made));
  OK(aloft_runtime_destroy(runtime));
}

int main(void) {
  aloft_runtime_options options = {0};
  options.struct_size = sizeof options;
  options.event_loops = 2;
  options.connections_max = 64;
  OK(aloft_runtime_create(&options, &runtime));
  test_lease();
  test_cancel();
  test_cancel_races();
  test_threads();
  test_refusals();
  test_breaker();
  test_checks();
  test_reclaim();
  test_borrowers();
  test_resize();
  test_bad_input();
  test_shutdown();
  puts("pool: ok");
  return 0;
}
