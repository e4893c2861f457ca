"""No byte outside the arrays is read or written: each lies in pages of its own between two that
cannot be touched, flush with the one before or the one behind. A step outside ends the process."""

import ctypes
import itertools
import mmap
import sys
from pathlib import Path

import numpy as np
import pytest
from support import (
    CORES,
    ENGINES,
    ISAS,
    arguments_of,
    arrays_of,
    assert_same,
    each_array,
    gradients,
    integers,
    run_python,
)

import tconv
from tconv import problems

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect")

EDGES = problems.read_file(Path(__file__).with_name("problems_edge.txt"))
SIDES = ("before", "behind")
edge = pytest.mark.parametrize("problem", EDGES.values(), ids=EDGES)
side = pytest.mark.parametrize("side", SIDES)

PAGE = mmap.PAGESIZE
NO_ACCESS = 0


def guarded(array, side):
    """A copy whose elements, in the order they lie in memory, end or begin at a guard page."""
    size = -(-max(array.nbytes, 1) // PAGE) * PAGE
    memory = mmap.mmap(-1, size + 2 * PAGE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for page in (first, first + PAGE + size):
        assert libc.mprotect(ctypes.c_void_p(page), PAGE, NO_ACCESS) == 0
    offset = PAGE if side == "before" else PAGE + size - array.nbytes
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    lying = array.transpose(order)
    copy = np.frombuffer(memory, array.dtype, array.size, offset).reshape(lying.shape)
    copy[...] = lying
    return copy.transpose(np.argsort(order))


@pytest.mark.parametrize("side", SIDES)
def test_a_step_outside_is_seen(side):
    """What the tests below rest on."""
    step = "a[-1:], 4" if side == "behind" else "a, -4"
    code = (
        "import numpy as np, test_guards\n"
        f"a = test_guards.guarded(np.ones((3, 5), 'f'), {side!r}).reshape(-1)\n"
        f"part, step = {step}\n"
        "print(np.lib.stride_tricks.as_strided(part, (2,), (step,)))\n"
    )
    with pytest.raises(AssertionError, match="exit status -11"):
        run_python(code)


@edge
def test_engines(problem, rng):
    arrays = arrays_of(problem, rng)
    expected = getattr(tconv, problem.op)(*arrays, **problem.options)
    done = 0
    for side in SIDES:
        x, w, b = (guarded(a, side) for a in arrays)
        out = guarded(np.full_like(expected, np.nan), side)
        for isa, engine in itertools.product(ISAS, ENGINES):
            try:
                plan = tconv.plan(problem.op, w, b, isa=isa, engine=engine, **problem.options)
            except ValueError:  # the engine cannot do this geometry
                continue
            out[...] = np.nan
            plan(x, out=out, threads=1)
            assert_same(out, expected)
            done += 1
    assert done


def channels_last(array):
    return np.moveaxis(np.moveaxis(array, 1, -1).copy(), -1, 1) if array.ndim > 2 else array


WAYS = (
    ("before", np.asarray),
    ("behind", np.asarray),
    ("behind", channels_last),
    ("before", np.asfortranarray),
)


@edge
@pytest.mark.parametrize("dtype", ("float32", pytest.param("float64", marks=pytest.mark.campaign)))
def test_operations(problem, dtype, rng):
    """The weights where they lie, the gradients, and arrays in three orders in memory."""
    for operation in (problem, *gradients(problem)):
        arguments = each_array(lambda a: a.astype(dtype), arguments_of(operation, rng))
        expected = getattr(tconv.config._core, operation.op)(*arguments, **operation.options)
        for side, turn in WAYS:
            given = each_array(lambda a, to=turn, at=side: guarded(to(a), at), arguments)
            out = guarded(turn(np.full_like(expected, np.nan)), side)
            for core in CORES.values():
                out[...] = np.nan
                function = getattr(core, operation.op)
                function(*given, **operation.options, out=out, threads=2)
                assert_same(out, expected)


SOME = {name: EDGES[name] for name in list(EDGES)[::9]}


@pytest.mark.parametrize("dtype", ("float16", "complex64", "int16", "int64"))
@pytest.mark.parametrize("problem", SOME.values(), ids=SOME)
def test_other_dtypes(problem, dtype, rng):
    for operation in (problem, *gradients(problem)):
        arguments = each_array(lambda a: a.astype(dtype), arguments_of(operation, rng))
        function = getattr(tconv.config._core, operation.op)
        expected = function(*arguments, **operation.options)
        for side in SIDES:
            given = each_array(lambda a, at=side: guarded(a, at), arguments)
            out = guarded(np.zeros_like(expected), side)
            function(*given, **operation.options, out=out)
            assert_same(out, expected)


@side
@pytest.mark.parametrize("mode", ("reflect", "replicate", "circular"))
@pytest.mark.parametrize("op", ("conv2d", "conv2d_input", "conv2d_weight"))
def test_borders(op, mode, side, rng):
    x, w = integers(rng, (2, 3, 7, 6), "float32"), integers(rng, (4, 3, 3, 2), "float32")
    gy = integers(rng, tconv.conv2d(x, w, padding=(2, 1)).shape, "float32")
    arguments = {"": (x, w), "_input": (x.shape, w, gy), "_weight": (x, w.shape, gy)}
    function = getattr(tconv.config._core, op)
    options = {"padding": (2, 1), "padding_mode": mode}
    expected = function(*arguments[op[6:]], **options)
    given = each_array(lambda a: guarded(a, side), arguments[op[6:]])
    out = guarded(np.full_like(expected, np.nan), side)
    assert_same(function(*given, **options, out=out), expected)


@side
@pytest.mark.parametrize("shape", ((2, 3), (1, 100001), (3, 5, 7), (2, 17, 3, 5, 3)))
def test_bias_gradients(shape, side, rng):
    gy = integers(rng, shape, "float32")
    for layout in ("CNDHW"[: len(shape)], "NDHW"[: len(shape) - 1] + "C"):
        expected = tconv.grad.bias(gy, layout=layout)
        out = guarded(np.full_like(expected, np.nan), side)
        tconv.grad.bias(guarded(gy, side), layout=layout, out=out)
        assert_same(out, expected)


@side
@pytest.mark.parametrize("padding", (0, 2, ((1, 3),), ((-1, -2),)))
def test_columns_and_frames(padding, side, rng):
    """Views of NumPy's, whose strides are made by hand."""
    x = integers(rng, (2, 3, 11), "float32")
    for k, s, d in ((3, 1, 1), (2, 3, 2), (4, 2, 1)):
        options = {"dilation": d, "padding": padding, "stride": s}
        columns = tconv.unfold(x, (k,), **options)
        assert_same(tconv.unfold(guarded(x, side), (k,), **options), columns)
        folded = tconv.fold(columns, (11,), k, **options)
        assert_same(tconv.fold(guarded(columns, side), (11,), k, **options), folded)
        frames = guarded(x, side)
        assert_same(tconv.overlap_add(frames, s), tconv.overlap_add(x, s))


# ---- scratch ----

# Each module takes its first scratch fresh, so that a block ends where the scratch does.
SCRATCH = """
import numpy as np, support, test_guards
rng = np.random.default_rng(0)
calls = 0
for problem in test_guards.EDGES.values():
    for operation in (problem, *support.gradients(problem)):
        arguments = support.arguments_of(operation, rng)
        for isa in support.ISAS:
            results = [
                getattr(support.core_for(isa), operation.op)(
                    *arguments, **operation.options, threads=threads)
                for threads in (1, 3)
            ]
            support.assert_same(*results)
            calls += 2
print(calls)
"""


def test_scratch():
    """Python's debugging allocator looks at the bytes around a block when it is freed."""
    assert int(run_python(SCRATCH, PYTHONMALLOC="debug")) == 6 * len(EDGES) * len(ISAS)
