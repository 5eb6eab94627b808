#include "bench_process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN_MAX = 1024 };

// Read by a signal handler: words that are changed one at a time.
static _Atomic(pid_t) children[CHILDREN_MAX];

static int child_slot(pid_t old, pid_t new) {
  for (int i = 0; i < CHILDREN_MAX; i++) {
    pid_t expected = old;
    if (atomic_compare_exchange_strong(&children[i], &expected, new)) return i;
  }
  return -1;
}

static void children_kill(void) {
  for (int i = 0; i < CHILDREN_MAX; i++) {
    pid_t pid = atomic_exchange(&children[i], 0);
    if (pid <= 0) continue;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
  }
}

// kill, waitpid, signal and raise may all be called here.
static void on_signal(int number) {
  children_kill();
  signal(number, SIG_DFL);
  raise(number);
}

void bench_children_guard(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigfillset(&action.sa_mask);
  int stopping[] = {SIGINT, SIGTERM, SIGHUP};
  for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++)
    sigaction(stopping[i], &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  atexit(children_kill);
}

int bench_children_count(void) {
  int count = 0;
  for (int i = 0; i < CHILDREN_MAX; i++) count += atomic_load(&children[i]) != 0;
  return count;
}

// After the fork only calls that a signal handler might make.
static void child_run(
  const char *path, char *const *arguments, int cpu, int input, int output, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  int reset[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  for (size_t i = 0; i < sizeof reset / sizeof *reset; i++) signal(reset[i], SIG_DFL);
  if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0) _exit(127);
  execv(path, arguments);
  _exit(127);
}

int bench_child_spawn(
  const char *path, char *const *arguments, int cpu, struct bench_child *child) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0) return -errno;
  if (pipe2(out, O_CLOEXEC) != 0) {
    int error = errno;
    close(in[0]);
    close(in[1]);
    return -error;
  }
  // A stop between fork and the entry in the table would miss the child, so it waits.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  pid_t parent = getpid(), pid = fork();
  int error = pid < 0 ? errno : 0;
  if (pid == 0) {
    sigprocmask(SIG_SETMASK, &before, NULL);
    child_run(path, arguments, cpu, in[0], out[1], parent);
  }
  if (pid > 0 && child_slot(0, pid) < 0) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    error = EAGAIN;
  }
  sigprocmask(SIG_SETMASK, &before, NULL);
  close(in[0]);
  close(out[1]);
  if (error != 0) {
    close(in[1]);
    close(out[0]);
    return -error;
  }
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  *child = (struct bench_child){.pid = pid, .input = in[1], .output = out[0]};
  return 0;
}

int bench_child_reap(pid_t pid, int *status) {
  pid_t reaped = waitpid(pid, status, WNOHANG);
  if (reaped == 0) return 0;
  child_slot(pid, 0);
  return reaped == pid ? 1 : -errno;
}

uint64_t bench_descriptors_raise(void) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return 1024;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  return files.rlim_max;
}

int bench_cores(int *cores, int capacity) {
  cpu_set_t set;
  int count = 0;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET((size_t)cpu, &set)) continue;
    if (count < capacity) cores[count] = cpu;
    count += 1;
  }
  return count;
}

int bench_pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)core, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : -errno;
}
