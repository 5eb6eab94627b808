#ifndef ALOFT_LOOP_H
#define ALOFT_LOOP_H
#include <uv.h>
#endif
