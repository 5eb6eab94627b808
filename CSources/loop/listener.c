// Listeners: arriving connections, and what to do when they can't be taken.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>
#include "internal.h"

static void turn_away(int descriptor) {
  aloft__reset_on_close(descriptor);
  close(descriptor);
}

static void refused(listener *l, int status, uint8_t flags) {
  aloft__event *event = event_add(l->loop, ALOFT__EVENT_REFUSED, NO_SLOT);
  event->tag = l->index;
  event->status = status;
  event->flags = flags;
}

// No descriptor is left: the spare one answers, so that the peer learns it and the backlog moves.
// Returns 0 for one turned away, else an errno value. EAGAIN: the system looks for a descriptor
// first, so its EMFILE doesn't mean that anybody waits.
static int refuse_with_spare(listener *l) {
  aloft__loop *loop = l->loop;
  if (loop->spare < 0) return EMFILE;
  close(loop->spare);
  int fd = accept4(l->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  int error = fd >= 0 ? 0 : errno;
  if (fd >= 0) turn_away(fd);
  loop->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return error;
}

static void pause_listener(listener *l, int status) {
  uv_poll_stop(&l->poll);
  l->paused = 1;
  refused(l, status, ALOFT__FLAG_LISTENER_PAUSED);
}

// Returns whether the round goes on.
static int accept_failed(listener *l, int error) {
  switch (error) {
  case EAGAIN:
    return 0;
  // The peer gave up while it waited, or the network said something about it: its own affair.
  case EINTR: case ECONNABORTED: case EPROTO: case EPERM: case ENETDOWN: case ENOPROTOOPT:
  case EHOSTDOWN: case ENONET: case EHOSTUNREACH: case EOPNOTSUPP: case ENETUNREACH:
    return 1;
  case EMFILE: case ENFILE:
    switch (refuse_with_spare(l)) {
    case 0:
      refused(l, -error, 0);
      return 1;
    case EAGAIN:
      return 0;
    }
    break;
  }
  pause_listener(l, -error);
  return 0;
}

static void on_arrival(uv_poll_t *handle, int status, int events) {
  listener *l = (listener *)handle;
  aloft__loop *loop = l->loop;
  (void)events;
  if (status < 0) {
    pause_listener(l, status);
    return;
  }
  for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
    if (l->descriptor < 0 || l->paused) return; // closed by a flush on the way
    int fd = accept4(l->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (accept_failed(l, errno)) continue;
      return;
    }
    if (l->hand_over) {
      aloft__event *event = event_add(loop, ALOFT__EVENT_HANDED, NO_SLOT);
      event->tag = l->index;
      event->length = (uint32_t)fd;
      continue;
    }
    uint32_t slot;
    int opened = aloft__open(loop, fd, SLOT_OPEN, &slot);
    if (opened < 0) {
      turn_away(fd);
      refused(l, opened, 0);
      continue;
    }
    event_add(loop, ALOFT__EVENT_ACCEPTED, slot)->tag = l->index;
  }
}

static int bind_and_listen(int fd, const struct sockaddr *address, socklen_t length, int backlog,
                           int first) {
  int on = 1;
  if (address->sa_family != AF_UNIX) {
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return -errno;
    // Accepted sockets inherit it, which saves a system call each.
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) return -errno;
    if (!first && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return -errno;
  }
  if (bind(fd, address, length) != 0) return -errno;
  // Only after the first has the port to itself may the siblings join.
  if (address->sa_family != AF_UNIX && first &&
      setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return -errno;
  return listen(fd, backlog) == 0 ? 0 : -errno;
}

// Begins to watch a socket that listens, which is the listener's with a return of 0.
static int watch(aloft__loop *loop, uint16_t index, int fd, int hand_over, int inherited,
                 struct sockaddr_storage *bound, socklen_t *bound_length) {
  int status = 0;
  *bound_length = sizeof *bound;
  if (getsockname(fd, (struct sockaddr *)bound, bound_length) != 0) status = -errno;
  listener *l = status == 0 ? calloc(1, sizeof *l) : NULL;
  if (status == 0 && l == NULL) status = -ENOMEM;
  if (status == 0) status = uv_poll_init(loop->uv, &l->poll, fd);
  if (status < 0) {
    free(l);
    return status;
  }
  l->loop = loop;
  l->descriptor = fd;
  l->index = index;
  l->hand_over = (uint8_t)hand_over;
  l->inherited = (uint8_t)inherited;
  l->poll.data = l;
  loop->listeners[index] = l;
  loop->handles_open++;
  return uv_poll_start(&l->poll, UV_READABLE, on_arrival);
}

int aloft__listen(aloft__loop *loop, uint16_t index, const struct sockaddr *address,
                  socklen_t length, int backlog, int first, int hand_over,
                  struct sockaddr_storage *bound, socklen_t *bound_length) {
  if (index >= LISTENERS_MAX || loop->listeners[index] != NULL) return -EINVAL;
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int status = bind_and_listen(fd, address, length, backlog, first);
  if (status == 0) status = watch(loop, index, fd, hand_over, 0, bound, bound_length);
  if (status < 0 && loop->listeners[index] == NULL) close(fd);
  return status;
}

int aloft__listen_inherited(aloft__loop *loop, uint16_t index, int fd, int hand_over,
                            struct sockaddr_storage *bound, socklen_t *bound_length) {
  if (index >= LISTENERS_MAX || loop->listeners[index] != NULL) return -EINVAL;
  int is_listening = 0, on = 1;
  socklen_t length = sizeof is_listening;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) != 0) return -errno;
  if (!is_listening) return -EINVAL;
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
  // Not for a Unix-domain socket, which has no such option.
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return watch(loop, index, fd, hand_over, 1, bound, bound_length);
}

int aloft__listener_resume(aloft__loop *loop, uint16_t index) {
  listener *l = index < LISTENERS_MAX ? loop->listeners[index] : NULL;
  if (l == NULL) return -ENOENT;
  if (!l->paused) return 0;
  if (loop->spare < 0) loop->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
  l->paused = 0;
  return uv_poll_start(&l->poll, UV_READABLE, on_arrival);
}

static void on_listener_closed(uv_handle_t *handle) {
  listener *l = (listener *)handle;
  aloft__loop *loop = l->loop;
  free(l);
  aloft__handle_closed(loop);
}

// A Unix-domain socket leaves its file behind, at which the next to bind would stumble.
static void remove_file(int descriptor) {
  struct sockaddr_un bound;
  socklen_t length = sizeof bound;
  if (getsockname(descriptor, (struct sockaddr *)&bound, &length) != 0) return;
  if (bound.sun_family != AF_UNIX || length <= offsetof(struct sockaddr_un, sun_path)) return;
  if (bound.sun_path[0] != '\0') unlink(bound.sun_path);
}

void aloft__listener_close(aloft__loop *loop, uint16_t index) {
  listener *l = index < LISTENERS_MAX ? loop->listeners[index] : NULL;
  if (l == NULL) return;
  loop->listeners[index] = NULL;
  uv_close((uv_handle_t *)&l->poll, on_listener_closed);
  // Who made it needs the name for the next who inherits it.
  if (!l->inherited) remove_file(l->descriptor);
  close(l->descriptor);
  l->descriptor = -1;
}
