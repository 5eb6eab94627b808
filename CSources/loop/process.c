// Worker processes: started with a pidfd, which is all that is ever held of them. No handler of
// SIGCHLD, nothing of the process's own is changed.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "internal.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct aloft__process {
  uv_poll_t poll; // first, so that a handle is its process
  aloft__loop *loop;
  aloft__process *next, *previous;
  int descriptor;
  pid_t pid;
  uint64_t tag;
};

// The child borrows the parent's memory until it has become the program, and the parent's thread
// waits meanwhile: so there is no copy of page tables to pay for, and what went wrong can simply
// be written down here.
typedef struct birth {
  const aloft__spawn *how;
  pid_t parent;
  int descriptors[ALOFT__SPAWN_DESCRIPTORS];
  sigset_t signals;
  int error;
} birth;

#define CHILD_STACK_BYTES (64u << 10)

// glibc's `clone` under the name that ThreadSanitizer doesn't wrap: it would take the child for a
// fork with memory of its own. For the same reason the child makes its system calls itself.
extern int __clone(int (*body)(void *), void *stack, int flags, void *argument, ...);

// What the kernel reads: a handler, flags, a restorer and a mask, all of which are 0 for SIG_DFL.
#define SIGNAL_MASK_BYTES 8

static void reset_signals(void) {
  static const uint64_t standard[4];
  for (int i = 1; i < NSIG; i++) {
    syscall(SYS_rt_sigaction, i, standard, NULL, SIGNAL_MASK_BYTES);
  }
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, standard, NULL, SIGNAL_MASK_BYTES);
}

// Descriptor i of the child is the i-th given; all others are closed. Those given are moved out of
// the way first, or one would overwrite another.
static int place_descriptors(birth *b) {
  int moved[ALOFT__SPAWN_DESCRIPTORS];
  for (int i = 0; i < ALOFT__SPAWN_DESCRIPTORS; i++) {
    moved[i] = b->descriptors[i];
    if (moved[i] < 0) continue;
    moved[i] = (int)syscall(SYS_fcntl, moved[i], F_DUPFD_CLOEXEC, ALOFT__SPAWN_DESCRIPTORS);
    if (moved[i] < 0) return errno;
  }
  for (int i = 0; i < ALOFT__SPAWN_DESCRIPTORS; i++) {
    if (moved[i] < 0) {
      syscall(SYS_close, i);
    } else if (syscall(SYS_dup3, moved[i], i, 0) < 0) {
      return errno;
    }
  }
  // Whatever the application has open without O_CLOEXEC is not the worker's either.
  if (syscall(SYS_close_range, (unsigned)ALOFT__SPAWN_DESCRIPTORS, ~0u, CLOSE_RANGE_CLOEXEC) != 0) {
    return errno;
  }
  return 0;
}

static int be_born(void *argument) {
  birth *b = argument;
  reset_signals();
  // Workers don't outlive the thread that runs their loop. Whoever comes too late to be told of
  // its parent's end has another parent already.
  b->error = prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ? errno : 0;
  if (b->error == 0 && getppid() != b->parent) b->error = ESRCH;
  if (b->error == 0 && setpgid(0, 0) != 0) b->error = errno;
  if (b->error == 0 && b->how->directory != NULL && chdir(b->how->directory) != 0) b->error = errno;
  if (b->error == 0) b->error = place_descriptors(b);
  if (b->error == 0) {
    execve(b->how->path, b->how->arguments, b->how->environment);
    b->error = errno;
  }
  syscall(SYS_exit_group, 127);
  return 127;
}

static int child_clone(birth *b, int *descriptor, pid_t *pid) {
  void *stack = mmap(NULL, CHILD_STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return -errno;
  // No signal may be handled in the child while the memory is shared.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &b->signals);
  *pid = __clone(be_born, (char *)stack + CHILD_STACK_BYTES,
                 CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, b, descriptor);
  int status = *pid < 0 ? -errno : 0;
  pthread_sigmask(SIG_SETMASK, &b->signals, NULL);
  munmap(stack, CHILD_STACK_BYTES);
  return status;
}

// Reaps a process whose end is known to be near. libuv has made the descriptor non-blocking, and
// waitid heeds that; one that the kernel itself can't end within 10 s is left to it.
static void reap(int descriptor) {
  struct pollfd ended = {.fd = descriptor, .events = POLLIN};
  while (poll(&ended, 1, 10000) < 0 && errno == EINTR) {
  }
  siginfo_t info;
  while (waitid((idtype_t)P_PIDFD, (id_t)descriptor, &info, WEXITED) != 0 && errno == EINTR) {
  }
}

static int spawn(const aloft__spawn *how, int child_end, int *descriptor, pid_t *pid) {
  birth b = {.how = how, .parent = getpid()};
  int null = -1;
  for (int i = 0; i < ALOFT__SPAWN_DESCRIPTORS; i++) {
    int wanted = how->descriptors[i];
    if (wanted == ALOFT__SPAWN_CHANNEL) wanted = child_end;
    if (wanted == ALOFT__SPAWN_NULL) {
      if (null < 0) null = open("/dev/null", O_RDWR | O_CLOEXEC);
      if (null < 0) return -errno;
      wanted = null;
    }
    b.descriptors[i] = wanted;
  }
  int status = child_clone(&b, descriptor, pid);
  if (null >= 0) close(null);
  if (status != 0) return status;
  if (b.error == 0) return 0;
  reap(*descriptor);
  close(*descriptor);
  return -b.error;
}

static void on_process_end(uv_poll_t *handle, int status, int events) {
  aloft__process *p = (aloft__process *)handle;
  (void)status;
  (void)events;
  uv_poll_stop(&p->poll);
  aloft__event *event = event_add(p->loop, ALOFT__EVENT_EXITED, NO_SLOT);
  siginfo_t info;
  memset(&info, 0, sizeof info);
  // What it started and left behind goes with it. Its group can't be another's yet: until it has
  // been reaped, its number stays taken.
  if (waitid((idtype_t)P_PIDFD, (id_t)p->descriptor, &info, WEXITED | WNOWAIT | WNOHANG) == 0) {
    kill(-p->pid, SIGKILL);
  }
  memset(&info, 0, sizeof info);
  // ECHILD: the application waits for all of its children, and was first.
  if (waitid((idtype_t)P_PIDFD, (id_t)p->descriptor, &info, WEXITED | WNOHANG) != 0) {
    event->status = -errno;
  } else {
    event->status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    event->flags = info.si_code == CLD_EXITED ? ALOFT__FLAG_EXITED : ALOFT__FLAG_SIGNALED;
  }
  event->length = (uint32_t)p->tag;
  event->slot = (uint32_t)(p->tag >> 32);
}

static void link_process(aloft__loop *loop, aloft__process *p) {
  p->next = loop->processes;
  if (p->next != NULL) p->next->previous = p;
  loop->processes = p;
}

int aloft__process_start(aloft__loop *loop, const aloft__spawn *how, uint64_t tag,
                         aloft__process **out, int *channel) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return -errno;
  aloft__process *p = calloc(1, sizeof *p);
  int status = p == NULL ? -ENOMEM : spawn(how, ends[1], &p->descriptor, &p->pid);
  close(ends[1]);
  if (status == 0) {
    status = uv_poll_init(loop->uv, &p->poll, p->descriptor);
    if (status != 0) {
      syscall(SYS_pidfd_send_signal, p->descriptor, SIGKILL, NULL, 0);
      reap(p->descriptor);
      close(p->descriptor);
    }
  }
  if (status != 0) {
    close(ends[0]);
    free(p);
    return status;
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  p->loop = loop;
  p->tag = tag;
  p->poll.data = p;
  loop->handles_open++;
  link_process(loop, p);
  uv_poll_start(&p->poll, UV_READABLE, on_process_end);
  *out = p;
  *channel = ends[0];
  return 0;
}

int aloft__process_signal(aloft__process *p, int number) {
  return syscall(SYS_pidfd_send_signal, p->descriptor, number, NULL, 0) == 0 ? 0 : -errno;
}

int32_t aloft__process_pid(const aloft__process *p) { return p->pid; }

static void on_process_closed(uv_handle_t *handle) {
  aloft__process *p = (aloft__process *)handle;
  aloft__loop *loop = p->loop;
  free(p);
  aloft__handle_closed(loop);
}

void aloft__process_free(aloft__process *p) {
  aloft__loop *loop = p->loop;
  if (p->previous != NULL) p->previous->next = p->next;
  if (p->next != NULL) p->next->previous = p->previous;
  if (loop->processes == p) loop->processes = p->next;
  uv_close((uv_handle_t *)&p->poll, on_process_closed);
  // One that still runs is killed and waited for: SIGKILL takes no longer than the kernel does.
  siginfo_t info;
  memset(&info, 0, sizeof info);
  int running = waitid((idtype_t)P_PIDFD, (id_t)p->descriptor, &info,
                       WEXITED | WNOWAIT | WNOHANG) == 0;
  if (running) {
    kill(-p->pid, SIGKILL);
    aloft__process_signal(p, SIGKILL);
    reap(p->descriptor);
  }
  close(p->descriptor);
}

void aloft__processes_free(aloft__loop *loop) {
  while (loop->processes != NULL) aloft__process_free(loop->processes);
}
