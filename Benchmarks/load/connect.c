// Opening and closing: bounded parallel connects from many source addresses.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

void load__begin(struct bench_load *load) {
  memset(&load->result, 0, sizeof load->result);
  load->outstanding = 0;
}

void load__end(struct bench_load *load, uint64_t began, uint64_t cpu_began) {
  load->result.elapsed_ns = now_ns() - began;
  load->result.cpu_ns = cpu_now_ns() - cpu_began;
  load->result.alive = load->alive;
  load->mode = MODE_IDLE;
}

static int socket_open(const struct bench_load_options *options, uint32_t index) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (options->source_ip_count == 0) return fd;
  // The port is chosen at connect(), so that one port serves many address pairs.
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  struct sockaddr_in source = {
    .sin_family = AF_INET,
    .sin_addr.s_addr = htonl(options->source_ip_first + index % options->source_ip_count),
  };
  if (bind(fd, (struct sockaddr *)&source, sizeof source) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// Edge-triggered for everything at once: no epoll_ctl is needed later. False if it failed at once.
bool load__connect_begin(struct bench_load *load, uint32_t index) {
  struct connection *c = &load->connections[index];
  load->result.attempts += 1;
  *c = (struct connection){.fd = socket_open(&load->options, index)};
  if (c->fd < 0) {
    failure_count(load, errno);
    return false;
  }
  struct sockaddr_in target = {
    .sin_family = AF_INET,
    .sin_port = htons(load->options.target_port),
    .sin_addr.s_addr = htonl(load->options.target_ip),
  };
  struct epoll_event event = {
    .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = index};
  int connected = connect(c->fd, (struct sockaddr *)&target, sizeof target);
  if ((connected != 0 && errno != EINPROGRESS)
      || epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
    failure_count(load, errno);
    close(c->fd);
    c->fd = -1;
    return false;
  }
  c->phase = PHASE_CONNECTING;
  load->connects_in_flight += 1;
  return true;
}

static int socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 ? errno : error;
}

// To be called with the first event of a connecting socket. False if the connect failed.
bool load__connect_finish(struct bench_load *load, const struct epoll_event *event) {
  uint32_t index = event->data.u32;
  struct connection *c = &load->connections[index];
  load->connects_in_flight -= 1;
  int error = event->events & (EPOLLERR | EPOLLHUP) ? socket_error(c->fd) : 0;
  if (error != 0) {
    failure_count(load, error);
    close(c->fd);
    c->fd = -1;
    c->phase = PHASE_CLOSED;
    return false;
  }
  c->phase = PHASE_OPEN;
  load->alive += 1;
  load->result.connected += 1;
  return true;
}

void load__close(struct bench_load *load, uint32_t index, bool reset) {
  struct connection *c = &load->connections[index];
  if (c->phase == PHASE_OPEN) load->alive -= 1;
  if (c->phase == PHASE_CONNECTING) load->connects_in_flight -= 1;
  c->phase = PHASE_CLOSED;
  if (c->fd < 0) return;
  if (reset) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  }
  close(c->fd);
  c->fd = -1;
}

// What it still owed is lost.
void load__closed_by_peer(struct bench_load *load, uint32_t index) {
  struct connection *c = &load->connections[index];
  uint64_t owed = c->wanted - c->got;
  load->result.closed_by_peer += 1;
  load->result.lost += owed;
  load->outstanding -= owed;
  load__close(load, index, false);
}

int load__wait(struct bench_load *load, uint64_t now, uint64_t end) {
  int timeout_ms = now >= end ? 0 : (int)((end - now) / 1000000) + 1;
  if (timeout_ms > 1000) timeout_ms = 1000;
  return epoll_wait(
    load->epoll, load->events, EVENTS_MAX, load->options.busy_poll ? 0 : timeout_ms);
}

// Whatever is still connecting when time runs out has failed.
void load__connects_abandon(struct bench_load *load) {
  for (uint32_t i = 0; i < load->options.connections; i++) {
    if (load->connections[i].phase != PHASE_CONNECTING) continue;
    failure_count(load, ETIMEDOUT);
    load__close(load, i, true);
  }
}

void bench_load_connect(
  bench_load *load, uint64_t timeout_ns, struct bench_load_result *result) {
  uint64_t began = now_ns(), cpu_began = cpu_now_ns(), end = began + timeout_ns, now = began;
  uint32_t next = 0;
  load__begin(load);
  while (now < end) {
    while (next < load->options.connections
           && load->connects_in_flight < load->options.connects_in_flight_max) {
      if (load->connections[next].phase == PHASE_CLOSED) load__connect_begin(load, next);
      next += 1;
    }
    if (next == load->options.connections && load->connects_in_flight == 0) break;
    int count = load__wait(load, now, end);
    for (int i = 0; i < count; i++) {
      uint32_t index = load->events[i].data.u32;
      const struct epoll_event *event = &load->events[i];
      if (load->connections[index].phase == PHASE_CONNECTING) load__connect_finish(load, event);
      else if (event->events & (EPOLLRDHUP | EPOLLHUP)) load__closed_by_peer(load, index);
    }
    now = now_ns();
  }
  load__connects_abandon(load);
  load__end(load, began, cpu_began);
  *result = load->result;
}

void bench_load_close_all(bench_load *load, struct bench_load_result *result) {
  uint64_t began = now_ns(), cpu_began = cpu_now_ns();
  load__begin(load);
  for (uint32_t i = 0; i < load->options.connections; i++) load__close(load, i, false);
  load__end(load, began, cpu_began);
  *result = load->result;
}
