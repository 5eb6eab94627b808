#include "model_fibers.h"

#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

enum { STACK_BYTES = 256 * 1024 };  // Unoptimised Swift frames are large, but none is deep.

struct model_fiber {
  ucontext_t own;
  ucontext_t caller;
  void (*body)(void *context);
  void *context;
  char *stack;
  int done;
};

// makecontext passes ints alone: the pointer travels in halves.
static void begin(unsigned high, unsigned low) {
  model_fiber *fiber = (model_fiber *)(((uintptr_t)high << 32) | low);
  fiber->body(fiber->context);
  fiber->done = 1;
  model_fiber_park(fiber);
}

model_fiber *model_fiber_new(void) {
  model_fiber *fiber = calloc(1, sizeof *fiber);
  if (fiber == NULL) return NULL;
  fiber->stack = malloc(STACK_BYTES);
  if (fiber->stack == NULL) {
    free(fiber);
    return NULL;
  }
  return fiber;
}

void model_fiber_reset(model_fiber *fiber, void (*body)(void *context), void *context) {
  fiber->body = body;
  fiber->context = context;
  fiber->done = 0;
  getcontext(&fiber->own);
  fiber->own.uc_stack.ss_sp = fiber->stack;
  fiber->own.uc_stack.ss_size = STACK_BYTES;
  fiber->own.uc_link = NULL;
  uintptr_t self = (uintptr_t)fiber;
  makecontext(&fiber->own, (void (*)(void))begin, 2, (unsigned)(self >> 32), (unsigned)self);
}

void model_fiber_resume(model_fiber *fiber) {
  swapcontext(&fiber->caller, &fiber->own);
}

void model_fiber_park(model_fiber *fiber) {
  swapcontext(&fiber->own, &fiber->caller);
}

int model_fibers_are_usable(void) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
  return 0;
#endif
#endif
  return 1;
}

int model_fiber_is_done(const model_fiber *fiber) { return fiber->done; }

void model_fiber_free(model_fiber *fiber) {
  if (fiber == NULL) return;
  free(fiber->stack);
  free(fiber);
}
