"""A grid of small problems, exact on whole numbers, and identities that need no definition.

The grid takes every rank, kernel, stride and dilation with every kind of padding, rest, channels
and groups. Each case goes through the function, through every engine with every instruction set,
and through both gradients, in one of four layouts. -m campaign takes all of them, the default run
some that are drawn.
"""

import itertools
import random
from collections import Counter
from functools import partial

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from strategies import forward_problems
from support import (
    CORES,
    ENGINES,
    ISAS,
    TRANSPOSING,
    arrays_of,
    assert_same,
    definition,
    each_array,
    gradients,
    integers,
    names,
    to_first,
    to_last,
)

import tconv
from tconv.problems import Problem

# ---- the cases ----

PADDINGS = ("none", "half", "beyond")  # the last: more than the kernel reaches
CHANNELS = (  # groups, input and output channels of each: around the lanes of a vector
    (1, 1, 1),
    (1, 3, 15),
    (1, 16, 17),
    (1, 33, 8),
    (2, 4, 31),
    (3, 2, 1),
    (17, 1, 1),
    (9, 1, 2),
)
LENGTHS = {1: (1, 7, 16, 33), 2: (1, 3, 9, 18), 3: (1, 2, 3, 5)}
LAYOUTS = ((False, False), (True, True), (False, True), (True, False))  # whose channels are last
GRID = tuple(
    itertools.product(
        ("conv_transpose", "conv"),
        (1, 2, 3),  # rank
        range(1, 6),  # kernel
        range(1, 6),  # stride
        range(1, 4),  # dilation
        PADDINGS,
        (False, True),  # with a rest, the largest
        CHANNELS,
    )
)


def axis_of(transposed, length, k, s, d, padding, has_rest):
    """Input length, kernel, stride, dilation, padding and rest of one axis, with an output."""
    span = d * (k - 1)
    p = {"none": 0, "half": (span + 1) // 2, "beyond": span + 1}[padding]
    if transposed:
        rest = has_rest * (max(s, d) - 1)
        least = (2 * p - span - rest - 1) // s + 2  # of which one output is left
    else:
        rest = has_rest * (s - 1)
        least = max(1, span + 1 - 2 * p) + rest
        length = least + (length - 1) * s if length < 9 else length // s * s + least
    return max(length, least), k, s, d, p, rest


def case_of(number):
    """Problem and layout number so much of the grid, or None if it is another one once more.

    The first axis is as the grid says, the others are drawn.
    """
    family, rank, k, s, d, padding, has_rest, (g, ci, co) = GRID[number]
    transposed = family == "conv_transpose"
    if (k == 1 and padding == "half") or (has_rest and s == 1 and not (transposed and d > 1)):
        return None
    draw = random.Random(number)
    first = (k, s, d, padding, has_rest)
    drawn = [
        tuple(draw.choice(v) for v in (range(1, 6), range(1, 6), range(1, 4), PADDINGS, (0, 1)))
        for _ in range(rank - 1)
    ]
    axes = [axis_of(transposed, draw.choice(LENGTHS[rank]), *rest) for rest in (first, *drawn)]
    lengths, kernel, stride, dilation, pads, rests = zip(*axes, strict=True)
    weight = (g * ci, co) if transposed else (g * co, ci)
    options = {"stride": stride, "dilation": dilation, "padding": pads, "groups": g}
    problem = Problem(
        string=f"case{number}_",
        op=f"{family}{rank}d",
        input_shape=(1 + number % 2, g * ci, *lengths),
        weight_shape=(*weight, *kernel),
        dtype=draw.choice(("float32", "float64")),
        options={**options, "output_padding": rests} if transposed else options,
    )
    return problem, draw.choice(LAYOUTS)


CASES = [number for number in range(len(GRID)) if case_of(number)]
DRAWN = 300


def nonzero(rng, shape, dtype):
    """Whole numbers whose products are exact and not zero."""
    return (rng.integers(1, 5, shape) * rng.choice((-1, 1), shape)).astype(dtype)


def mistrusted(expected, op, arguments, options):
    """Zeros in more than three quarters of what a sum reaches: by chance, in a few tiny results."""
    nonzeros = np.count_nonzero(expected)
    if nonzeros * 4 > expected.size:
        return False
    ones = each_array(np.ones_like, arguments)
    return nonzeros * 4 < np.count_nonzero(definition(op)(*ones, **options))


def arguments_of_gradient(problem, x, w, gy):
    return (x.shape, w, gy) if problem.op.endswith("_input") else (x, w.shape, gy)


def results_of(problem, last, x, w, b):
    """Ways and results, of the forward operation, channels first again."""
    rank, (x_last, y_last) = problem.rank, last
    layout = "->".join(names(rank, True)[side] for side in last)
    options = {**problem.options, "layout": layout}
    given = to_last(x, rank) if x_last else x
    ways = {"function": lambda: getattr(tconv, problem.op)(given, w, b, **options)}
    for way in itertools.product(ISAS, ENGINES):
        try:
            plan = tconv.plan(problem.op, w, b, isa=way[0], engine=way[1], **options)
        except ValueError:  # the engine cannot do this geometry
            continue
        ways[way] = lambda plan=plan: plan(given)
    for way, call in ways.items():
        yield way, to_first(call(), rank) if y_last else call()


def check(result, expected, *what):
    try:
        assert_same(result, expected)
    except AssertionError as error:
        pytest.fail(f"{what}: {error}")


def run_case(number, counts):
    problem, last = case_of(number)
    rng = np.random.default_rng(number)
    x, w, b = arrays_of(problem, rng, fill=nonzero)
    wide = [a.astype(np.int64) for a in (x, w, b)]
    expected = definition(problem.op)(*wide, **problem.options)
    counts["mistrusted"] += mistrusted(expected, problem.op, wide, problem.options)
    for way, result in results_of(problem, last, x, w, b):
        check(result, expected.astype(x.dtype), number, problem, last, way)
        counts[way if way == "function" else way[1]] += 1
    gy = nonzero(rng, expected.shape, x.dtype)
    for gradient in gradients(problem):
        arguments = arguments_of_gradient(gradient, x, w, gy)
        wide = each_array(lambda a: a.astype(np.int64), arguments)
        expected = definition(gradient.op)(*wide, **problem.options)
        counts["mistrusted"] += mistrusted(expected, gradient.op, wide, problem.options)
        for isa, core in CORES.items():
            result = getattr(core, gradient.op)(*arguments, **problem.options)
            check(result, expected.astype(x.dtype), number, gradient, isa)
            counts["gradients"] += 1
    counts["cases"] += 1


def run_cases(numbers):
    counts = Counter()
    for number in numbers:
        run_case(number, counts)
    print(*(f"{name} {count}" for name, count in counts.items()))
    assert counts["mistrusted"] * 100 <= counts["cases"]
    return counts


# ---- the grid ----


def test_drawn_cases():
    counts = run_cases(random.Random(1).sample(CASES, DRAWN))
    assert counts.keys() >= {*TRANSPOSING, "mirror", "lines", "weave", "channels"}


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(20))
def test_all_cases(part):
    assert len(CASES) > 18_000
    run_cases(CASES[part::20])


# ---- identities ----

some = hypothesis.settings(max_examples=150)
seeds = st.integers(0, 2**32 - 1)


def function_of(problem):
    return partial(getattr(tconv, problem.op), **problem.options)


@hypothesis.given(problem=forward_problems(), seed=seeds)
@some
def test_linear_in_either_array(problem, seed):
    rng = np.random.default_rng(seed)
    x, w, b = arrays_of(problem, rng)
    more_x, more_w, _ = arrays_of(problem, rng)
    f = function_of(problem)
    assert_same(f(2 * x - 3 * more_x, w), 2 * f(x, w) - 3 * f(more_x, w))
    assert_same(f(x, 2 * w - 3 * more_w), 2 * f(x, w) - 3 * f(x, more_w))
    y = f(x, w)
    assert_same(f(x, w, b), y + b.reshape(-1, *(1,) * (w.ndim - 2)))


@hypothesis.given(problem=forward_problems(), seed=seeds)
@some
def test_groups_are_put_side_by_side(problem, seed):
    x, w, b = arrays_of(problem, np.random.default_rng(seed))
    g, axis = problem.options["groups"], x.ndim - w.ndim + 1
    alone = partial(function_of(problem), groups=1)
    parts = zip(*(np.split(a, g, i) for a, i in ((x, axis), (w, 0), (b, 0))), strict=True)
    y = function_of(problem)(x, w, b)
    assert_same(np.concatenate([alone(*part) for part in parts], axis), y)


@hypothesis.given(problem=forward_problems(), seed=seeds)
@some
def test_a_batch_is_its_samples(problem, seed):
    x, w, b = arrays_of(problem, np.random.default_rng(seed))
    hypothesis.assume(x.ndim == w.ndim)
    y = function_of(problem)(x, w, b)
    for sample, result in zip(x, y, strict=True):
        assert_same(function_of(problem)(sample, w, b), result)


@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize(("ci", "co", "k"), ((1, 1, 2), (3, 5, 3), (16, 17, 2), (33, 4, 5)))
def test_a_stride_as_long_as_the_kernel_shuffles_pixels(rank, ci, co, k, rng):
    """Each input gets a place of its own, k elements long along every axis."""
    lengths = (5, 4, 3)[:rank]
    x, w = (
        integers(rng, shape, "float32") for shape in ((2, ci, *lengths), (ci, co, *(k,) * rank))
    )
    y = getattr(tconv, f"conv_transpose{rank}d")(x, w, stride=k)
    products = np.tensordot(x, w, (1, 0))  # n, lengths, co, kernel
    pairs = [axis for i in range(rank) for axis in (1 + i, 2 + rank + i)]
    blocks = products.transpose(0, 1 + rank, *pairs)
    assert_same(y, blocks.reshape(2, co, *(k * length for length in lengths)))


@hypothesis.given(problem=forward_problems(families=("conv_transpose",)), seed=seeds)
@some
def test_a_shift_by_one_is_one_by_a_stride(problem, seed):
    """Along the last axis, where nothing is cropped."""
    x, w, _ = arrays_of(problem, np.random.default_rng(seed))
    f = partial(function_of(problem), padding=0)
    s = problem.options["stride"][-1]
    shifted = f(np.concatenate((np.zeros_like(x[..., :1]), x), -1), w)
    assert_same(shifted[..., s:], f(x, w))
    assert not shifted[..., : min(s, shifted.shape[-1])].any()
