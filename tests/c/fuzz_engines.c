/* SPDX-License-Identifier: BSD-3-Clause */
/* The target of libFuzzer, which searches for bytes that reach new code; its corpus is
 * tests/c/corpus. check_engines.c runs the same cases on drawn bytes. */
#include "engine_case.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run_case(data, size);
    if (failures > 0) {
        abort();
    }
    return 0;
}
