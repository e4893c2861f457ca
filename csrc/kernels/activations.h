/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_ACTIVATIONS_H
#define TC_ACTIVATIONS_H

/* The activations of one element, without branches, so that loops over them become vectors.
 *
 * All rests on e**x - 1 for x <= 0. With n the integer next to x/ln 2 and r = x - n*ln 2,
 * e**x = 2**n * e**r, and e**r - 1 = 2*P/(Q - P) for the rational approximation of S. L. Moshier's
 * Cephes library, whose relative error is 2e-16; ln 2 comes in two parts, so that n times the
 * first is exact. An integer is rounded, and found again in the last bits, by adding 1.5 * 2**52.
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

/* e**x = (1 + less_1) * 2**n */
struct exponential {
    double less_1, n;
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
    return (struct exponential){2 * p / (q - p), n};
}

/* 1/(1 + e**-x), by e**-|x|; 2**n may be below what a double holds, but not its square root. */
static INLINE double sigmoid_of(double x)
{
    const double size = __builtin_fabs(x);
    const struct exponential e = exponential_of(size > 746 ? -746 : -size);
    const double half = rounded(e.n * 0.5);
    const double z = (1 + e.less_1) * power_of_two(half) * power_of_two(e.n - half);
    return (x < 0 ? z : 1) / (1 + z);
}

/* -(e - 1)/(e + 1) for e = e**(-2*|x|), with the sign of x. */
static INLINE double tanh_of(double x)
{
    const double size = __builtin_fabs(x);
    const struct exponential e = exponential_of(size > 20 ? -40 : -2 * size);
    const double power = power_of_two(e.n), less_1 = e.less_1 * power + (power - 1);
    return __builtin_copysign(-less_1 / (2 + less_1), x);
}

#endif
