// A node of 8-internode on ZeroMQ: PUSH to PULL for messages, DEALER to ROUTER for calls.
//
// Run as `PROGRAM`, it says `ready PORT,PORT` and answers each line with one:
//   link ADDRESS...        ok                     (addresses as in `ready`)
//   expect COUNT           ok                     (counts anew what comes)
//   flood COUNT BYTES      sent BEGAN             (COUNT to each linked node, in turn;
//   CLOCK_MONOTONIC)
//   counted                got COUNT DISORDERS ENDED
//   calls COUNT BYTES OUTSTANDING   did NANOSECONDS P50 P99
#include <zmq.h>

#include "peer.h"

enum { LINKS_MAX = 16, WAIT_MS = 20000, OUTSTANDING_MAX = 4096 };

static void *context, *push[LINKS_MAX], *dealer[LINKS_MAX];
static unsigned links;
static volatile uint64_t received, disorders, ended, expected = UINT64_MAX;

static void *receive(void *pull) {
  char bytes[65536];
  for (;;) {
    int length = zmq_recv(pull, bytes, sizeof bytes, 0);
    if (length < 0) return NULL;
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    if (number != received) disorders++;
    if (received + 1 == expected) ended = peer_now();
    __atomic_store_n(&received, received + 1, __ATOMIC_RELEASE);
  }
}

static void *answer(void *router) {
  for (;;) {
    zmq_msg_t identity, body;
    zmq_msg_init(&identity);
    zmq_msg_init(&body);
    if (zmq_msg_recv(&identity, router, 0) < 0) return NULL;
    if (zmq_msg_recv(&body, router, 0) < 0) return NULL;
    if (zmq_msg_send(&identity, router, ZMQ_SNDMORE) < 0) return NULL;
    if (zmq_msg_send(&body, router, 0) < 0) return NULL;
  }
}

static void *open_socket(int kind) {
  void *socket = zmq_socket(context, kind);
  int mark = 100000, linger = 0, timeout = WAIT_MS;
  if (!socket) peer_fail("no socket");
  zmq_setsockopt(socket, ZMQ_SNDHWM, &mark, sizeof mark);
  zmq_setsockopt(socket, ZMQ_RCVHWM, &mark, sizeof mark);
  zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  if (kind == ZMQ_DEALER) zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
  return socket;
}

static unsigned bind_socket(void *socket) {
  char endpoint[128];
  size_t length = sizeof endpoint;
  if (zmq_bind(socket, "tcp://127.0.0.1:*")) peer_fail("can't bind");
  zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &length);
  return (unsigned)atoi(strrchr(endpoint, ':') + 1);
}

static void start(void *(*body)(void *), void *argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, argument)) peer_fail("no thread");
  pthread_detach(thread);
}

static void dial(char *words) {
  for (char *word = strtok(words, " \n"); word; word = strtok(NULL, " \n")) {
    unsigned one, other;
    char endpoint[64];
    if (sscanf(word, "%u,%u", &one, &other) != 2 || links == LINKS_MAX) peer_fail("bad address");
    push[links] = open_socket(ZMQ_PUSH);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", one);
    if (zmq_connect(push[links], endpoint)) peer_fail("can't connect");
    dealer[links] = open_socket(ZMQ_DEALER);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", other);
    if (zmq_connect(dealer[links], endpoint)) peer_fail("can't connect");
    links++;
  }
}

static void flood(uint64_t count, size_t bytes) {
  char *body = calloc(1, bytes);
  uint64_t began = peer_now();
  for (uint64_t number = 0; number < count; number++) {
    memcpy(body, &number, sizeof number);
    for (unsigned i = 0; i < links; i++)
      if (zmq_send(push[i], body, bytes, 0) < 0) peer_fail("can't send");
  }
  printf("sent %llu\n", (unsigned long long)began);
  free(body);
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

// Each call carries its number, so an answer tells when it was made.
static void call(uint64_t count, size_t bytes, unsigned outstanding) {
  uint64_t *times = malloc(count * sizeof *times), began = peer_now(), sent = 0, done = 0;
  char *body = calloc(1, bytes);
  while (done < count) {
    while (sent < count && sent - done < outstanding) {
      times[sent] = peer_now();
      memcpy(body, &sent, sizeof sent);
      if (zmq_send(dealer[0], body, bytes, 0) < 0) peer_fail("can't call");
      sent++;
    }
    uint64_t number;
    if (zmq_recv(dealer[0], body, bytes, 0) < 0) peer_fail("no answer");
    memcpy(&number, body, sizeof number);
    times[number] = peer_now() - times[number];
    done++;
  }
  uint64_t taken = peer_now() - began;
  qsort(times, count, sizeof *times, compare);
  printf("did %llu %llu %llu\n", (unsigned long long)taken, (unsigned long long)times[count / 2],
         (unsigned long long)times[count * 99 / 100]);
  free(times);
  free(body);
}

static void counted(void) {
  uint64_t limit = peer_now() + (uint64_t)WAIT_MS * 1000000u;
  struct timespec pause = {0, 200000};
  while (__atomic_load_n(&received, __ATOMIC_ACQUIRE) < expected && peer_now() < limit)
    nanosleep(&pause, NULL);
  printf("got %llu %llu %llu\n", (unsigned long long)received, (unsigned long long)disorders,
         (unsigned long long)ended);
}

int main(void) {
  char line[1024];
  context = zmq_ctx_new();
  void *pull = open_socket(ZMQ_PULL), *router = open_socket(ZMQ_ROUTER);
  printf("ready %u,%u\n", bind_socket(pull), bind_socket(router));
  fflush(stdout);
  start(receive, pull);
  start(answer, router);
  while (fgets(line, sizeof line, stdin)) {
    unsigned long long count = 0, bytes = 0, outstanding = 0;
    char *rest = strchr(line, ' ');
    if (rest) sscanf(rest, "%llu %llu %llu", &count, &bytes, &outstanding);
    if (!strncmp(line, "link ", 5)) {
      dial(rest);
      puts("ok");
    } else if (!strncmp(line, "expect ", 7)) {
      disorders = ended = received = 0;
      expected = count;
      puts("ok");
    } else if (!strncmp(line, "flood ", 6) && bytes >= 8) {
      flood(count, bytes);
    } else if (!strncmp(line, "counted", 7)) {
      counted();
    } else if (!strncmp(line, "calls ", 6) && bytes >= 8 && outstanding <= OUTSTANDING_MAX) {
      call(count, bytes, (unsigned)outstanding);
    } else {
      peer_fail("unknown line");
    }
    fflush(stdout);
  }
  return 0; // what is open ends with the process
}
