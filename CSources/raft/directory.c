// The data directory: who may use it, and how much room there is.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "internal.h"

#define MEMBER_FILE "aloft-member"
#define RESERVE_FILE "aloft-reserve"

static int refuse(char *text, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(char *text, int status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, ALOFT__RAFT_TEXT, format, arguments);
  va_end(arguments);
  return -status;
}

static int check_kind(const char *path, char *text) {
  struct stat status;
  if (stat(path, &status) != 0) {
    if (errno != ENOENT) {
      return refuse(
          text, errno, "The data directory %s can't be looked at (%s): give this user access"
          " to it.",
          path, strerror(errno));
    }
    if (mkdir(path, 0700) == 0) { return 0; }
    return refuse(
        text, errno,
        "The data directory %s is missing and can't be made (%s): make it, owned by this user, with"
        " mode 0700.",
        path, strerror(errno));
  }
  if (!S_ISDIR(status.st_mode)) {
    return refuse(
        text, ENOTDIR, "%s is not a directory: name one for the log, or move that file away.",
        path);
  }
  if (status.st_uid != geteuid()) {
    return refuse(
        text, EPERM,
        "The data directory %s belongs to user %u, this process runs as %u: run it as its owner, or"
        " chown the directory.",
        path, (unsigned)status.st_uid, (unsigned)geteuid());
  }
  if ((status.st_mode & 077) != 0 || (status.st_mode & 0700) != 0700) {
    return refuse(
        text, EACCES,
        "The data directory %s has mode %04o: run 'chmod 700' on it, for the log holds all that"
        " sessions hold.",
        path, (unsigned)(status.st_mode & 07777));
  }
  return 0;
}

static bool digits_then(const char **at, char end) {
  const char *from = *at;
  while (**at >= '0' && **at <= '9') { (*at)++; }
  if (*at == from || **at != end) { return false; }
  if (end != 0) { (*at)++; }
  return true;
}

static bool is_closed_segment(const char *name) {
  return digits_then(&name, '-') && digits_then(&name, 0);
}

static bool is_raft_file(const char *name) {
  if (strcmp(name, "metadata1") == 0 || strcmp(name, "metadata2") == 0) { return true; }
  if (strncmp(name, "snapshot-", 9) == 0 || strncmp(name, "open-", 5) == 0) { return true; }
  return is_closed_segment(name);
}

static bool is_beside(const char *name) {
  static const char *const names[] = {
    ".", "..", MEMBER_FILE, RESERVE_FILE, "lost+found", NULL};
  for (int i = 0; names[i] != NULL; i++) {
    if (strcmp(name, names[i]) == 0) { return true; }
  }
  return strncmp(name, "tmp-", 4) == 0 || strcmp(name, ".probe") == 0;
}

// Calls `see` with each name until it returns true; then true.
static bool any_file(
    int directory_fd, bool (*see)(const char *name, uint64_t argument, char *found),
    uint64_t argument, char found[256]) {
  int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
  if (directory == NULL) {
    if (fd >= 0) { close(fd); }
    return false;
  }
  bool seen = false;
  for (struct dirent *entry; !seen && (entry = readdir(directory)) != NULL;) {
    seen = see(entry->d_name, argument, found);
    if (seen && found != NULL) { snprintf(found, 256, "%s", entry->d_name); }
  }
  closedir(directory);
  return seen;
}

static bool see_foreign(const char *name, uint64_t argument, char *found) {
  (void)argument, (void)found;
  return !is_beside(name) && !is_raft_file(name);
}

static bool see_log(const char *name, uint64_t argument, char *found) {
  (void)argument, (void)found;
  return is_raft_file(name);
}

// A segment that should have been cut before `argument`, or removed.
static bool see_uncut(const char *name, uint64_t argument, char *found) {
  (void)found;
  unsigned long long first, last;
  return is_closed_segment(name) && sscanf(name, "%llu-%llu", &first, &last) == 2
         && last >= argument;
}

// The same, when what was written since then may be there, too: it begins with `argument`.
static bool see_across(const char *name, uint64_t argument, char *found) {
  (void)found;
  unsigned long long first, last;
  return is_closed_segment(name) && sscanf(name, "%llu-%llu", &first, &last) == 2
         && first < argument && last >= argument;
}

bool aloft__raft_directory_has_log(aloft__raft *r) {
  return any_file(r->directory_fd, see_log, 0, NULL);
}

bool aloft__raft_truncations_seen(aloft__raft *r, uint64_t first, uint64_t last) {
  return !any_file(r->directory_fd, see_uncut, last, NULL)
         && !any_file(r->directory_fd, see_across, first, NULL);
}

// Whose log it is stands in the file that is locked.
static int check_owner(aloft__raft *r, char *text) {
  char line[64] = {0};
  unsigned node = 0;
  ssize_t length = pread(r->lock_fd, line, sizeof line - 1, 0);
  if (length > 0) {
    if (sscanf(line, "aloft log 1 node %u", &node) != 1) {
      return refuse(
          text, EINVAL,
          "%s/" MEMBER_FILE " is not of this version: upgrade, or name another directory.",
          r->directory);
    }
    if (node == r->options.node) { return 0; }
    return refuse(
        text, EINVAL,
        "%s holds the log of node %u, this is node %u: start that node here, or name another"
        " directory.",
        r->directory, node, r->options.node);
  }
  if (aloft__raft_directory_has_log(r)) {
    return refuse(
        text, EINVAL,
        "%s holds a log without " MEMBER_FILE
        ": it is not Aloft's, or files were lost; restore them, or name an empty directory.",
        r->directory);
  }
  int written = snprintf(line, sizeof line, "aloft log 1 node %u\n", r->options.node);
  if (pwrite(r->lock_fd, line, (size_t)written, 0) != written || fsync(r->lock_fd) != 0
      || fsync(r->directory_fd) != 0) {
    return refuse(
        text, EIO, "%s can't be written to (%s): see to its disk.", r->directory, strerror(errno));
  }
  return 0;
}

static int lock(aloft__raft *r, char *text) {
  r->lock_fd =
      openat(r->directory_fd, MEMBER_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (r->lock_fd < 0) {
    return refuse(
        text, errno, "%s/" MEMBER_FILE " can't be opened (%s): see to its disk and its owner.",
        r->directory, strerror(errno));
  }
  if (flock(r->lock_fd, LOCK_EX | LOCK_NB) != 0) {
    return refuse(
        text, EBUSY,
        "The data directory %s is in use by another node: stop that one, or name another"
        " directory.",
        r->directory);
  }
  return check_owner(r, text);
}

int aloft__raft_directory_open(aloft__raft *r, char text[ALOFT__RAFT_TEXT]) {
  char found[256];
  int status = check_kind(r->directory, text);
  if (status != 0) { return status; }
  r->directory_fd = open(r->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (r->directory_fd < 0) {
    return refuse(
        text, errno, "The data directory %s can't be opened (%s): see to its owner and mode.",
        r->directory, strerror(errno));
  }
  if (any_file(r->directory_fd, see_foreign, 0, found)) {
    return refuse(
        text, ENOTEMPTY,
        "The data directory %s holds a file that isn't Aloft's, %.200s: name a directory that"
        " is empty or holds a log.",
        r->directory, found);
  }
  return lock(r, text);
}

void aloft__raft_directory_close(aloft__raft *r) {
  if (r->lock_fd >= 0) { close(r->lock_fd); }
  if (r->directory_fd >= 0) { close(r->directory_fd); }
  r->lock_fd = r->directory_fd = -1;
}

static void make_reserve(aloft__raft *r) {
  int fd = openat(r->directory_fd, RESERVE_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) { return; }
  r->reserve_there = posix_fallocate(fd, 0, (off_t)r->options.reserve_bytes) == 0;
  close(fd);
  if (!r->reserve_there) { unlinkat(r->directory_fd, RESERVE_FILE, 0); }
}

// The reserve is a file that goes when the disk is nearly full, so that what is under way, and the
// snapshot that shortens the log, still fit. Nothing new is taken until it could be made again.
void aloft__raft_check_room(aloft__raft *r) {
  struct statvfs fs;
  if (r->options.reserve_bytes == 0 || fstatvfs(r->directory_fd, &fs) != 0) { return; }
  uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize, reserve = r->options.reserve_bytes;
  if (r->reserve_there) {
    if (room >= reserve / 2) { return; }
    unlinkat(r->directory_fd, RESERVE_FILE, 0);
    r->reserve_there = false;
    r->disk_low = true;
  } else if (room >= 2 * reserve) {
    make_reserve(r);
    r->disk_low = !r->reserve_there;
  } else {
    r->disk_low = true;
  }
}
