/* SPDX-License-Identifier: BSD-3-Clause */
/* NEON as every 64-bit ARM has it: 32 registers of 4 float or 2 double. The tiles take 24 of them
 * as accumulators; the widest loads 10 vectors for 24 multiply-adds. */
#include "kernels/kernels.h"

#if defined(__aarch64__) && defined(__GNUC__)

#if !defined(__clang__)
/* Scheduled before registers are allocated, the loads of A would come all at once, and accumulators
 * would have to leave their registers. */
#pragma GCC optimize("no-schedule-insns")
#endif
#include <arm_neon.h>

#include <string.h>

#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define KEEP_WORD(w) __asm__("" : "+r"(w))
#define TALL TC_MAX_LINES
#define STREAMS 1
#define SHARED 1
#define DOT_TAPS 5

enum { ROWS_1 = 14, ROWS_2 = 12, ROWS_3 = 8, ROWS_4 = 6, MASKED = 1 };

/* ---- float ---- */

static INLINE float32x4_t zero_f32(void)
{
    return vdupq_n_f32(0);
}

static INLINE float32x4_t broadcast_f32(float x)
{
    return vdupq_n_f32(x);
}

static INLINE float32x4_t load_f32(const float *p)
{
    return vld1q_f32(p);
}

static INLINE float32x4_t load_part_f32(const float *p, ptrdiff_t n)
{
    if (n >= 4) {
        return vld1q_f32(p);
    }
    if (n == 1) {
        return vld1q_lane_f32(p, zero_f32(), 0);
    }
    const float32x4_t two = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
    return n == 2 ? two : vld1q_lane_f32(p + 2, two, 2);
}

static INLINE void store_f32(float *p, float32x4_t v)
{
    vst1q_f32(p, v);
}

static INLINE void store_part_f32(float *p, float32x4_t v, ptrdiff_t n)
{
    if (n >= 4) {
        vst1q_f32(p, v);
    } else if (n == 1) {
        vst1q_lane_f32(p, v, 0);
    } else {
        vst1_f32(p, vget_low_f32(v));
        if (n == 3) {
            vst1q_lane_f32(p + 2, v, 2);
        }
    }
}

static INLINE float32x4_t fma_f32(float32x4_t a, float32x4_t b, float32x4_t c)
{
    return vfmaq_f32(c, a, b);
}

static INLINE uint32x4_t mask_at_f32(const unsigned char *bits, ptrdiff_t at)
{
    const uint32x4_t bit = {1, 2, 4, 8};
    return vtstq_u32(vdupq_n_u32((uint32_t)bits[at / 8] >> at % 8), bit);
}

static INLINE float32x4_t only_f32(uint32x4_t mask, float32x4_t v)
{
    return vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(v)));
}

static INLINE float32x4_t fma_masked_f32(uint32x4_t mask, float32x4_t a, float32x4_t b,
                                         float32x4_t c)
{
    return vbslq_f32(mask, vfmaq_f32(c, a, b), c);
}

static INLINE float32x4_t keep_f32(float32x4_t v)
{
    __asm__("" : "+w"(v));
    return v;
}

/* The intrinsics have no store past the caches. */
static INLINE void stream_f32(float *p, float32x4_t v)
{
    vst1q_f32(p, v);
}

static INLINE void finish_stream_f32(void)
{
}

static INLINE void zip_f32(float32x4_t *a, float32x4_t *b)
{
    const float32x4_t low = vzip1q_f32(*a, *b), high = vzip2q_f32(*a, *b);
    *a = low;
    *b = high;
}

static INLINE void unzip_f32(float32x4_t *a, float32x4_t *b)
{
    const float32x4_t even = vuzp1q_f32(*a, *b), odd = vuzp2q_f32(*a, *b);
    *a = even;
    *b = odd;
}

static INLINE void unzip_3_f32(float32x4_t v[3])
{
    const float32x4_t x = v[0], y = v[1], z = v[2];
    v[0] = (float32x4_t){x[0], x[3], y[2], z[1]};
    v[1] = (float32x4_t){x[1], y[0], y[3], z[2]};
    v[2] = (float32x4_t){x[2], y[1], z[0], z[3]};
}

static INLINE void zip_3_f32(float32x4_t v[3])
{
    const float32x4_t x = v[0], y = v[1], z = v[2];
    v[0] = (float32x4_t){x[0], y[0], z[0], x[1]};
    v[1] = (float32x4_t){y[1], z[1], x[2], y[2]};
    v[2] = (float32x4_t){z[2], x[3], y[3], z[3]};
}

static INLINE uint32x4_t between_f32(ptrdiff_t at, int begin, int end)
{
    const int32x4_t count = {0, 1, 2, 3};
    const int32x4_t lane = vaddq_s32(count, vdupq_n_s32((int32_t)at));
    return vandq_u32(vcgeq_s32(lane, vdupq_n_s32(begin)), vcltq_s32(lane, vdupq_n_s32(end)));
}

static INLINE float32x4_t load_masked_f32(const float *p, uint32x4_t mask)
{
    float32x4_t v = zero_f32();
    v = vgetq_lane_u32(mask, 0) ? vld1q_lane_f32(p, v, 0) : v;
    v = vgetq_lane_u32(mask, 1) ? vld1q_lane_f32(p + 1, v, 1) : v;
    v = vgetq_lane_u32(mask, 2) ? vld1q_lane_f32(p + 2, v, 2) : v;
    return vgetq_lane_u32(mask, 3) ? vld1q_lane_f32(p + 3, v, 3) : v;
}

static INLINE void transpose_vectors_f32(float32x4_t v[4])
{
    zip_f32(&v[0], &v[2]);
    zip_f32(&v[1], &v[3]);
    zip_f32(&v[0], &v[1]);
    zip_f32(&v[2], &v[3]);
}

#define REAL float
#define VECTOR float32x4_t
#define LANES 4
#define MASK uint32x4_t
#define HINTS 1
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

static void tc_tile_f32_14x4_neon(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_1, 1);
}

static void tc_tile_f32_12x8_neon(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_2, 2);
}

static void tc_tile_f32_8x12_neon(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_3, 3);
}

static void tc_tile_f32_6x16_neon(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_4, 4);
}

/* ---- double ---- */

static INLINE float64x2_t zero_f64(void)
{
    return vdupq_n_f64(0);
}

static INLINE float64x2_t broadcast_f64(double x)
{
    return vdupq_n_f64(x);
}

static INLINE float64x2_t load_f64(const double *p)
{
    return vld1q_f64(p);
}

static INLINE float64x2_t load_part_f64(const double *p, ptrdiff_t n)
{
    return n >= 2 ? vld1q_f64(p) : vld1q_lane_f64(p, zero_f64(), 0);
}

static INLINE void store_f64(double *p, float64x2_t v)
{
    vst1q_f64(p, v);
}

static INLINE void store_part_f64(double *p, float64x2_t v, ptrdiff_t n)
{
    if (n >= 2) {
        vst1q_f64(p, v);
    } else {
        vst1q_lane_f64(p, v, 0);
    }
}

static INLINE float64x2_t fma_f64(float64x2_t a, float64x2_t b, float64x2_t c)
{
    return vfmaq_f64(c, a, b);
}

static INLINE uint64x2_t mask_at_f64(const unsigned char *bits, ptrdiff_t at)
{
    const uint64x2_t bit = {1, 2};
    return vtstq_u64(vdupq_n_u64((uint64_t)bits[at / 8] >> at % 8), bit);
}

static INLINE float64x2_t only_f64(uint64x2_t mask, float64x2_t v)
{
    return vreinterpretq_f64_u64(vandq_u64(mask, vreinterpretq_u64_f64(v)));
}

static INLINE float64x2_t fma_masked_f64(uint64x2_t mask, float64x2_t a, float64x2_t b,
                                         float64x2_t c)
{
    return vbslq_f64(mask, vfmaq_f64(c, a, b), c);
}

static INLINE float64x2_t keep_f64(float64x2_t v)
{
    __asm__("" : "+w"(v));
    return v;
}

static INLINE void stream_f64(double *p, float64x2_t v)
{
    vst1q_f64(p, v);
}

static INLINE void finish_stream_f64(void)
{
}

static INLINE void zip_f64(float64x2_t *a, float64x2_t *b)
{
    const float64x2_t low = vzip1q_f64(*a, *b), high = vzip2q_f64(*a, *b);
    *a = low;
    *b = high;
}

/* Of two elements a vector, the even ones are the lower. */
static INLINE void unzip_f64(float64x2_t *a, float64x2_t *b)
{
    zip_f64(a, b);
}

static INLINE void unzip_3_f64(float64x2_t v[3])
{
    const float64x2_t x = v[0], y = v[1], z = v[2];
    v[0] = (float64x2_t){x[0], y[1]};
    v[1] = (float64x2_t){x[1], z[0]};
    v[2] = (float64x2_t){y[0], z[1]};
}

static INLINE void zip_3_f64(float64x2_t v[3])
{
    const float64x2_t x = v[0], y = v[1], z = v[2];
    v[0] = (float64x2_t){x[0], y[0]};
    v[1] = (float64x2_t){z[0], x[1]};
    v[2] = (float64x2_t){y[1], z[1]};
}

static INLINE uint64x2_t between_f64(ptrdiff_t at, int begin, int end)
{
    const int64x2_t lane = {at, at + 1};
    return vandq_u64(vcgeq_s64(lane, vdupq_n_s64(begin)), vcltq_s64(lane, vdupq_n_s64(end)));
}

static INLINE float64x2_t load_masked_f64(const double *p, uint64x2_t mask)
{
    float64x2_t v = zero_f64();
    v = vgetq_lane_u64(mask, 0) ? vld1q_lane_f64(p, v, 0) : v;
    return vgetq_lane_u64(mask, 1) ? vld1q_lane_f64(p + 1, v, 1) : v;
}

static INLINE void transpose_vectors_f64(float64x2_t v[2])
{
    zip_f64(&v[0], &v[1]);
}

#define REAL double
#define VECTOR float64x2_t
#define LANES 2
#define MASK uint64x2_t
#define HINTS 1
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

static void tc_tile_f64_14x2_neon(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_1, 1);
}

static void tc_tile_f64_12x4_neon(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_2, 2);
}

static void tc_tile_f64_8x6_neon(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_3, 3);
}

static void tc_tile_f64_6x8_neon(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_4, 4);
}

#include "kernels/bfloat.h"

/* ---- half precision ---- */

static void widen_f16(float *dst, const uint16_t *src, ptrdiff_t count)
{
    for (; count > 0; count -= 4, dst += 4, src += 4) {
        uint16_t half[4] = {0};
        memcpy(half, src, count < 4 ? (size_t)count * sizeof *src : sizeof half);
        store_part_f32(dst, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(half))), count);
    }
}

static void narrow_f16(uint16_t *dst, const float *src, ptrdiff_t count)
{
    for (; count > 0; count -= 4, dst += 4, src += 4) {
        uint16_t half[4];
        vst1_u16(half, vreinterpret_u16_f16(vcvt_f16_f32(load_part_f32(src, count))));
        memcpy(dst, half, count < 4 ? (size_t)count * sizeof *dst : sizeof half);
    }
}

/* ---- tables ---- */

static const struct tc_kernels kernels_f32 = {
    .isa = "neon",
    .bytes = 4,
    .lanes = 4,
    .widths = 4,
    .rows = {ROWS_1, ROWS_2, ROWS_3, ROWS_4},
    .tile = {tc_tile_f32_14x4_neon, tc_tile_f32_12x8_neon, tc_tile_f32_8x12_neon,
             tc_tile_f32_6x16_neon},
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
    .isa = "neon",
    .bytes = 8,
    .lanes = 2,
    .widths = 4,
    .rows = {ROWS_1, ROWS_2, ROWS_3, ROWS_4},
    .tile = {tc_tile_f64_14x2_neon, tc_tile_f64_12x4_neon, tc_tile_f64_8x6_neon,
             tc_tile_f64_6x8_neon},
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

const struct tc_kernels *const tc_kernels_neon[] = {[TC_F32] = &kernels_f32,
                                                    [TC_F64] = &kernels_f64};

#else

const struct tc_kernels *const tc_kernels_neon[] = {[TC_F32] = NULL, [TC_F64] = NULL};

#endif
