"""What a type checker knows of results. `test_typing.py` has mypy check this file, and runs it."""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import tconv

x = np.ones((1, 3, 8, 8), np.float32)
w = np.ones((3, 2, 4, 4), np.float32)


def results_have_the_dtype_of_the_arrays() -> None:
    y = tconv.conv_transpose2d(x, w, stride=2, padding="same")
    assert_type(y, NDArray[np.float32])
    assert y.dtype == np.float32

    z = tconv.conv2d(
        y.astype(np.float64), w.astype(np.float64), stride=(2, 2), padding=[[1, 1]] * 2
    )
    assert_type(z, NDArray[np.float64])
    assert z.dtype == np.float64

    counts = np.ones((1, 1, 5), np.int64)
    assert_type(tconv.conv1d(counts, counts), NDArray[np.int64])
    assert tconv.conv1d(counts, counts).dtype == np.int64


def gradients_too() -> None:
    g = tconv.conv_transpose2d(x, w)
    g_input = tconv.grad.conv_transpose2d_input(None, w, g)
    g_weight = tconv.grad.conv_transpose2d_weight(x, w.shape, g)
    g_bias = tconv.grad.bias(g)
    assert_type(g_input, NDArray[np.float32])
    assert_type(g_weight, NDArray[np.float32])
    assert_type(g_bias, NDArray[np.float32])
    assert g_input.dtype == g_weight.dtype == g_bias.dtype == np.float32


def or_the_dtype_asked_for() -> None:
    half = x.astype(np.float16), w.astype(np.float16)
    y = tconv.conv_transpose2d(*half, out_dtype=np.float32)
    assert_type(y, NDArray[np.float32])
    assert y.dtype == np.float32


def of_lists_the_dtype_cannot_be_seen() -> None:
    y = tconv.conv1d([[1.0, 2.0, 3.0]], [[[1.0, 10.0]]])
    assert_type(y, NDArray[Any])
    assert y.shape == (1, 2)


def a_plan_takes_arrays() -> None:
    plan = tconv.plan("conv_transpose2d", w, stride=2)
    assert_type(plan, tconv.Plan)
    assert_type(plan(x), NDArray[Any])
    assert_type(plan.engine, str)
    assert plan(x).shape == (1, 2, 18, 18)


def a_matrix_is_dense_or_sparse() -> None:
    assert_type(tconv.conv_matrix([[[1, 2, 3]]], (1, 5)), NDArray[Any])
    assert_type(tconv.conv_matrix([[[1, 2, 3]]], (1, 5), sparse=False), NDArray[Any])


def sizes_are_tuples() -> None:
    size = tconv.output_size("conv_transpose2d", x.shape, w.shape, stride=2)
    assert_type(size, tuple[int, ...])
    assert size == (1, 2, 18, 18)


def wrong_calls_are_seen(really: bool = False) -> None:
    if really:
        tconv.conv2d(x, w, activation="softmax")  # type: ignore[call-overload]
        tconv.conv_transpose2d(x, w, padding_mode="reflect")  # type: ignore[call-overload]
        tconv.conv_transposed2d(x, w)  # type: ignore[attr-defined]


if __name__ == "__main__":
    results_have_the_dtype_of_the_arrays()
    gradients_too()
    or_the_dtype_asked_for()
    of_lists_the_dtype_cannot_be_seen()
    a_plan_takes_arrays()
    a_matrix_is_dense_or_sparse()
    sizes_are_tuples()
    wrong_calls_are_seen()
