"""Bits: which are the same, where special values go, how far rounding may lead, and the processor's
floating-point mode.

Promised is the same result, bit for bit, for any number of threads, any batch that a sample is in,
any strides and layout, and again and again. Instruction sets differ in the order of their sums:
among them whole numbers have the same bits, and others differ by no more than the error bound.
"""

import ctypes
import ctypes.util
import itertools
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
from support import (
    CORES,
    ENGINES,
    ISAS,
    arguments_of,
    definition,
    each_array,
    each_problem,
    error_bound,
    exact,
    gradients,
    integers,
    reals,
    run_python,
)

import tconv
from tconv import problems

LAST = {1: "NLC", 2: "NHWC", 3: "NDHWC"}


def with_gradients(strings):
    forward = [problems.parse(string) for string in strings]
    return [problem for p in forward for problem in (p, *gradients(p))]


def bits(array):
    return np.ascontiguousarray(array).tobytes()


# ---- threads, batches, runs ----

SAME = with_gradients(
    (
        "ct2d_n3_ci18_ih9_iw11_co20_k4_s2_p1_f32",
        "ct1d_n3_ci3_iw400_co20_k16_s8_p4_f32",
        "ct3d_n3_ci5_id4_ih5_iw6_co7_k3_s2_p1_op1_f32",
        "c2d_n3_ci36_ih12_iw13_co20_k3_s1_p1_g4_f32",
        "c2d_n3_ci24_ih20_iw21_co24_k5_s2_p2_g24_f32",
    )
)
VARIANTS = {
    "plain": {},
    "layout": {"layout": LAST},
    "float64": {"dtype": "float64"},
    "float16": {"dtype": "float16"},
    "complex64": {"dtype": "complex64"},
    "int32": {"dtype": "int32"},
    "circular": {"padding_mode": "circular"},
    "accumulate": {"accumulate": True},
    "activation": {"activation": "tanh"},
}


def values(rng, shape, dtype):
    if np.dtype(dtype).kind == "i":
        return rng.integers(-(2**30), 2**30, shape).astype(dtype)
    real = rng.standard_normal(shape)
    return (real + 1j * rng.standard_normal(shape) if dtype == "complex64" else real).astype(dtype)


def variant_of(problem, variant, rng):
    """A call of the problem's operation: a function of its arguments and more options, those."""
    choice = dict(VARIANTS[variant])
    dtype = choice.pop("dtype", "float32")
    arguments = [
        values(rng, a.shape, dtype) if isinstance(a, np.ndarray) else a
        for a in arguments_of(problem, rng)
    ]
    options, layout = {**problem.options, **choice}, choice.pop("layout", None)
    if layout:
        options["layout"] = layout[problem.rank]
        last = [0, *range(2, problem.rank + 2), 1]
        images = {"": (0,), "_input": (0, 2), "_weight": (0, 2)}
        for i in images[problem.op.removeprefix(problem.forward)]:
            a = arguments[i]
            shape = isinstance(a, tuple)
            arguments[i] = tuple(a[axis] for axis in last) if shape else a.transpose(last)
    if "activation" in choice and problem.op != problem.forward:
        del options["activation"]
    function = getattr(tconv.config._core, problem.op)
    if choice.get("accumulate"):
        shape = function(*arguments, **problem.options).shape
        before = values(rng, shape, dtype)
        return lambda *given, **more: function(*given, out=before.copy(), **options, **more), (
            arguments
        )
    return lambda *given, **more: function(*given, **options, **more), arguments


@each_problem(SAME)
@pytest.mark.parametrize("variant", VARIANTS)
def test_threads_and_runs(problem, variant, rng):
    function, arguments = variant_of(problem, variant, rng)
    once = bits(function(*arguments, threads=1))
    for threads in (16, 7, 4, 3, 2, 1, 2):  # fewer each time, so that few have to start
        assert bits(function(*arguments, threads=threads)) == once


EDGES = problems.read_file(Path(__file__).with_name("problems_edge.txt"))


@pytest.mark.campaign
@pytest.mark.parametrize("problem", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
def test_threads_and_runs_at_the_edges(problem, core, rng):
    for operation in (problem, *gradients(problem)):
        arguments = arguments_of(operation, rng, fill=reals)
        function = getattr(core, operation.op)
        once = bits(function(*arguments, **operation.options, threads=1))
        for threads in (16, 16, 7, 7, 4, 3, 2, 2, 1):
            for _ in range(20):
                again = function(*arguments, **operation.options, threads=threads)
                assert bits(again) == once


@each_problem([p for p in SAME if not p.op.endswith("_weight")])
@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "accumulate"])
def test_every_split_of_a_batch(problem, variant, rng):
    function, arguments = variant_of(problem, variant, rng)
    whole = function(*arguments)
    for begin, end in itertools.combinations(range(len(whole) + 1), 2):
        part = list(arguments)
        image = 2 if problem.op.endswith("_input") else 0
        part[image] = part[image][begin:end]
        if image == 2:
            part[0] = (end - begin, *part[0][1:])
        assert bits(function(*part)) == bits(whole[begin:end])


@each_problem(SAME)
@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
def test_strides(problem, core, rng):
    """Each array, the result among them, behind other strides."""
    arguments = arguments_of(problem, rng, fill=reals)
    function = getattr(core, problem.op)
    expected = function(*arguments, **problem.options)
    for i, array in enumerate(arguments):
        for view in views(array) if isinstance(array, np.ndarray) else ():
            given = [view if j == i else a for j, a in enumerate(arguments)]
            assert bits(function(*given, **problem.options)) == bits(expected)
    for out in views(np.zeros_like(expected)):
        function(*arguments, **problem.options, out=out)
        assert bits(out) == bits(expected)


def views(array):
    yield np.asfortranarray(array)
    yield np.flip(np.flip(array).copy())
    yield np.repeat(array, 2, axis=-1)[..., ::2]
    if array.ndim > 2:
        yield np.moveaxis(np.moveaxis(array, 1, -1).copy(), -1, 1)


@each_problem(SAME)
def test_repeated_elements(problem, rng):
    """Strides of zero read as what they repeat."""
    arguments = each_array(lambda a: reals(rng, (), a.dtype), arguments_of(problem, rng))
    shapes = [a.shape for a in arguments_of(problem, rng) if isinstance(a, np.ndarray)]
    scalars = iter(shapes)
    repeated = each_array(lambda a: np.broadcast_to(a, next(scalars)), arguments)
    function = getattr(tconv.config._core, problem.op)
    copies = each_array(np.copy, repeated)
    assert bits(function(*repeated, **problem.options)) == bits(
        function(*copies, **problem.options)
    )


@each_problem(SAME)
def test_whole_numbers_in_every_instruction_set(problem, rng):
    arguments = arguments_of(problem, rng, fill=integers)
    results = {
        isa: getattr(core, problem.op)(*arguments, **problem.options) for isa, core in CORES.items()
    }
    expected = definition(problem.op)(*arguments, **problem.options)
    for isa, result in results.items():
        assert np.array_equal(result, expected), isa


@pytest.mark.parametrize("shape", ((5, 37, 19), (2, 3, 40000), (700, 129), (3, 5, 6, 7, 8)))
def test_bias_gradients(shape, rng):
    gy = reals(rng, shape, "float32")
    once = bits(tconv.grad.bias(gy, threads=1))
    for threads in (16, 7, 4, 3, 2, 1):
        assert bits(tconv.grad.bias(gy, threads=threads)) == once


# ---- NaN and infinity ----

SMALL = with_gradients(
    (
        "ct1d_n1_ci2_iw5_co3_k3_s2_p1_f32",
        "ct1d_n1_ci1_iw4_co1_k2_s3_p0_f32",
        "ct2d_n1_ci2_ih3_iw4_co2_k3_s2_p1_op1_f32",
        "ct2d_n1_ci1_ih3_iw3_co2_k4_s2_p1_f64",
        "ct2d_n1_ci2_ih3_iw3_co2_k2_s1_p0_d2_g2_f32",
        "ct3d_n1_ci1_id2_ih2_iw3_co1_k2_s2_p0_f32",
        "c1d_n2_ci2_iw9_co2_k3_s2_p1_f32",
        "c2d_n1_ci2_ih5_iw6_co3_k3_s1_p1_f32",
        "c2d_n1_ci2_ih6_iw5_co2_k3_s2_p2_g2_f32",
        "c3d_n1_ci1_id3_ih3_iw4_co2_k2_s1_p1_f32",
    )
)


def ways(problem, arguments):
    """Results of the function, and of every engine that takes the problem."""
    yield getattr(tconv.config._core, problem.op)(*arguments, **problem.options)
    for isa in ISAS if problem.op != problem.forward else ():
        yield getattr(CORES[isa], problem.op)(*arguments, **problem.options)
    for isa, engine in itertools.product(ISAS, ENGINES if problem.op == problem.forward else ()):
        x, *weight = arguments
        try:
            plan = tconv.plan(problem.op, *weight, isa=isa, engine=engine, **problem.options)
        except ValueError:  # the engine cannot do this geometry
            continue
        yield plan(x)


@each_problem(SMALL)
@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
def test_nonfinite_values_at_every_position(problem, value, rng):
    """They reach the elements that the definition says, and no others."""
    arguments = arguments_of(problem, rng, fill=lambda *args: np.abs(integers(*args)) + 1)
    apart = False
    for array in (a for a in arguments if isinstance(a, np.ndarray)):
        for where in np.ndindex(array.shape):
            kept, array[where] = array[where], value
            with np.errstate(invalid="ignore"):
                expected = definition(problem.op)(*arguments, **problem.options)
            apart = apart or 0 < np.count_nonzero(np.isfinite(expected)) < expected.size
            for result in ways(problem, arguments):
                assert np.array_equal(result, expected, equal_nan=True)
            array[where] = kept
    assert apart, "no value that reaches some elements only"


# ---- rounding ----

# The worst error of sums that grow one by one is some units; much more would be a wrong order.
MOST_UNITS = 8
REAL = with_gradients(
    (
        "ct2d_n2_ci256_ih6_iw7_co24_k4_s2_p1_f32",
        "ct2d_n1_ci1030_ih3_iw3_co8_k3_s1_p1_f32",
        "ct1d_n1_ci130_iw40_co2_k64_s16_p0_f32",
        "ct3d_n1_ci40_id4_ih4_iw5_co6_k3_s2_p1_f64",
        "c2d_n2_ci128_ih9_iw10_co20_k3_s1_p1_f32",
        "c2d_n4_ci16_ih40_iw41_co16_k3_s1_p1_g16_f32",
        "c1d_n1_ci2_iw9000_co3_k9_s1_p4_f32",
        "c3d_n1_ci60_id4_ih5_iw6_co7_k3_s1_p1_f64",
        "c2d_n1_ci3_ih40_iw40_co16_k3_s1_p1_f32",
        "c2d_n2_ci16_ih20_iw21_co16_k5_s3_p2_g16_f32",
    )
)


@each_problem(REAL)
@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
def test_rounding(problem, core, rng):
    """Within the bound that any order keeps, and near to what a good order gives."""
    arguments = arguments_of(problem, rng, fill=reals)
    result = getattr(core, problem.op)(*arguments, **problem.options)
    error = np.abs(result - exact(problem.op, arguments, problem.options))
    assert np.all(error <= error_bound(problem.op, arguments, problem.options))
    sizes = definition(problem.op)(
        *each_array(lambda a: np.abs(a.astype(np.longdouble)), arguments), **problem.options
    )
    units = error / (np.finfo(result.dtype).eps / 2 * sizes)
    assert units.max() <= MOST_UNITS
    assert np.sqrt(np.mean(units**2)) <= MOST_UNITS / 8


# ---- the processor's mode ----

MODE = """
import ctypes, ctypes.util
libm = ctypes.CDLL(ctypes.util.find_library("m"))
def mode():
    buffer = (ctypes.c_uint32 * 8)()
    assert libm.fegetenv(buffer) == 0
    return buffer[0] & 0xffff, buffer[7] & ~0x3f
before = mode()
import numpy as np
numpys = mode()
import tconv
assert mode() == numpys == before, (before, numpys, mode())
x = np.full((4, 32, 20, 20), 1e-42, "f")
w = np.zeros((32, 32, 3, 3), "f")
w[:, :, 1, 1] = np.eye(32)
for op in ("conv2d", "conv_transpose2d"):
    for threads in (1, 4):
        y = getattr(tconv, op)(x, w, padding=1, threads=threads)
        assert np.array_equal(y, x) and y.any(), op
        gx = getattr(tconv.grad, op + "_input")(x.shape, w, x, padding=1, threads=threads)
        assert np.array_equal(gx, x)
        gw = getattr(tconv.grad, op + "_weight")(x, w.shape, x * 0 + 1, padding=1, threads=threads)
        assert 0 < gw.max() < 1e-38
    for engine in tconv.config._core.config()["engines"]:
        try:
            plan = tconv.plan(op, w, padding=1, engine=engine)
        except ValueError:
            continue
        assert np.array_equal(plan(x), x), engine
assert tconv.grad.bias(x).max() > 0
assert mode() == before
assert np.finfo(np.float32).smallest_subnormal > 0
print("same")
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() != "x86_64",
    reason="knows where fegetenv puts MXCSR",
)
def test_the_mode_is_left_alone():
    """Rounding, exceptions and denormal numbers: neither an import nor a call changes them."""
    assert run_python(MODE) == "same\n"


def rounding_mode(mode):
    return ctypes.CDLL(ctypes.util.find_library("m")).fesetround(mode)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() != "x86_64",
    reason="knows the numbers of the modes",
)
def test_the_callers_rounding_is_kept():
    """Upward is not what anybody asks of a convolution, but it is still there afterwards."""
    upward = 0x800
    x, w = np.full((1, 1, 3), 1, "f"), np.full((1, 1, 1), 1e-30, "f")
    try:
        assert rounding_mode(upward) == 0
        y = tconv.conv1d(x, w, np.ones(1, "f"), threads=1)
        after = ctypes.CDLL(ctypes.util.find_library("m")).fegetround()
    finally:
        rounding_mode(0)
    assert after == upward
    assert y.max() > 1
