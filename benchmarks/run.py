"""Times tconv beside its peers, and against what the machine can do.

    python benchmarks/run.py                          conv_transpose, 1 and 2 threads
    python benchmarks/run.py --filter unet --threads 1
    python benchmarks/run.py --json out.json --plot out.png
    python benchmarks/run.py --markdown               and the table of README.md
    python benchmarks/run.py --op conv,grad_input     convolution; gradients of both, a table each
    python benchmarks/run.py --op grads --shapes benchmarks/shapes_conv.txt
    python benchmarks/run.py --op conv_transpose,conv --layout last   channels-last arrays

A table is one operation over the shapes of one family. `conv_transpose` takes shapes.txt and
`conv` shapes_conv.txt; `grad_input`, `grad_weight` and `grads` (input, weight and bias together,
as a layer needs them) take both, in a table each. `--shapes` says which files to take instead; a
line's problem says which family it belongs to. With `--layout last` all arrays have their channels
last: torch and ONNX Runtime, which want them first, transpose there and back (`torch`,
`onnxruntime`), or torch is told that they come last in memory (`torch_cl`); `first` is tconv on
arrays that have them first.

All contenders of a shape take turns in one process, a block of calls each, several rounds; a
shape's time is the median of its calls. Absolute times mean little on a shared machine: the ratios
do. The limit of a shape is the larger of true flops / FMA peak and bytes / bandwidth, where taps
that padding crops are no flops, every array is moved once, and peak and bandwidth (of memory, or
of the caches where all fits) were measured in the same run.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import machine
import numpy as np
import peers
import tables

import tconv
from tconv import problems

SUITES = [Path(__file__).with_name(name) for name in ("shapes.txt", "shapes_conv.txt")]
FAMILIES = ("conv_transpose", "conv")
OPERATIONS = {  # and the gradients that each of them is
    "conv_transpose": (),
    "conv": (),
    "grad_input": ("input",),
    "grad_weight": ("weight",),
    "grads": ("input", "weight", "bias"),
}
BLOCK_SECONDS = 0.06
PAUSE_SECONDS = 0.1  # ONNX Runtime's threads spin for 60 ms after their last work


def main():
    arguments = parse_arguments()
    results = []
    for title, gradients, suite in races(arguments):
        entrants = peers.contenders(gradients, arguments.layout)
        if arguments.peers is not None:
            entrants = {c: entrants[c] for c in entrants if c in ("tconv", *arguments.peers)}
        for threads in arguments.threads:
            results += race(title, gradients, suite, threads, entrants, arguments)
    if not results:
        raise SystemExit("no such shapes")
    if arguments.markdown:
        print(f"\n{tables.markdown(results)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    if arguments.plot:
        import plot

        plot.draw(results, arguments.plot)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--op",
        type=operations,
        default=["conv_transpose"],
        metavar="OP[,OP...]",
        help=f"what to time, of {', '.join(OPERATIONS)}; default: conv_transpose",
    )
    add("--shapes", type=Path, nargs="+", default=SUITES, help="files of problem strings")
    add("--filter", default="", help="only shapes whose line contains this")
    add("--threads", type=int, nargs="+", default=[1, 2])
    add("--peers", nargs="*", choices=tuple(peers.FORWARD), help="beside tconv")
    add("--rounds", type=int, default=5, help="turns of each contender")
    add("--layout", choices=("first", "last"), default="first", help="where channels come")
    add("--dtype", choices=("float32", "float64"), help="instead of the file's")
    add("--markdown", action="store_true", help="end with a table in Markdown")
    add("--json", type=Path, help="write all figures there")
    add("--plot", type=Path, help="draw them there (PNG)")
    arguments = parser.parse_args()
    if arguments.layout == "last" and any(OPERATIONS[op] for op in arguments.op):
        parser.error("--layout last is for conv_transpose and conv")
    return arguments


def operations(text):
    names = text.split(",")
    for name in names:
        if name not in OPERATIONS:
            known = ", ".join(OPERATIONS)
            raise argparse.ArgumentTypeError(f"no operation {name!r}, only {known}")
    return names


def races(arguments):
    """Title, gradients and suite of each table to measure."""
    suite = [
        (name, changed(problem, arguments))
        for path in arguments.shapes
        for name, problem in problems.read_file(path).items()
        if arguments.filter in name or arguments.filter in problem.string
    ]
    for op in arguments.op:
        gradients = OPERATIONS[op]
        for family in FAMILIES if gradients else [op]:
            mine = [
                (n, problem) for n, problem in suite if problem.op == f"{family}{problem.rank}d"
            ]
            if mine:
                yield f"{op} of {family}" if gradients else op, gradients, mine


def changed(problem, arguments):
    """The problem with the dtype and the layout that were asked for."""
    words, dtype = problem.string.rsplit("_", 1)
    if arguments.layout == "last":
        words += "_" + peers.LAST[problem.rank].lower()
    if arguments.dtype:
        dtype = {"float32": "f32", "float64": "f64"}[arguments.dtype]
    return problems.parse(f"{words}_{dtype}")


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)


# ---- measuring ----


def race(title, gradients, suite, threads, entrants, arguments):
    """Measures and prints one table for one number of threads."""
    peak = machine.fma_peak(threads) / (2 if arguments.dtype == "float64" else 1)
    tables.print_head(title, threads, peak, list(entrants))
    results = []
    for number, (name, problem) in enumerate(suite, 1):
        progress(f"{title}: {number}/{len(suite)} {name}")
        arrays = peers.Arrays(problem)
        facts = {"title": title, "name": name, "problem": problem.string, "threads": threads}
        facts |= limit(problem, arrays, gradients, threads, peak)
        facts["seconds"] = measure(name, problem, arrays, threads, entrants, arguments.rounds)
        results.append(facts)
        progress("")
        tables.print_row(facts, list(entrants))
    tables.print_means(results, list(entrants))
    return results


def measure(name, problem, arrays, threads, entrants, rounds):
    """The median seconds of every contender on one shape."""
    calls = {}
    for contender, prepare in entrants.items():
        call = prepare(problem, arrays, threads)
        if call is not None:
            calls[contender] = call
    times = {contender: [] for contender in calls}
    check_agreement(name, calls)
    for _ in range(rounds):
        for contender, call in calls.items():
            time.sleep(PAUSE_SECONDS)
            set_torch_threads(threads)
            times[contender] += block(call)
    return {contender: float(np.median(t)) for contender, t in times.items()}


def limit(problem, arrays, gradients, threads, peak):
    """What a shape asks for, and the seconds that the machine needs at least."""
    options = {"threads": threads, **problem.options}
    shapes = problem.input_shape, problem.weight_shape, problem.dtype
    if gradients:
        # The bias's is no product and has no engine: it is the sum of what the others read.
        parts = [
            tconv.explain(f"{problem.op}_{name}", *shapes, **options).facts
            for name in gradients
            if name != "bias"
        ]
    else:
        parts = [tconv.explain(problem.op, *shapes, bias=True, **options).facts]
    flops = sum(part["flops"] for part in parts)
    moved = bytes_of_gradients(arrays, gradients) if gradients else parts[0]["bytes"]
    bandwidth = machine.bandwidth(threads, moved)
    return {
        "engine": "/".join(dict.fromkeys(part["engine"] for part in parts)),
        "flops": flops,
        "bytes": moved,
        "peak": peak,
        "bandwidth": bandwidth,
        "limit": max(flops / peak, moved / bandwidth),
    }


MOVED = {"input": {"gy", "w", "gx"}, "weight": {"gy", "x", "gw"}, "bias": {"gy", "gb"}}


def bytes_of_gradients(arrays, gradients):
    """Every array that is read or computed counts once, however many gradients need it."""
    size = {"gx": arrays.x, "gw": arrays.w, "gb": arrays.b, **vars(arrays)}
    return sum(size[name].nbytes for name in set.union(*(MOVED[g] for g in gradients)))


def block(call):
    """The seconds of each call in a block; the first warms up and does not count."""
    call()
    times, begin = [], time.perf_counter()
    while not times or time.perf_counter() - begin < BLOCK_SECONDS:
        repeats = 1 if not times or times[-1] > 1e-4 else 20
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        times.append((time.perf_counter() - start) / repeats)
    return times


def set_torch_threads(threads):
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def check_agreement(name, calls):
    """A contender that computes something else is not in the race."""
    expected = arrays_in(calls["tconv"]())
    for contender, call in calls.items():
        for mine, other in zip(expected, arrays_in(call()), strict=True):
            error = float(np.abs(other - mine).max()) / float(np.abs(mine).max())
            if not error <= 1e-4:
                raise SystemExit(f"{name}: {contender} differs from tconv by {error:.1e}")


def arrays_in(result):
    """torch has None in the place of a gradient that was not asked for."""
    results = result if isinstance(result, (list, tuple)) else [result]
    return [np.asarray(array) for array in results if array is not None]


if __name__ == "__main__":
    main()
