/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernels/kernels.h"

#include <string.h>

static bool always(const struct tc_cpu *cpu)
{
    (void)cpu;
    return true;
}

static bool has_avx2(const struct tc_cpu *cpu)
{
    return cpu->avx2;
}

static bool has_avx512(const struct tc_cpu *cpu)
{
    return cpu->avx512;
}

/* Best first; a set that was not compiled has no tables. */
static const struct {
    const char *name;
    const struct tc_kernels *const *tables;
    bool (*runs_on)(const struct tc_cpu *cpu);
} sets[] = {
    {"avx512", tc_kernels_avx512, has_avx512},
    {"avx2", tc_kernels_avx2, has_avx2},
    {"neon", tc_kernels_neon, always},
    {"portable", tc_kernels_portable, always},
};

const struct tc_kernels *tc_kernels_find(const char *isa, enum tc_dtype dtype,
                                         const struct tc_cpu *cpu)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const bool wanted = isa == NULL || strcmp(isa, sets[i].name) == 0;
        if (wanted && sets[i].runs_on(cpu) && sets[i].tables[dtype]) {
            return sets[i].tables[dtype];
        }
    }
    return NULL;
}

void tc_kernels_list(const struct tc_cpu *cpu, const char *names[TC_MAX_ISAS])
{
    size_t found = 0;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (sets[i].runs_on(cpu) && sets[i].tables[TC_F32]) {
            names[found++] = sets[i].name;
        }
    }
    names[found] = NULL;
}
