// Messages and mailboxes: what is accepted comes once and in order, from threads and from loops;
// limits, priorities, drains and failures are as the header says; and bad input is answered.
#include <stdbool.h>
#include "check.h"

enum { SENDERS = 4, EACH = 20000 };

static aloft_runtime *runtime;

// ---- A receiver that notes what it gets ----

typedef struct receiver {
  aloft_mailbox mailbox;
  uint64_t got;
  uint64_t bytes;
  uint64_t next[SENDERS]; // what each sender's next number has to be
  char order[32];         // first bytes of the messages
  bool notes_order;
  int fail_at; // the message at which it fails, counted from 1
  int drained, reason, highs, lows;
  latch closed;
  latch *all; // opened when `wanted` have come
  uint64_t wanted;
} receiver;

static int on_message(aloft_mailbox mailbox, aloft_message *message, void *context) {
  receiver *r = context;
  CHECK(mailbox.id == r->mailbox.id || r->mailbox.id == 0);
  r->got++;
  r->bytes += aloft_message_length(message);
  if (r->notes_order) {
    size_t at = strlen(r->order);
    CHECK(at + 1 < sizeof r->order);
    r->order[at] = *(char *)aloft_message_data(message);
  } else if (aloft_message_length(message) == sizeof(uint64_t)) {
    uint64_t number, sender = aloft_message_tag(message);
    memcpy(&number, aloft_message_data(message), sizeof number);
    CHECK(sender < SENDERS);
    CHECK(number == r->next[sender]);
    r->next[sender]++;
  }
  if (r->all != NULL && r->got == r->wanted) latch_down(r->all);
  return r->fail_at != 0 && r->got == (uint64_t)r->fail_at ? -1 : 0;
}

static void on_drained(aloft_mailbox mailbox, void *context) {
  (void)mailbox;
  ((receiver *)context)->drained++;
}

static void on_pressure(aloft_mailbox mailbox, int is_high, void *context) {
  receiver *r = context;
  (void)mailbox;
  if (is_high)
    r->highs++;
  else
    r->lows++;
}

static void on_close(aloft_mailbox mailbox, int reason, void *context) {
  receiver *r = context;
  CHECK(aloft_mailbox_is_open(mailbox) == 0);
  CHECK(aloft_mailbox_user_data(mailbox) == NULL);
  CHECK(r->reason == 0);
  r->reason = reason;
  latch_down(&r->closed);
}

static void receiver_open(receiver *r, uint32_t loop, const aloft_mailbox_options *options) {
  aloft_mailbox_callbacks callbacks;
  latch closed = LATCH_INIT(1);
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_message = on_message;
  callbacks.on_drained = on_drained;
  callbacks.on_pressure = on_pressure;
  callbacks.on_close = on_close;
  r->closed = closed;
  OK(aloft_mailbox_open(runtime, loop, options, &callbacks, r, &r->mailbox));
}

static void nothing(void *context) { (void)context; }

static aloft_message *text(const char *words) {
  aloft_message *message;
  OK(aloft_message_create(words, strlen(words), &message));
  return message;
}

// ---- Messages ----

static void test_messages(void) {
  aloft_message *message = NULL;
  OK(aloft_message_create("hello", 5, &message));
  CHECK(aloft_message_length(message) == 5);
  CHECK(memcmp(aloft_message_data(message), "hello", 5) == 0);
  CHECK(aloft_message_tag(message) == 0);
  OK(aloft_message_set_tag(message, 7));
  CHECK(aloft_message_tag(message) == 7);
  CHECK(aloft_message_retain(message) == message);
  aloft_message_release(message);
  CHECK(aloft_message_length(message) == 5);
  aloft_message_release(message);
  OK(aloft_message_create(NULL, 3, &message)); // to be filled in
  memcpy(aloft_message_data(message), "abc", 3);
  aloft_message_release(message);
  OK(aloft_message_create("", 0, &message));
  CHECK(aloft_message_data(message) != NULL);
  aloft_message_release(message);
  EXPECT(ALOFT_EINVAL, aloft_message_create("a", 1, NULL));
  EXPECT(ALOFT_EMSGSIZE, aloft_message_create("a", (size_t)ALOFT_MESSAGE_BYTES_MAX + 1, &message));
  EXPECT(ALOFT_EMSGSIZE, aloft_message_create(NULL, SIZE_MAX, &message));
  EXPECT(ALOFT_EINVAL, aloft_message_set_tag(NULL, 1));
  CHECK(aloft_message_retain(NULL) == NULL);
  CHECK(aloft_message_data(NULL) == NULL);
  CHECK(aloft_message_length(NULL) == 0 && aloft_message_tag(NULL) == 0);
  aloft_message_release(NULL);
}

// ---- From many threads ----

typedef struct sender {
  aloft_mailbox to;
  uint64_t number;
} sender;

static void *send_all(void *context) {
  sender *s = context;
  for (uint64_t i = 0; i < EACH; i++) {
    aloft_message *message;
    int code;
    OK(aloft_message_create(&i, sizeof i, &message));
    OK(aloft_message_set_tag(message, s->number));
    while ((code = aloft_mailbox_send(s->to, message, ALOFT_PRIORITY_NORMAL)) != ALOFT_OK) {
      CHECK(code == ALOFT_EAGAIN || code == ALOFT_EFULL);
      sched_yield(); // the reference is still ours
    }
  }
  return NULL;
}

static void send_all_on_loop(void *context) {
  // A loop can't wait for another one: this mailbox has no bound.
  sender *s = context;
  for (uint64_t i = 0; i < EACH; i++) {
    aloft_message *message;
    OK(aloft_message_create(&i, sizeof i, &message));
    OK(aloft_message_set_tag(message, s->number));
    OK(aloft_mailbox_send(s->to, message, ALOFT_PRIORITY_NORMAL));
  }
}

static void test_many_senders(uint32_t capacity) {
  static receiver r;
  aloft_mailbox_options options;
  latch all = LATCH_INIT(1);
  pthread_t threads[SENDERS];
  sender senders[SENDERS];
  int first = capacity == 0 ? 1 : 0; // with a bound all are threads
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.capacity = capacity;
  memset(&r, 0, sizeof r);
  r.all = &all;
  r.wanted = (uint64_t)SENDERS * EACH;
  receiver_open(&r, 0, &options);
  for (int i = 0; i < SENDERS; i++) {
    senders[i].to = r.mailbox;
    senders[i].number = (uint64_t)i;
    if (i >= first) CHECK(pthread_create(&threads[i], NULL, send_all, &senders[i]) == 0);
  }
  if (first == 1) on_loop(runtime, 1, send_all_on_loop, &senders[0]);
  for (int i = first; i < SENDERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  latch_wait(&all);
  OK(aloft_mailbox_close(r.mailbox, 0));
  latch_wait(&r.closed);
  CHECK(r.reason == ALOFT_MAILBOX_CLOSED);
  CHECK(r.got == (uint64_t)SENDERS * EACH);
  EXPECT(ALOFT_ECLOSED, aloft_mailbox_close(r.mailbox, 0));
}

// ---- From senders of the threads' own ----

static void *gather_all(void *context) {
  sender *s = context;
  aloft_sender *gatherer;
  OK(aloft_sender_create(runtime, &gatherer));
  for (uint64_t i = 0; i < EACH; i++) {
    aloft_message *message;
    int code;
    OK(aloft_message_create(&i, sizeof i, &message));
    OK(aloft_message_set_tag(message, s->number));
    while ((code = aloft_sender_send(gatherer, s->to, message, ALOFT_PRIORITY_NORMAL)) != 0) {
      CHECK(code == ALOFT_EAGAIN || code == ALOFT_EFULL);
      // A full one may be so for what is gathered here and elsewhere.
      code = aloft_sender_flush(gatherer);
      CHECK(code == ALOFT_OK || code == ALOFT_EAGAIN);
      sched_yield();
    }
  }
  OK(aloft_sender_destroy(gatherer)); // and what is gathered leaves
  return NULL;
}

static void test_senders(uint32_t capacity) {
  static receiver r;
  aloft_mailbox_options options;
  latch all = LATCH_INIT(1);
  pthread_t threads[SENDERS];
  sender senders[SENDERS];
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.capacity = capacity;
  memset(&r, 0, sizeof r);
  r.all = &all;
  r.wanted = (uint64_t)SENDERS * EACH;
  receiver_open(&r, 0, &options);
  for (int i = 0; i < SENDERS; i++) {
    senders[i].to = r.mailbox;
    senders[i].number = (uint64_t)i;
    CHECK(pthread_create(&threads[i], NULL, gather_all, &senders[i]) == 0);
  }
  for (int i = 0; i < SENDERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  latch_wait(&all);
  OK(aloft_mailbox_close(r.mailbox, 0));
  latch_wait(&r.closed);
  CHECK(r.got == (uint64_t)SENDERS * EACH);
}

// What is gathered stays here until it is flushed; others' mailboxes are sent to at once.
static void test_gathering(void) {
  static receiver r, other;
  aloft_runtime *ours = runtime;
  aloft_sender *gatherer;
  latch first = LATCH_INIT(1), second = LATCH_INIT(1);
  memset(&r, 0, sizeof r);
  memset(&other, 0, sizeof other);
  r.all = &first;
  r.wanted = 3;
  other.all = &second;
  other.wanted = 1;
  r.notes_order = true;
  receiver_open(&r, 1, NULL);
  OK(aloft_sender_create(ours, &gatherer));
  OK(aloft_sender_send(gatherer, r.mailbox, text("a"), ALOFT_PRIORITY_NORMAL));
  OK(aloft_sender_send_bytes(gatherer, r.mailbox, "b", 1, ALOFT_PRIORITY_NORMAL));
  OK(aloft_sender_send_bytes(gatherer, r.mailbox, "c", 1, ALOFT_PRIORITY_NORMAL));
  on_loop(runtime, 1, nothing, NULL); // the loop has been there, and had nothing to take
  CHECK(r.got == 0);
  OK(aloft_runtime_create(NULL, &runtime));
  receiver_open(&other, 0, NULL);
  OK(aloft_sender_send_bytes(gatherer, other.mailbox, "x", 1, ALOFT_PRIORITY_NORMAL));
  latch_wait(&second);
  OK(aloft_runtime_destroy(runtime));
  EXPECT(ALOFT_ECLOSED, aloft_sender_send_bytes(gatherer, other.mailbox, "x", 1, 1));
  runtime = ours;
  OK(aloft_sender_flush(gatherer));
  OK(aloft_sender_flush(gatherer)); // nothing is left
  latch_wait(&first);
  CHECK(strcmp(r.order, "abc") == 0);
  OK(aloft_sender_destroy(gatherer));
  OK(aloft_mailbox_close(r.mailbox, 0));
  latch_wait(&r.closed);
}

static void test_bad_senders(void) {
  static receiver r;
  aloft_mailbox forged[] = {{0}, {1}, {UINT64_MAX}, {(uint64_t)1 << 48 | 1}, {0}};
  aloft_sender *gatherer;
  aloft_message *message = text("m");
  memset(&r, 0, sizeof r);
  receiver_open(&r, 0, NULL);
  EXPECT(ALOFT_EINVAL, aloft_sender_create(NULL, &gatherer));
  EXPECT(ALOFT_EINVAL, aloft_sender_create(runtime, NULL));
  OK(aloft_sender_create(runtime, &gatherer));
  forged[4].id = r.mailbox.id + 2;
  for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
    EXPECT(ALOFT_ECLOSED, aloft_sender_send(gatherer, forged[i], message, 1));
    EXPECT(ALOFT_ECLOSED, aloft_sender_send_bytes(gatherer, forged[i], "x", 1, 1));
  }
  EXPECT(ALOFT_EINVAL, aloft_sender_send(NULL, r.mailbox, message, 1));
  EXPECT(ALOFT_EINVAL, aloft_sender_send(gatherer, r.mailbox, NULL, 1));
  EXPECT(ALOFT_EINVAL, aloft_sender_send(gatherer, r.mailbox, message, 4));
  EXPECT(ALOFT_EINVAL, aloft_sender_send_bytes(NULL, r.mailbox, "x", 1, 1));
  EXPECT(ALOFT_EINVAL, aloft_sender_send_bytes(gatherer, r.mailbox, NULL, 1, 1));
  EXPECT(ALOFT_EINVAL, aloft_sender_send_bytes(gatherer, r.mailbox, "x", 1, 4));
  EXPECT(ALOFT_EMSGSIZE, aloft_sender_send_bytes(gatherer, r.mailbox, "x", SIZE_MAX, 1));
  EXPECT(ALOFT_EINVAL, aloft_sender_flush(NULL));
  OK(aloft_sender_destroy(NULL));
  OK(aloft_sender_destroy(gatherer));
  aloft_message_release(message);
  OK(aloft_mailbox_close(r.mailbox, 0));
  latch_wait(&r.closed);
  CHECK(r.got == 0);
}

// ---- Limits, priorities, statistics: on the loop ----

static void queue_some(void *context) {
  receiver *r = context;
  aloft_mailbox_statistics statistics;
  aloft_message *message = text("e");
  OK(aloft_mailbox_suspend(r->mailbox));
  OK(aloft_mailbox_send_bytes(r->mailbox, "a", 1, ALOFT_PRIORITY_LOWEST));
  OK(aloft_mailbox_send_bytes(r->mailbox, "b", 1, ALOFT_PRIORITY_NORMAL));
  OK(aloft_mailbox_send_bytes(r->mailbox, "c", 1, ALOFT_PRIORITY_URGENT));
  OK(aloft_mailbox_send_bytes(r->mailbox, "d", 1, ALOFT_PRIORITY_NORMAL));
  EXPECT(ALOFT_EFULL, aloft_mailbox_send(r->mailbox, message, ALOFT_PRIORITY_NORMAL));
  aloft_message_release(message); // it was refused, so it is still ours
  memset(&statistics, 0, sizeof statistics);
  statistics.struct_size = sizeof statistics;
  OK(aloft_mailbox_statistics_get(r->mailbox, &statistics));
  CHECK(statistics.depth == 4 && statistics.handled == 0 && statistics.refused == 1);
  CHECK(statistics.received == 4 && statistics.dropped == 0);
  OK(aloft_mailbox_set_user_data(r->mailbox, r));
  CHECK(aloft_mailbox_user_data(r->mailbox) == r);
  OK(aloft_mailbox_resume(r->mailbox));
  OK(aloft_mailbox_close(r->mailbox, 1));
  EXPECT(ALOFT_ECLOSED, aloft_mailbox_send_bytes(r->mailbox, "x", 1, ALOFT_PRIORITY_NORMAL));
}

static void test_limits(void) {
  static receiver r;
  aloft_mailbox_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.capacity = 4;
  options.high_water = 3;
  r.notes_order = true;
  receiver_open(&r, 1, &options);
  CHECK(aloft_mailbox_loop(runtime, r.mailbox) == 1);
  on_loop(runtime, 1, queue_some, &r);
  latch_wait(&r.closed);
  CHECK(strcmp(r.order, "cbda") == 0);
  CHECK(r.drained == 1 && r.highs == 1 && r.reason == ALOFT_MAILBOX_CLOSED);
}

static void queue_more(void *context) {
  receiver *r = context;
  OK(aloft_mailbox_suspend(r->mailbox));
  for (const char *at = "abcd"; *at != '\0'; at++)
    OK(aloft_mailbox_send_bytes(r->mailbox, at, 1, ALOFT_PRIORITY_NORMAL));
  OK(aloft_mailbox_resume(r->mailbox));
  OK(aloft_mailbox_close(r->mailbox, 1));
}

static void test_dropping(void) {
  static receiver r;
  aloft_mailbox_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.capacity = 2;
  options.overflow = ALOFT_OVERFLOW_DROP_OLDEST;
  r.notes_order = true;
  receiver_open(&r, 0, &options);
  on_loop(runtime, 0, queue_more, &r);
  latch_wait(&r.closed);
  CHECK(strcmp(r.order, "cd") == 0);
}

// ---- Waiting for room ----

typedef struct answer {
  int code;
  latch come;
} answer;

static void on_answer(int status, void *context) {
  answer *a = context;
  a->code = status;
  latch_down(&a->come);
}

static void suspend(void *context) { OK(aloft_mailbox_suspend(((receiver *)context)->mailbox)); }
static void resume(void *context) { OK(aloft_mailbox_resume(((receiver *)context)->mailbox)); }

static void test_waiting(void) {
  static receiver r;
  aloft_mailbox_options options;
  answer in_time = {1, LATCH_INIT(1)}, late = {1, LATCH_INIT(1)}, dead = {1, LATCH_INIT(1)};
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.capacity = 1;
  r.notes_order = true;
  receiver_open(&r, 0, &options);
  on_loop(runtime, 0, suspend, &r);
  OK(aloft_mailbox_send_within(r.mailbox, text("a"), ALOFT_PRIORITY_NORMAL, 0, NULL, NULL));
  OK(aloft_mailbox_send_within(r.mailbox, text("b"), ALOFT_PRIORITY_NORMAL, 5, on_answer, &late));
  latch_wait(&late.come);
  EXPECT(ALOFT_ETIMEDOUT, late.code);
  OK(aloft_mailbox_send_within(
    r.mailbox, text("c"), ALOFT_PRIORITY_NORMAL, 60000, on_answer, &in_time));
  on_loop(runtime, 0, resume, &r);
  latch_wait(&in_time.come);
  OK(in_time.code);
  OK(aloft_mailbox_close(r.mailbox, 1));
  latch_wait(&r.closed);
  CHECK(strcmp(r.order, "ac") == 0);
  OK(aloft_mailbox_send_within(
    r.mailbox, text("d"), ALOFT_PRIORITY_NORMAL, 60000, on_answer, &dead));
  latch_wait(&dead.come);
  EXPECT(ALOFT_ECLOSED, dead.code);
}

// ---- Failing, forwarding ----

static void test_failing(void) {
  static receiver r;
  r.fail_at = 2;
  r.notes_order = true;
  receiver_open(&r, 0, NULL);
  while (aloft_mailbox_send_bytes(r.mailbox, "x", 1, ALOFT_PRIORITY_NORMAL) == ALOFT_OK)
    sched_yield();
  latch_wait(&r.closed);
  CHECK(r.reason == ALOFT_MAILBOX_FAILED && r.got == 2);
}

static int forward(aloft_mailbox mailbox, aloft_message *message, void *context) {
  receiver *next = context;
  aloft_message *kept = aloft_message_retain(message);
  (void)mailbox;
  // Who sent it may hold a reference as well; the bytes arrive all the same.
  OK(aloft_mailbox_send(next->mailbox, kept, ALOFT_PRIORITY_NORMAL));
  return 0;
}

static void test_forwarding(void) {
  static receiver last;
  aloft_mailbox_callbacks callbacks;
  aloft_mailbox first;
  latch all = LATCH_INIT(1);
  last.all = &all;
  last.wanted = 3;
  receiver_open(&last, 1, NULL);
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_message = forward;
  OK(aloft_mailbox_open(runtime, 0, NULL, &callbacks, &last, &first));
  for (int i = 0; i < 3; i++)
    OK(aloft_mailbox_send_bytes(first, "four", 4, ALOFT_PRIORITY_NORMAL));
  latch_wait(&all);
  CHECK(last.bytes == 12);
  OK(aloft_mailbox_close(first, 0));
  OK(aloft_mailbox_close(last.mailbox, 0));
  latch_wait(&last.closed);
}

// ---- From a socket to a mailbox to a socket ----

enum { PAYLOAD = 20000 };

typedef struct relay {
  aloft_mailbox mailbox;
  aloft_connection connection; // the server's end, on loop 0
  char sent[PAYLOAD], back[PAYLOAD];
  size_t got;
  latch done;
} relay;

static void server_open(aloft_connection connection, void *context) {
  ((relay *)context)->connection = connection;
}

static void server_data(aloft_connection connection, const void *data, size_t length,
                        void *context) {
  aloft_message *message;
  (void)connection;
  OK(aloft_message_take(data, length, &message));
  CHECK(aloft_message_length(message) == length);
  OK(aloft_mailbox_send(((relay *)context)->mailbox, message, ALOFT_PRIORITY_NORMAL));
}

static int relay_message(aloft_mailbox mailbox, aloft_message *message, void *context) {
  (void)mailbox;
  OK(aloft_write_message_frame(((relay *)context)->connection, aloft_message_retain(message)));
  return 0;
}

static void client_open(aloft_connection connection, void *context) {
  aloft_message *message;
  OK(aloft_message_create(((relay *)context)->sent, PAYLOAD, &message));
  OK(aloft_write_message(connection, message));
}

static void client_data(aloft_connection connection, const void *data, size_t length,
                        void *context) {
  relay *r = context;
  CHECK(r->got + length <= PAYLOAD);
  memcpy(r->back + r->got, data, length);
  r->got += length;
  if (r->got == PAYLOAD) OK(aloft_close(connection));
}

static void client_close(aloft_connection connection, int reason, int error, void *context) {
  (void)reason;
  (void)error;
  EXPECT(ALOFT_EINVAL, aloft_write_message(connection, NULL));
  latch_down(&((relay *)context)->done);
}

static char relay_address[ALOFT_ADDRESS_SIZE];

static void connect_client(void *context) {
  aloft_callbacks callbacks;
  aloft_connection_options options;
  memset(&callbacks, 0, sizeof callbacks);
  callbacks.struct_size = sizeof callbacks;
  callbacks.on_open = client_open;
  callbacks.on_data = client_data;
  callbacks.on_close = client_close;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.framing = ALOFT_FRAMING_LENGTH_PREFIXED;
  OK(aloft_connect(runtime, relay_address, NULL, &options, &callbacks, context, NULL));
}

static void test_relay(void) {
  static relay r;
  aloft_mailbox_callbacks mailbox;
  aloft_callbacks server;
  aloft_listener listener;
  aloft_message *message;
  latch done = LATCH_INIT(1);
  r.done = done;
  for (int i = 0; i < PAYLOAD; i++) r.sent[i] = (char)(i * 7 + i / 251);
  memset(&mailbox, 0, sizeof mailbox);
  mailbox.struct_size = sizeof mailbox;
  mailbox.on_message = relay_message;
  OK(aloft_mailbox_open(runtime, 0, NULL, &mailbox, &r, &r.mailbox));
  memset(&server, 0, sizeof server);
  server.struct_size = sizeof server;
  server.on_open = server_open;
  server.on_data = server_data;
  // A Unix-domain socket's connections are dealt out in turn, and the first goes to loop 0.
  OK(aloft_listen(runtime, "unix:@aloft-mailbox-test", NULL, &server, &r, &listener));
  OK(aloft_listener_address(runtime, listener, relay_address, sizeof relay_address));
  on_loop(runtime, 1, connect_client, &r);
  latch_wait(&r.done);
  CHECK(memcmp(r.sent, r.back, PAYLOAD) == 0);
  EXPECT(ALOFT_EWRONGTHREAD, aloft_message_take("x", 1, &message));
  OK(aloft_message_create("x", 1, &message));
  EXPECT(ALOFT_EINVAL, aloft_write_message(r.connection, NULL));
  {
    aloft_connection forged = {UINT64_MAX};
    EXPECT(ALOFT_ECLOSED, aloft_write_message(forged, message)); // and it is still ours
  }
  aloft_message_release(message);
  OK(aloft_listener_close(runtime, listener));
  OK(aloft_mailbox_close(r.mailbox, 0));
}

// ---- Bad input ----

static void wrong_loop(void *context) {
  receiver *r = context;
  aloft_mailbox made;
  aloft_mailbox_callbacks none;
  EXPECT(ALOFT_EWRONGTHREAD, aloft_mailbox_suspend(r->mailbox));
  memset(&none, 0, sizeof none);
  none.struct_size = sizeof none;
  EXPECT(ALOFT_EWRONGTHREAD, aloft_mailbox_open(runtime, 0, NULL, &none, NULL, &made));
  OK(aloft_mailbox_open(runtime, 1, NULL, &none, NULL, &made));
  OK(aloft_mailbox_send_bytes(made, "x", 1, ALOFT_PRIORITY_NORMAL)); // nobody looks at it
  EXPECT(ALOFT_EINVAL, aloft_mailbox_statistics_get(made, NULL));
  OK(aloft_mailbox_close(made, 1));
}

static int open_with(aloft_mailbox_options options) {
  aloft_mailbox made;
  aloft_mailbox_callbacks none;
  memset(&none, 0, sizeof none);
  none.struct_size = sizeof none;
  if (options.struct_size == 0) options.struct_size = sizeof options;
  return aloft_mailbox_open(runtime, 0, &options, &none, NULL, &made);
}

static void test_bad_input(void) {
  static receiver r;
  aloft_mailbox forged[] = {{0}, {1}, {UINT64_MAX}, {(uint64_t)1 << 48 | 1}, {0}};
  aloft_mailbox made;
  aloft_mailbox_callbacks none;
  aloft_message *message = text("m");
  memset(&none, 0, sizeof none);
  EXPECT(ALOFT_EINVAL, aloft_mailbox_open(runtime, 0, NULL, &none, NULL, &made)); // no size
  none.struct_size = sizeof none;
  EXPECT(ALOFT_EINVAL, aloft_mailbox_open(NULL, 0, NULL, &none, NULL, &made));
  EXPECT(ALOFT_EINVAL, aloft_mailbox_open(runtime, 0, NULL, NULL, NULL, &made));
  EXPECT(ALOFT_EINVAL, aloft_mailbox_open(runtime, 0, NULL, &none, NULL, NULL));
  EXPECT(ALOFT_ENOENT, aloft_mailbox_open(runtime, 2, NULL, &none, NULL, &made));
  EXPECT(ALOFT_EINVAL, open_with((aloft_mailbox_options){.capacity = (1u << 30) + 1}));
  EXPECT(ALOFT_EINVAL, open_with((aloft_mailbox_options){.overflow = 2}));
  EXPECT(ALOFT_EINVAL, open_with((aloft_mailbox_options){.low_water = 5}));
  EXPECT(ALOFT_EINVAL, open_with((aloft_mailbox_options){.high_water = 5, .low_water = 5}));
  EXPECT(ALOFT_EINVAL, open_with((aloft_mailbox_options){.flags = 1}));
  EXPECT(ALOFT_EINVAL, open_with((aloft_mailbox_options){.struct_size = 3}));
  receiver_open(&r, 0, NULL);
  forged[4].id = r.mailbox.id + 2; // a later generation of the same slot
  for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
    EXPECT(ALOFT_ECLOSED, aloft_mailbox_send(forged[i], message, ALOFT_PRIORITY_NORMAL));
    EXPECT(ALOFT_ECLOSED, aloft_mailbox_send_bytes(forged[i], "x", 1, ALOFT_PRIORITY_NORMAL));
    EXPECT(ALOFT_ECLOSED, aloft_mailbox_close(forged[i], 0));
    EXPECT(ALOFT_ECLOSED, aloft_mailbox_suspend(forged[i]));
    CHECK(aloft_mailbox_is_open(forged[i]) == 0);
  }
  EXPECT(ALOFT_EINVAL, aloft_mailbox_send(r.mailbox, message, 4));
  EXPECT(ALOFT_EINVAL, aloft_mailbox_send(r.mailbox, NULL, ALOFT_PRIORITY_NORMAL));
  EXPECT(ALOFT_EINVAL, aloft_mailbox_send_bytes(r.mailbox, NULL, 1, ALOFT_PRIORITY_NORMAL));
  EXPECT(ALOFT_EMSGSIZE, aloft_mailbox_send_bytes(r.mailbox, "x", SIZE_MAX, 1));
  EXPECT(ALOFT_EINVAL, aloft_mailbox_send_within(r.mailbox, NULL, 1, 1, NULL, NULL));
  EXPECT(ALOFT_EINVAL, aloft_mailbox_send_within(r.mailbox, message, 9, 1, NULL, NULL));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_mailbox_resume(r.mailbox));
  EXPECT(ALOFT_EWRONGTHREAD, aloft_mailbox_set_user_data(r.mailbox, &r));
  EXPECT(ALOFT_ECLOSED, aloft_mailbox_loop(runtime, forged[2]));
  EXPECT(ALOFT_EINVAL, aloft_mailbox_loop(NULL, r.mailbox));
  on_loop(runtime, 1, wrong_loop, &r);
  aloft_message_release(message);
  CHECK(r.got == 0);
}

// ---- Shutdown under load ----

static void *send_until_closed(void *context) {
  sender *s = context;
  uint64_t sent = 0;
  while (1) {
    int code = aloft_mailbox_send_bytes(s->to, "load", 4, ALOFT_PRIORITY_NORMAL);
    if (code == ALOFT_ECLOSED) break;
    CHECK(code == ALOFT_OK || code == ALOFT_EAGAIN || code == ALOFT_EFULL);
    sent += code == ALOFT_OK;
  }
  s->number = sent;
  return NULL;
}

static void test_shutdown(void) {
  static receiver r;
  pthread_t threads[2];
  sender senders[2];
  aloft_sender *gatherer;
  receiver_open(&r, 0, NULL);
  OK(aloft_sender_create(runtime, &gatherer));
  OK(aloft_sender_send_bytes(gatherer, r.mailbox, "x", 1, ALOFT_PRIORITY_NORMAL));
  for (int i = 0; i < 2; i++) {
    senders[i].to = r.mailbox;
    CHECK(pthread_create(&threads[i], NULL, send_until_closed, &senders[i]) == 0);
  }
  OK(aloft_runtime_shutdown(runtime, 0, NULL, NULL));
  latch_wait(&r.closed);
  for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(r.reason == ALOFT_MAILBOX_BY_SHUTDOWN);
  CHECK(r.got <= senders[0].number + senders[1].number);
  OK(aloft_runtime_destroy(runtime));
  // The sender outlives it: what it has gathered is dropped with the mailbox.
  EXPECT(ALOFT_ECLOSED, aloft_sender_send_bytes(gatherer, r.mailbox, "x", 1, 1));
  OK(aloft_sender_flush(gatherer));
  OK(aloft_sender_destroy(gatherer));
  EXPECT(ALOFT_ECLOSED, aloft_mailbox_send_bytes(r.mailbox, "x", 1, ALOFT_PRIORITY_NORMAL));
}

int main(void) {
  aloft_runtime_options options = {0};
  options.struct_size = sizeof options;
  options.event_loops = 2;
  options.connections_max = 64;
  test_messages();
  OK(aloft_runtime_create(&options, &runtime));
  test_many_senders(0);
  test_many_senders(256);
  test_senders(0);
  test_senders(256);
  test_gathering();
  test_bad_senders();
  test_limits();
  test_dropping();
  test_waiting();
  test_failing();
  test_forwarding();
  test_relay();
  test_bad_input();
  test_shutdown();
  puts("mailbox: ok");
  return 0;
}
