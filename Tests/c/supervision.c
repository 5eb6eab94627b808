// Supervisors: what fails is started again with its mailbox and what waits there, alone or with
// others as the strategy says; processes that are killed are replaced; states are freed exactly
// once; monitors and links are told; and bad input is answered.
#include <signal.h>
#include <stdbool.h>
#include "check.h"

static aloft_runtime *runtime;

// ---- What happens, counted ----

typedef struct log {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int started, restarting, ended, end_error, last_error;
  char order[64]; // first bytes of names, as they come up
  int states_made, states_freed, stopped, messages;
} log_book;

static void lock(log_book *l) { pthread_mutex_lock(&l->mutex); }

static void unlock(log_book *l) {
  pthread_cond_broadcast(&l->changed);
  pthread_mutex_unlock(&l->mutex);
}

// Waits until a count is what it should be.
static void await(log_book *l, const int *count, int wanted) {
  pthread_mutex_lock(&l->mutex);
  while (*count < wanted) pthread_cond_wait(&l->changed, &l->mutex);
  CHECK(*count == wanted);
  pthread_mutex_unlock(&l->mutex);
}

static void log_init(log_book *l) {
  memset(l, 0, sizeof *l);
  pthread_mutex_init(&l->mutex, NULL);
  pthread_cond_init(&l->changed, NULL);
}

static void on_event(int event, const char *name, int error, uint64_t after_ms, void *context) {
  log_book *l = context;
  (void)after_ms;
  lock(l);
  if (event == ALOFT_CHILD_STARTED) {
    size_t at = strlen(l->order);
    if (at + 1 < sizeof l->order) l->order[at] = name[0];
    l->started++;
  } else if (event == ALOFT_CHILD_RESTARTING) {
    CHECK(error <= 0 && name != NULL); // 0: its work was done
    l->last_error = error;
    l->restarting++;
  } else {
    CHECK(event == ALOFT_SUPERVISOR_ENDED && name == NULL);
    l->end_error = error;
    l->ended++;
  }
  unlock(l);
}

// ---- Workers: a message "f" makes them fail, "d" says that their work is done ----

typedef struct state {
  log_book *log;
  int messages;
} state;

static int on_start(aloft_worker *worker, void **made, void *context) {
  log_book *l = context;
  state *s = calloc(1, sizeof *s);
  aloft_mailbox mailbox;
  CHECK(s != NULL && *made == NULL);
  OK(aloft_worker_mailbox(worker, &mailbox));
  CHECK(mailbox.id != 0);
  s->log = l;
  *made = s;
  lock(l);
  l->states_made++;
  unlock(l);
  return 0;
}

static int on_message(aloft_worker *worker, aloft_message *message, void *made, void *context) {
  log_book *l = context;
  state *s = made;
  char word = *(char *)aloft_message_data(message);
  s->messages++;
  OK(aloft_worker_progress(worker));
  lock(l);
  l->messages++;
  unlock(l);
  if (word == 'F') EXPECT(ALOFT_EINVAL, aloft_worker_fail(worker, 5));
  if (word == 'F') OK(aloft_worker_fail(worker, ALOFT_EPIPE));
  if (word == 'd') OK(aloft_worker_finish(worker));
  return word == 'f' ? ALOFT_ECONNRESET : 0;
}

static void on_stop(aloft_worker *worker, void *made, void *context) {
  log_book *l = context;
  (void)worker;
  CHECK(((state *)made)->log == l);
  lock(l);
  l->stopped++;
  unlock(l);
}

static void on_free(void *made, void *context) {
  log_book *l = context;
  free(made);
  lock(l);
  l->states_freed++;
  unlock(l);
}

static aloft_worker_callbacks worker_callbacks(void) {
  aloft_worker_callbacks callbacks;
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_start = on_start;
  callbacks.on_message = on_message;
  callbacks.on_stop = on_stop;
  callbacks.on_free = on_free;
  return callbacks;
}

static aloft_supervisor *supervisor_of(uint32_t strategy, log_book *l) {
  aloft_supervisor *supervisor;
  aloft_supervisor_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.strategy = strategy;
  log_init(l);
  OK(aloft_supervisor_create(runtime, 0, &options, on_event, l, &supervisor));
  return supervisor;
}

static void add(aloft_supervisor *supervisor, const char *name, uint32_t loop, uint32_t restart,
                log_book *l) {
  aloft_worker_callbacks callbacks = worker_callbacks();
  aloft_worker_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.restart = restart;
  OK(aloft_supervisor_add_worker(supervisor, name, loop, &options, &callbacks, l));
}

static aloft_mailbox mailbox_of(aloft_supervisor *supervisor, const char *name) {
  aloft_mailbox mailbox = {0};
  OK(aloft_supervisor_mailbox(supervisor, name, &mailbox));
  return mailbox;
}

static void send(aloft_mailbox mailbox, const char *word) {
  OK(aloft_mailbox_send_bytes(mailbox, word, 1, ALOFT_PRIORITY_NORMAL));
}

static void on_done(int status, void *context) {
  OK(status);
  latch_down(context);
}

static void destroy(aloft_supervisor *supervisor) {
  latch done = LATCH_INIT(1);
  OK(aloft_supervisor_destroy(supervisor, on_done, &done));
  latch_wait(&done);
}

static void test_one_for_one(void) {
  static log_book l;
  aloft_supervisor *supervisor = supervisor_of(ALOFT_ONE_FOR_ONE, &l);
  aloft_supervisor_statistics counts;
  aloft_mailbox a, b;
  add(supervisor, "a", 0, ALOFT_PERMANENT, &l);
  add(supervisor, "b", 1, ALOFT_PERMANENT, &l);
  await(&l, &l.started, 2);
  a = mailbox_of(supervisor, "a");
  b = mailbox_of(supervisor, "b");
  send(a, "x");
  send(b, "f");
  send(b, "x"); // waits for the next state
  await(&l, &l.messages, 3);
  await(&l, &l.started, 3);
  EXPECT(ALOFT_ECONNRESET, l.last_error);
  CHECK(mailbox_of(supervisor, "b").id == b.id);
  send(b, "F"); // told to fail, and then it answers that all is well
  await(&l, &l.started, 4);
  EXPECT(ALOFT_EPIPE, l.last_error);
  send(b, "d"); // permanent: started again though its work is done
  await(&l, &l.started, 5);
  CHECK(mailbox_of(supervisor, "a").id == a.id && l.states_made == 5);
  OK(aloft_supervisor_restart(supervisor, "a"));
  await(&l, &l.started, 6);
  memset(&counts, 0, sizeof counts);
  counts.struct_size = sizeof counts;
  OK(aloft_supervisor_statistics_get(supervisor, &counts));
  CHECK(counts.children == 2 && counts.restarts >= 2);
  OK(aloft_supervisor_stop(supervisor, "b"));
  while (aloft_mailbox_is_open(b)) sched_yield();
  EXPECT(ALOFT_ECLOSED, aloft_mailbox_send_bytes(b, "x", 1, ALOFT_PRIORITY_NORMAL));
  while (aloft_supervisor_start(supervisor, "b") != ALOFT_OK) sched_yield();
  await(&l, &l.started, 7);
  OK(aloft_supervisor_remove(supervisor, "b"));
  while (aloft_supervisor_stop(supervisor, "b") != ALOFT_ENONAME) sched_yield();
  destroy(supervisor);
  await(&l, &l.ended, 1);
  OK(l.end_error);
  await(&l, &l.states_freed, l.states_made);
}

static void test_rest_for_one(void) {
  static log_book l;
  aloft_supervisor *supervisor = supervisor_of(ALOFT_REST_FOR_ONE, &l);
  add(supervisor, "a", 0, ALOFT_PERMANENT, &l);
  add(supervisor, "b", 0, ALOFT_PERMANENT, &l);
  add(supervisor, "c", 1, ALOFT_PERMANENT, &l);
  await(&l, &l.started, 3);
  send(mailbox_of(supervisor, "b"), "f");
  await(&l, &l.started, 5);
  CHECK(strcmp(l.order, "abcbc") == 0);
  destroy(supervisor);
  await(&l, &l.states_freed, 5);
}

static void test_transient(void) {
  static log_book l;
  aloft_supervisor *supervisor = supervisor_of(ALOFT_ONE_FOR_ONE, &l);
  aloft_mailbox mailbox;
  add(supervisor, "t", 1, ALOFT_TRANSIENT, &l);
  await(&l, &l.started, 1);
  send(mailbox_of(supervisor, "t"), "f");
  await(&l, &l.started, 2);
  send(mailbox_of(supervisor, "t"), "d");
  await(&l, &l.states_freed, 2);
  // Down for good, as soon as the supervisor has heard of it.
  while (aloft_supervisor_mailbox(supervisor, "t", &mailbox) != ALOFT_ECLOSED) sched_yield();
  destroy(supervisor);
}

static void test_too_many(void) {
  static log_book l;
  aloft_supervisor *supervisor;
  aloft_supervisor_options options;
  aloft_worker_callbacks callbacks = worker_callbacks();
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.restarts_min = 2;
  options.backoff_ms = 1;
  options.backoff_ms_max = 1;
  log_init(&l);
  OK(aloft_supervisor_create(runtime, 0, &options, on_event, &l, &supervisor));
  add(supervisor, "w", 0, ALOFT_PERMANENT, &l);
  await(&l, &l.started, 1);
  for (int i = 0; i < 3; i++) {
    send(mailbox_of(supervisor, "w"), "f");
    if (i < 2) await(&l, &l.started, i + 2);
  }
  await(&l, &l.ended, 1);
  EXPECT(ALOFT_EFAILED, l.end_error);
  EXPECT(ALOFT_ESHUTDOWN,
         aloft_supervisor_add_worker(supervisor, "x", 0, NULL, &callbacks, &l));
  destroy(supervisor);
  await(&l, &l.states_freed, 3);
}

// ---- Processes ----

typedef struct process_log {
  log_book book;
  int pids[8], starts, ends, signal, exit_code, data;
  char text[16];
} process_log;

static void on_process_start(int pid, void *context) {
  process_log *p = context;
  lock(&p->book);
  CHECK(p->starts < 8);
  p->pids[p->starts++] = pid;
  unlock(&p->book);
}

static void on_process_data(const void *data, size_t length, void *context) {
  process_log *p = context;
  lock(&p->book);
  CHECK(length < sizeof p->text);
  memcpy(p->text, data, length);
  p->text[length] = '\0';
  p->data++;
  unlock(&p->book);
}

static void on_process_end(int exit_code, int signal, void *context) {
  process_log *p = context;
  lock(&p->book);
  p->exit_code = exit_code;
  p->signal = signal;
  p->ends++;
  unlock(&p->book);
}

static aloft_process_callbacks process_callbacks(void) {
  aloft_process_callbacks callbacks;
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_start = on_process_start;
  callbacks.on_data = on_process_data;
  callbacks.on_end = on_process_end;
  return callbacks;
}

static void test_process(void) {
  static process_log p;
  static log_book l;
  const char *none[] = {NULL};
  aloft_supervisor *supervisor = supervisor_of(ALOFT_ONE_FOR_ONE, &l);
  aloft_process_callbacks callbacks = process_callbacks();
  aloft_process_options options;
  const char *echo[] = {"-c", "exec cat <&3 >&3", NULL};
  log_init(&p.book);
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.path = "/bin/sh";
  options.arguments = echo;
  options.environment = none;
  options.spares = 1;
  OK(aloft_supervisor_add_process(supervisor, "p", &options, &callbacks, &p));
  await(&l, &l.started, 1);
  CHECK(aloft_supervisor_pid(supervisor, "p") == p.pids[0]);
  OK(aloft_mailbox_send_bytes(mailbox_of(supervisor, "p"), "hello", 5, ALOFT_PRIORITY_NORMAL));
  await(&p.book, &p.data, 1); // framed as it went, so framed as it comes
  CHECK(strcmp(p.text, "hello") == 0);
  CHECK(kill(p.pids[0], SIGKILL) == 0);
  await(&p.book, &p.ends, 1);
  CHECK(p.signal == SIGKILL);
  await(&l, &l.started, 2);
  CHECK(aloft_supervisor_pid(supervisor, "p") == p.pids[1] && p.pids[1] != p.pids[0]);
  OK(aloft_mailbox_send_bytes(mailbox_of(supervisor, "p"), "again", 5, ALOFT_PRIORITY_NORMAL));
  await(&p.book, &p.data, 2);
  CHECK(strcmp(p.text, "again") == 0);
  EXPECT(ALOFT_EFAILED, l.last_error);
  options.path = "/no/such/program";
  options.restart = ALOFT_TEMPORARY;
  OK(aloft_supervisor_add_process(supervisor, "q", &options, &callbacks, &p));
  destroy(supervisor);
  await(&p.book, &p.ends, 2);
  CHECK(kill(p.pids[1], 0) != 0);
}

// ---- Monitors and links ----

typedef struct ending {
  int reason;
  latch told;
} ending;

static void on_monitored(aloft_mailbox mailbox, int reason, void *context) {
  ending *e = context;
  CHECK(mailbox.id != 0 && e->reason == 0);
  e->reason = reason;
  latch_down(&e->told);
}

static aloft_mailbox plain(uint32_t loop) {
  aloft_mailbox mailbox;
  aloft_mailbox_callbacks none;
  memset(&none, 0, sizeof none);
  none.struct_size = sizeof none;
  OK(aloft_mailbox_open(runtime, loop, NULL, &none, NULL, &mailbox));
  return mailbox;
}

static void test_monitors(void) {
  static ending first = {0, LATCH_INIT(1)}, gone = {0, LATCH_INIT(1)}, never = {0, LATCH_INIT(1)};
  aloft_mailbox a = plain(0), b = plain(1), c = plain(1), forged = {12345};
  aloft_monitor *monitor;
  OK(aloft_monitor_start(a, on_monitored, &never, &monitor));
  OK(aloft_monitor_cancel(monitor));
  OK(aloft_monitor_start(a, on_monitored, &first, &monitor));
  OK(aloft_mailbox_close(a, 0));
  latch_wait(&first.told);
  CHECK(first.reason == ALOFT_MAILBOX_CLOSED && never.reason == 0);
  EXPECT(ALOFT_ENOENT, aloft_monitor_cancel(monitor));
  OK(aloft_monitor_start(forged, on_monitored, &gone, &monitor));
  latch_wait(&gone.told);
  CHECK(gone.reason == ALOFT_MAILBOX_GONE);
  EXPECT(ALOFT_ENOENT, aloft_monitor_cancel(monitor));
  OK(aloft_link(b, c));
  OK(aloft_mailbox_close(b, 0));
  while (aloft_mailbox_is_open(c)) sched_yield();
}

static void test_worker_link(void) {
  static log_book l;
  aloft_supervisor *supervisor = supervisor_of(ALOFT_ONE_FOR_ONE, &l);
  aloft_mailbox other = plain(1);
  add(supervisor, "w", 0, ALOFT_PERMANENT, &l);
  await(&l, &l.started, 1);
  OK(aloft_link(mailbox_of(supervisor, "w"), other));
  OK(aloft_mailbox_close(other, 0));
  await(&l, &l.started, 2);
  EXPECT(ALOFT_ECLOSED, l.last_error);
  destroy(supervisor);
}

// ---- Bad input ----

static int create(aloft_supervisor_options options) {
  aloft_supervisor *made;
  if (options.struct_size == 0) options.struct_size = sizeof options;
  return aloft_supervisor_create(runtime, 0, &options, NULL, NULL, &made);
}

static int add_worker(aloft_supervisor *supervisor, aloft_worker_options options) {
  aloft_worker_callbacks callbacks = worker_callbacks();
  options.struct_size = sizeof options;
  return aloft_supervisor_add_worker(supervisor, "w", 0, &options, &callbacks, NULL);
}

static void off_loop(void *context) {
  EXPECT(ALOFT_EWRONGTHREAD, aloft_supervisor_stop(context, "w"));
}

static void on_loop_itself(void *context) {
  EXPECT(ALOFT_ENONAME, aloft_supervisor_stop(context, "w"));
}

static void test_bad_input(void) {
  static log_book l;
  static char name[257];
  aloft_supervisor *supervisor = supervisor_of(ALOFT_ONE_FOR_ONE, &l), *made;
  aloft_worker_callbacks callbacks = worker_callbacks(), unsized;
  aloft_process_callbacks process = process_callbacks();
  aloft_process_options program;
  aloft_mailbox_options mailbox;
  aloft_mailbox found, none = {0};
  aloft_monitor *monitor;
  memset(name, 'n', 256);
  memset(&unsized, 0, sizeof unsized);
  memset(&program, 0, sizeof program);
  memset(&mailbox, 0, sizeof mailbox);
  mailbox.struct_size = sizeof mailbox;
  mailbox.capacity = (1u << 30) + 1;
  EXPECT(ALOFT_EINVAL, aloft_supervisor_create(NULL, 0, NULL, NULL, NULL, &made));
  EXPECT(ALOFT_EINVAL, aloft_supervisor_create(runtime, 0, NULL, NULL, NULL, NULL));
  EXPECT(ALOFT_ENOENT, aloft_supervisor_create(runtime, 2, NULL, NULL, NULL, &made));
  EXPECT(ALOFT_EINVAL, create((aloft_supervisor_options){.strategy = 3}));
  EXPECT(ALOFT_EINVAL, create((aloft_supervisor_options){.restarts_percent = 101}));
  EXPECT(ALOFT_EINVAL, create((aloft_supervisor_options){.in_a_row_max = 256}));
  EXPECT(ALOFT_EINVAL, create((aloft_supervisor_options){.children_max = (1 << 24) + 1}));
  EXPECT(ALOFT_EINVAL, create((aloft_supervisor_options){.struct_size = 3}));
  EXPECT(ALOFT_EINVAL, add_worker(supervisor, (aloft_worker_options){.restart = 3}));
  EXPECT(ALOFT_EINVAL, add_worker(supervisor, (aloft_worker_options){.redeliveries_max = 255}));
  EXPECT(ALOFT_EINVAL, add_worker(supervisor, (aloft_worker_options){.mailbox = &mailbox}));
  EXPECT(ALOFT_EINVAL, aloft_supervisor_add_worker(NULL, "w", 0, NULL, &callbacks, NULL));
  EXPECT(ALOFT_EINVAL, aloft_supervisor_add_worker(supervisor, NULL, 0, NULL, &callbacks, NULL));
  EXPECT(ALOFT_EINVAL, aloft_supervisor_add_worker(supervisor, "", 0, NULL, &callbacks, NULL));
  EXPECT(ALOFT_ENAMETOOLONG,
         aloft_supervisor_add_worker(supervisor, name, 0, NULL, &callbacks, NULL));
  EXPECT(ALOFT_ENOENT, aloft_supervisor_add_worker(supervisor, "w", 9, NULL, &callbacks, NULL));
  EXPECT(ALOFT_EINVAL, aloft_supervisor_add_worker(supervisor, "w", 0, NULL, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_supervisor_add_worker(supervisor, "w", 0, NULL, &unsized, NULL));
  EXPECT(ALOFT_EINVAL, aloft_supervisor_add_process(supervisor, "p", NULL, &process, NULL));
  program.struct_size = sizeof program;
  EXPECT(ALOFT_EINVAL, aloft_supervisor_add_process(supervisor, "p", &program, &process, NULL));
  program.path = "/bin/true";
  program.spares = 1025;
  EXPECT(ALOFT_EINVAL, aloft_supervisor_add_process(supervisor, "p", &program, &process, NULL));
  program.spares = 0;
  program.stop_signal = 65;
  EXPECT(ALOFT_EINVAL, aloft_supervisor_add_process(supervisor, "p", &program, &process, NULL));
  EXPECT(ALOFT_ENONAME, aloft_supervisor_stop(supervisor, "w"));
  EXPECT(ALOFT_ENONAME, aloft_supervisor_mailbox(supervisor, "w", &found));
  EXPECT(ALOFT_EINVAL, aloft_supervisor_mailbox(supervisor, "w", NULL));
  EXPECT(ALOFT_ENONAME, aloft_supervisor_pid(supervisor, "w"));
  on_loop(runtime, 1, off_loop, supervisor);
  on_loop(runtime, 0, on_loop_itself, supervisor);
  add(supervisor, "w", 1, ALOFT_PERMANENT, &l);
  EXPECT(ALOFT_ENAMETAKEN,
         aloft_supervisor_add_worker(supervisor, "w", 0, NULL, &callbacks, &l));
  await(&l, &l.started, 1);
  EXPECT(ALOFT_EBUSY, aloft_supervisor_start(supervisor, "w")); // it runs
  EXPECT(ALOFT_EINVAL, aloft_supervisor_statistics_get(supervisor, NULL));
  EXPECT(ALOFT_EINVAL, aloft_worker_finish(NULL));
  EXPECT(ALOFT_EINVAL, aloft_worker_mailbox(NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_monitor_start(none, NULL, NULL, &monitor));
  EXPECT(ALOFT_EINVAL, aloft_monitor_start(none, on_monitored, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_monitor_cancel(NULL));
  EXPECT(ALOFT_EINVAL, aloft_supervisor_destroy(NULL, NULL, NULL));
  destroy(supervisor);
}

int main(void) {
  aloft_runtime_options options = {0};
  options.struct_size = sizeof options;
  options.event_loops = 2;
  options.connections_max = 64;
  OK(aloft_runtime_create(&options, &runtime));
  test_one_for_one();
  test_rest_for_one();
  test_transient();
  test_too_many();
  test_process();
  test_monitors();
  test_worker_link();
  test_bad_input();
  OK(aloft_runtime_destroy(runtime));
  puts("supervision: ok");
  return 0;
}
