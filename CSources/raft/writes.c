// libraft's writes without the kernel's asynchronous I/O.
//
// A process that dies while it has an AIO context (io_setup) waits for some 30 ms before the kernel
// closes its sockets, so that long nobody learns of its death. libraft makes a context for each
// file of its log, although its writes mostly end up in libuv's pool of threads, where it submits
// one and waits for it (on ext4 each is first tried in vain). Here the pool's thread just writes.
//
// libraft asks the kernel through libc's `syscall`. Its own pointer to that function, and nobody
// else's, is led here. Where there is no such pointer, because libraft was linked into the program,
// all stays as it was.
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "internal.h"

// What libraft holds for a context: the one write of its that can be under way.
struct context {
  struct io_event done;
};

static long fail(int error) {
  errno = error;
  return -1;
}

static long set_up(unsigned count, aio_context_t *out) {
  struct context *context = count == 1 ? calloc(1, sizeof *context) : NULL;
  if (context == NULL) { return fail(count == 1 ? ENOMEM : EINVAL); }
  *out = (aio_context_t)(uintptr_t)context;
  return 0;
}

// Writes, on the thread of libuv's pool that asks for it.
static long submit(struct context *context, long count, struct iocb **requests) {
  struct iocb *request = requests[0];
  // What may not wait is refused, as by a disk that can't: libraft tries that once, at its start.
  if (count != 1 || (request->aio_rw_flags & RWF_NOWAIT) != 0) { return fail(EOPNOTSUPP); }
  if (request->aio_lio_opcode != IOCB_CMD_PWRITEV) { return fail(EINVAL); }
  const struct iovec *parts = (const struct iovec *)(uintptr_t)request->aio_buf;
  ssize_t written;
  do {
    written = pwritev(
        (int)request->aio_fildes, parts, (int)request->aio_nbytes, (off_t)request->aio_offset);
  } while (written < 0 && errno == EINTR);
  context->done = (struct io_event){
    .data = request->aio_data, .obj = (uintptr_t)request, .res = written < 0 ? -errno : written};
  return 1;
}

static long call(long number, ...) {
  unsigned long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (int i = 0; i < 6; i++) { a[i] = va_arg(arguments, unsigned long); }
  va_end(arguments);
  switch (number) {
  case SYS_io_setup: return set_up((unsigned)a[0], (aio_context_t *)a[1]);
  case SYS_io_submit: return submit((struct context *)a[0], (long)a[1], (struct iocb **)a[2]);
  case SYS_io_getevents:
    *(struct io_event *)a[3] = ((struct context *)a[0])->done;
    return 1;
  case SYS_io_destroy:
    free((struct context *)a[0]);
    return 0;
  default: return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
}

// A loaded object's tables, as its dynamic section names them.
struct tables {
  const ElfW(Sym) *symbols;
  const char *names;
  const ElfW(Rela) *jumps, *others;
  size_t jumps_bytes, others_bytes;
};

static uintptr_t address_of(const struct dl_phdr_info *object, uintptr_t value) {
  return value < object->dlpi_addr ? object->dlpi_addr + value : value;
}

static struct tables tables_of(const struct dl_phdr_info *object, const ElfW(Dyn) *entry) {
  struct tables t = {0};
  for (; entry->d_tag != DT_NULL; entry++) {
    uintptr_t at = address_of(object, entry->d_un.d_ptr);
    switch (entry->d_tag) {
    case DT_SYMTAB: t.symbols = (const ElfW(Sym) *)at; break;
    case DT_STRTAB: t.names = (const char *)at; break;
    case DT_JMPREL: t.jumps = (const ElfW(Rela) *)at; break;
    case DT_PLTRELSZ: t.jumps_bytes = entry->d_un.d_val; break;
    case DT_RELA: t.others = (const ElfW(Rela) *)at; break;
    case DT_RELASZ: t.others_bytes = entry->d_un.d_val; break;
    default: break;
    }
  }
  return t;
}

// The linker may have made the pointer's page unwritable when it was through with it.
static void lead(const struct dl_phdr_info *object, uintptr_t at) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = at & ~(page - 1);
  bool is_protected = false;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    uintptr_t start = object->dlpi_addr + part->p_vaddr;
    if (part->p_type != PT_GNU_RELRO) { continue; }
    is_protected = from >= (start & ~(page - 1)) && from + page <= start + part->p_memsz;
  }
  if (is_protected && mprotect((void *)from, page, PROT_READ | PROT_WRITE) != 0) { return; }
  long (*function)(long, ...) = call;
  memcpy((void *)at, &function, sizeof function);
  if (is_protected) { mprotect((void *)from, page, PROT_READ); }
}

static void search(
    const struct dl_phdr_info *object, const struct tables *t, const ElfW(Rela) *relocations,
    size_t bytes) {
  for (size_t i = 0; relocations != NULL && i < bytes / sizeof *relocations; i++) {
    const ElfW(Rela) *relocation = &relocations[i];
    const ElfW(Sym) *symbol = &t->symbols[ELF64_R_SYM(relocation->r_info)];
    if (strcmp(t->names + symbol->st_name, "syscall") != 0) { continue; }
    lead(object, object->dlpi_addr + relocation->r_offset);
  }
}

static int see(struct dl_phdr_info *object, size_t size, void *context) {
  (void)size, (void)context;
  const char *slash = strrchr(object->dlpi_name, '/');
  const char *name = slash != NULL ? slash + 1 : object->dlpi_name;
  if (strncmp(name, "libraft.so", strlen("libraft.so")) != 0) { return 0; }
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    if (part->p_type != PT_DYNAMIC) { continue; }
    struct tables t =
        tables_of(object, (const ElfW(Dyn) *)(object->dlpi_addr + part->p_vaddr));
    if (t.symbols == NULL || t.names == NULL) { return 0; }
    search(object, &t, t.jumps, t.jumps_bytes);
    search(object, &t, t.others, t.others_bytes);
  }
  return 0;
}

static void take_over(void) { dl_iterate_phdr(see, NULL); }

void aloft__raft_take_over_writes(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, take_over);
}
