// Child processes that can't outlive the bench: forked with a core to run on, killed with their
// parent, and killed and reaped by a handler when the bench is told to stop.
//
// To be called from one thread that lives as long as the bench: the kernel's parent-death signal
// follows the thread that forked.
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

struct bench_child {
  pid_t pid;
  int input;   // write end of the child's standard input
  int output;  // read end of its standard output, non-blocking
};

// Runs `path` with `arguments` (NULL-terminated) on core `cpu` (-1: any), standard error shared.
// 0, or a negative errno; a program that can't be executed ends with status 127.
int bench_child_spawn(
  const char *path, char *const *arguments, int cpu, struct bench_child *child);

// Reaps the child if it has ended: 1 and its wait status, 0 if it runs, or a negative errno.
int bench_child_reap(pid_t pid, int *status);

// Kills children on SIGINT, SIGTERM, SIGHUP and at exit; ignores SIGPIPE.
void bench_children_guard(void);
// How many children are alive or not yet reaped.
int bench_children_count(void);

// Raises the soft limit of descriptors to the hard one, and returns it.
uint64_t bench_descriptors_raise(void);

// The cores that this process may run on, in order: at most `capacity` written; how many there are.
int bench_cores(int *cores, int capacity);
// Holds the calling thread to a core: 0, or a negative errno.
int bench_pin(int core);

#endif
