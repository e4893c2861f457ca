"""The core's own C tests, without Python in the process: under the address and undefined-behaviour
sanitizers where the compiler has them, and on an emulated 64-bit ARM.

Kernels are under the first alone, as they take minutes to compile with both; -m tools has them so.
"""

import os
import shutil

import cbuild
import pytest

FLAGS = [*cbuild.WARNINGS, "-g1", "-Og"]  # -O1 takes twice as long to compile
THREADS = ["-fopenmp"]
ADDRESS = ["-fsanitize=address", "-fno-sanitize-recover=all"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
# Calls instead of code at each access, if the compiler knows how: a third of the time to compile.
CALLS = [*ADDRESS, "--param", "asan-instrumentation-with-call-threshold=0"]
CC = shutil.which(os.environ.get("CC", "cc"))
ARM_CC, ARM = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
ARM_FLAGS = [*cbuild.WARNINGS, *THREADS, "-Og"]

each_check = pytest.mark.parametrize("source", cbuild.CHECKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """Flags and object files."""
    folder = tmp_path_factory.mktemp("core")
    checked, calls, inline = ([*FLAGS, *THREADS, *kind] for kind in (SANITIZE, CALLS, ADDRESS))
    for flags, kernel_flags in ((checked, calls), (checked, inline), (FLAGS, FLAGS)):
        try:
            return flags, cbuild.build_core(folder, CC, flags, kernel_flags)
        except cbuild.BuildError as error:
            errors = str(error)
    return pytest.fail(errors)


@pytest.fixture(scope="module")
def arm_core(tmp_path_factory):
    return cbuild.build_core(tmp_path_factory.mktemp("arm"), ARM_CC, ARM_FLAGS)


@pytest.mark.skipif(CC is None, reason="no C compiler")
@each_check
def test_c(source, core, tmp_path):
    flags, objects = core
    cbuild.assert_passes([cbuild.build_program(tmp_path / source.stem, CC, flags, source, objects)])


@pytest.mark.skipif(ARM_CC is None, reason="no aarch64-linux-gnu-gcc")
@pytest.mark.skipif(ARM is None, reason="no qemu-aarch64")
@each_check
def test_c_on_arm(source, arm_core, tmp_path):
    flags = [*ARM_FLAGS, "-static"]
    program = cbuild.build_program(tmp_path / source.stem, ARM_CC, flags, source, arm_core)
    output = cbuild.assert_passes([ARM, program])
    assert "neon" in output or source.stem not in ("check_kernels", "check_elements")
