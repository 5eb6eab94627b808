#include "bench_bricks.h"
