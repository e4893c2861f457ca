"""The build of the one extension, tconv._core; everything else is in pyproject.toml.

Environment:
    TCONV_SANITIZE=address,undefined    compile and link with these sanitizers
    TCONV_DEBUG=1                       -O0 -g and assertions
    TCONV_WERROR=1                      warnings are errors
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

ROOT = Path(__file__).parent

# One place for what the numbers of the code rest on: no contraction of a*b + c beyond what is
# written, no fast-math; only PyInit__core leaves the library.
FLAGS = ["-std=c11", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"]
CL_FLAGS = ["/clang:-std=c11", "/clang:-ffp-contract=off", "/W4"]

# What to compile and to link OpenMP with; the first that works is taken.
OPENMP = (
    (["-fopenmp"], ["-fopenmp"]),  # GCC and Clang
    (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),  # Apple's Clang, which has no library of its own
    (["/openmp"], ["libomp.lib"]),  # clang-cl
)


def sources():
    files = [*(ROOT / "csrc").rglob("*.c"), *(ROOT / "tconvmod" / "binding").glob("*.c")]
    return sorted(str(path.relative_to(ROOT)) for path in files)


def headers():
    files = [*(ROOT / "csrc").rglob("*.h"), *(ROOT / "tconvmod" / "binding").glob("*.h")]
    return sorted(str(path.relative_to(ROOT)) for path in files)


class Build(build_ext):
    """Chooses the compiler's flags, and OpenMP where it has it: without it everything works on one
    thread.

    The vectors of the kernels are an extension of GCC and Clang, so on Windows it is clang-cl that
    compiles, in the place of Microsoft's compiler.
    """

    def build_extensions(self):
        # A switch changes no file, so nothing would look out of date.
        self.force = self.force or any(name.startswith("TCONV_") for name in os.environ)
        windows = self.compiler.compiler_type == "msvc"
        if windows:
            self.compiler.initialize()
            self.compiler.cc = "clang-cl"
        compiling, linking = self.openmp()
        for extension in self.extensions:
            extension.extra_compile_args += (CL_FLAGS if windows else compile_args()) + compiling
            extension.extra_link_args += linking
        super().build_extensions()

    def openmp(self):
        for flags in OPENMP:
            if self.builds_with(*flags):
                return flags
        print("tconv: no OpenMP, building for one thread", file=sys.stderr)
        return [], []

    def builds_with(self, compiling, linking):
        """Whether a program that asks OpenMP for its threads can be built so."""
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder) / "probe.c"
            probe.write_text(
                "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
            )
            try:
                objects = self.compiler.compile(
                    [str(probe)], output_dir=folder, extra_postargs=compiling
                )
                self.compiler.link_executable(
                    objects, "probe", output_dir=folder, extra_postargs=linking
                )
            except (CompileError, LinkError):
                return False
        return True


def compile_args():
    args = list(FLAGS)
    if os.environ.get("TCONV_DEBUG") == "1":
        args += ["-O0", "-g", "-UNDEBUG"]
    else:
        # The kernels unroll what is worth it: -O3 makes a library a fifth larger and no faster. To
        # describe them to a debugger takes as long as to compile them.
        args += ["-O1" if os.environ.get("TCONV_SANITIZE") else "-O2", "-g0"]
    if os.environ.get("TCONV_WERROR") == "1":
        args.append("-Werror")
    return args + sanitize_args()


def sanitize_args():
    names = os.environ.get("TCONV_SANITIZE")
    return [f"-fsanitize={names}", "-fno-omit-frame-pointer", "-g"] if names else []


setup(
    ext_modules=[
        Extension(
            "tconv._core",
            sources=sources(),
            depends=headers(),
            include_dirs=["csrc", "tconvmod/binding", numpy.get_include()],
            extra_link_args=sanitize_args(),
        )
    ],
    cmdclass={"build_ext": Build},
)
