/* SPDX-License-Identifier: BSD-3-Clause */
/* Every engine on problems as engine_case.h makes them of bytes: those of corpus.txt, by which the
 * fuzzer reached new code, and 30000 drawn ones, or with an argument as many as so many seconds
 * allow. */
#include "engine_case.h"

#include <time.h>

enum { CASES = 30000, MOST_BYTES = 96, LEAST_RUNS = 10 };

/* The tests run in the folder of the project. */
static const char CORPUS[] = "tests/c/corpus.txt";

static unsigned long long drawn = 1;

static unsigned char draw_byte(void)
{
    drawn = drawn * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned char)(drawn >> 56);
}

/* Runs the cases of a file, a line of hexadecimal digits each; returns how many. */
static long run_corpus(const char *path)
{
    FILE *const file = fopen(path, "r");
    char digits[2 * MOST_BYTES + 2], pair[3] = "";
    long cases = 0;
    for (; file && fgets(digits, sizeof digits, file); cases++) {
        unsigned char bytes[MOST_BYTES];
        const size_t size = strspn(digits, "0123456789abcdef") / 2;
        for (size_t i = 0; i < size; i++) {
            memcpy(pair, digits + 2 * i, 2);
            bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
        }
        run_case(bytes, size);
    }
    if (file) {
        fclose(file);
    }
    return cases;
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 0;
    const time_t begin = time(NULL);
    const long kept = run_corpus(CORPUS);
    long cases = 0, good = 0;
    check(kept > 0, "cannot be read", CORPUS);
    for (; seconds > 0 ? difftime(time(NULL), begin) < seconds : cases < CASES; cases++) {
        unsigned char bytes[MOST_BYTES];
        for (int i = 0; i < MOST_BYTES; i++) {
            bytes[i] = draw_byte();
        }
        good += run_case(bytes, sizeof bytes);
    }
    printf("%ld kept cases; %ld drawn ones, of which %ld were run:", kept, cases, good);
    for (int i = 0; tc_engines[i]; i++) {
        printf(" %s %ld", tc_engines[i]->name, engine_runs[i]);
        check(engine_runs[i] >= LEAST_RUNS, "hardly ever ran", tc_engines[i]->name);
    }
    printf("\n");
    return report();
}
