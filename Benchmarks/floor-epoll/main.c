// A plain single-thread epoll echo server: what the system calls alone allow. It is what one
// would write by hand (level-triggered epoll, one shared read buffer, a per-connection buffer only
// while a peer does not read), with nothing tuned for the bench beyond TCP_NODELAY.
//
// Options: --listen IP:PORT (port 0 lets the kernel choose), --busy-poll (never sleeps).
// It prints `ready PORT`, answers the line `stats` on standard input with one line of JSON, and
// leaves when standard input closes.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 512, READ_BYTES = 64 * 1024 };

struct connection {
  int fd;
  size_t pending_length;
  size_t pending_offset;
  char *pending;  // what the peer has not taken yet; NULL nearly always
};

static struct {
  int epoll;
  int listener;
  bool listener_paused;  // out of descriptors: no accept until a connection closes
  unsigned long accepted;
  unsigned long closed;
  unsigned long messages;
  char buffer[READ_BYTES];
} server;

// Marks for the two descriptors that are not connections.
static struct connection listener_mark, input_mark;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int epoll_set(int operation, int fd, uint32_t events, void *mark) {
  struct epoll_event event = {.events = events, .data.ptr = mark};
  return epoll_ctl(server.epoll, operation, fd, &event);
}

static void listener_set(bool paused) {
  server.listener_paused = paused;
  if (epoll_set(EPOLL_CTL_MOD, server.listener, paused ? 0 : EPOLLIN, &listener_mark) != 0)
    die("epoll_ctl listener");
}

static void connection_close(struct connection *c) {
  close(c->fd);
  free(c->pending);
  free(c);
  server.closed += 1;
  if (server.listener_paused) listener_set(false);
}

static void accept_all(void) {
  for (;;) {
    int fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) listener_set(true);
      if (errno == ECONNABORTED || errno == EINTR) continue;
      return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
      close(fd);
      return;
    }
    c->fd = fd;
    server.accepted += 1;
    if (epoll_set(EPOLL_CTL_ADD, fd, EPOLLIN, c) != 0) connection_close(c);
  }
}

// Keeps what the socket would not take, and asks for EPOLLOUT instead of EPOLLIN until it is gone.
static bool pending_keep(struct connection *c, const char *bytes, size_t length) {
  c->pending = malloc(length);
  if (c->pending == NULL) return false;
  memcpy(c->pending, bytes, length);
  c->pending_length = length;
  c->pending_offset = 0;
  return epoll_set(EPOLL_CTL_MOD, c->fd, EPOLLOUT, c) == 0;
}

static bool pending_flush(struct connection *c) {
  while (c->pending_offset < c->pending_length) {
    ssize_t n = send(c->fd, c->pending + c->pending_offset, c->pending_length - c->pending_offset,
                     MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    c->pending_offset += (size_t)n;
  }
  free(c->pending);
  c->pending = NULL;
  return epoll_set(EPOLL_CTL_MOD, c->fd, EPOLLIN, c) == 0;
}

// One receive per event: level-triggered epoll tells again if there is more.
static bool echo(struct connection *c) {
  ssize_t got = recv(c->fd, server.buffer, sizeof server.buffer, 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  server.messages += 1;
  ssize_t sent = send(c->fd, server.buffer, (size_t)got, MSG_NOSIGNAL);
  if (sent == got) return true;
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) return false;
    sent = 0;
  }
  return pending_keep(c, server.buffer + sent, (size_t)(got - sent));
}

static void serve(struct connection *c, uint32_t events) {
  bool alive = true;
  if (c->pending != NULL) {
    if (events & (EPOLLERR | EPOLLHUP)) alive = false;
    if (alive && (events & EPOLLOUT)) alive = pending_flush(c);
  } else {
    alive = echo(c);
  }
  if (!alive) connection_close(c);
}

// Answers each line of standard input; the end of it ends the server.
static void input_read(void) {
  char text[256];
  ssize_t n = read(STDIN_FILENO, text, sizeof text);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) exit(0);
  for (ssize_t i = 0; i < n; i++) {
    if (text[i] != '\n') continue;
    printf("{\"connections\":%lu,\"accepted\":%lu,\"closed\":%lu,\"reads\":%lu}\n",
           server.accepted - server.closed, server.accepted, server.closed, server.messages);
  }
  fflush(stdout);
}

static uint16_t listen_on(const char *text) {
  char ip[64];
  const char *colon = strrchr(text, ':');
  struct sockaddr_in address = {.sin_family = AF_INET};
  if (colon == NULL || (size_t)(colon - text) >= sizeof ip) die("--listen wants IP:PORT");
  memcpy(ip, text, (size_t)(colon - text));
  ip[colon - text] = '\0';
  address.sin_port = htons((uint16_t)atoi(colon + 1));
  if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) die("--listen wants an IPv4 address");
  server.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int one = 1;
  setsockopt(server.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(server.listener, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
  if (listen(server.listener, SOMAXCONN) != 0) die("listen");
  socklen_t length = sizeof address;
  if (getsockname(server.listener, (struct sockaddr *)&address, &length) != 0) die("getsockname");
  return ntohs(address.sin_port);
}

static void run(bool busy_poll) {
  static struct epoll_event events[EVENTS_MAX];
  for (;;) {
    int count = epoll_wait(server.epoll, events, EVENTS_MAX, busy_poll ? 0 : -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == &listener_mark) accept_all();
      else if (c == &input_mark) input_read();
      else serve(c, events[i].events);
    }
  }
}

int main(int argc, char **argv) {
  const char *address = "127.0.0.1:0";
  bool busy_poll = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc) address = argv[++i];
    else if (strcmp(argv[i], "--busy-poll") == 0) busy_poll = true;
    else {
      fprintf(stderr, "usage: floor-epoll [--listen IP:PORT] [--busy-poll]\n");
      return 2;
    }
  }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  server.epoll = epoll_create1(EPOLL_CLOEXEC);
  uint16_t port = listen_on(address);
  if (epoll_set(EPOLL_CTL_ADD, server.listener, EPOLLIN, &listener_mark) != 0) die("epoll_ctl");
  // A file or /dev/null as standard input can't be watched: then only a signal ends the server.
  (void)epoll_set(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &input_mark);
  printf("ready %u\n", port);
  fflush(stdout);
  run(busy_poll);
}
