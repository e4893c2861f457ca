/* SPDX-License-Identifier: BSD-3-Clause */
/* Every engine on random problems, as engine_case.h makes them. Runs 5000 of them, or with an
 * argument for so many seconds. */
#include "engine_case.h"

#include <time.h>

enum { CASES = 5000, MOST_BYTES = 96, LEAST_RUNS = 10 };

static unsigned long long drawn = 1;

static unsigned char draw_byte(void)
{
    drawn = drawn * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned char)(drawn >> 56);
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 0;
    const time_t begin = time(NULL);
    long cases = 0, good = 0;
    for (; seconds > 0 ? difftime(time(NULL), begin) < seconds : cases < CASES; cases++) {
        unsigned char bytes[MOST_BYTES];
        for (int i = 0; i < MOST_BYTES; i++) {
            bytes[i] = draw_byte();
        }
        good += run_case(bytes, sizeof bytes);
    }
    printf("%ld cases, of which %ld were run:", cases, good);
    for (int i = 0; tc_engines[i]; i++) {
        printf(" %s %ld", tc_engines[i]->name, engine_runs[i]);
        check(engine_runs[i] >= LEAST_RUNS, "hardly ever ran", tc_engines[i]->name);
    }
    printf("\n");
    return report();
}
