// The life of a client's connection: made, lost, made elsewhere.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clients.h"

// xorshift64* (Vigna, 2016).
uint64_t clients__random(struct bench_clients *all) {
  all->random ^= all->random >> 12;
  all->random ^= all->random << 25;
  all->random ^= all->random >> 27;
  return all->random * 0x2545F4914F6CDD1Dull;
}

void clients__queue(struct bench_clients *all, uint32_t index) {
  struct client *c = &all->clients[index];
  if (c->is_queued || c->life == LIFE_GONE) return;
  c->is_queued = 1;
  all->queue[(all->queue_head + all->queue_count++) % all->options.clients] = index;
}

// Where to: what is wanted, if it isn't shunned, else any that isn't, else any.
static uint8_t target_choose(struct bench_clients *all, struct client *c, uint64_t now) {
  int wanted = c->wanted;
  c->wanted = -1;
  if (wanted >= 0 && all->shunned_until[wanted] <= now) return (uint8_t)wanted;
  uint32_t count = all->options.target_count;
  uint32_t first = (uint32_t)(clients__random(all) >> 33) % count;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t target = (first + i) % count;
    if (all->shunned_until[target] <= now) return (uint8_t)target;
  }
  return (uint8_t)first;
}

static int socket_open(const struct bench_clients_options *options, uint32_t index) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  struct sockaddr_in source = {
    .sin_family = AF_INET,
    .sin_addr.s_addr = htonl(options->source_ip_first + index % options->source_ip_count),
  };
  if (bind(fd, (struct sockaddr *)&source, sizeof source) == 0) return fd;
  close(fd);
  return -1;
}

static void connect_failed(struct bench_clients *all, uint32_t index, uint64_t now) {
  struct client *c = &all->clients[index];
  all->result.connects_failed += 1;
  all->shunned_until[c->target] = now + SHUNNED_NS;
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  c->life = LIFE_CLOSED;
  clients__queue(all, index);
}

static void connect_begin(struct bench_clients *all, uint32_t index, uint64_t now) {
  struct client *c = &all->clients[index];
  c->target = target_choose(all, c, now);
  c->fd = socket_open(&all->options, index);
  if (c->fd < 0) return connect_failed(all, index, now);
  const struct bench_target *target = &all->options.targets[c->target];
  struct sockaddr_in address = {
    .sin_family = AF_INET,
    .sin_port = htons(target->port),
    .sin_addr.s_addr = htonl(target->ip),
  };
  struct epoll_event event = {
    .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = index};
  int status = connect(c->fd, (struct sockaddr *)&address, sizeof address);
  bool good = (status == 0 || errno == EINPROGRESS)
    && epoll_ctl(all->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0;
  if (!good) return connect_failed(all, index, now);
  c->life = LIFE_CONNECTING;
  all->connecting += 1;
}

void clients__connect_some(struct bench_clients *all, uint64_t now) {
  // As many tries a turn as there are clients that wait now: a refused one waits for the next turn.
  uint32_t tries = all->queue_count;
  while (tries-- > 0 && all->connecting < all->options.connects_in_flight_max) {
    uint32_t index = all->queue[all->queue_head];
    all->queue_head = (all->queue_head + 1) % all->options.clients;
    all->queue_count -= 1;
    all->clients[index].is_queued = 0;
    connect_begin(all, index, now);
  }
}

// The first event of a connecting socket. It counts as connecting until its session is there.
void clients__connected(
  struct bench_clients *all, uint32_t index, const struct epoll_event *event) {
  bool good = (event->events & (EPOLLERR | EPOLLHUP)) == 0;
  if (good && clients__hello(all, index)) return;
  all->connecting -= 1;
  connect_failed(all, index, now_ns());
}

void clients__close(struct bench_clients *all, uint32_t index) {
  struct client *c = &all->clients[index];
  if (c->life == LIFE_READY) all->ready -= 1;
  if (c->life == LIFE_CONNECTING || c->life == LIFE_CREATING || c->life == LIFE_RESUMING)
    all->connecting -= 1;
  if (c->reads > 0 || c->writing != 0) all->waiting -= 1;
  c->reads = 0;
  c->writing = 0;
  c->part_bytes = 0;
  c->life = LIFE_CLOSED;
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
}

// What was under way is an error that the client sees; a write may have been done.
void clients__broken(struct bench_clients *all, uint32_t index, uint64_t now) {
  struct client *c = &all->clients[index];
  all->result.broken += 1;
  all->result.errors += c->reads + (c->writing != 0);
  all->shunned_until[c->target] = now + SHUNNED_NS;
  if (c->broken_at <= c->back_at) c->broken_at = now;
  clients__close(all, index);
  clients__queue(all, index);
}

// To another node, without an error: nothing is under way.
void clients__move(struct bench_clients *all, uint32_t index, int wanted) {
  clients__close(all, index);
  all->clients[index].wanted = (int8_t)wanted;
  clients__queue(all, index);
}
