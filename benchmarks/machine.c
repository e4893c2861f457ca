/* SPDX-License-Identifier: BSD-3-Clause */
/* What this machine can do at most: fused multiply-adds from registers, and reading memory.
 * Compiled by machine.py with -march=native. */
#include <stddef.h>

typedef float vector __attribute__((vector_size(VECTOR_BYTES)));

enum { CHAINS = 12, LANES = VECTOR_BYTES / 4 };

/* Runs `rounds` of CHAINS multiply-adds of vectors; returns the floating-point operations done. */
double multiply_add(ptrdiff_t rounds, volatile float *sink)
{
    vector acc[CHAINS], a, b;
    for (int lane = 0; lane < LANES; lane++) {
        a[lane] = sink[0];
        b[lane] = sink[1];
    }
    for (int i = 0; i < CHAINS; i++) {
        acc[i] = a * (float)i;
    }
    for (ptrdiff_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            acc[i] = acc[i] * a + b;
        }
    }
    for (int i = 0; i < CHAINS; i++) {
        for (int lane = 0; lane < LANES; lane++) {
            sink[0] += acc[i][lane];
        }
    }
    return 2.0 * LANES * CHAINS * (double)rounds;
}

/* Reads count floats. */
double read_memory(const float *data, ptrdiff_t count, volatile float *sink)
{
    vector acc[8] = {0};
    for (ptrdiff_t i = 0; i + 8 * LANES <= count; i += 8 * LANES) {
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            acc[j] += *(const vector *)(data + i + j * LANES);
        }
    }
    for (int j = 0; j < 8; j++) {
        sink[0] += acc[j][0];
    }
    return 4.0 * (double)count;
}
