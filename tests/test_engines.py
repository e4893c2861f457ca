"""Every engine with every instruction set on every edge geometry, exact on whole numbers."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from support import (
    ENGINES,
    ISAS,
    arrays_of,
    assert_same,
    assert_trusted,
    definition,
    error_bound,
    exact,
    reals,
)

import tconv
from tconv import problems

EDGES = problems.read_file(Path(__file__).with_name("problems_edge.txt"))

edge = pytest.mark.parametrize("problem", EDGES.values(), ids=EDGES)
isa = pytest.mark.parametrize("isa", ISAS)
engine = pytest.mark.parametrize("engine", ENGINES)


@cache
def whole_numbers(problem):
    """Arrays and what the definition makes of them, once for all engines."""
    arrays = arrays_of(problem, np.random.default_rng(1))
    return arrays, definition(problem.op)(*arrays, **problem.options)


@cache
def real_numbers(problem):
    """Arrays, what the definition makes of them, and how far a result may be from that."""
    arrays = arrays_of(problem, np.random.default_rng(2), fill=reals)
    rest = problem.op, arrays, problem.options
    return arrays, exact(*rest), error_bound(*rest)


def plan_or_skip(problem, w, b, **choices):
    try:
        return tconv.plan(problem.op, w, b, **problem.options, **choices)
    except ValueError as refusal:
        pytest.skip(str(refusal))


@edge
@isa
@engine
def test_exact_on_whole_numbers(problem, isa, engine):
    (x, w, b), expected = whole_numbers(problem)
    plan = plan_or_skip(problem, w, b, isa=isa, engine=engine)
    for threads in (1, 2, 3):
        result = plan(x, threads=threads)
        assert_same(result, expected)
    assert_trusted(result)


@edge
def test_function_is_exact(problem, rng):
    x, w, b = arrays_of(problem, rng)
    function = getattr(tconv, problem.op)
    expected = definition(problem.op)(x, w, b, **problem.options)
    assert_same(function(x, w, b, **problem.options), expected)
    expected = definition(problem.op)(x, w, None, **problem.options)
    assert_same(function(x, w, **problem.options), expected)


@edge
@isa
@engine
def test_reals_are_within_the_bound(problem, isa, engine):
    (x, w, b), wanted, bound = real_numbers(problem)
    plan = plan_or_skip(problem, w, b, isa=isa, engine=engine)
    assert np.all(np.abs(plan(x) - wanted) <= bound)


@edge
@engine
def test_every_output_is_written_and_nothing_else(problem, engine):
    (x, w, b), expected = whole_numbers(problem)
    plan = plan_or_skip(problem, w, b, engine=engine)
    guarded = np.full(tuple(length + 4 for length in expected.shape), np.nan, expected.dtype)
    inside = tuple(slice(2, -2) for _ in expected.shape)
    plan(x, out=guarded[inside])
    assert_same(guarded[inside], expected)
    guarded[inside] = np.nan
    assert np.isnan(guarded).all()


@edge
def test_nonfinite_values_reach_what_the_definition_says(problem, rng):
    """One NaN or infinity at a time: the outputs that it reaches, and no others, show it."""
    x, w, b = arrays_of(problem, rng)
    for value in (np.nan, np.inf):
        for array in (x, w) * 3:
            where = tuple(rng.integers(length) for length in array.shape)
            kept, array[where] = array[where], value
            with np.errstate(invalid="ignore"):
                expected = definition(problem.op)(x, w, b, **problem.options)
            for result in results_of_all_engines(problem, x, w, b):
                assert np.array_equal(np.isnan(result), np.isnan(expected))
                assert np.array_equal(np.isinf(result), np.isinf(expected))
            array[where] = kept


def results_of_all_engines(problem, x, w, b):
    yield getattr(tconv, problem.op)(x, w, b, **problem.options)
    for engine in ENGINES:
        try:
            plan = tconv.plan(problem.op, w, b, engine=engine, **problem.options)
        except ValueError:  # the engine cannot do this geometry
            continue
        yield plan(x)
