"""How much memory a call takes: the result, packed weights, a fixed amount a thread."""

import math
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import support

import tconv
from tconv import problems

LIMITED = """
import resource, numpy as np, tconv
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 1_500_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
x, w = np.ones((8, 3, 16, 16, 16), np.float32), np.ones((3, 68, 23, 23, 23), np.float32)
y = tconv.conv_transpose3d(x, w)
print(y.shape, y[0, 0, 0, 0, 0], y[7, 67, 19, 19, 19], y[7, 67, 37, 37, 37])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS and /proc")
def test_no_column_buffer():
    """Elsewhere this call fills 13.6 GB with columns; here it has 1.5 GB."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "(8, 68, 38, 38, 38) 3.0 12288.0 3.0\n", done.stderr


# ---- what is booked is what is taken, and it is little ----

SUITES = Path(__file__).parents[1] / "benchmarks"
SUITE = problems.read_file(SUITES / "shapes.txt") | problems.read_file(SUITES / "shapes_conv.txt")
LAST = {1: "NLC", 2: "NHWC", 3: "NDHWC"}
A_THREAD = 5 << 19  # bytes, beside the packed weights


def in_layout(problem, layout):
    n, channels, *lengths = problem.input_shape
    return problem.input_shape if layout is None else (n, *lengths, channels)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("of", ["", "_input", "_weight"])
@pytest.mark.parametrize("name", SUITE)
def test_scratch_is_bounded(name, of, last):
    """Packed weights, those of each thread where each has its own, and a fixed amount a thread."""
    problem = SUITE[name]
    layout = LAST[problem.rank] if last else None
    weights = 4 * math.prod(problem.weight_shape)
    for threads in (1, 2, 8):
        facts = tconv.explain(
            problem.op + of,
            in_layout(problem, layout),
            problem.weight_shape,
            layout=layout,
            threads=threads,
            **problem.options,
        ).facts
        rest = facts["scratch_bytes"] - facts["packed_bytes"]
        own = 0 if facts["packed_bytes"] or of == "_weight" else min(1.5 * weights, 4 << 20)
        assert rest <= facts["threads"] * (own + A_THREAD), facts["engine"]


@pytest.mark.parametrize("layout", [None, "NLC", "NCL->NLC"])
@pytest.mark.parametrize("op", ["conv1d", "conv_transpose1d"])
@pytest.mark.parametrize(("ci", "co", "groups"), [(1, 1, 1), (2, 2, 2), (3, 40, 1), (40, 3, 1)])
def test_scratch_does_not_grow_with_the_input(ci, co, groups, op, layout):
    weight = (co, ci // groups, 9) if op == "conv1d" else (ci, co // groups, 9)
    for length in (1 << 16, 1 << 22):
        shape = (1, length, ci) if layout == "NLC" else (1, ci, length)
        facts = tconv.explain(
            op, shape, weight, stride=3, groups=groups, layout=layout, threads=1
        ).facts
        assert facts["scratch_bytes"] <= A_THREAD, facts["engine"]


@pytest.mark.parametrize("of", ["", "_input", "_weight"])
@pytest.mark.parametrize("name", ["dcgan_128_64", "mobilenet_64_dw_s2", "upsample1d_256"])
def test_a_call_takes_its_result_and_its_scratch(name, of):
    """As tracemalloc sees it; the module is a fresh one, which keeps no scratch of other calls."""
    problem, core = SUITE[name], support.core_for(support.ISAS[0])
    rng = np.random.default_rng(1)
    problem = replace(problem, op=problem.op + of)
    arguments = support.arguments_of(problem, rng)
    booked = tconv.explain(
        problem.op, problem.input_shape, problem.weight_shape, threads=2, **problem.options
    ).facts["scratch_bytes"]
    tracemalloc.start()
    try:
        result = getattr(core, problem.op)(*arguments, threads=2, **problem.options)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.nbytes + booked <= peak + 64  # tracemalloc does see both
    assert peak <= result.nbytes + booked + (64 << 10)


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
@pytest.mark.parametrize("axis", [2, 3])
def test_borders_copy_no_whole_image(mode, axis, rng):
    """Thin pieces of it alone, whatever its strides."""
    x = np.moveaxis(rng.standard_normal((64, 65, 2, 3), np.float32), (0, 1), (2, 3))
    w = rng.standard_normal((1, 3, 3, 3), np.float32)
    padding = [(0, 0), (0, 0)]
    padding[axis - 2] = (1, 1)
    options = {"padding": padding, "padding_mode": mode, "threads": 1}
    result = tconv.conv2d(x, w, **options)
    tracemalloc.start()
    try:
        tconv.conv2d(x, w, **options)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < result.nbytes + x.nbytes / 2


@pytest.mark.parametrize("stride", [100, 1000, 10**4, 10**7])
def test_scratch_does_not_grow_with_the_stride(stride):
    for op, length in (("conv1d", 600 * stride + 1), ("conv_transpose1d_input", 601)):
        facts = tconv.explain(op, (1, 1, length), (1, 1, 5), stride=stride, threads=1).facts
        assert facts["scratch_bytes"] <= A_THREAD, facts["engine"]


@pytest.mark.parametrize("length", [10**5, 10**8])
def test_scratch_of_gradients_does_not_grow_with_the_lines(length):
    """A weight gradient that copies lines whole takes no long ones."""
    for op in ("conv1d_weight", "conv_transpose1d_weight"):
        facts = tconv.explain(op, (1, 1, length), (1, 1, 64), stride=8, threads=1).facts
        assert facts["scratch_bytes"] <= A_THREAD, facts["engine"]
