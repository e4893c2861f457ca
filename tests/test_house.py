"""The rules of the house, made executable. Every failure names file, line and rule."""

import bisect
import platform
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tconv import _core

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
BINDING = ROOT / "tconvmod" / "binding"


def files(*folders, suffixes):
    return sorted(path for f in folders for path in f.rglob("*") if path.suffix in suffixes)


CORE = files(CSRC, BINDING, suffixes=(".c", ".h"))
ALL_C = CORE + files(ROOT / "tests" / "c", ROOT / "benchmarks", suffixes=(".c", ".h"))
PYTHON_FOLDERS = (ROOT / "tconvmod" / "tconv", ROOT / "tests", ROOT / "benchmarks")
PYTHON = [ROOT / "setup.py", *files(*PYTHON_FOLDERS, suffixes=(".py", ".pyi"))]


def assert_none(violations):
    """Violations are tuples: file, line number, rule."""
    __tracebackhide__ = True
    texts = [f"{path.relative_to(ROOT)}:{line}: {rule}" for path, line, rule in violations]
    if texts:
        pytest.fail("\n" + "\n".join(texts))


def lines_of(paths):
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            yield path, number, line


def matches(pattern, paths):
    """File, line number and match of every line that the pattern is found in."""
    for path, number, line in lines_of(paths):
        if match := re.search(pattern, line):
            yield path, number, match


def functions(path):
    """Line, name and number of lines of each C function: its braces stand in column 0."""
    lines = path.read_text(encoding="utf-8").split("\n")
    for begin in (number for number, line in enumerate(lines) if line == "{"):
        head = max(number for number in range(begin) if re.match(r"\w", lines[number]))
        name = re.search(r"(\w+)\(", lines[head])
        end = lines.index("}", begin)
        yield head + 1, name[1] if name else lines[head], end - begin + 1


def test_there_is_something_to_check():
    assert len(CORE) > 30
    assert len(PYTHON) > 20
    assert sum(1 for path in CORE for _ in functions(path)) > 200


# ---- includes ----

# Bottom first. A layer is a folder, or a file of csrc itself; it includes itself and those below.
LAYERS = (
    "base",
    "dtype",
    "layout",
    "tensor",
    "kernels",
    "problem",
    "lattice",
    "engine",
    "sums",
    "plan",
    "binding",
)
INCLUDE = r'^\s*#\s*include\s*[<"]([^>"]+)[>"]'


def layer_of(path):
    return path.parent.name if path.parent != CSRC else path.stem


def included(name):
    """The file of the core that an #include means, or None."""
    return next((p for p in (CSRC / name, BINDING / name) if p.exists()), None)


def test_includes_go_one_way():
    def violations():
        for path, number, match in matches(INCLUDE, CORE):
            mine, target = layer_of(path), included(match[1])
            if mine not in LAYERS:
                yield path, number, f"'{mine}' has no place in LAYERS"
            elif target and layer_of(target) not in LAYERS[: LAYERS.index(mine) + 1]:
                yield path, number, f"{mine} may not include {layer_of(target)} ({match[1]})"

    assert_none(violations())


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        (r"Python\.h|structmember\.h|numpy/.*", r"tconvmod/binding/\w+\.[ch]"),
        (r"omp\.h", r"csrc/base/parallel\.c"),
        (r"\w*intrin\.h", r"csrc/kernels/kernels_(?!portable|tmpl)\w+\.c"),
    ],
    ids=["python", "openmp", "intrinsics"],
)
def test_headers_that_one_place_knows(header, allowed):
    assert_none(
        (path, number, f"{match[1]} is included only in {allowed}")
        for path, number, match in matches(INCLUDE, CORE)
        if re.fullmatch(header, match[1])
        and not re.fullmatch(allowed, path.relative_to(ROOT).as_posix())
    )


def test_the_environment_is_read_in_one_place():
    assert_none(
        (path, number, "getenv is called only in tconvmod/binding/module.c")
        for path, number, _ in matches(r"\bgetenv\b", CORE)
        if path != BINDING / "module.c"
    )


# ---- names ----


def test_file_names_are_unique():
    places = defaultdict(list)
    for path in CORE:
        places[path.name].append(path)
    assert_none(
        (path, 1, f"another file is called {name} too")
        for name, paths in places.items()
        if len(paths) > 1
        for path in paths
    )


def test_include_guards_are_named_after_their_files():
    def violations():
        for path in (path for path in CORE if path.suffix == ".h"):
            guard = f"TC_{path.stem.upper()}_H"
            guarded = f"#ifndef {guard}\n#define {guard}\n" in path.read_text(encoding="utf-8")
            if path.stem.endswith("_tmpl"):
                if guarded:
                    yield path, 2, "a template is included twice and has no guard"
            elif not guarded:
                yield path, 2, f"the guard must be {guard}"

    assert_none(violations())


ISAS = sorted(path.stem.removeprefix("kernels_") for path in (CSRC / "kernels").glob("kernels_*.c"))


def test_kernels_say_what_they_need():
    """Functions called tc_... end in _<isa> in kernels_<isa>.c, and nowhere else."""

    def violations():
        for path in CORE:
            home = path.stem.removeprefix("kernels_")
            for line, name, _ in functions(path):
                isa = next((isa for isa in ISAS if name.endswith(f"_{isa}")), None)
                wanted = home if home in ISAS else None
                if name.startswith("tc_") and isa != wanted:
                    yield path, line, f"{name} belongs to another file than {path.name}"

    assert "portable" in ISAS
    assert_none(violations())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ELF")
@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_the_extension_exports_its_init_function_alone():
    command = ["nm", "-D", "--defined-only", _core.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["PyInit__core"]


@pytest.fixture(scope="module")
def instructions():
    """Address, mnemonic and operands of every instruction of the extension."""
    if shutil.which("objdump") is None:
        pytest.skip("needs objdump")
    command = ["objdump", "-d", "--no-show-raw-insn", _core.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return re.findall(r"^ *([0-9a-f]+):\t(\S+)(.*)$", done.stdout, re.M)


def test_no_mmx_register_is_used(instructions):
    """They are those of the x87 unit, which breaks for all that comes later: long double in NumPy.

    gcc 12 takes one for a double that it loads into the lower half of a vector.
    """
    assert not [line for line in instructions if re.search(r"%mm[0-7]", line[2])]


def functions_by_file():
    """First address, size and source file's stem of each function that a file has to itself."""
    command = ["readelf", "--symbols", "--wide", _core.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    stem = None
    for line in done.stdout.splitlines():
        fields = line.split()
        if len(fields) == 8 and fields[3] == "FILE":
            stem = Path(fields[7]).stem
        elif len(fields) == 8 and fields[3:5] == ["FUNC", "LOCAL"]:
            yield int(fields[1], 16), int(fields[2], 0), stem


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 instructions")
@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf")
def test_wide_instructions_stay_in_the_files_of_their_set(instructions):
    """Everything else runs on any processor: AVX and its successors begin with a v."""
    homes = sorted(
        row for row in functions_by_file() if row[2] in ("kernels_avx2", "kernels_avx512")
    )
    if not homes:
        pytest.skip("the extension has no table of symbols")
    begins = [begin for begin, _, _ in homes]
    wide = [int(address, 16) for address, mnemonic, _ in instructions if mnemonic.startswith("v")]
    strays = []
    for address in wide:
        row = bisect.bisect_right(begins, address) - 1
        if row < 0 or address >= homes[row][0] + homes[row][1]:
            strays.append(hex(address))
    assert len(wide) > 10000
    assert strays == []


# ---- text ----

MOST_COLUMNS = 100
UNFINISHED = r"\b(?:TOD[O]|FIXM[E]|XX[X])\b"


def test_text():
    def violations():
        for path, number, line in lines_of(ALL_C + PYTHON):
            if len(line) > MOST_COLUMNS:
                yield path, number, f"{len(line)} columns, at most {MOST_COLUMNS}"
            if "\t" in line:
                yield path, number, "tab"
            if line != line.rstrip():
                yield path, number, "trailing blanks"
            if re.search(UNFINISHED, line):
                yield path, number, "unfinished"

    assert_none(violations())


def test_no_code_is_switched_off():
    pattern = r"^\s*#\s*if\s+0\b"
    assert_none((path, number, "#if 0") for path, number, _ in matches(pattern, ALL_C))


def test_c_files_name_their_licence_first():
    line = "/* SPDX-License-Identifier: BSD-3-Clause */\n"
    assert_none(
        (path, 1, f"must be {line.strip()}")
        for path in ALL_C
        if not path.read_text(encoding="utf-8").startswith(line)
    )


def test_functions_fit_a_screen():
    def violations():
        for path in CORE:
            most = 100 if path.parent.name == "kernels" else 60
            for line, name, length in functions(path):
                if length > most:
                    yield path, line, f"{name} has {length} lines, at most {most}"

    assert_none(violations())
