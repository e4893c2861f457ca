"""The core's own C tests, without Python in the process, under the address and undefined-behaviour
sanitizers where the compiler has them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLAGS = [
    "-std=c11",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
    "-g",
    "-O1",
]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
CC = shutil.which(os.environ.get("CC", "cc"))

if CC is None:
    pytest.skip("no C compiler", allow_module_level=True)


def compile_all(folder, flags):
    """Object files of the core; None where these flags do not work."""
    (folder / "objects").mkdir(exist_ok=True)
    jobs = []
    for source in sorted((ROOT / "csrc").rglob("*.c")):
        target = folder / "objects" / f"{source.stem}.o"
        command = [CC, *FLAGS, *flags, "-Icsrc", "-c", source, "-o", target]
        jobs.append((target, subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)))
    errors = [job.communicate()[1].decode() for _, job in jobs]
    return "".join(errors), [target for target, _ in jobs]


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    folder = tmp_path_factory.mktemp("core")
    for flags in (SANITIZE, []):
        errors, objects = compile_all(folder, flags)
        if not errors:
            return [*flags, *objects]
    pytest.fail(errors)


@pytest.mark.parametrize(
    "source", sorted((ROOT / "tests" / "c").glob("check_*.c")), ids=lambda path: path.stem
)
def test_c(source, core, tmp_path):
    program = tmp_path / source.stem
    command = [CC, *FLAGS, "-Icsrc", "-Itests/c", source, *core, "-o", program]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    done = subprocess.run([program], capture_output=True, text=True, timeout=300, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures" in done.stdout
