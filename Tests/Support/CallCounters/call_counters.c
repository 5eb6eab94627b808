// The functions of the C library and of the Swift runtime that the hot path must not call, each
// with a count before it. An executable that links this has its own malloc: the dynamic linker
// gives it to every library, libswiftCore included.
#include "call_counters.h"
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

// Initial-exec: access never allocates, so malloc itself may count.
static _Thread_local call_counts counts __attribute__((tls_model("initial-exec")));

call_counts call_counters_read(void) { return counts; }

// glibc's own names for what is replaced here.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

void *malloc(size_t bytes) {
  counts.allocations++;
  return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
  counts.allocations++;
  return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes) {
  counts.allocations++;
  return __libc_realloc(old, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
  counts.allocations++;
  return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **out, size_t alignment, size_t bytes) {
  *out = memalign(alignment, bytes);
  return *out != NULL ? 0 : ENOMEM;
}

void free(void *old) {
  if (old == NULL) return;
  counts.frees++;
  __libc_free(old);
}

// To retain or release nothing, as an optional's end may, counts nothing.
//
// The Swift runtime's entries, by name: calls of our code and of the standard library's inlined
// code come here. Not its hooks for tools: those see small strings with their tags taken off and
// crash (6.3).
#define RETAINS(each) \
  each(swift_retain) each(swift_bridgeObjectRetain) each(swift_nonatomic_retain) \
  each(swift_unknownObjectRetain)
#define RELEASES(each) \
  each(swift_release) each(swift_bridgeObjectRelease) each(swift_nonatomic_release) \
  each(swift_unknownObjectRelease)

#define RETAIN(name) \
  static void *(*next_##name)(void *); \
  void *name(void *object); \
  void *name(void *object) { \
    counts.retains += object != NULL; \
    return next_##name(object); \
  } \
  static void *(*next_##name##_n)(void *, uint32_t); \
  void *name##_n(void *object, uint32_t n); \
  void *name##_n(void *object, uint32_t n) { \
    counts.retains += object != NULL; \
    return next_##name##_n(object, n); \
  }
#define RELEASE(name) \
  static void (*next_##name)(void *); \
  void name(void *object); \
  void name(void *object) { \
    counts.releases += object != NULL; \
    next_##name(object); \
  } \
  static void (*next_##name##_n)(void *, uint32_t); \
  void name##_n(void *object, uint32_t n); \
  void name##_n(void *object, uint32_t n) { \
    counts.releases += object != NULL; \
    next_##name##_n(object, n); \
  }
RETAINS(RETAIN)
RELEASES(RELEASE)

static void *(*next_swift_allocObject)(const void *, size_t, size_t);
void *swift_allocObject(const void *type, size_t bytes, size_t alignment);
void *swift_allocObject(const void *type, size_t bytes, size_t alignment) {
  counts.objects++;
  return next_swift_allocObject(type, bytes, alignment);
}

#define FIND(name) *(void **)&next_##name = dlsym(RTLD_NEXT, #name);
#define FIND_BOTH(name) FIND(name) FIND(name##_n)

// Before main, and before any constructor of Swift's: they count references too.
__attribute__((constructor(101))) static void find(void) {
  RETAINS(FIND_BOTH)
  RELEASES(FIND_BOTH)
  FIND(swift_allocObject)
}
