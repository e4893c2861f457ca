"""The core and its C tests, built apart from the extension, with any compiler."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
STANDARD = ["-std=c11", "-ffp-contract=off", "-Icsrc", "-Itests/c"]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Werror"]
CHECKS = sorted((ROOT / "tests" / "c").glob("check_*.c"))


class BuildError(Exception):
    """What the compiler said."""


def run(command, timeout=600, **environment):
    """Output of both kinds, and whether the command succeeded."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.stdout, done.returncode == 0


def build(command):
    output, good = run(command, timeout=3600)  # unrolled kernels, on a busy machine
    if not good:
        raise BuildError(output)


def build_core(folder, compiler, flags, kernel_flags=None):
    """Object files of the core, those of kernels/ with flags of their own if they are given."""
    folder.mkdir(exist_ok=True)
    # The longest first: kernels take minutes, all others seconds.
    sources = sorted((ROOT / "csrc").rglob("*.c"), key=lambda path: path.parent.name != "kernels")

    def compile_one(source):
        own = source.parent.name == "kernels" and kernel_flags is not None
        target = folder / f"{source.stem}.o"
        used = kernel_flags if own else flags
        build([compiler, *STANDARD, *used, "-c", source, "-o", target])
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def build_program(program, compiler, flags, source, objects):
    build([compiler, *STANDARD, *flags, source, *objects, "-lm", "-o", program])
    return program


def assert_passes(command, timeout=600, **environment):
    output, good = run(command, timeout, **environment)
    print(output)
    assert good, output
    assert " 0 failures" in output
    return output
