#ifndef BENCH_BRICKS_H
#define BENCH_BRICKS_H
#endif
