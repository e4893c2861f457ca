/* SPDX-License-Identifier: BSD-3-Clause */
/* CPUID says what the processor has; XCR0 (XGETBV) says which registers the operating system
 * saves. Both must agree before wide vectors may be used. */
#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum {
    XCR0_YMM = 0x6,  /* SSE and AVX state */
    XCR0_ZMM = 0xe6, /* ... and opmask, upper ZMM, ZMM16-31 */
};

static unsigned read_xcr0(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static void detect_isa(struct tc_cpu *cpu)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) {
        return;
    }
    const bool fma = (c & bit_FMA) && (c & bit_F16C);
    const unsigned xcr0 = read_xcr0();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        return;
    }
    const unsigned wide = bit_AVX512F | bit_AVX512VL | bit_AVX512BW | bit_AVX512DQ;
    cpu->avx2 = fma && (b & bit_AVX2) && (xcr0 & XCR0_YMM) == XCR0_YMM;
    cpu->avx512 = cpu->avx2 && (b & wide) == wide && (xcr0 & XCR0_ZMM) == XCR0_ZMM;
}

/* Intel describes its caches in leaf 4, AMD in leaf 0x8000001d; the registers mean the same. */
static bool detect_caches(unsigned leaf, struct tc_cpu *cpu)
{
    bool found = false;
    for (unsigned index = 0; index < 8; index++) {
        unsigned a, b, c, d;
        if (!__get_cpuid_count(leaf, index, &a, &b, &c, &d) || (a & 0x1f) == 0) {
            break;
        }
        const bool instructions = (a & 0x1f) == 2;
        const ptrdiff_t ways = (b >> 22) + 1, parts = ((b >> 12) & 0x3ff) + 1;
        const ptrdiff_t line = (b & 0xfff) + 1, sets = (ptrdiff_t)c + 1;
        ptrdiff_t *const level[] = {&cpu->l1_bytes, &cpu->l2_bytes, &cpu->l3_bytes};
        const unsigned n = (a >> 5) & 7;
        if (!instructions && n >= 1 && n <= 3) {
            *level[n - 1] = ways * parts * line * sets;
            found = true;
        }
    }
    return found;
}

static void detect(struct tc_cpu *cpu)
{
    detect_isa(cpu);
    if (!detect_caches(4, cpu)) {
        detect_caches(0x8000001d, cpu);
    }
}

#else

static void detect(struct tc_cpu *cpu)
{
    (void)cpu;
}

#endif

struct tc_cpu tc_cpu_detect(void)
{
    struct tc_cpu cpu = {.l1_bytes = 32 << 10, .l2_bytes = 1 << 20, .l3_bytes = 16 << 20};
    detect(&cpu);
    return cpu;
}
