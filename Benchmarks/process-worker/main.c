// A worker process for the tests and the bench of supervision: reads frames from its channel
// (descriptor 3, or 0 when told so) and answers each one.
//
//   process-worker [deaf] [stdio] [dies CODE]
//
// The answer is the message itself, but for: "crash", which ends it by a signal; "exit N"; "pid",
// answered with its number and its group's; "fds", with the descriptors that it has; "env", with
// its environment; "signals", with the masks that it was given; "child", which starts a child of
// its own that sleeps, and answers with its number; "flood N", answered N times.
// `deaf` ignores SIGTERM.
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int in = 3, out = 3;
extern char **environ;

static int read_all(void *bytes, size_t count) {
  for (size_t done = 0; done < count;) {
    ssize_t n = read(in, (char *)bytes + done, count - done);
    if (n <= 0) return 0;
    done += (size_t)n;
  }
  return 1;
}

static void answer(const char *bytes, size_t count) {
  unsigned char head[4] = {(unsigned char)(count >> 24), (unsigned char)(count >> 16),
                           (unsigned char)(count >> 8), (unsigned char)count};
  char *frame = malloc(count + 4);
  memcpy(frame, head, 4);
  memcpy(frame + 4, bytes, count);
  for (size_t done = 0; done < count + 4;) {
    ssize_t n = write(out, frame + done, count + 4 - done);
    if (n <= 0) _exit(9);
    done += (size_t)n;
  }
  free(frame);
}

static size_t list_descriptors(char *text, size_t room) {
  size_t length = 0;
  DIR *held = opendir("/proc/self/fd");
  for (struct dirent *entry; held != NULL && (entry = readdir(held)) != NULL;) {
    if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(held)) continue;
    length += (size_t)snprintf(text + length, room - length, "%s ", entry->d_name);
  }
  closedir(held);
  return length;
}

// Signals that are blocked, then those that are ignored.
static size_t list_signals(char *text, size_t room) {
  size_t length = (size_t)snprintf(text, room, "blocked");
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, NULL, &blocked);
  for (int i = 1; i < 65; i++) {
    if (sigismember(&blocked, i) == 1) {
      length += (size_t)snprintf(text + length, room - length, " %d", i);
    }
  }
  length += (size_t)snprintf(text + length, room - length, " ignored");
  for (int i = 1; i < 65; i++) {
    struct sigaction now;
    if (sigaction(i, NULL, &now) == 0 && now.sa_handler == SIG_IGN) {
      length += (size_t)snprintf(text + length, room - length, " %d", i);
    }
  }
  return length;
}

static size_t obey(const char *order, char *text, size_t room) {
  if (strcmp(order, "crash") == 0) kill(getpid(), SIGUSR1);
  if (strncmp(order, "exit ", 5) == 0) _exit(atoi(order + 5));
  if (strcmp(order, "pid") == 0) {
    return (size_t)snprintf(text, room, "%d %d", getpid(), getpgrp());
  }
  if (strcmp(order, "fds") == 0) return list_descriptors(text, room);
  if (strcmp(order, "signals") == 0) return list_signals(text, room);
  if (strcmp(order, "env") == 0) {
    size_t length = 0;
    for (char **at = environ; *at != NULL; at++) {
      length += (size_t)snprintf(text + length, room - length, "%s\n", *at);
    }
    return length;
  }
  if (strcmp(order, "child") == 0) {
    pid_t child = fork();
    if (child == 0) {
      sleep(60);
      _exit(0);
    }
    return (size_t)snprintf(text, room, "%d", child);
  }
  return 0;
}

int main(int count, char **words) {
  for (int i = 1; i < count; i++) {
    if (strcmp(words[i], "deaf") == 0) signal(SIGTERM, SIG_IGN);
    if (strcmp(words[i], "stdio") == 0) in = 0, out = 1;
    if (strcmp(words[i], "dies") == 0) _exit(i + 1 < count ? atoi(words[i + 1]) : 1);
  }
  static char text[1 << 16];
  for (;;) {
    unsigned char head[4];
    if (!read_all(head, 4)) return 0;
    size_t length = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    char *message = malloc(length + 1);
    if (!read_all(message, length)) return 0;
    message[length] = 0;
    int times = strncmp(message, "flood ", 6) == 0 ? atoi(message + 6) : 1;
    size_t told = obey(message, text, sizeof text);
    for (int i = 0; i < times; i++) {
      if (told > 0) answer(text, told); else answer(message, length);
    }
    free(message);
  }
}
