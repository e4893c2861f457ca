"""What the tests share: data on which every sum is exact, the oracle, the error bound."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

import tconv
from tconv import _core
from tconv._arguments import SPATIAL

ISAS = _core.config()["isas"]
ENGINES = _core.config()["engines"]


def _does(engine, op):
    """Whether the engine is for the operation at all, with a stride."""
    try:
        tconv.explain(op, (1, 1, 3, 3), (1, 1, 3, 3), engine=engine, stride=2)
    except ValueError as refusal:
        never = (
            "for other operations",
            "for depthwise layers",
            "outputs of several phases lie side by side",
        )
        return not any(reason in str(refusal) for reason in never)
    return True


TRANSPOSING = tuple(engine for engine in ENGINES if _does(engine, "conv_transpose2d"))
DTYPES = ("float32", "float64")


def each_problem(problems):
    """The test's argument `problem` is each of these, and their strings name its cases."""
    return pytest.mark.parametrize("problem", problems, ids=lambda problem: problem.string)


def core_for(isa):
    """The compiled functions once more, in a module that chose this instruction set."""
    spec = importlib.util.spec_from_file_location("tconv._core", _core.__file__)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(os.environ, TCONV_ISA=isa):
        spec.loader.exec_module(module)
    assert module.config()["isa"] == isa
    return module


CORES = {isa: core_for(isa) for isa in ISAS}


def integers(rng, shape, dtype, magnitude=4):
    """Small whole numbers: products and sums of them are exact in any order."""
    return rng.integers(-magnitude, magnitude + 1, shape).astype(dtype)


def reals(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def names(rank, batched):
    """The two orders of an array's axes, channels first and channels last."""
    n = "N" * batched
    return n + "C" + SPATIAL[rank], n + SPATIAL[rank] + "C"


def to_last(array, rank):
    """A C-contiguous copy with the channels last."""
    return np.ascontiguousarray(np.moveaxis(array, -rank - 1, -1))


def to_first(array, rank):
    return np.moveaxis(array, -1, -rank - 1)


def arrays_of(problem, rng, fill=integers):
    """input, weight and bias of a problem's forward operation."""
    return (
        fill(rng, problem.input_shape, problem.dtype),
        fill(rng, problem.weight_shape, problem.dtype),
        fill(rng, (problem.output_channels,), problem.dtype),
    )


def arguments_of(problem, rng, fill=integers):
    """What the problem's function is called with, besides its options."""
    x, w, b = arrays_of(problem, rng, fill)
    if problem.op == problem.forward:
        return x, w, b
    gy = fill(rng, output_shape(problem), problem.dtype)
    if problem.op.endswith("_input"):
        return problem.input_shape, w, gy
    return x, problem.weight_shape, gy


def output_shape(problem):
    """Of the forward operation."""
    return tconv.output_size(
        problem.forward, problem.input_shape, problem.weight_shape, **problem.options
    )


def gradients(problem):
    """The two problems of a forward problem's gradients."""
    return [
        replace(problem, op=f"{problem.op}_{of}", string=problem.string.replace("_", f"{word}_", 1))
        for of, word in (("input", "gx"), ("weight", "gw"))
    ]


def definition(op):
    return getattr(tconv.reference, op)


def each_array(function, arguments):
    """The arguments with the function applied to those that are arrays."""
    return [function(a) if isinstance(a, np.ndarray) else a for a in arguments]


def error_bound(op, arguments, options):
    """The most that a result may differ from the exact one, for each of its elements.

    gamma_K times the sum of the terms' absolute values, K being the number of terms, the bias
    among them, and gamma_K = K*u / (1 - K*u) for the unit roundoff u of the dtype.
    """
    wide = np.longdouble
    (u,) = {np.finfo(a.dtype).eps / 2 for a in arguments if isinstance(a, np.ndarray)}
    ones = each_array(lambda a: np.ones(a.shape, wide), arguments)
    k = definition(op)(*ones, **options)
    sizes = each_array(lambda a: np.abs(a.astype(wide)), arguments)
    return k * u / (1 - k * u) * definition(op)(*sizes, **options)


def exact(op, arguments, options):
    """The definition in extended precision."""
    wide = each_array(lambda a: a.astype(np.longdouble), arguments)
    return definition(op)(*wide, **options)


def assert_within_bound(result, op, arguments, options):
    error = np.abs(result - exact(op, arguments, options))
    assert np.all(error <= error_bound(op, arguments, options))


def assert_trusted(result):
    """A test that compares zeros with zeros proves nothing."""
    assert np.count_nonzero(result) * 4 > result.size, "too many zeros to trust the test"


def assert_same(result, expected):
    """Equal in shape, dtype and every value (a zero's sign aside)."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    wrong = np.argwhere(result != expected)
    assert not len(wrong), f"{len(wrong)} of {result.size} differ, first at {tuple(wrong[0])}"


def run_python(program, **environment):
    """What a program, text or a file, prints in a process of its own, which must end well."""
    command = [sys.executable, *(["-c", program] if isinstance(program, str) else [program])]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
