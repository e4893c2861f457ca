"""The dtypes that have no kernels, computed by calls in float32 and float64.

Half precision (float16, bfloat16) is computed in float32 and rounded once, when all is done.

For the others every operation is bilinear in its two arrays. An array that is a sum of parts,
a = sum of u_i*a_i, gives

    f(a, b) = sum over i, j of  u_i*v_j * f(a_i, b_j).

* Complex numbers: the parts are the real and the imaginary one, u = 1, i. (So a gradient here is
  the transpose, without a conjugate.)
* Integers: the parts are digits of 16 bits, a = a_0 + 2**16*a_1 + ..., each from -2**15 up to
  2**15 - 1 but the last, which takes the sign or the carry and is at most 2**16 in magnitude, and
  u_i = 2**(16*i). Float64 adds up 2**21 products of such digits without rounding; where more are
  summed, digits of 8 bits leave room for 2**37. What lies beyond the result's bits is left out:
  integers wrap around. Elements of up to 16 bits are one digit as they are, and where all sums stay
  below 2**24, float32 holds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import _core

__all__: list[str] = []

Arrays = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None, np.ndarray | None]
Call = Callable[[np.ndarray, np.ndarray], np.ndarray]


def fill(
    function: Callable[..., np.ndarray],
    result: np.ndarray,
    arrays: Arrays,
    options: dict[str, Any],
    last: dict[str, Any],
) -> None:
    """Compute ``result``; arrays are input, weight, grad_output and bias, None where absent."""
    *three, bias = arrays
    threads = options["threads"]
    a, b = (array for array in three if array is not None)
    kind = a.dtype.kind
    if kind not in "iuc":
        call = bind(function, result, options, bias)
        _fill_half(call, result, (a, b), threads, **last)
        return
    call = bind(function, result, options)
    if kind == "c":
        total = _complex(call, a, b)
    else:
        terms = _most_terms(function.__name__, a, b, options["groups"])
        total = _integer(call, a, b, result, terms)
    if bias is not None:
        last_axis = (options["layout"] or "").endswith("C")
        total += bias.astype(total.dtype).reshape(
            -1, *[1] * (0 if last_axis else len(options["stride"]))
        )
    result[...] = total


def bind(
    function: Callable[..., np.ndarray],
    result: np.ndarray,
    options: dict[str, Any],
    bias: np.ndarray | None = None,
) -> Callable[..., np.ndarray]:
    """The function of its two arrays, whatever it computes; more options may follow them."""
    name = function.__name__
    if name.endswith("_input"):
        return lambda w, gy, **more: function(result.shape, w, gy, **options, **more)
    if name.endswith("_weight"):
        return lambda x, gy, **more: function(x, result.shape, gy, **options, **more)
    wide = None if bias is None else bias.astype(np.float32)
    return lambda x, w, **more: function(x, w, wide, **options, **more)


# ---- half precision ----

# Arrays in float32, kept for the next call: fresh memory costs more than to convert what it holds,
# as the system clears each page when it is first touched.
_kept: list[np.ndarray] = []
_MOST_KEPT = 3
_MOST_KEPT_BYTES = 32 << 20


def _take(shape: tuple[int, ...]) -> np.ndarray:
    size = math.prod(shape)
    kept = _kept.pop() if _kept else None
    if kept is None or kept.size < size:
        kept = np.empty(size, np.float32)
    return kept[:size].reshape(shape)


def _give(array: np.ndarray) -> None:
    memory = array.base
    assert isinstance(memory, np.ndarray)
    if len(_kept) < _MOST_KEPT and memory.nbytes <= _MOST_KEPT_BYTES:
        _kept.append(memory)


def _fill_half(
    call: Callable[..., np.ndarray],
    result: np.ndarray,
    halves: tuple[np.ndarray, np.ndarray],
    threads: int,
    activation: Any,
    addend: np.ndarray | None,
) -> None:
    more: dict[str, Any] = {} if activation is None else {"activation": activation}
    total = _take(result.shape)
    wide = [_take(array.shape) for array in halves]
    for to, array in zip(wide, halves, strict=True):
        _convert(to, array, threads)
    if addend is not None:
        _convert(total, addend, threads)
        more["accumulate"] = True
    call(*wide, out=total, **more)
    _convert(result, total, threads)
    for array in (*reversed(wide), total):  # the next call takes them in the other order
        _give(array)


def _convert(to: np.ndarray, array: np.ndarray, threads: int) -> None:
    """Between half precision and float32."""
    halves = {to.itemsize, array.itemsize} == {2, 4}
    if halves and to.flags.c_contiguous and array.flags.c_contiguous:
        _core.convert_half(to, array, threads)
    else:
        to[...] = array


# ---- complex numbers ----


def _complex(call: Call, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    real_a, imag_a, real_b, imag_b = map(np.ascontiguousarray, (a.real, a.imag, b.real, b.imag))
    real = call(real_a, real_b)
    total = np.empty(real.shape, a.dtype)
    np.subtract(real, call(imag_a, imag_b), out=total.real)
    np.add(call(real_a, imag_b), call(imag_a, real_b), out=total.imag)
    return total


# ---- integers ----


def _integer(
    call: Call, a: np.ndarray, b: np.ndarray, result: np.ndarray, terms: int
) -> np.ndarray:
    """The sum modulo 2**bits, in the result's dtype; so many products are summed at most."""
    bits = 8 * result.itemsize
    width = 16 if terms <= 2**21 else 8
    signed = a.dtype.kind == "i"
    fits = terms * 2 ** (2 * (8 * a.itemsize - signed)) <= 2**24
    dtype = np.float32 if fits else np.float64
    total = np.zeros(result.shape, f"u{result.itemsize}")
    for low_a, part_a in _digits(a, width, bits, dtype):
        for low_b, part_b in _digits(b, width, bits - low_a, dtype):
            product = call(part_a, part_b).astype(np.int64).astype(total.dtype)
            total += product << total.dtype.type(low_a + low_b)
    return total.view(result.dtype)


def _most_terms(name: str, a: np.ndarray, b: np.ndarray, groups: int) -> int:
    """How many products an element of the result is the sum of, at most."""
    if name.endswith("_weight"):
        return max(1, min(a.size, b.size))
    w = a if name.endswith("_input") else b
    over_first = name.startswith("conv_transpose") != name.endswith("_input")
    return int(w.size // w.shape[1] // groups if over_first else w.size // w.shape[0])


def _digits(
    array: np.ndarray, width: int, bits: int, dtype: type[np.floating]
) -> Iterator[tuple[int, np.ndarray]]:
    """Pairs of a power of two and the digit that it goes with, from the lowest one on."""
    if 8 * array.itemsize <= width:
        yield 0, array.astype(dtype)
        return
    left = array.astype(np.int64)
    half = np.int64(1 << (width - 1))
    last = 8 * array.itemsize - width
    for low in range(0, min(bits, last), width):
        digit = ((left + half) & np.int64(2 * half - 1)) - half
        yield low, digit.astype(dtype)
        left = (left - digit) >> np.int64(width)
    if last < bits:
        yield last, left.astype(dtype)


# ---- sums ----


def fill_sums(result: np.ndarray, grad_output: np.ndarray, channel_axis: int) -> None:
    """The gradient of a bias: sums over all axes but one."""
    axes = tuple(axis for axis in range(grad_output.ndim) if axis != channel_axis)
    half = grad_output.dtype.kind not in "iuc"
    result[...] = np.sum(grad_output, axis=axes, dtype=np.float32 if half else grad_output.dtype)
