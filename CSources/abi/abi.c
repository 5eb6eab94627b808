// Compile-time checks of the public header: sizes and offsets that callers were built against.
#include "aloft.h"
