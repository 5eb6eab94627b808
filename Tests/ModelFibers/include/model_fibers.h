#ifndef MODEL_FIBERS_H
#define MODEL_FIBERS_H

// Threads for the model checker that run only when told to: stackful fibers on one real thread,
// so that a choice of schedule is a function call and replays exactly.

// 0 under ThreadSanitizer, which would take a switch of stacks for a fault. A model has no use for
// it either: there is but one thread, and the model looks for races itself.
int model_fibers_are_usable(void);

typedef struct model_fiber model_fiber;

// Makes a fiber with a stack of its own, parked; NULL when there is no memory.
model_fiber *model_fiber_new(void);

// Makes the fiber ready to run body(context) from the start, whatever it did before: what it had
// on its stack is forgotten, not unwound.
void model_fiber_reset(model_fiber *fiber, void (*body)(void *context), void *context);

// Runs the fiber until it parks or its body returns. Not from within a fiber.
void model_fiber_resume(model_fiber *fiber);

// Goes back to whoever resumed this fiber. From within the fiber.
void model_fiber_park(model_fiber *fiber);

// Whether the body has returned.
int model_fiber_is_done(const model_fiber *fiber);

void model_fiber_free(model_fiber *fiber);

#endif
