"""Lines of the core that its own C tests reach, as gcov counts them.

python tests/core_coverage.py [--lines]

Kernels of instruction sets that this processor does not have are left out, and are named.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import cbuild

FLAGS = ["-O0", "-g1", "--coverage", "-fopenmp"]
LEAST = 95  # percent of all lines
CORE = cbuild.ROOT / "csrc"


def build_and_run(folder):
    """Object files, with the counters of all C tests beside them, and what the tests printed."""
    compiler = shutil.which("gcc")
    objects = cbuild.build_core(folder, compiler, FLAGS)
    outputs = []
    for source in cbuild.CHECKS:
        program = cbuild.build_program(folder / source.stem, compiler, FLAGS, source, objects)
        outputs.append(cbuild.assert_passes([program]))
    return objects, "".join(outputs)


def count_lines(objects):
    """Runs of each line of each file, those of all files that include it added up."""
    counts = defaultdict(lambda: defaultdict(int))
    for target in objects:
        command = ["gcov", "--json-format", "--stdout", target]
        done = subprocess.run(command, cwd=cbuild.ROOT, capture_output=True, check=True)
        for document in done.stdout.splitlines():
            for file in json.loads(document)["files"]:
                path = (cbuild.ROOT / file["file"]).resolve()
                for line in file["lines"] if path.is_relative_to(CORE) else ():
                    counts[path][line["line_number"]] += line["count"]
    return counts


def left_out(objects, output):
    """Kernels that no test could run here."""
    isas = {target: target.stem.removeprefix("kernels_") for target in objects}
    return [
        target
        for target, isa in isas.items()
        if target.stem.startswith("kernels_") and f"{isa} " not in output
    ]


def print_table(counts, with_lines):
    for path, lines in sorted(counts.items()):
        missed = [line for line, count in sorted(lines.items()) if count == 0]
        share = 100 * (1 - len(missed) / len(lines))
        print(f"{share:6.1f} %  {len(lines):5}  {path.relative_to(CORE)}")
        if with_lines and missed:
            print("          ", *missed)


def measure(with_lines=False):
    """Prints a table; returns the share of all lines in percent."""
    with tempfile.TemporaryDirectory() as name:
        objects, output = build_and_run(Path(name))
        skipped = left_out(objects, output)
        counts = count_lines([target for target in objects if target not in skipped])
    print_table(counts, with_lines)
    lines = [count for file in counts.values() for count in file.values()]
    share = 100 * sum(count > 0 for count in lines) / len(lines)
    print(f"{share:6.1f} %  {len(lines):5}  csrc without", *(target.stem for target in skipped))
    return share


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lines", action="store_true", help="list the lines that nothing reached")
    sys.exit(measure(parser.parse_args().lines) < LEAST)
