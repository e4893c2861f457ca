/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_ACTIVATIONS_H
#define TC_ACTIVATIONS_H

/* The activations of one element, without branches, so that loops over them become vectors.
 *
 * All rests on e**x for x <= 0. With n the integer next to x/ln 2 and r = x - n*ln 2, e**x is
 * 2**n * e**r, and e**r = (Q + P)/(Q - P) for the polynomials of S. L. Moshier's Cephes library,
 * whose relative error is 2e-16; ln 2 comes in two parts, so that n times the first is exact. What
 * is divided here, is divided once. Integers are rounded, and found again in the last bits, by
 * adding 1.5 * 2**52.
 *
 * float32 is computed so too, and rounded once. */
#include <stdint.h>
#include <string.h>

static INLINE double rounded(double x)
{
    const double shift = 0x1.8p52;
    return x + shift - shift;
}

/* 2**n for an integer n from -1022 to 1023. */
static INLINE double power_of_two(double n)
{
    const double shifted = n + 0x1.8p52;
    uint64_t bits;
    double power;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* e**x = 2**n * (q + p)/(q - p) */
struct exponential {
    double p, q, n;
};

static INLINE struct exponential exponential_of(double x)
{
    const double n = rounded(x * 1.4426950408889634);
    const double r = x - n * 6.93145751953125e-1 - n * 1.42860682030941723212e-6, rr = r * r;
    const double p = r * ((1.26177193074810590878e-4 * rr + 3.02994407707441961300e-2) * rr +
                          9.99999999999999999910e-1);
    const double q = ((3.00198505138664455042e-6 * rr + 2.52448340349684104192e-3) * rr +
                      2.27265548208155028766e-1) *
                         rr +
                     2.0;
    return (struct exponential){p, q, n};
}

/* 1/(1 + e**-x), by e**-|x|; 2**n may be below what a double holds, but not its square root. */
static INLINE double sigmoid_of(double x)
{
    const double size = __builtin_fabs(x);
    const struct exponential e = exponential_of(size > 746 ? -746 : -size);
    const double half = rounded(e.n * 0.5);
    const double above = (e.q + e.p) * power_of_two(half) * power_of_two(e.n - half);
    const double below = e.q - e.p;
    return (x < 0 ? above : below) / (above + below);
}

/* (1 - e)/(1 + e) for e = e**(-2*|x|), with the sign of x; 1 - e from e**r - 1, not from e, which
 * is near 1 where x is small. */
static INLINE double tanh_of(double x)
{
    const double size = __builtin_fabs(x);
    const struct exponential e = exponential_of(size > 20 ? -40 : -2 * size);
    const double power = power_of_two(e.n), below = e.q - e.p;
    const double less = -2 * e.p * power + (1 - power) * below;
    return __builtin_copysign(less / (2 * below - less), x);
}

#endif
