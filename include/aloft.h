#ifndef ALOFT_H
#define ALOFT_H
#include <stddef.h>
#include <stdint.h>
#endif
