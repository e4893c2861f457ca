/* SPDX-License-Identifier: BSD-3-Clause */
/* Portable C: vectors of 16 bytes (an extension that GCC and Clang share), which the compiler maps
 * to whatever the target has. Products and sums are rounded one after the other here.
 *
 * What loads and stores a part of a vector goes element by element and is not inlined: it would be
 * a third of this file's code, for the edges alone. */
#include "kernels/kernels.h"

#include <string.h>

#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define KEEP_WORD(w) __asm__("" : "+r"(w))
#define TALL TC_MAX_LINES
#define STREAMS 1
#define SHARED 1
#define DOT_TAPS 3

enum { ROWS_1 = 12, ROWS_2 = 6, ROWS_3 = 0, ROWS_4 = 0, MASKED = 1 };

/* ---- float ---- */

typedef float vector_f32 __attribute__((vector_size(16)));

static INLINE vector_f32 zero_f32(void)
{
    return (vector_f32){0};
}

static INLINE vector_f32 broadcast_f32(float x)
{
    return (vector_f32){x, x, x, x};
}

static INLINE vector_f32 load_f32(const float *p)
{
    vector_f32 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static NOINLINE vector_f32 load_part_f32(const float *p, ptrdiff_t n)
{
    vector_f32 v = {0};
    for (ptrdiff_t i = 0; i < n && i < 4; i++) {
        v[i] = p[i];
    }
    return v;
}

static INLINE void store_f32(float *p, vector_f32 v)
{
    memcpy(p, &v, sizeof v);
}

static NOINLINE void store_part_f32(float *p, vector_f32 v, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n && i < 4; i++) {
        p[i] = v[i];
    }
}

static INLINE vector_f32 fma_f32(vector_f32 a, vector_f32 b, vector_f32 c)
{
    return a * b + c;
}

typedef int32_t mask_f32 __attribute__((vector_size(16)));

static INLINE mask_f32 mask_at_f32(const unsigned char *bits, ptrdiff_t at)
{
    const int byte = bits[at / 8] >> at % 8;
    return (mask_f32){-(byte & 1), -(byte >> 1 & 1), -(byte >> 2 & 1), -(byte >> 3 & 1)};
}

static INLINE vector_f32 only_f32(mask_f32 mask, vector_f32 v)
{
    return (vector_f32)((mask_f32)v & mask);
}

static INLINE vector_f32 fma_masked_f32(mask_f32 mask, vector_f32 a, vector_f32 b, vector_f32 c)
{
    return (vector_f32)((mask_f32)a & mask) * (vector_f32)((mask_f32)b & mask) + c;
}

static INLINE vector_f32 keep_f32(vector_f32 v)
{
    return v;
}

static INLINE void stream_f32(float *p, vector_f32 v)
{
    store_f32(p, v);
}

static INLINE void finish_stream_f32(void)
{
}

static INLINE void zip_f32(vector_f32 *a, vector_f32 *b)
{
    const vector_f32 x = *a, y = *b;
    *a = (vector_f32){x[0], y[0], x[1], y[1]};
    *b = (vector_f32){x[2], y[2], x[3], y[3]};
}

static INLINE void unzip_f32(vector_f32 *a, vector_f32 *b)
{
    const vector_f32 x = *a, y = *b;
    *a = (vector_f32){x[0], x[2], y[0], y[2]};
    *b = (vector_f32){x[1], x[3], y[1], y[3]};
}

static INLINE void unzip_3_f32(vector_f32 v[3])
{
    const vector_f32 x = v[0], y = v[1], z = v[2];
    v[0] = (vector_f32){x[0], x[3], y[2], z[1]};
    v[1] = (vector_f32){x[1], y[0], y[3], z[2]};
    v[2] = (vector_f32){x[2], y[1], z[0], z[3]};
}

static INLINE void zip_3_f32(vector_f32 v[3])
{
    const vector_f32 x = v[0], y = v[1], z = v[2];
    v[0] = (vector_f32){x[0], y[0], z[0], x[1]};
    v[1] = (vector_f32){y[1], z[1], x[2], y[2]};
    v[2] = (vector_f32){z[2], x[3], y[3], z[3]};
}

static NOINLINE mask_f32 between_f32(ptrdiff_t at, int begin, int end)
{
    mask_f32 mask = {0};
    for (ptrdiff_t i = 0; i < 4; i++) {
        mask[i] = begin <= at + i && at + i < end ? -1 : 0;
    }
    return mask;
}

static INLINE vector_f32 load_masked_f32(const float *p, mask_f32 mask)
{
    vector_f32 v = {0};
    for (ptrdiff_t i = 0; i < 4; i++) {
        v[i] = mask[i] ? p[i] : 0;
    }
    return v;
}

static INLINE void transpose_vectors_f32(vector_f32 v[4])
{
    zip_f32(&v[0], &v[2]);
    zip_f32(&v[1], &v[3]);
    zip_f32(&v[0], &v[1]);
    zip_f32(&v[2], &v[3]);
}

#define REAL float
#define VECTOR vector_f32
#define LANES 4
#define MASK mask_f32
#define HINTS 0
#define CHANNELS 1
#define T(name) name##_f32
#include "kernels/kernels_tmpl.h"

static void lines_by_lane_f32(const struct tc_lines *args)
{
    lines_of_channels_f32(args);
}

static void lines_f32(const struct tc_lines *args)
{
    lines_between_f32(args, 0, args->columns);
}

static void tc_tile_f32_12x4_portable(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_1, 1);
}

static void tc_tile_f32_6x8_portable(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_2, 2);
}

/* ---- double ---- */

typedef double vector_f64 __attribute__((vector_size(16)));

static INLINE vector_f64 zero_f64(void)
{
    return (vector_f64){0};
}

static INLINE vector_f64 broadcast_f64(double x)
{
    return (vector_f64){x, x};
}

static INLINE vector_f64 load_f64(const double *p)
{
    vector_f64 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static NOINLINE vector_f64 load_part_f64(const double *p, ptrdiff_t n)
{
    vector_f64 v = {0};
    memcpy(&v, p, n < 2 ? sizeof *p : sizeof v);
    return v;
}

static INLINE void store_f64(double *p, vector_f64 v)
{
    memcpy(p, &v, sizeof v);
}

static NOINLINE void store_part_f64(double *p, vector_f64 v, ptrdiff_t n)
{
    p[0] = v[0];
    if (n > 1) {
        p[1] = v[1];
    }
}

static INLINE vector_f64 fma_f64(vector_f64 a, vector_f64 b, vector_f64 c)
{
    return a * b + c;
}

typedef int64_t mask_f64 __attribute__((vector_size(16)));

static INLINE mask_f64 mask_at_f64(const unsigned char *bits, ptrdiff_t at)
{
    const int byte = bits[at / 8] >> at % 8;
    return (mask_f64){-(byte & 1), -(byte >> 1 & 1)};
}

static INLINE vector_f64 only_f64(mask_f64 mask, vector_f64 v)
{
    return (vector_f64)((mask_f64)v & mask);
}

static INLINE vector_f64 fma_masked_f64(mask_f64 mask, vector_f64 a, vector_f64 b, vector_f64 c)
{
    return (vector_f64)((mask_f64)a & mask) * (vector_f64)((mask_f64)b & mask) + c;
}

static INLINE vector_f64 keep_f64(vector_f64 v)
{
    return v;
}

static INLINE void stream_f64(double *p, vector_f64 v)
{
    store_f64(p, v);
}

static INLINE void finish_stream_f64(void)
{
}

static INLINE void zip_f64(vector_f64 *a, vector_f64 *b)
{
    const vector_f64 x = *a, y = *b;
    *a = (vector_f64){x[0], y[0]};
    *b = (vector_f64){x[1], y[1]};
}

static INLINE void unzip_f64(vector_f64 *a, vector_f64 *b)
{
    const vector_f64 x = *a, y = *b;
    *a = (vector_f64){x[0], y[0]};
    *b = (vector_f64){x[1], y[1]};
}

static INLINE void unzip_3_f64(vector_f64 v[3])
{
    const vector_f64 x = v[0], y = v[1], z = v[2];
    v[0] = (vector_f64){x[0], y[1]};
    v[1] = (vector_f64){x[1], z[0]};
    v[2] = (vector_f64){y[0], z[1]};
}

static INLINE void zip_3_f64(vector_f64 v[3])
{
    const vector_f64 x = v[0], y = v[1], z = v[2];
    v[0] = (vector_f64){x[0], y[0]};
    v[1] = (vector_f64){z[0], x[1]};
    v[2] = (vector_f64){y[1], z[1]};
}

static NOINLINE mask_f64 between_f64(ptrdiff_t at, int begin, int end)
{
    mask_f64 mask = {0};
    for (ptrdiff_t i = 0; i < 2; i++) {
        mask[i] = begin <= at + i && at + i < end ? -1 : 0;
    }
    return mask;
}

static INLINE vector_f64 load_masked_f64(const double *p, mask_f64 mask)
{
    vector_f64 v = {0};
    for (ptrdiff_t i = 0; i < 2; i++) {
        v[i] = mask[i] ? p[i] : 0;
    }
    return v;
}

static INLINE void transpose_vectors_f64(vector_f64 v[2])
{
    zip_f64(&v[0], &v[1]);
}

#define REAL double
#define VECTOR vector_f64
#define LANES 2
#define MASK mask_f64
#define HINTS 0
#define CHANNELS 1
#define T(name) name##_f64
#include "kernels/kernels_tmpl.h"

static void lines_by_lane_f64(const struct tc_lines *args)
{
    lines_of_channels_f64(args);
}

static void lines_f64(const struct tc_lines *args)
{
    lines_between_f64(args, 0, args->columns);
}

static void tc_tile_f64_12x2_portable(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_1, 1);
}

static void tc_tile_f64_6x4_portable(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_2, 2);
}

#include "kernels/bfloat.h"

/* ---- half precision: 5 bits of exponent, 10 of fraction ---- */

static void widen_f16(float *dst, const uint16_t *src, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        const uint32_t sign = (uint32_t)(src[i] & 0x8000) << 16;
        const uint32_t exponent = src[i] >> 10 & 31, fraction = src[i] & 0x3ff;
        float magnitude = (float)fraction * 0x1p-24f; /* below the normal numbers */
        uint32_t bits;
        memcpy(&bits, &magnitude, sizeof bits);
        if (exponent == 31) {
            bits = 0x7f800000 | fraction << 13 | (fraction ? 0x400000 : 0);
        } else if (exponent > 0) {
            bits = (exponent + 127 - 15) << 23 | fraction << 13;
        }
        bits |= sign;
        memcpy(dst + i, &bits, sizeof bits);
    }
}

static void narrow_f16(uint16_t *dst, const float *src, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, src + i, sizeof bits);
        const uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
        uint32_t half;
        if (size > 0x7f800000) { /* not a number */
            half = 0x7e00 | (size >> 13 & 0x3ff);
        } else if (size >= 0x47800000) { /* 2**16 */
            half = 0x7c00;
        } else if (size < 0x38800000) { /* 2**-14: the sum's last place is 2**-24 */
            float sum;
            memcpy(&sum, &size, sizeof sum);
            sum += 0.5f;
            memcpy(&half, &sum, sizeof half);
            half -= 0x3f000000; /* 0.5 */
        } else {                /* a carry may go on into the exponent */
            half = (size - ((127 - 15) << 23) + 0xfff + (size >> 13 & 1)) >> 13;
        }
        dst[i] = (uint16_t)(sign | half);
    }
}

/* ---- tables ---- */

static const struct tc_kernels kernels_f32 = {
    .isa = "portable",
    .bytes = 4,
    .lanes = 4,
    .widths = 2,
    .rows = {ROWS_1, ROWS_2},
    .tile = {tc_tile_f32_12x4_portable, tc_tile_f32_6x8_portable},
    .transpose = transpose_f32,
    .copy = copy_f32,
    .shuffle = shuffle_f32,
    .unzip = unzip_rows_f32,
    .tall_lines = TALL,
    .shared_outputs = SHARED,
    .lines = lines_f32,
    .lines_by_lane = lines_by_lane_f32,
    .weave = weave_f32,
    .dots = dots_f32,
    .dot_taps = DOT_TAPS,
    .activate = activate_rows_f32,
    .add = add_f32,
    .widen = {widen_f16, widen_bf16},
    .narrow = {narrow_f16, narrow_bf16},
    .sum_rows = sum_rows_f32,
    .sum_all = sum_all_f32,
};

static const struct tc_kernels kernels_f64 = {
    .isa = "portable",
    .bytes = 8,
    .lanes = 2,
    .widths = 2,
    .rows = {ROWS_1, ROWS_2},
    .tile = {tc_tile_f64_12x2_portable, tc_tile_f64_6x4_portable},
    .transpose = transpose_f64,
    .copy = copy_f64,
    .shuffle = shuffle_f64,
    .unzip = unzip_rows_f64,
    .tall_lines = TALL,
    .shared_outputs = SHARED,
    .lines = lines_f64,
    .lines_by_lane = lines_by_lane_f64,
    .weave = weave_f64,
    .dots = dots_f64,
    .dot_taps = DOT_TAPS,
    .activate = activate_rows_f64,
    .add = add_f64,
    .sum_rows = sum_rows_f64,
    .sum_all = sum_all_f64,
};

const struct tc_kernels *const tc_kernels_portable[] = {[TC_F32] = &kernels_f32,
                                                        [TC_F64] = &kernels_f64};
