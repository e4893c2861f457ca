"""Bad arguments to every operation: one table, of an argument, what it is given and what that gets.

Each row is tried with every operation that has the argument, one argument at a time. It ends in the
exception named, with a text that names the operation and the argument; nothing that was passed has
changed, no reference and no memory is kept, and the good call is right again.
`tests/test_bad_input.py` has rows for what takes several arguments, and the texts in full.
"""

import gc
import sys
import tracemalloc
from functools import partial
from types import FunctionType

import numpy as np
import pytest
from support import assert_same, integers

import tconv

F32 = np.float32
HUGE = 2**62
VALUE, TYPE, OVERFLOW = ValueError, TypeError, OverflowError


class Broken:
    """Nothing can be made of it."""

    def _raise(self, *args, **kwargs):
        raise ZeroDivisionError("mine")

    __index__ = __float__ = __bool__ = __array__ = _raise


NAN = float("nan")
NO_INTS = (2.0, b"2", NAN, 1j, {}, np.array([1.5]), object())

# Argument: values and what they get. A function makes the value of the good one.
NUMBERS = {
    "stride": {
        VALUE: (0, -1, (), [], (1,) * 4, (1,) * 400, np.zeros(0, int)),
        OVERFLOW: (2**63, -(2**64)),
    },
    "dilation": {VALUE: (0, -1, (), (1,) * 4, HUGE, 2**63 - 1), OVERFLOW: (2**63,)},
    "padding": {
        VALUE: (-1, (), [], (1,) * 4, "SAME", "", ((1, 2, 3),), ((1,),), ((1, 1),) * 4, -(2**63)),
        TYPE: (((1.0, 2),), (("a", 1),)),
        OVERFLOW: (2**63, ((0, 2**63),)),
    },
    "output_padding": {VALUE: (-1, 2, HUGE, (), (0,) * 4, -(2**63)), OVERFLOW: (2**63,)},
    "groups": {VALUE: (0, -1, 5, 64, HUGE, -(2**63)), TYPE: ((1,), [2]), OVERFLOW: (2**63,)},
    "threads": {VALUE: (0, -3, -(2**63)), TYPE: ((1,),), OVERFLOW: (2**63,)},
    "kernel_size": {VALUE: (0, -1, (), (2,) * 4, HUGE), OVERFLOW: (2**63,)},
    "hop": {VALUE: (0, -1, -(2**63)), OVERFLOW: (2**63,)},
}
NAMES = {
    "layout": {
        VALUE: ("", "N", "NCCH", "nchw", "NHWC->", "NHWC->CHW", "N" * 999),
        TYPE: (3, b"NCHW"),
    },
    "padding_mode": {VALUE: ("mirror", ""), TYPE: (3, b"zeros")},
    "isa": {VALUE: ("sse9", ""), TYPE: (3,)},
    "engine": {VALUE: ("warp", ""), TYPE: (3,)},
    "op": {VALUE: ("conv4d", "", None), TYPE: (3,)},
    "dtype": {TYPE: ("float128", "bool", "")},
    "activation": {
        VALUE: ("gelu", "", ("relu", 1), ("prelu", 0.1)),
        TYPE: (3, ("leaky_relu", "a"), ("leaky_relu",), (1, 2)),
    },
    "out_dtype": {TYPE: ("float64", "int8", "nonsense", object, "f4,f4", 3.5)},
}
SIZES = {
    "output_size": {
        VALUE: (1, 10**6, (5,) * 7, (), -1, -(2**63)),
        TYPE: NO_INTS,
        OVERFLOW: (2**63,),
    },
    "input_size": {
        VALUE: ((), (2,), (1,) * 7, lambda size: (*size[:-1], -1)),
        TYPE: (9, 2.0, object(), lambda size: (*size[:-1], 5.0), lambda size: (*size[:-1], True)),
        OVERFLOW: (lambda size: (*size[:-1], 2**63),),
    },
}
SIZES["weight_size"] = SIZES["input_shape"] = SIZES["weight_shape"] = SIZES["input_size"]
ARRAYS = {
    VALUE: (
        lambda a: a[..., :0],
        lambda a: a.reshape(a.shape + (1,) * (6 - a.ndim)),
        lambda a: a.reshape(-1)[0],
        lambda a: np.zeros((0,) * a.ndim, a.dtype),
    ),
    TYPE: (
        lambda a: a.astype(bool),
        lambda a: a.astype(object),
        lambda a: a.astype(str),
        lambda a: a.astype("M8[s]"),
        lambda a: a.astype("m8[s]"),
        lambda a: a.astype(np.longdouble),
        lambda a: np.zeros(a.shape, [("a", "f4")]),
        lambda a: np.ma.masked_less_equal(a, a.max()),
        "text",
        {},
        object(),
    ),
    ZeroDivisionError: (Broken(),),
}
ARRAYS_TOGETHER = {
    **ARRAYS,
    VALUE: (*ARRAYS[VALUE], lambda a: np.concatenate((a, a), axis=min(1, a.ndim - 1))),
    TYPE: (*ARRAYS[TYPE], lambda a: a.astype(np.float64), lambda a: a.astype(np.int32)),
}
ARRAYS_OF_ANY_DTYPE = {TYPE: (None, lambda a: np.ma.masked_less_equal(a, a.max()))}
BROKEN = {ZeroDivisionError: (Broken(),)}
OUT = {
    VALUE: (
        lambda out: out[..., :-1],
        lambda out: out[None, None],
        lambda out: out.reshape(-1)[:0],
        lambda out: read_only(out),
        lambda out: np.lib.stride_tricks.as_strided(out, out.shape, (0,) * out.ndim),
    ),
    TYPE: (
        lambda out: out.astype(np.float64),
        lambda out: out.astype(">f4"),
        lambda out: out.astype(object),
        lambda out: out.tolist(),
        "out",
        3,
    ),
}


def read_only(array):
    view = array[...]
    view.flags.writeable = False
    return view


# ---- operations ----

RANKS = (1, 2, 3)


def forward(family, rank):
    rng = np.random.default_rng(rank)
    spatial, kernel = (6, 5, 4)[:rank], (3, 2, 3)[:rank]
    weight = (6, 2) if family == "conv" else (4, 3)
    call = {
        "input": integers(rng, (2, 4, *spatial), F32),
        "weight": integers(rng, (*weight, *kernel), F32),
        "bias": integers(rng, (6,), F32),
        "stride": 2,
        "padding": 1,
        "groups": 2,
        "dilation": 1,
    }
    if family == "conv_transpose":
        call["output_padding"] = 1
    return call


ACCEPTED = {  # besides those in the good call
    "": ("layout", "padding_mode", "activation", "out", "out_dtype", "threads"),
    "_input": ("layout", "padding_mode", "out", "out_dtype", "threads"),
    "_weight": ("layout", "padding_mode", "out", "out_dtype", "threads"),
    "plan": ("layout", "padding_mode", "activation", "out_dtype", "threads", "isa", "engine"),
    "explain": ("layout", "padding_mode", "threads", "isa", "engine", "dtype"),
}


def operations():
    """Name: the function, its good call and the other arguments that it has."""
    for family in ("conv", "conv_transpose"):
        for rank in RANKS:
            name, call = f"{family}{rank}d", forward(family, rank)
            sized = ("output_size",) if family == "conv_transpose" else ()
            yield name, getattr(tconv, name), call, ACCEPTED[""] + sized
            gradient = {k: v for k, v in call.items() if k != "bias"}
            gradient["grad_output"] = getattr(tconv, name)(**call)
            for of, array in (("input", "input"), ("weight", "weight")):
                sizes = {f"{of}_size": gradient[array].shape}
                rest = {k: v for k, v in gradient.items() if k != array}
                function = getattr(tconv.grad, f"{name}_{of}")
                yield f"{name}_{of}", function, {**sizes, **rest}, ACCEPTED[f"_{of}"]
            plan = {"op": name, **{k: v for k, v in call.items() if k != "input"}}
            yield f"plan of {name}", tconv.plan, plan, ACCEPTED["plan"]
            if family == "conv_transpose":
                made = tconv.plan(**plan)
                other = ("out", "threads") if rank == 1 else ("out", "threads", "output_size")
                whole = {"input": call["input"]}
                yield f"call of {name}", made, whole, other
            shapes = {f"{k}_shape": call[k].shape for k in ("input", "weight")}
            numbers = {k: v for k, v in call.items() if k not in ("input", "weight", "bias")}
            yield (
                f"explain {name}",
                tconv.explain,
                {"op": name, **shapes, **numbers},
                (ACCEPTED["explain"]),
            )
    x = forward("conv", 2)["input"]
    yield "grad.bias", tconv.grad.bias, {"grad_output": x}, ("layout", "out", "threads")
    kernel = {"kernel_size": (2, 2), "stride": 1, "padding": 0, "dilation": 1}
    yield "unfold", tconv.unfold, {"input": x, **kernel}, ("layout",)
    columns = {"input": tconv.unfold(x, (2, 2)), "output_size": (6, 5)}
    yield "fold", tconv.fold, {**columns, **kernel}, ("layout",)
    yield "overlap_add", tconv.overlap_add, {"frames": x[0], "hop": 2}, ()
    matrix = {"weight": forward("conv", 2)["weight"], "input_shape": (4, 6, 5)}
    yield "conv_matrix", tconv.conv_matrix, {**matrix, "groups": 2, "stride": 1, "dilation": 1}, ()


OPERATIONS = {name: rest for name, *rest in operations()}

# Python functions that copy elements, whatever they are.
OF_ANY_DTYPE = ("unfold", "fold", "overlap_add", "conv_matrix")


def tables_of(name, argument, value):
    if argument in NUMBERS:
        own = NUMBERS[argument]
        texts = () if argument == "padding" else ("2", "same")
        texts = texts if argument == "threads" else (*texts, None)
        return {**own, TYPE: (*NO_INTS, *texts, True, np.True_, *own.get(TYPE, ())), **BROKEN}
    if argument == "out":
        return OUT
    if isinstance(value, np.ndarray):
        alone = name.startswith(("grad.bias", "plan", "call"))
        return ARRAYS_OF_ANY_DTYPE if name in OF_ANY_DTYPE else ARRAYS if alone else ARRAYS_TOGETHER
    return {**NAMES, **SIZES}.get(argument, {})


def rows_of(name, argument, value):
    """Pairs of a bad value and the exception that it gets."""
    for exception, values in tables_of(name, argument, value).items():
        for bad in values:
            yield bad(value) if isinstance(bad, FunctionType) else bad, exception


def attempt(call, exception, what):
    """The text of the exception, without which it fails."""
    try:
        call()
    except exception as error:
        return str(error)
    except Exception as error:
        return pytest.fail(f"{type(error).__name__} for {what}: {error}")
    return pytest.fail(f"no {exception.__name__} for {what}")


def try_all(name, check):
    """Every row of the operation; how many there are."""
    function, good, others = OPERATIONS[name]
    result = function(**good)
    count = 0
    for argument in (*good, *others):
        value = good.get(argument, np.zeros_like(result) if argument == "out" else None)
        for bad, exception in rows_of(name, argument, value):
            check(function, good, argument, bad, exception, result)
            count += 1
    return count


def check_row(function, good, argument, bad, exception, result):
    call = {**good, argument: bad}
    arrays = [a for a in call.values() if isinstance(a, np.ndarray)]
    before = [a.tobytes() for a in arrays]
    counts = [sys.getrefcount(a) for a in arrays]
    text = attempt(partial(function, **call), exception, f"{argument}={bad!r:.60}")
    assert exception is ZeroDivisionError or argument.removesuffix("_shape") in text, text
    assert counts == [sys.getrefcount(a) for a in arrays], (argument, bad)
    assert before == [a.tobytes() for a in arrays], (argument, bad)
    again = function(**good)
    if isinstance(result, np.ndarray):
        assert_same(again, result)
    else:
        assert str(again) == str(result)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_argument(name):
    assert try_all(name, check_row) >= 15


def memory_in_use():
    sys._clear_type_cache()  # it keeps the names of attributes that were looked for
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_memory_is_kept(name):
    def check(function, good, argument, bad, exception, result):
        attempt(partial(function, **{**good, argument: bad}), exception, argument)

    gc.freeze()  # what was there before need not be searched
    tracemalloc.start()
    try:
        try_all(name, check)  # fills the caches of the interpreter, too
        before = memory_in_use()
        count = try_all(name, check)
        after = memory_in_use()
    finally:
        tracemalloc.stop()
        gc.unfreeze()
    assert after - before < 8 * count  # no object is smaller


@pytest.mark.parametrize("name", OPERATIONS)
def test_keywords(name):
    function, good, _ = OPERATIONS[name]
    first = next(iter(good))
    value = good[first]
    rest = {k: v for k, v in good.items() if k != first}
    for bad, text in (
        (partial(function, **good, strides=1), "strides"),
        (partial(function, value, **good), "multiple values"),
        (partial(function, **rest), first),
        (partial(function, *[value] * 12), "positional"),
    ):
        assert text in attempt(bad, TypeError, text)
