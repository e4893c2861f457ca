"""Times tconv beside its peers, and against what the machine can do.

    python benchmarks/run.py                          the whole suite, 1 and 2 threads
    python benchmarks/run.py --filter unet --threads 1
    python benchmarks/run.py --json out.json --plot out.png
    python benchmarks/run.py --markdown               and the table of README.md

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

HERE = Path(__file__).parent
BLOCK_SECONDS = 0.06
PAUSE_SECONDS = 0.004  # another runtime's threads spin so long after their last work


def main():
    arguments = parse_arguments()
    suite = {
        name: problem
        for name, problem in problems.read_file(arguments.shapes).items()
        if arguments.filter in name or arguments.filter in problem.string
    }
    if arguments.dtype:
        suite = {name: with_dtype(p, arguments.dtype) for name, p in suite.items()}
    chosen = {"tconv", *(arguments.peers or peers.PEERS)}
    contenders = [name for name in peers.PEERS if name in chosen]
    results = []
    for threads in arguments.threads:
        peak = machine.fma_peak(threads) / (2 if arguments.dtype == "float64" else 1)
        tables.print_head(threads, peak, contenders)
        for number, (name, problem) in enumerate(suite.items(), 1):
            progress(f"{number}/{len(suite)} {name}")
            result = measure(name, problem, threads, contenders, arguments.rounds, peak)
            results.append(result)
            progress("")
            tables.print_row(result, contenders)
        tables.print_means([r for r in results if r["threads"] == threads], contenders)
    if arguments.markdown:
        print(f"\n{tables.markdown(results)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    if arguments.plot:
        import plot

        plot.draw(results, arguments.plot)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shapes", type=Path, default=HERE / "shapes.txt", help="problem strings")
    parser.add_argument("--filter", default="", help="only shapes whose line contains this")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--peers", nargs="*", choices=tuple(peers.PEERS), help="beside tconv")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="instead of the file's")
    parser.add_argument("--markdown", action="store_true", help="end with a table in Markdown")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--plot", type=Path, help="draw them there (PNG)")
    return parser.parse_args()


def with_dtype(problem, dtype):
    short = {"float32": "f32", "float64": "f64"}[dtype]
    return problems.parse(problem.string.rsplit("_", 1)[0] + "_" + short)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)


# ---- measuring ----


def measure(name, problem, threads, contenders, rounds, peak):
    """The median seconds of every contender on one shape, and the shape's limit."""
    arrays = peers.Arrays(problem)
    calls = {}
    for contender in contenders:
        call = peers.PEERS[contender](problem, arrays, threads)
        if call is not None:
            calls[contender] = call
    times = {contender: [] for contender in calls}
    check_agreement(name, calls)
    for _ in range(rounds):
        for contender, call in calls.items():
            time.sleep(PAUSE_SECONDS)
            set_torch_threads(threads)
            times[contender] += block(call)
    facts = tconv.explain(
        problem.op,
        problem.input_shape,
        problem.weight_shape,
        problem.dtype,
        bias=True,
        threads=threads,
        **problem.options,
    ).facts
    bandwidth = machine.bandwidth(threads, facts["bytes"])
    return {
        "name": name,
        "problem": problem.string,
        "threads": threads,
        "engine": facts["engine"],
        "flops": facts["flops"],
        "bytes": facts["bytes"],
        "peak": peak,
        "bandwidth": bandwidth,
        "limit": max(facts["flops"] / peak, facts["bytes"] / bandwidth),
        "seconds": {contender: float(np.median(t)) for contender, t in times.items()},
    }


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
    results = {contender: np.asarray(first(call())) for contender, call in calls.items()}
    expected = results["tconv"]
    for contender, result in results.items():
        scale = float(np.abs(expected).max())
        error = float(np.abs(result - expected).max()) / scale
        if error > 1e-4:
            raise SystemExit(f"{name}: {contender} differs from tconv by {error:.1e}")


def first(result):
    return result[0] if isinstance(result, (list, tuple)) else result


if __name__ == "__main__":
    main()
