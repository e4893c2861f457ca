/* SPDX-License-Identifier: BSD-3-Clause */
/* AVX-512 (F, VL, BW, DQ): 32 registers of 16 float or 8 double. The tiles take 24 to 28 of them
 * as accumulators; the widest loads 10 vectors for 24 multiply-adds and suits both one load and
 * one multiply-add a cycle (Zen 4) and two of each (Sapphire Rapids). */
#include "kernels/kernels.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx2,fma,avx512f,avx512vl,avx512bw,avx512dq"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")
/* Allocating registers loop by loop, gcc moves accumulators where loops begin and end. */
#pragma GCC optimize("ira-region=one")
#endif
#include <immintrin.h>

#include <string.h>

#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define KEEP_WORD(w) __asm__("" : "+r"(w))
#define TALL TC_TALL_LINES
#define STREAMS 2
#define SHARED 3
#define DOT_TAPS 5

enum { ROWS_1 = 14, ROWS_2 = 12, ROWS_3 = 8, ROWS_4 = 6, MASKED = 2 };

/* The lanes l for which begin <= at + l < end, a bit each. */
static INLINE __mmask16 lanes_between(ptrdiff_t at, int begin, int end)
{
    const __m512i count = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i lane = _mm512_add_epi32(count, _mm512_set1_epi32((int)at));
    const __mmask16 from = _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(begin));
    return _mm512_mask_cmplt_epi32_mask(from, lane, _mm512_set1_epi32(end));
}

/* The channel, of elements of so many bytes, that pairs leave over, or none. */
static struct tc_lines without_pairs(const struct tc_lines *args, ptrdiff_t bytes)
{
    const ptrdiff_t paired = args->channels / 2 * 2;
    struct tc_lines last = *args;
    last.channels -= paired;
    last.x = tc_at(args->x, paired * args->x_channel, bytes);
    last.w = tc_at(args->w, paired * args->w_channel, bytes);
    last.bias = tc_at_any(args->bias, paired * args->bias_channel, bytes);
    last.y = tc_at(args->y, paired * args->y_channel, bytes);
    return last;
}

/* ---- float ---- */

static INLINE __mmask16 first_f32(ptrdiff_t n)
{
    return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffff);
}

static INLINE __m512 zero_f32(void)
{
    return _mm512_setzero_ps();
}

static INLINE __m512 broadcast_f32(float x)
{
    return _mm512_set1_ps(x);
}

static INLINE __m512 load_f32(const float *p)
{
    return _mm512_loadu_ps(p);
}

static INLINE __m512 load_part_f32(const float *p, ptrdiff_t n)
{
    return _mm512_maskz_loadu_ps(first_f32(n), p);
}

static INLINE void store_f32(float *p, __m512 v)
{
    _mm512_storeu_ps(p, v);
}

static INLINE void store_part_f32(float *p, __m512 v, ptrdiff_t n)
{
    _mm512_mask_storeu_ps(p, first_f32(n), v);
}

static INLINE __m512 fma_f32(__m512 a, __m512 b, __m512 c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static INLINE __mmask16 mask_at_f32(const unsigned char *bits, ptrdiff_t at)
{
    return (__mmask16)(bits[at / 8] | bits[at / 8 + 1] << 8);
}

static INLINE __m512 only_f32(__mmask16 mask, __m512 v)
{
    return _mm512_maskz_mov_ps(mask, v);
}

static INLINE __m512 fma_masked_f32(__mmask16 mask, __m512 a, __m512 b, __m512 c)
{
    return _mm512_mask3_fmadd_ps(a, b, c, mask);
}

static INLINE __m512 keep_f32(__m512 v)
{
    __asm__("" : "+v"(v));
    return v;
}

static INLINE void stream_f32(float *p, __m512 v)
{
    _mm512_stream_ps(p, v);
}

static INLINE void finish_stream_f32(void)
{
    _mm_sfence();
}

static INLINE void zip_f32(__m512 *a, __m512 *b)
{
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    const __m512 first = _mm512_permutex2var_ps(*a, low, *b);
    *b = _mm512_permutex2var_ps(*a, high, *b);
    *a = first;
}

static INLINE void unzip_f32(__m512 *a, __m512 *b)
{
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    const __m512 first = _mm512_permutex2var_ps(*a, even, *b);
    *b = _mm512_permutex2var_ps(*a, odd, *b);
    *a = first;
}

/* The elements of a remainder lie in lanes of their own, whichever vector they come from. */
static INLINE void unzip_3_f32(__m512 v[3])
{
    const __m512i from = _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 2, 5, 8, 11, 14, 1, 4, 7, 10, 13);
    const __mmask16 lanes[3] = {0x9249, 0x2492, 0x4924}; /* by their remainders */
    const __m512 a = v[0], b = v[1], c = v[2];
#pragma GCC unroll 3
    for (int r = 0; r < 3; r++) {
        const __m512 mixed = _mm512_mask_mov_ps(a, lanes[(r + 2) % 3], b);
        v[r] = _mm512_permutexvar_ps(_mm512_add_epi32(from, _mm512_set1_epi32(r)),
                                     _mm512_mask_mov_ps(mixed, lanes[(r + 1) % 3], c));
    }
}

/* Columns go to lanes of their own, whichever vector they belong to. */
static INLINE void zip_3_f32(__m512 v[3])
{
    const __m512i from = _mm512_setr_epi32(0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5);
    const __mmask16 lanes[3] = {0x9249, 0x2492, 0x4924}; /* by their remainders */
    const __m512 a = _mm512_permutexvar_ps(from, v[0]);
    const __m512 b = _mm512_permutexvar_ps(_mm512_add_epi32(from, _mm512_set1_epi32(5)), v[1]);
    const __m512 c = _mm512_permutexvar_ps(_mm512_add_epi32(from, _mm512_set1_epi32(10)), v[2]);
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        const __m512 mixed = _mm512_mask_mov_ps(a, lanes[(4 - i) % 3], b);
        v[i] = _mm512_mask_mov_ps(mixed, lanes[(5 - i) % 3], c);
    }
}

static INLINE __mmask16 between_f32(ptrdiff_t at, int begin, int end)
{
    return lanes_between(at, begin, end);
}

static INLINE __m512 load_masked_f32(const float *p, __mmask16 mask)
{
    return _mm512_maskz_loadu_ps(mask, p);
}

/* Four rounds, each exchanging blocks of 1, 2, 4 and 8 elements between pairs of vectors. */
static INLINE void transpose_vectors_f32(__m512 v[16])
{
    __m512 t[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 4) {
        for (int j = 0; j < 2; j++) {
            const __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + j + 2]);
            v[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            v[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(v[i], v[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(v[i], v[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0xdd);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 8; i++) {
        v[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    }
}

#define REAL float
#define VECTOR __m512
#define LANES 16
#define MASK __mmask16
#define HINTS 1
#define CHANNELS 1
#define T(name) name##_f32
#include "kernels/kernels_tmpl.h"

/* ---- float, a vector of two channels, for lines and rests of half a vector ---- */

enum { PAIR_F32 = 8, SECOND_F32 = 0xff00 }; /* lanes of each, and the second's */

/* Kept where they are masks, for gcc would move them there from a word for each use. What is not
 * chosen of the second channel is not read either, which gcc would not promise. */
struct chosen_pair_f32 {
    __mmask16 both, second;
    __mmask8 first;
};

static INLINE struct chosen_pair_f32 between_pair_f32(ptrdiff_t at, int begin, int end)
{
    const unsigned one = lanes_between(at, begin, end) & (SECOND_F32 >> PAIR_F32);
    struct chosen_pair_f32 chosen = {(__mmask16)(one | one << PAIR_F32),
                                     (__mmask16)(one << PAIR_F32), (__mmask8)one};
    __asm__("" : "+Yk"(chosen.both), "+Yk"(chosen.second), "+Yk"(chosen.first));
    return chosen;
}

static INLINE __m512 zero_pair_f32(void)
{
    return _mm512_setzero_ps();
}

static INLINE __m512 broadcast_of_pair_f32(const float *p, ptrdiff_t other)
{
    return _mm512_mask_broadcastss_ps(_mm512_set1_ps(*p), SECOND_F32, _mm_load_ss(p + other));
}

static INLINE __m512 load_of_pair_f32(const float *p, ptrdiff_t other)
{
    const __m512 first = _mm512_castps256_ps512(_mm256_loadu_ps(p));
    return _mm512_mask_broadcast_f32x8(first, SECOND_F32, _mm256_loadu_ps(p + other));
}

static INLINE __m512 load_masked_of_pair_f32(const float *p, ptrdiff_t other,
                                             struct chosen_pair_f32 chosen)
{
    __m512 v = _mm512_castps256_ps512(_mm256_maskz_loadu_ps(chosen.first, p));
    __asm__("vbroadcastf32x8 %2, %0%{%1%}"
            : "+v"(v)
            : "Yk"(chosen.second), "m"(*(const __m256_u *)(p + other)));
    return v;
}

static INLINE void store_of_pair_f32(float *p, ptrdiff_t other, __m512 v)
{
    _mm256_storeu_ps(p, _mm512_castps512_ps256(v));
    _mm256_storeu_ps(p + other, _mm512_extractf32x8_ps(v, 1));
}

static INLINE void store_part_of_pair_f32(float *p, ptrdiff_t other, __m512 v, ptrdiff_t n)
{
    const __mmask8 chosen = (__mmask8)lanes_between(0, 0, (int)n);
    _mm256_mask_storeu_ps(p, chosen, _mm512_castps512_ps256(v));
    __m256 second = _mm512_extractf32x8_ps(v, 1);
    __asm__("" : "+v"(second)); /* which stored at once would fault where it is not chosen */
    _mm256_mask_storeu_ps(p + other, chosen, second);
}

static INLINE __m512 fma_pair_f32(__m512 a, __m512 b, __m512 c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static INLINE __m512 fma_masked_pair_f32(struct chosen_pair_f32 chosen, __m512 a, __m512 b,
                                         __m512 c)
{
    return _mm512_mask3_fmadd_ps(a, b, c, chosen.both);
}

static INLINE __m512 keep_pair_f32(__m512 v)
{
    return keep_f32(v);
}

static INLINE __m512 only_pair_f32(struct chosen_pair_f32 chosen, __m512 v)
{
    return _mm512_maskz_mov_ps(chosen.both, v);
}

#define REAL float
#define VECTOR __m512
#define LANES 8
#define MASK struct chosen_pair_f32
#define HINTS 0
#define CHANNELS 2
#define T(name) name##_pair_f32
#include "kernels/lines_tmpl.h"

static void lines_by_lane_f32(const struct tc_lines *args)
{
    lines_of_channels_f32(args);
}

/* Whole vectors, and a rest that fits half of one with another channel's, unless there are hints to
 * give. */
static void lines_f32(const struct tc_lines *args)
{
    const ptrdiff_t left = args->columns % 16;
    const bool halves = left <= PAIR_F32 && args->y_next == 0;
    const ptrdiff_t whole = halves ? args->columns - left : args->columns;
    if (whole > 0) {
        lines_between_f32(args, 0, whole);
    }
    if (whole < args->columns) {
        const struct tc_lines last = without_pairs(args, (ptrdiff_t)sizeof(float));
        lines_between_pair_f32(args, whole, args->columns);
        if (last.channels > 0) {
            lines_between_f32(&last, whole, args->columns);
        }
    }
}

static void tc_tile_f32_14x16_avx512(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_1, 1);
}

static void tc_tile_f32_12x32_avx512(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_2, 2);
}

static void tc_tile_f32_8x48_avx512(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_3, 3);
}

static void tc_tile_f32_6x64_avx512(const struct tc_tile *tile)
{
    tile_up_to_f32(tile, ROWS_4, 4);
}

/* ---- double ---- */

static INLINE __mmask8 first_f64(ptrdiff_t n)
{
    return (__mmask8)(n < 8 ? (1u << n) - 1 : 0xff);
}

static INLINE __m512d zero_f64(void)
{
    return _mm512_setzero_pd();
}

static INLINE __m512d broadcast_f64(double x)
{
    return _mm512_set1_pd(x);
}

static INLINE __m512d load_f64(const double *p)
{
    return _mm512_loadu_pd(p);
}

static INLINE __m512d load_part_f64(const double *p, ptrdiff_t n)
{
    return _mm512_maskz_loadu_pd(first_f64(n), p);
}

static INLINE void store_f64(double *p, __m512d v)
{
    _mm512_storeu_pd(p, v);
}

static INLINE void store_part_f64(double *p, __m512d v, ptrdiff_t n)
{
    _mm512_mask_storeu_pd(p, first_f64(n), v);
}

static INLINE __m512d fma_f64(__m512d a, __m512d b, __m512d c)
{
    return _mm512_fmadd_pd(a, b, c);
}

static INLINE __mmask8 mask_at_f64(const unsigned char *bits, ptrdiff_t at)
{
    return (__mmask8)bits[at / 8];
}

static INLINE __m512d only_f64(__mmask8 mask, __m512d v)
{
    return _mm512_maskz_mov_pd(mask, v);
}

static INLINE __m512d fma_masked_f64(__mmask8 mask, __m512d a, __m512d b, __m512d c)
{
    return _mm512_mask3_fmadd_pd(a, b, c, mask);
}

static INLINE __m512d keep_f64(__m512d v)
{
    __asm__("" : "+v"(v));
    return v;
}

static INLINE void stream_f64(double *p, __m512d v)
{
    _mm512_stream_pd(p, v);
}

static INLINE void finish_stream_f64(void)
{
    _mm_sfence();
}

static INLINE void zip_f64(__m512d *a, __m512d *b)
{
    const __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i high = _mm512_add_epi64(low, _mm512_set1_epi64(4));
    const __m512d first = _mm512_permutex2var_pd(*a, low, *b);
    *b = _mm512_permutex2var_pd(*a, high, *b);
    *a = first;
}

static INLINE void unzip_f64(__m512d *a, __m512d *b)
{
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const __m512i odd = _mm512_add_epi64(even, _mm512_set1_epi64(1));
    const __m512d first = _mm512_permutex2var_pd(*a, even, *b);
    *b = _mm512_permutex2var_pd(*a, odd, *b);
    *a = first;
}

static INLINE void unzip_3_f64(__m512d v[3])
{
    const __m512i from = _mm512_setr_epi64(0, 3, 6, 1, 4, 7, 2, 5);
    const __mmask8 lanes[3] = {0x49, 0x92, 0x24}; /* by their remainders */
    const __m512d a = v[0], b = v[1], c = v[2];
#pragma GCC unroll 3
    for (int r = 0; r < 3; r++) {
        const __m512d mixed = _mm512_mask_mov_pd(a, lanes[(r + 1) % 3], b);
        v[r] = _mm512_permutexvar_pd(_mm512_add_epi64(from, _mm512_set1_epi64(r)),
                                     _mm512_mask_mov_pd(mixed, lanes[(r + 2) % 3], c));
    }
}

static INLINE void zip_3_f64(__m512d v[3])
{
    const __m512i from = _mm512_setr_epi64(0, 3, 6, 1, 4, 7, 2, 5);
    const __mmask8 lanes[3] = {0x49, 0x92, 0x24}; /* by their remainders */
    const __m512d a = _mm512_permutexvar_pd(from, v[0]);
    const __m512d b = _mm512_permutexvar_pd(_mm512_add_epi64(from, _mm512_set1_epi64(5)), v[1]);
    const __m512d c = _mm512_permutexvar_pd(_mm512_add_epi64(from, _mm512_set1_epi64(10)), v[2]);
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        const __m512d mixed = _mm512_mask_mov_pd(a, lanes[(1 + i) % 3], b);
        v[i] = _mm512_mask_mov_pd(mixed, lanes[(2 + i) % 3], c);
    }
}

static INLINE __mmask8 between_f64(ptrdiff_t at, int begin, int end)
{
    return (__mmask8)lanes_between(at, begin, end);
}

static INLINE __m512d load_masked_f64(const double *p, __mmask8 mask)
{
    return _mm512_maskz_loadu_pd(mask, p);
}

static INLINE void transpose_vectors_f64(__m512d v[8])
{
    __m512d t[8];
#pragma GCC unroll 16
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_pd(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_pd(v[i], v[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 2; i++) {
        v[i] = _mm512_shuffle_f64x2(t[i], t[i + 2], 0x88);
        v[i + 2] = _mm512_shuffle_f64x2(t[i], t[i + 2], 0xdd);
        v[i + 4] = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0x88);
        v[i + 6] = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0xdd);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f64x2(v[i], v[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f64x2(v[i], v[i + 4], 0xdd);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 8; i++) {
        v[i] = t[i];
    }
}

#define REAL double
#define VECTOR __m512d
#define LANES 8
#define MASK __mmask8
#define HINTS 1
#define CHANNELS 1
#define T(name) name##_f64
#include "kernels/kernels_tmpl.h"

/* ---- double, a vector of two channels, for lines and rests of half a vector ---- */

enum { PAIR_F64 = 4, SECOND_F64 = 0xf0 }; /* lanes of each, and the second's */

/* Kept where they are masks, for gcc would move them there from a word for each use. */
struct chosen_pair_f64 {
    __mmask8 both, second;
    __mmask8 first;
};

static INLINE struct chosen_pair_f64 between_pair_f64(ptrdiff_t at, int begin, int end)
{
    const unsigned one = lanes_between(at, begin, end) & (SECOND_F64 >> PAIR_F64);
    struct chosen_pair_f64 chosen = {(__mmask8)(one | one << PAIR_F64), (__mmask8)(one << PAIR_F64),
                                     (__mmask8)one};
    __asm__("" : "+Yk"(chosen.both), "+Yk"(chosen.second), "+Yk"(chosen.first));
    return chosen;
}

static INLINE __m512d zero_pair_f64(void)
{
    return _mm512_setzero_pd();
}

static INLINE __m512d broadcast_of_pair_f64(const double *p, ptrdiff_t other)
{
    return _mm512_mask_broadcastsd_pd(_mm512_set1_pd(*p), SECOND_F64, _mm_load_sd(p + other));
}

static INLINE __m512d load_of_pair_f64(const double *p, ptrdiff_t other)
{
    const __m512d first = _mm512_castpd256_pd512(_mm256_loadu_pd(p));
    return _mm512_mask_broadcast_f64x4(first, SECOND_F64, _mm256_loadu_pd(p + other));
}

static INLINE __m512d load_masked_of_pair_f64(const double *p, ptrdiff_t other,
                                              struct chosen_pair_f64 chosen)
{
    __m512d v = _mm512_castpd256_pd512(_mm256_maskz_loadu_pd(chosen.first, p));
    __asm__("vbroadcastf64x4 %2, %0%{%1%}"
            : "+v"(v)
            : "Yk"(chosen.second), "m"(*(const __m256d_u *)(p + other)));
    return v;
}

static INLINE void store_of_pair_f64(double *p, ptrdiff_t other, __m512d v)
{
    _mm256_storeu_pd(p, _mm512_castpd512_pd256(v));
    _mm256_storeu_pd(p + other, _mm512_extractf64x4_pd(v, 1));
}

static INLINE void store_part_of_pair_f64(double *p, ptrdiff_t other, __m512d v, ptrdiff_t n)
{
    const __mmask8 chosen = (__mmask8)lanes_between(0, 0, (int)n);
    _mm256_mask_storeu_pd(p, chosen, _mm512_castpd512_pd256(v));
    __m256d second = _mm512_extractf64x4_pd(v, 1);
    __asm__("" : "+v"(second)); /* which stored at once would fault where it is not chosen */
    _mm256_mask_storeu_pd(p + other, chosen, second);
}

static INLINE __m512d fma_pair_f64(__m512d a, __m512d b, __m512d c)
{
    return _mm512_fmadd_pd(a, b, c);
}

static INLINE __m512d fma_masked_pair_f64(struct chosen_pair_f64 chosen, __m512d a, __m512d b,
                                          __m512d c)
{
    return _mm512_mask3_fmadd_pd(a, b, c, chosen.both);
}

static INLINE __m512d keep_pair_f64(__m512d v)
{
    return keep_f64(v);
}

static INLINE __m512d only_pair_f64(struct chosen_pair_f64 chosen, __m512d v)
{
    return _mm512_maskz_mov_pd(chosen.both, v);
}

#define REAL double
#define VECTOR __m512d
#define LANES 4
#define MASK struct chosen_pair_f64
#define HINTS 0
#define CHANNELS 2
#define T(name) name##_pair_f64
#include "kernels/lines_tmpl.h"

static void lines_by_lane_f64(const struct tc_lines *args)
{
    lines_of_channels_f64(args);
}

/* Whole vectors, and a rest that fits half of one with another channel's, unless there are hints to
 * give. */
static void lines_f64(const struct tc_lines *args)
{
    const ptrdiff_t left = args->columns % 8;
    const bool halves = left <= PAIR_F64 && args->y_next == 0;
    const ptrdiff_t whole = halves ? args->columns - left : args->columns;
    if (whole > 0) {
        lines_between_f64(args, 0, whole);
    }
    if (whole < args->columns) {
        const struct tc_lines last = without_pairs(args, (ptrdiff_t)sizeof(double));
        lines_between_pair_f64(args, whole, args->columns);
        if (last.channels > 0) {
            lines_between_f64(&last, whole, args->columns);
        }
    }
}

static void tc_tile_f64_14x8_avx512(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_1, 1);
}

static void tc_tile_f64_12x16_avx512(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_2, 2);
}

static void tc_tile_f64_8x24_avx512(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_3, 3);
}

static void tc_tile_f64_6x32_avx512(const struct tc_tile *tile)
{
    tile_up_to_f64(tile, ROWS_4, 4);
}

#include "kernels/bfloat.h"

/* ---- half precision ---- */

static void widen_f16(float *dst, const uint16_t *src, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i += 16) {
        const __mmask16 part = first_f32(count - i);
        const __m256i half = _mm256_maskz_loadu_epi16(part, src + i);
        _mm512_mask_storeu_ps(dst + i, part, _mm512_cvtph_ps(half));
    }
}

static void narrow_f16(uint16_t *dst, const float *src, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i += 16) {
        const __mmask16 part = first_f32(count - i);
        const __m512 single = _mm512_maskz_loadu_ps(part, src + i);
        _mm256_mask_storeu_epi16(dst + i, part, _mm512_cvtps_ph(single, _MM_FROUND_TO_NEAREST_INT));
    }
}

/* ---- table ---- */

static const struct tc_kernels kernels_f32 = {
    .isa = "avx512",
    .bytes = 4,
    .lanes = 16,
    .widths = 4,
    .rows = {ROWS_1, ROWS_2, ROWS_3, ROWS_4},
    .tile = {tc_tile_f32_14x16_avx512, tc_tile_f32_12x32_avx512, tc_tile_f32_8x48_avx512,
             tc_tile_f32_6x64_avx512},
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
    .isa = "avx512",
    .bytes = 8,
    .lanes = 8,
    .widths = 4,
    .rows = {ROWS_1, ROWS_2, ROWS_3, ROWS_4},
    .tile = {tc_tile_f64_14x8_avx512, tc_tile_f64_12x16_avx512, tc_tile_f64_8x24_avx512,
             tc_tile_f64_6x32_avx512},
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

const struct tc_kernels *const tc_kernels_avx512[] = {[TC_F32] = &kernels_f32,
                                                      [TC_F64] = &kernels_f64};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else

const struct tc_kernels *const tc_kernels_avx512[] = {[TC_F32] = NULL, [TC_F64] = NULL};

#endif
