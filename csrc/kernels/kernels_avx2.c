/* SPDX-License-Identifier: BSD-3-Clause */
/* AVX2 and FMA: 16 registers of 8 float or 4 double, 12 of them accumulators. */
#include "kernels/kernels.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif
#include <immintrin.h>

#include <string.h>

#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define KEEP_WORD(w) __asm__("" : "+r"(w))
#define TALL TC_MAX_LINES
#define STREAMS 1
#define SHARED 1
#define DOT_TAPS 3

enum { ROWS_1 = 12, ROWS_2 = 6, ROWS_3 = 4, ROWS_4 = 0, MASKED = 1 };

/* ---- float ---- */

static INLINE __m256i first_f32(ptrdiff_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int)n : 8), lane);
}

static INLINE __m256 zero_f32(void)
{
    return _mm256_setzero_ps();
}

static INLINE __m256 broadcast_f32(float x)
{
    return _mm256_set1_ps(x);
}

static INLINE __m256 load_f32(const float *p)
{
    return _mm256_loadu_ps(p);
}

static INLINE __m256 load_part_f32(const float *p, ptrdiff_t n)
{
    return _mm256_maskload_ps(p, first_f32(n));
}

static INLINE void store_f32(float *p, __m256 v)
{
    _mm256_storeu_ps(p, v);
}

/* In halves: a masked store is a dozen cycles long on AMD's cores. */
static INLINE void store_part_f32(float *p, __m256 v, ptrdiff_t n)
{
    __m128 rest = _mm256_castps256_ps128(v);
    if (n >= 8) {
        _mm256_storeu_ps(p, v);
        return;
    }
    if (n & 4) {
        _mm_storeu_ps(p, rest);
        rest = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, rest);
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if (n & 1) {
        _mm_store_ss(p, rest);
    }
}

static INLINE __m256 fma_f32(__m256 a, __m256 b, __m256 c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static INLINE __m256 mask_at_f32(const unsigned char *bits, ptrdiff_t at)
{
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i all = _mm256_set1_epi32(bits[at / 8]);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(all, bit), bit));
}

static INLINE __m256 only_f32(__m256 mask, __m256 v)
{
    return _mm256_and_ps(mask, v);
}

static INLINE __m256 fma_masked_f32(__m256 mask, __m256 a, __m256 b, __m256 c)
{
    return _mm256_fmadd_ps(_mm256_and_ps(mask, a), _mm256_and_ps(mask, b), c);
}

static INLINE __m256 keep_f32(__m256 v)
{
    __asm__("" : "+x"(v));
    return v;
}

static INLINE void stream_f32(float *p, __m256 v)
{
    _mm256_stream_ps(p, v);
}

static INLINE void finish_stream_f32(void)
{
    _mm_sfence();
}

static INLINE void zip_f32(__m256 *a, __m256 *b)
{
    const __m256 low = _mm256_unpacklo_ps(*a, *b), high = _mm256_unpackhi_ps(*a, *b);
    *a = _mm256_permute2f128_ps(low, high, 0x20);
    *b = _mm256_permute2f128_ps(low, high, 0x31);
}

static INLINE void unzip_f32(__m256 *a, __m256 *b)
{
    const __m256 low = _mm256_permute2f128_ps(*a, *b, 0x20);
    const __m256 high = _mm256_permute2f128_ps(*a, *b, 0x31);
    *a = _mm256_shuffle_ps(low, high, 0x88);
    *b = _mm256_shuffle_ps(low, high, 0xdd);
}

/* The elements of a remainder lie in lanes of their own, whichever vector they come from. */
static INLINE void unzip_3_f32(__m256 v[3])
{
    const __m256i from = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5);
    const __m256 first = _mm256_blend_ps(_mm256_blend_ps(v[0], v[1], 0x92), v[2], 0x24);
    const __m256 second = _mm256_blend_ps(_mm256_blend_ps(v[0], v[1], 0x24), v[2], 0x49);
    const __m256 third = _mm256_blend_ps(_mm256_blend_ps(v[0], v[1], 0x49), v[2], 0x92);
    v[0] = _mm256_permutevar8x32_ps(first, from);
    v[1] = _mm256_permutevar8x32_ps(second, _mm256_add_epi32(from, _mm256_set1_epi32(1)));
    v[2] = _mm256_permutevar8x32_ps(third, _mm256_add_epi32(from, _mm256_set1_epi32(2)));
}

/* Columns go to lanes of their own, whichever vector they belong to. */
static INLINE void zip_3_f32(__m256 v[3])
{
    const __m256i from = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5);
    const __m256 a = _mm256_permutevar8x32_ps(v[0], from);
    const __m256 b = _mm256_permutevar8x32_ps(v[1], _mm256_add_epi32(from, _mm256_set1_epi32(5)));
    const __m256 c = _mm256_permutevar8x32_ps(v[2], _mm256_add_epi32(from, _mm256_set1_epi32(10)));
    v[0] = _mm256_blend_ps(_mm256_blend_ps(a, b, 0x92), c, 0x24);
    v[1] = _mm256_blend_ps(_mm256_blend_ps(a, b, 0x24), c, 0x49);
    v[2] = _mm256_blend_ps(_mm256_blend_ps(a, b, 0x49), c, 0x92);
}

static INLINE __m256 between_f32(ptrdiff_t at, int begin, int end)
{
    const __m256i count = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i lane = _mm256_add_epi32(count, _mm256_set1_epi32((int)at));
    const __m256i from = _mm256_set1_epi32(begin), to = _mm256_set1_epi32(end);
    return _mm256_castsi256_ps(
        _mm256_andnot_si256(_mm256_cmpgt_epi32(from, lane), _mm256_cmpgt_epi32(to, lane)));
}

static INLINE __m256 load_masked_f32(const float *p, __m256 mask)
{
    return _mm256_maskload_ps(p, _mm256_castps_si256(mask));
}

static INLINE void transpose_vectors_f32(__m256 v[8])
{
    __m256 t[8];
#pragma GCC unroll 16
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 8; i += 4) {
        for (int j = 0; j < 2; j++) {
            v[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
            v[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xee);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 8; i++) {
        v[i] = t[i];
    }
}

#define REAL float
#define VECTOR __m256
#define LANES 8
#define MASK __m256
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

static void tc_tile_f32_12x8_avx2(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_1, 1);
}

static void tc_tile_f32_6x16_avx2(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_2, 2);
}

static void tc_tile_f32_4x24_avx2(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_3, 3);
}

/* ---- double ---- */

static INLINE __m256i first_f64(ptrdiff_t n)
{
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane);
}

static INLINE __m256d zero_f64(void)
{
    return _mm256_setzero_pd();
}

static INLINE __m256d broadcast_f64(double x)
{
    return _mm256_set1_pd(x);
}

static INLINE __m256d load_f64(const double *p)
{
    return _mm256_loadu_pd(p);
}

static INLINE __m256d load_part_f64(const double *p, ptrdiff_t n)
{
    return _mm256_maskload_pd(p, first_f64(n));
}

static INLINE void store_f64(double *p, __m256d v)
{
    _mm256_storeu_pd(p, v);
}

static INLINE void store_part_f64(double *p, __m256d v, ptrdiff_t n)
{
    __m128d rest = _mm256_castpd256_pd128(v);
    if (n >= 4) {
        _mm256_storeu_pd(p, v);
        return;
    }
    if (n & 2) {
        _mm_storeu_pd(p, rest);
        rest = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if (n & 1) {
        _mm_store_sd(p, rest);
    }
}

static INLINE __m256d fma_f64(__m256d a, __m256d b, __m256d c)
{
    return _mm256_fmadd_pd(a, b, c);
}

static INLINE __m256d mask_at_f64(const unsigned char *bits, ptrdiff_t at)
{
    const __m256i bit = _mm256_setr_epi64x(1, 2, 4, 8);
    const __m256i all = _mm256_set1_epi64x(bits[at / 8] >> at % 8);
    return _mm256_castsi256_pd(_mm256_cmpeq_epi64(_mm256_and_si256(all, bit), bit));
}

static INLINE __m256d only_f64(__m256d mask, __m256d v)
{
    return _mm256_and_pd(mask, v);
}

static INLINE __m256d fma_masked_f64(__m256d mask, __m256d a, __m256d b, __m256d c)
{
    return _mm256_fmadd_pd(_mm256_and_pd(mask, a), _mm256_and_pd(mask, b), c);
}

static INLINE __m256d keep_f64(__m256d v)
{
    __asm__("" : "+x"(v));
    return v;
}

static INLINE void stream_f64(double *p, __m256d v)
{
    _mm256_stream_pd(p, v);
}

static INLINE void finish_stream_f64(void)
{
    _mm_sfence();
}

static INLINE void zip_f64(__m256d *a, __m256d *b)
{
    const __m256d low = _mm256_unpacklo_pd(*a, *b), high = _mm256_unpackhi_pd(*a, *b);
    *a = _mm256_permute2f128_pd(low, high, 0x20);
    *b = _mm256_permute2f128_pd(low, high, 0x31);
}

static INLINE void unzip_f64(__m256d *a, __m256d *b)
{
    const __m256d low = _mm256_permute2f128_pd(*a, *b, 0x20);
    const __m256d high = _mm256_permute2f128_pd(*a, *b, 0x31);
    *a = _mm256_unpacklo_pd(low, high);
    *b = _mm256_unpackhi_pd(low, high);
}

static INLINE void unzip_3_f64(__m256d v[3])
{
    const __m256d first = _mm256_blend_pd(_mm256_blend_pd(v[0], v[1], 4), v[2], 2);
    const __m256d second = _mm256_blend_pd(_mm256_blend_pd(v[0], v[1], 9), v[2], 4);
    const __m256d third = _mm256_blend_pd(_mm256_blend_pd(v[0], v[1], 2), v[2], 9);
    v[0] = _mm256_permute4x64_pd(first, 0x6c);  /* 0 3 2 1 */
    v[1] = _mm256_permute4x64_pd(second, 0xb1); /* 1 0 3 2 */
    v[2] = _mm256_permute4x64_pd(third, 0xc6);  /* 2 1 0 3 */
}

static INLINE void zip_3_f64(__m256d v[3])
{
    const __m256d a = _mm256_permute4x64_pd(v[0], 0x6c); /* 0 3 2 1 */
    const __m256d b = _mm256_permute4x64_pd(v[1], 0xb1); /* 1 0 3 2 */
    const __m256d c = _mm256_permute4x64_pd(v[2], 0xc6); /* 2 1 0 3 */
    v[0] = _mm256_blend_pd(_mm256_blend_pd(a, b, 2), c, 4);
    v[1] = _mm256_blend_pd(_mm256_blend_pd(a, b, 9), c, 2);
    v[2] = _mm256_blend_pd(_mm256_blend_pd(a, b, 4), c, 9);
}

static INLINE __m256d between_f64(ptrdiff_t at, int begin, int end)
{
    const __m256i lane = _mm256_add_epi64(_mm256_setr_epi64x(0, 1, 2, 3), _mm256_set1_epi64x(at));
    const __m256i from = _mm256_set1_epi64x(begin), to = _mm256_set1_epi64x(end);
    return _mm256_castsi256_pd(
        _mm256_andnot_si256(_mm256_cmpgt_epi64(from, lane), _mm256_cmpgt_epi64(to, lane)));
}

static INLINE __m256d load_masked_f64(const double *p, __m256d mask)
{
    return _mm256_maskload_pd(p, _mm256_castpd_si256(mask));
}

static INLINE void transpose_vectors_f64(__m256d v[4])
{
    __m256d t[4];
#pragma GCC unroll 16
    for (int i = 0; i < 4; i += 2) {
        t[i] = _mm256_unpacklo_pd(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_pd(v[i], v[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 2; i++) {
        v[i] = _mm256_permute2f128_pd(t[i], t[i + 2], 0x20);
        v[i + 2] = _mm256_permute2f128_pd(t[i], t[i + 2], 0x31);
    }
}

#define REAL double
#define VECTOR __m256d
#define LANES 4
#define MASK __m256d
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

static void tc_tile_f64_12x4_avx2(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_1, 1);
}

static void tc_tile_f64_6x8_avx2(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_2, 2);
}

static void tc_tile_f64_4x12_avx2(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_3, 3);
}

#include "kernels/bfloat.h"

/* ---- half precision ---- */

static void widen_f16(float *dst, const uint16_t *src, ptrdiff_t count)
{
    for (; count > 0; count -= 8, dst += 8, src += 8) {
        __m128i half = _mm_setzero_si128();
        memcpy(&half, src, count < 8 ? (size_t)count * sizeof *src : sizeof half);
        store_part_f32(dst, _mm256_cvtph_ps(half), count);
    }
}

static void narrow_f16(uint16_t *dst, const float *src, ptrdiff_t count)
{
    for (; count > 0; count -= 8, dst += 8, src += 8) {
        const __m256 single = load_part_f32(src, count);
        const __m128i half = _mm256_cvtps_ph(single, _MM_FROUND_TO_NEAREST_INT);
        memcpy(dst, &half, count < 8 ? (size_t)count * sizeof *dst : sizeof half);
    }
}

/* ---- tables ---- */

static const struct tc_kernels kernels_f32 = {
    .isa = "avx2",
    .bytes = 4,
    .lanes = 8,
    .widths = 3,
    .rows = {ROWS_1, ROWS_2, ROWS_3},
    .tile = {tc_tile_f32_12x8_avx2, tc_tile_f32_6x16_avx2, tc_tile_f32_4x24_avx2},
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
    .isa = "avx2",
    .bytes = 8,
    .lanes = 4,
    .widths = 3,
    .rows = {ROWS_1, ROWS_2, ROWS_3},
    .tile = {tc_tile_f64_12x4_avx2, tc_tile_f64_6x8_avx2, tc_tile_f64_4x12_avx2},
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

const struct tc_kernels *const tc_kernels_avx2[] = {[TC_F32] = &kernels_f32,
                                                    [TC_F64] = &kernels_f64};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else

const struct tc_kernels *const tc_kernels_avx2[] = {[TC_F32] = NULL, [TC_F64] = NULL};

#endif
