#include "aloft_loop.h"
