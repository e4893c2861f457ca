/* SPDX-License-Identifier: BSD-3-Clause */
/* Between bfloat16, the upper half of a float32, and float32: loops for the compiler to make
 * vectors of, included by each kernels_<isa>.c for its own instructions. It does so at -O2 where it
 * knows their length and that nothing overlaps. */

#ifndef TC_BFLOAT_H
#define TC_BFLOAT_H

enum { BFLOAT_STEP = 64 };

static INLINE void widen_step(float *restrict dst, const uint16_t *restrict src, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        const uint32_t bits = (uint32_t)src[i] << 16;
        memcpy(dst + i, &bits, sizeof bits);
    }
}

static void widen_bf16(float *dst, const uint16_t *src, ptrdiff_t count)
{
    for (; count >= BFLOAT_STEP; count -= BFLOAT_STEP, dst += BFLOAT_STEP, src += BFLOAT_STEP) {
        widen_step(dst, src, BFLOAT_STEP);
    }
    widen_step(dst, src, count);
}

/* To nearest, ties to even; what is not a number stays none. */
static INLINE void narrow_step(uint16_t *restrict dst, const float *restrict src, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, src + i, sizeof bits);
        const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        const bool number = (bits & 0x7fffffff) <= 0x7f800000;
        dst[i] = (uint16_t)(number ? rounded : bits >> 16 | 0x40);
    }
}

static void narrow_bf16(uint16_t *dst, const float *src, ptrdiff_t count)
{
    for (; count >= BFLOAT_STEP; count -= BFLOAT_STEP, dst += BFLOAT_STEP, src += BFLOAT_STEP) {
        narrow_step(dst, src, BFLOAT_STEP);
    }
    narrow_step(dst, src, count);
}

#endif
