"""The core under what finds faults that tests do not: a fuzzer, the sanitizers, valgrind, a checker
of sources, a counter of lines. They take minutes and compilers of their own: -m tools runs them."""

import shutil
import sys
import sysconfig

import cbuild
import core_coverage
import numpy as np
import pytest
import test_faults

pytestmark = pytest.mark.tools

SECONDS = 60
GCC, CLANG = shutil.which("gcc"), shutil.which("clang")
VALGRIND, CPPCHECK = shutil.which("valgrind"), shutil.which("cppcheck")
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g1"]
# clang takes ten minutes for the unrolled kernels of one file where it optimises.
FAST_KERNELS = ["-O0"]


def check_named(name):
    return cbuild.ROOT / "tests" / "c" / f"{name}.c"


# ---- fuzzing ----


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = (cbuild.ROOT / "tests" / "c" / "corpus.txt").read_text().split()
    for number, line in enumerate(lines):
        (folder / str(number)).write_bytes(bytes.fromhex(line))
    return folder


@pytest.mark.skipif(CLANG is None, reason="no clang, which has libFuzzer")
def test_fuzz(tmp_path, corpus):
    """Guided by the engines' coverage, under sanitizers."""
    flags = ["-fsanitize=fuzzer-no-link", *SANITIZE]
    objects = cbuild.build_core(tmp_path / "core", CLANG, flags, FAST_KERNELS)
    program = cbuild.build_program(
        tmp_path / "fuzz",
        CLANG,
        ["-fsanitize=fuzzer", *SANITIZE],
        check_named("fuzz_engines"),
        objects,
    )
    output, good = cbuild.run(
        [
            program,
            f"-max_total_time={SECONDS}",
            "-max_len=96",
            f"-artifact_prefix={tmp_path}/",
            corpus,
        ]
    )
    print(output)
    assert good, output[-4000:]
    assert "INITED" in output


@pytest.mark.skipif(GCC is None, reason="no gcc")
def test_random_cases(tmp_path):
    """The fuzzer's cases from drawn bytes, on the kernels as they are shipped."""
    objects = cbuild.build_core(tmp_path / "core", GCC, ["-O2", "-fopenmp"], ["-O3"])
    source, flags = check_named("check_engines"), ["-O2", "-fopenmp"]
    program = cbuild.build_program(tmp_path / "random", GCC, flags, source, objects)
    cbuild.assert_passes([program, SECONDS])


# ---- threads ----

RACE = """
#include "base/parallel.h"
#include <unistd.h>
static int sum;
static void run(const void *context, ptrdiff_t task, int thread)
{
    (void)context, (void)task, (void)thread;
    sleep(1); /* so that no thread does the work of all */
    sum++;
}
int main(void)
{
    tc_parallel(3, 3, run, 0, 0);
    return 0;
}
"""


@pytest.fixture(scope="module")
def racing_core(tmp_path_factory):
    """Flags and objects for the thread sanitizer.

    It sees nothing of how OpenMP's threads wait for each other, unless libomp's tool Archer tells
    it: with gcc's libgomp, or without Archer, it reports races that are none.
    """
    if CLANG is None:
        pytest.skip("no clang, whose libomp has Archer")
    folder = tmp_path_factory.mktemp("tsan")
    flags = ["-fopenmp", "-fsanitize=thread", "-O1", "-g1"]
    kernels = ["-fopenmp", "-fsanitize=thread", *FAST_KERNELS]
    empty, race = folder / "empty.c", folder / "race.c"
    empty.write_text("int main(void) { return 0; }")
    race.write_text(RACE)
    environment = {
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1",
        "ARCHER_OPTIONS": "verbose=1",
    }
    try:
        cbuild.build_program(folder / "empty", CLANG, flags, empty, [])
    except cbuild.BuildError:
        pytest.skip("clang has no libomp or no thread sanitizer")
    parallel = cbuild.ROOT / "csrc" / "base" / "parallel.c"
    program = cbuild.build_program(folder / "race", CLANG, flags, race, [parallel])
    output, good = cbuild.run([program], **environment)
    if "Archer detected OpenMP application with TSan" not in output:
        pytest.skip("libomp has no Archer")
    assert not good, output
    assert "data race" in output
    return flags, cbuild.build_core(folder / "core", CLANG, flags, kernels), environment


@pytest.mark.parametrize("name", ["check_parallel", "check_sums", "check_engines"])
def test_no_data_race(name, racing_core, tmp_path):
    flags, objects, environment = racing_core
    program = cbuild.build_program(tmp_path / name, CLANG, flags, check_named(name), objects)
    cbuild.assert_passes([program], **environment)


# ---- memory ----


@pytest.mark.skipif(GCC is None, reason="no gcc")
def test_kernels_under_sanitizers(tmp_path):
    flags = [*cbuild.WARNINGS, *SANITIZE, "-Og", "-fopenmp"]
    objects = cbuild.build_core(tmp_path / "core", GCC, flags)
    for name in ("check_cells", "check_elements", "check_kernels"):
        program = cbuild.build_program(tmp_path / name, GCC, flags, check_named(name), objects)
        cbuild.assert_passes([program])


@pytest.mark.skipif(VALGRIND is None, reason="no valgrind")
@pytest.mark.skipif(GCC is None, reason="no gcc")
def test_valgrind(tmp_path):
    """Nothing is read before it is written, nothing is lost."""
    objects = cbuild.build_core(tmp_path / "core", GCC, ["-O1", "-g1"])
    for source in cbuild.CHECKS:
        program = cbuild.build_program(tmp_path / source.stem, GCC, ["-O1", "-g1"], source, objects)
        command = [VALGRIND, "--quiet", "--error-exitcode=1", "--leak-check=full", program]
        cbuild.assert_passes(command, timeout=1200)


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The package with an extension under sanitizers, all but the kernels, as variables of the
    environment."""
    if GCC is None or not sys.platform.startswith("linux"):
        pytest.skip("needs gcc, and loads the sanitizer before Python")
    folder = tmp_path_factory.mktemp("sanitized")
    binding = cbuild.ROOT / "tconvmod" / "binding"
    headers = [sysconfig.get_path("include"), np.get_include()]
    flags = [*cbuild.WARNINGS, *SANITIZE, "-fPIC", "-fvisibility=hidden", "-fopenmp"]
    objects = cbuild.build_core(folder / "core", GCC, flags, ["-O1", "-fPIC"])
    includes = [f"-I{binding}", *(word for path in headers for word in ("-isystem", path))]
    package = folder / "tconv"
    shutil.copytree(cbuild.ROOT / "tconvmod" / "tconv", package)
    target = package / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    cbuild.build(
        [
            *(GCC, "-shared", *cbuild.STANDARD, *flags, *includes),
            *(*sorted(binding.glob("*.c")), *objects, "-lm", "-o", target),
        ]
    )
    # The second for the exceptions of libraries in C++, which the first watches too.
    libraries = [
        cbuild.run([GCC, f"-print-file-name={name}"])[0].strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    return {
        "LD_PRELOAD": " ".join(libraries),
        # Python keeps what it has; tests have sizes that no memory holds, and steps that must end
        # them.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:handle_segv=0",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(folder),
    }


# All bad arguments, pages that nobody may touch around all arrays, and the grid.
UNDER_SANITIZERS = (
    "test_refusals.py",
    "test_bad_input.py",
    "test_guards.py",
    "test_grid.py",
    "test_binding.py",
    "test_arrays.py",
)


def test_extension_under_sanitizers(sanitized):
    output, good = cbuild.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        + [cbuild.ROOT / "tests" / name for name in UNDER_SANITIZERS],
        timeout=1200,
        **sanitized,
    )
    print(output)
    assert good, output[-4000:]


def test_failing_allocations_under_sanitizers(sanitized, tmp_path):
    library = tmp_path / "faults.so"
    built = test_faults.build_faults(GCC, library, "-DREAL(name)=__interceptor_##name")
    assert built.returncode == 0, built.stderr
    environment = {
        **sanitized,
        "LD_PRELOAD": f"{library} {sanitized['LD_PRELOAD']}",
        "ASAN_OPTIONS": f"{sanitized['ASAN_OPTIONS']}:verify_asan_link_order=0",
    }
    test_faults.assert_points_pass(**environment)


# ---- sources ----

# What cppcheck says and is not so.
MISTAKEN = [
    "ctunullpointer:*/kernels_*.c",  # a tile without a mask is not masked
    "zerodivcond:*/panels.c",  # no axis has the step 0
    "returnDanglingLifetime:*/mirror.c",  # a refusal is a constant text
    "nullPointerOutOfMemory:tests/c/*",  # a test may end where memory does
    "uninitvar:*/engine_case.h",  # a loop over one to three axes sets what is read
    "uninitvar:*/check_engines.c",  # and one over some bytes
    "syntaxError:*/faults.c",  # REAL takes an argument where it is defined elsewhere
]


@pytest.mark.skipif(CPPCHECK is None, reason="no cppcheck")
def test_cppcheck():
    output, good = cbuild.run(
        [CPPCHECK, "--quiet", "--std=c11", "--enable=warning,performance,portability"]
        + ["--error-exitcode=1", "-Icsrc", "-Itests/c", "-Itconvmod/binding"]
        + [f"--suppress={name}" for name in MISTAKEN]
        + ["csrc", "tests/c", "tconvmod/binding"]
    )
    assert good, output


@pytest.mark.skipif(GCC is None, reason="no gcc")
@pytest.mark.skipif(shutil.which("gcov") is None, reason="no gcov")
def test_coverage_of_the_core():
    assert core_coverage.measure() >= core_coverage.LEAST
