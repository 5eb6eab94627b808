// What the loop needs from the system beside sockets.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include "internal.h"

int aloft__thread_start(void (*entry)(void *), void *argument, uv_thread_t *thread) {
  return uv_thread_create(thread, entry, argument);
}

int aloft__thread_join(uv_thread_t *thread) { return uv_thread_join(thread); }

int aloft__unshare_descriptors(void) { return unshare(CLONE_FILES) == 0 ? 0 : -errno; }

uint64_t aloft__now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int aloft__parse_address(const char *host, uint16_t port, struct sockaddr_storage *out,
                         socklen_t *length) {
  struct sockaddr_in *v4 = (struct sockaddr_in *)out;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
  memset(out, 0, sizeof *out);
  if (uv_ip4_addr(host, port, v4) == 0) {
    *length = sizeof *v4;
    return 0;
  }
  *length = sizeof *v6;
  return uv_ip6_addr(host, port, v6) == 0 ? 0 : -EINVAL;
}

int aloft__unix_address(const char *path, size_t path_length, struct sockaddr_storage *out,
                        socklen_t *length) {
  struct sockaddr_un *local = (struct sockaddr_un *)out;
  memset(out, 0, sizeof *out);
  if (path_length == 0 || path_length >= sizeof local->sun_path) return -ENAMETOOLONG;
  local->sun_family = AF_UNIX;
  memcpy(local->sun_path, path, path_length);
  // A leading NUL is the abstract name space, where the length counts.
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length +
                        (path[0] != '\0'));
  return 0;
}

int aloft__format_address(const struct sockaddr_storage *address, socklen_t length, char *host,
                          size_t host_bytes, uint16_t *port) {
  *port = 0;
  if (address->ss_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    *port = ntohs(v4->sin_port);
    return uv_ip4_name(v4, host, host_bytes);
  }
  if (address->ss_family == AF_INET6) {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    *port = ntohs(v6->sin6_port);
    return uv_ip6_name(v6, host, host_bytes);
  }
  if (address->ss_family != AF_UNIX) return -EAFNOSUPPORT;
  const struct sockaddr_un *local = (const struct sockaddr_un *)address;
  size_t bytes = length > offsetof(struct sockaddr_un, sun_path)
                     ? length - offsetof(struct sockaddr_un, sun_path) : 0;
  snprintf(host, host_bytes, "%.*s", (int)bytes, local->sun_path);
  return 0;
}

int aloft__descriptor_limit(uint64_t *limit, uint64_t *in_use) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return -errno;
  *limit = files.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)files.rlim_cur;
  *in_use = 0;
  DIR *held = opendir("/proc/self/fd");
  if (held == NULL) return -errno;
  while (readdir(held) != NULL) ++*in_use;
  closedir(held);
  *in_use -= 3; // ".", ".." and the directory itself
  return 0;
}

void *aloft__pages_allocate(size_t bytes) {
  void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? NULL : pages;
}

void aloft__pages_free(void *pages, size_t bytes) { munmap(pages, bytes); }

int aloft__pin_thread(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : -errno;
}

int aloft__processor(void) { return sched_getcpu(); }

const char *aloft__error_name(int status) { return uv_err_name(status); }

const char *aloft__error_text(int status) { return uv_strerror(status); }
