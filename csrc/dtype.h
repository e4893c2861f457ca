/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_DTYPE_H
#define TC_DTYPE_H

/* The types of elements. Kernels exist for the first two; the others are computed by them. */

#include <stdbool.h>
#include <stddef.h>

enum tc_dtype {
    TC_F32,
    TC_F64,
    TC_F16,
    TC_BF16,
    TC_C64,
    TC_C128,
    TC_I8,
    TC_I16,
    TC_I32,
    TC_I64,
    TC_U8,
    TC_U16,
    TC_U32,
    TC_U64,
    TC_DTYPES
};

struct tc_dtype_row {
    const char *name, *code; /* NumPy's, and the problem string's */
    ptrdiff_t bytes;
    char kind; /* f floating, c complex, i and u integer */
};

extern const struct tc_dtype_row tc_dtype_rows[TC_DTYPES];

static inline ptrdiff_t tc_dtype_bytes(enum tc_dtype dtype)
{
    return tc_dtype_rows[dtype].bytes;
}

static inline bool tc_dtype_has_kernels(enum tc_dtype dtype)
{
    return dtype <= TC_F64;
}

static inline bool tc_dtype_is_integer(enum tc_dtype dtype)
{
    return dtype >= TC_I8;
}

static inline bool tc_dtype_is_half(enum tc_dtype dtype)
{
    return dtype == TC_F16 || dtype == TC_BF16;
}

#endif
