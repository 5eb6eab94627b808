// Looks at the log's files before libraft reads them, for it frees twice what it had read of a file
// that turns out to be damaged, and would go on without the entries in it.
//
// A closed file must be whole. An open one may end in a write that tore: libraft cuts that off,
// if only the file is no shorter than the torn write says it is.
#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

enum { FILE_HEAD = 8, SUMS = 8, COUNT_BYTES = 8, ENTRY_HEAD = 16 };
enum batch { WHOLE, DAMAGED, CUT_SHORT };

// CRC-32 with the polynomial 0x04C11DB7, most significant bit first, from 0: the files' own.
static uint32_t sum(const uint8_t *bytes, size_t length) {
  static _Thread_local uint32_t table[256];
  if (table[1] == 0) {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i << 24;
      for (int bit = 0; bit < 8; bit++) {
        value = value << 1 ^ (value >> 31 ? UINT32_C(0x04C11DB7) : 0);
      }
      table[i] = value;
    }
  }
  uint32_t value = 0;
  for (size_t i = 0; i < length; i++) {
    value = value << 8 ^ table[(value >> 24 ^ bytes[i]) & 255];
  }
  return value;
}

static uint32_t word32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return le32toh(value);
}

static uint64_t word64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return le64toh(value);
}

// The batch of entries at `*at`, which is moved behind it.
static enum batch look(const uint8_t *file, size_t size, size_t *at, uint64_t *entries) {
  size_t left = size - *at;
  const uint8_t *batch = file + *at;
  if (left < SUMS + COUNT_BYTES) { return CUT_SHORT; }
  uint64_t count = word64(batch + SUMS);
  // libraft's own bound.
  if (count == 0 || count > (8 << 20) / 32) { return DAMAGED; }
  size_t head = COUNT_BYTES + count * ENTRY_HEAD;
  if (left - SUMS < head) { return CUT_SHORT; }
  if (sum(batch + SUMS, head) != word32(batch)) { return DAMAGED; }
  uint64_t data = 0;
  for (uint64_t i = 0; i < count; i++) {
    data += word32(batch + SUMS + COUNT_BYTES + i * ENTRY_HEAD + 12);
  }
  if (left - SUMS - head < data) { return CUT_SHORT; }
  if (sum(batch + SUMS + head, data) != word32(batch + 4)) { return DAMAGED; }
  *at += SUMS + head + data;
  *entries += count;
  return WHOLE;
}

static enum batch walk(const uint8_t *file, size_t size, uint64_t *entries) {
  if (size < FILE_HEAD) { return CUT_SHORT; }
  if (word64(file) != 1) { return DAMAGED; }
  size_t at = FILE_HEAD;
  enum batch found = WHOLE;
  while (found == WHOLE && at < size) { found = look(file, size, &at, entries); }
  return found;
}

static void check_file(aloft__raft *r, const char *name) {
  unsigned long long first = 0, last = 0;
  bool is_open = strncmp(name, "open-", 5) == 0;
  if (!is_open && sscanf(name, "%llu-%llu", &first, &last) != 2) { return; }
  int fd = openat(r->directory_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) {
    aloft__raft_die(r, "%s/%s can't be read: see to its disk.", r->directory, name);
    if (fd >= 0) { close(fd); }
    return;
  }
  size_t size = (size_t)status.st_size;
  const uint8_t *file = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
  uint64_t entries = 0;
  enum batch found = CUT_SHORT;
  if (size > 0 && file != MAP_FAILED) {
    found = walk(file, size, &entries);
    munmap((void *)(uintptr_t)file, size);
  }
  if (is_open && found == CUT_SHORT && size > 0) {
    // With zeros behind it, what is torn fails its check, as it should.
    if (ftruncate(fd, (off_t)(size + (16 << 20))) != 0) { found = DAMAGED; }
  }
  close(fd);
  if (!is_open && (found != WHOLE || entries != last - first + 1)) {
    aloft__raft_die(
        r,
        "The log's file %s/%s is damaged. This node has lost entries that it had promised to keep:"
        " replace it, that is, empty the directory and let it join anew.",
        r->directory, name);
  }
}

void aloft__raft_check_segments(aloft__raft *r) {
  int fd = openat(r->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
  if (directory == NULL) {
    if (fd >= 0) { close(fd); }
    return;
  }
  for (struct dirent *entry; !r->dead && (entry = readdir(directory)) != NULL;) {
    check_file(r, entry->d_name);
  }
  closedir(directory);
}
