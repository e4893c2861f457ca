/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_CPU_H
#define TC_CPU_H

#include <stdbool.h>
#include <stddef.h>

/* What this processor can run (instructions that both it and the operating system support), and
 * how many bytes its caches hold (defaults where it does not say). */
struct tc_cpu {
    bool avx2;   /* AVX2 and FMA */
    bool avx512; /* AVX-512 F, VL, BW and DQ */
    ptrdiff_t l1_bytes, l2_bytes, l3_bytes;
};

struct tc_cpu tc_cpu_detect(void);

#endif
