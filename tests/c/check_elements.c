/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernels that go element by element, of every instruction set this machine has: activations
 * against the C library, sums, conversions of every half-precision number and of every tie. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { MOST = 21 }; /* elements a call: no multiple of any vector */

static const char *isa;

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

/* ---- activations ---- */

static double expected_activation(enum tc_activation_kind kind, double x, double slope)
{
    switch (kind) {
    case TC_NO_ACTIVATION:
        return x;
    case TC_RELU:
        return x < 0 ? 0 : x;
    case TC_LEAKY_RELU:
        return x < 0 ? slope * x : x;
    case TC_TANH:
        return tanh(x);
    case TC_SIGMOID:
        return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
    }
    return 0;
}

/* Units of the last place between two values of the dtype. */
static double units_apart(ptrdiff_t bytes, double a, double b)
{
    const double big = fmax(fabs(a), fabs(b));
    const double next =
        bytes == 4 ? (double)nextafterf((float)big, INFINITY) : nextafter(big, INFINITY);
    return same(a, b) || a == b ? 0 : fabs(a - b) / (next - big);
}

/* tanh and sigmoid may be as far off as test_activation.py lets them, and the library one more. */
static void check_activation(const struct tc_kernels *kernels, enum tc_activation_kind kind,
                             const double *x, int count)
{
    const struct tc_activation activation = {kind, 0.25};
    const ptrdiff_t bytes = kernels->bytes;
    const double most = kind < TC_TANH ? 0 : bytes == 4 ? 1 : 6;
    void *const y = new_canaries(bytes, count + 1);
    const struct tc_rows rows = {.rows = 1, .columns = count, .dst = y};
    for (int i = 0; i < count; i++) {
        put(bytes, y, i, x[i]);
    }
    kernels->activate(&activation, &rows);
    for (int i = 0; i < count; i++) {
        const double given = bytes == 4 ? (double)(float)x[i] : x[i];
        const double exact = expected_activation(kind, given, activation.slope);
        const double wanted = bytes == 4 ? (double)(float)exact : exact;
        check(isnan(wanted) ? isnan(get(bytes, y, i))
                            : units_apart(bytes, get(bytes, y, i), wanted) <= most,
              "activation", isa);
    }
    check(get(bytes, y, count) == CANARY, "activation wrote behind", isa);
    free(y);
}

static void check_activations(const struct tc_kernels *kernels)
{
    const double tiny = kernels->bytes == 4 ? (double)FLT_TRUE_MIN : DBL_TRUE_MIN;
    const double huge = kernels->bytes == 4 ? (double)FLT_MAX : DBL_MAX;
    const double special[] = {0.0,  -0.0,  NAN,      INFINITY, -INFINITY, tiny, -tiny,
                              huge, -huge, 8 * tiny, 1e-30,    -1e-30,    20,   -20,
                              88.5, -88.5, -103.9,   709.5,    -709.5,    745,  -745};
    double drawn[MOST];
    for (int kind = TC_NO_ACTIVATION; kind <= TC_SIGMOID; kind++) {
        for (int count = 0; count <= MOST; count++) {
            check_activation(kernels, kind, special + MOST - count, count);
        }
        for (int turn = 0; turn < 300; turn++) {
            for (int i = 0; i < MOST; i++) {
                drawn[i] = ldexp(random_below(1 << 20) - (1 << 19), turn % 40 - 40);
            }
            check_activation(kernels, kind, drawn, 1 + turn % MOST);
        }
    }
}

/* ---- add ---- */

/* Sums are rounded once, and those below the normal numbers are not flushed to zero. */
static void check_add_rows(const struct tc_kernels *kernels, int rows, int columns)
{
    const ptrdiff_t bytes = kernels->bytes;
    const double tiny = bytes == 4 ? (double)FLT_TRUE_MIN : DBL_TRUE_MIN;
    const int step = columns + random_below(3), count = rows * step + 1;
    void *const a = new_canaries(bytes, count), *const b = new_numbers(bytes, count);
    void *const wanted = new_canaries(bytes, count);
    for (int i = 0; i < rows * step; i++) {
        if (i % step < columns) {
            put(bytes, a, i, (random_below(9) - 4) * tiny);
            put(bytes, b, i, get(bytes, b, i) * (i % 3 ? tiny : 1));
            put(bytes, wanted, i, get(bytes, a, i) + get(bytes, b, i));
        }
    }
    kernels->add(&(struct tc_rows){rows, columns, b, step, a, step, 0});
    for (int i = 0; i < count; i++) {
        check(get(bytes, a, i) == get(bytes, wanted, i), "add", isa);
    }
    free(a), free(b), free(wanted);
}

static void check_add(const struct tc_kernels *kernels)
{
    for (int columns = 0; columns <= MOST; columns++) {
        check_add_rows(kernels, 1, columns);
        check_add_rows(kernels, columns > 0 ? random_below(5) : 0, columns);
    }
}

/* ---- half precision ---- */

struct half {
    int fraction_bits, most_exponent; /* 2**most_exponent is the first power beyond the finite */
};

static const struct half halves[] = {{10, 16}, {7, 128}};

/* By the definition; what would follow the biggest finite number stands for infinity. */
static double value_of(const struct half *half, unsigned bits)
{
    const int exponent = (int)(bits & 0x7fff) >> half->fraction_bits;
    const int fraction = (int)bits & ((1 << half->fraction_bits) - 1);
    const int least = 2 - half->most_exponent - half->fraction_bits;
    const double size = exponent
                            ? ldexp((1 << half->fraction_bits) + fraction, exponent - 1 + least)
                            : ldexp(fraction, least);
    return bits & 0x8000 ? -size : size;
}

static void check_widen(const struct tc_kernels *kernels, int type)
{
    const struct half *const half = &halves[type];
    const unsigned infinity = 0x7fffu >> half->fraction_bits << half->fraction_bits;
    uint16_t given[MOST + 1];
    float wide[MOST + 1];
    for (unsigned first = 0; first < 0x10000; first += MOST) {
        const int count = first % 2 ? MOST : 1 + (int)(first % MOST);
        for (int i = 0; i < count; i++) {
            given[i] = (uint16_t)(first + (unsigned)i);
        }
        wide[count] = CANARY;
        kernels->widen[type](wide, given, count);
        for (int i = 0; i < count; i++) {
            const unsigned size = given[i] & 0x7fffu;
            const double value = value_of(half, given[i]);
            check(size > infinity
                      ? isnan(wide[i])
                      : same((double)wide[i], size == infinity ? value * INFINITY : value),
                  "widen", isa);
        }
        check(wide[count] == CANARY, "widen wrote behind", isa);
    }
}

/* One number that lies between half `low` and the next, with both signs. */
static void check_rounded(const struct tc_kernels *kernels, int type, float x, unsigned wanted)
{
    const float both[] = {x, -x};
    uint16_t narrow[3] = {0, 0, CANARY};
    kernels->narrow[type](narrow, both, 2);
    check(narrow[0] == wanted && narrow[1] == (wanted | 0x8000u), "narrow", isa);
    check(narrow[2] == CANARY, "narrow wrote behind", isa);
}

/* Every number itself, the tie between it and the next, and the floats on both sides of that. */
static void check_narrow(const struct tc_kernels *kernels, int type)
{
    const struct half *const half = &halves[type];
    const unsigned infinity = 0x7fffu >> half->fraction_bits << half->fraction_bits;
    const float nans[] = {NAN, -NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    uint16_t narrow[9];
    for (unsigned low = 0; low < infinity; low++) {
        const double value = value_of(half, low), next = value_of(half, low + 1);
        const float tie = (float)((value + next) / 2);
        check_rounded(kernels, type, (float)value, low);
        check_rounded(kernels, type, tie, low + low % 2);
        check_rounded(kernels, type, nextafterf(tie, 0), low);
        check_rounded(kernels, type, nextafterf(tie, INFINITY), low + 1);
    }
    check_rounded(kernels, type, FLT_MAX, infinity);
    check_rounded(kernels, type, INFINITY, infinity);
    kernels->narrow[type](narrow, nans, 9);
    for (int i = 0; i < 9; i++) {
        check((narrow[i] & 0x7fffu) > infinity, "narrow of a NaN", isa);
    }
}

/* ---- unzip ---- */

static void check_unzip(const struct tc_kernels *kernels, int columns, int step, bool all)
{
    const ptrdiff_t bytes = kernels->bytes, rows = 1 + columns % 3, src_row = columns + 1;
    const ptrdiff_t part = all ? columns + 1 : 0, dst_row = step * (columns + 1) + 1;
    void *const src = new_numbers(bytes, rows * src_row);
    void *const dst = new_canaries(bytes, rows * dst_row);
    const struct tc_unzip args = {rows, columns, step, src, src_row, dst, dst_row, part};
    kernels->unzip(&args);
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t c = 0; c < columns; c++) {
            if (all || c % step == 0) {
                const ptrdiff_t at = r * dst_row + c % step * part + c / step;
                check(get(bytes, dst, at) == get(bytes, src, r * src_row + c), "unzip", isa);
                put(bytes, dst, at, CANARY);
            }
        }
    }
    for (ptrdiff_t i = 0; i < rows * dst_row; i++) {
        check(get(bytes, dst, i) == CANARY, "unzip wrote elsewhere", isa);
    }
    free(src), free(dst);
}

int main(void)
{
    const struct tc_cpu cpu = tc_cpu_detect();
    const char *isas[TC_MAX_ISAS];
    tc_kernels_list(&cpu, isas);
    for (int i = 0; isas[i]; i++) {
        isa = isas[i];
        for (int dtype = TC_F32; dtype <= TC_F64; dtype++) {
            const struct tc_kernels *const kernels = tc_kernels_find(isa, dtype, &cpu);
            check_activations(kernels);
            check_add(kernels);
            for (int columns = 0; columns < 140; columns++) {
                for (int step = 2; step < 11; step++) {
                    check_unzip(kernels, columns, step, true);
                    check_unzip(kernels, columns, step, false);
                }
            }
            for (int type = 0; type < 2 && dtype == TC_F32; type++) {
                check_widen(kernels, type);
                check_narrow(kernels, type);
            }
        }
        printf("%s: ", isa);
        report();
    }
    return failures > 0;
}
