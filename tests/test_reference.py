"""tconv.reference: the numbers of the documents that started the project, three ways to one result,
and the fast functions on the same numbers."""

import numpy as np
import pytest
from support import assert_same, integers

import tconv
from tconv import reference

K = [[0, 1], [2, 3]]
WAYS = (
    reference.conv_transpose,
    reference.conv_transpose_spaced,
    reference.conv_transpose_matrix,
    tconv.conv_transpose2d,
)
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def single(way, x, kernel, **options):
    """One input channel, one output channel."""
    x, kernel = np.array(x, np.float32), np.array(kernel, np.float32)
    return way(x[None, None], kernel[None, None], **options)[0, 0].tolist()


@ways
class TestSeeds:
    def test_a_basic(self, way):
        assert single(way, K, K) == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]

    def test_a_padding_crops_the_output(self, way):
        ones = np.ones((3, 3))
        full = [
            [1, 2, 3, 2, 1],
            [2, 4, 6, 4, 2],
            [3, 6, 9, 6, 3],
            [2, 4, 6, 4, 2],
            [1, 2, 3, 2, 1],
        ]
        assert single(way, ones, ones) == full
        assert single(way, ones, ones, padding=(2, 1)) == [[6, 9, 6]]

    def test_a_size(self, way):
        for n, k, s in ((3, 2, 4), (5, 3, 2), (1, 4, 3)):
            result = single(way, np.ones((n, n)), np.ones((k, k)), stride=s)
            assert np.shape(result) == (s * (n - 1) + k,) * 2

    def test_b_stride(self, way):
        expected = [[0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]]
        assert single(way, K, K, stride=2) == expected

    def test_b_channels(self, way):
        x = np.array([[[0, 1], [2, 3]], [[0, 2], [4, 6]]], np.float32)
        w = np.array([np.ones((1, 2, 2)), np.full((1, 2, 2), 0.5)], np.float32)
        expected = [[0, 0, 2, 2], [0, 0, 2, 2], [4, 4, 6, 6], [4, 4, 6, 6]]
        assert way(x[None], w, stride=2)[0, 0].tolist() == expected

    def test_b_matrix(self, way):
        y = [[27, 37], [57, 67]]
        expected = [[27, 91, 74], [138, 400, 282], [171, 429, 268]]
        assert single(way, y, [[1, 2], [3, 4]]) == expected


def test_a_restores_the_shape_of_a_convolution(rng):
    lengths = (16 + 2 * 2 - 5) // 3 + 1
    y = integers(rng, (1, 20, lengths, lengths), "float32")
    w = integers(rng, (20, 10, 5, 5), "float32")
    assert tconv.conv_transpose2d(y, w, padding=2, stride=3).shape == (1, 10, 16, 16)


def test_b_matrix_of_a_convolution():
    w = np.array([[[[1, 2], [3, 4]]]])
    matrix = reference.conv_matrix(w, (1, 3, 3))
    assert matrix.tolist() == [
        [1, 2, 0, 3, 4, 0, 0, 0, 0],
        [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 3, 4, 0],
        [0, 0, 0, 0, 1, 2, 0, 3, 4],
    ]
    y = matrix @ np.arange(9)
    assert y.tolist() == [27, 37, 57, 67]
    assert (matrix.T @ y).tolist() == [27, 91, 74, 138, 400, 282, 171, 429, 268]


def test_b_windows_are_views():
    x = np.arange(9).reshape(1, 1, 3, 3)
    view = reference.windows(x, (2, 2))
    assert np.shares_memory(view, x)
    for offset, (i, j) in {0: (0, 0), 1: (0, 1), 3: (1, 0), 4: (1, 1)}.items():
        corner = np.lib.stride_tricks.as_strided(
            x.ravel()[offset:], (2, 2), (3 * x.itemsize, x.itemsize)
        )
        assert view[0, 0, i, j].tolist() == corner.tolist()


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_three_ways_agree(rank):
    rng = np.random.default_rng(rank)
    for _ in range(40):
        kernel, stride, dilation = (tuple(rng.integers(1, 4, rank)) for _ in range(3))
        groups = int(rng.integers(1, 3))
        x = integers(rng, (2, 2 * groups, *rng.integers(1, 5, rank)), "int64")
        w = integers(rng, (2 * groups, 3, *kernel), "int64")
        b = integers(rng, (3 * groups,), "int64")
        extra = [int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True)]
        full = [
            (n - 1) * s + d * (k - 1) + e + 1
            for n, s, d, k, e in zip(x.shape[2:], stride, dilation, kernel, extra, strict=True)
        ]
        padding = [int(rng.integers(0, min(3, (o - 1) // 2) + 1)) for o in full]
        options = {
            "stride": stride,
            "padding": padding,
            "output_padding": extra,
            "groups": groups,
            "dilation": dilation,
        }
        scattered = reference.conv_transpose(x, w, b, **options)
        for way in (reference.conv_transpose_spaced, reference.conv_transpose_matrix):
            assert_same(way(x, w, b, **options), scattered)
            assert_same(way(x[0], w, b, **options), scattered[0])
        fast = getattr(tconv, f"conv_transpose{rank}d")
        floats = (a.astype(float) for a in (x, w, b))
        assert_same(fast(*floats, **options), scattered.astype(float))


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_conv_and_its_gradient_are_the_matrix_and_its_transpose(rank):
    rng = np.random.default_rng(rank)
    for _ in range(40):
        kernel, stride, dilation = (tuple(rng.integers(1, 4, rank)) for _ in range(3))
        padding, groups = tuple(rng.integers(0, 3, rank)), int(rng.integers(1, 3))
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        lengths = [span + int(rng.integers(0, 3)) for span in spans]
        x = integers(rng, (2 * groups, *lengths), "int64")
        w = integers(rng, (3 * groups, 2, *kernel), "int64")
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        matrix = reference.conv_matrix(w, x.shape, **options)
        y = reference.conv(x, w, **options)
        assert_same(y.ravel(), matrix @ x.ravel())
        gx = reference.conv_input(x.shape, w, y, **options)
        assert_same(gx.ravel(), matrix.T @ y.ravel())
        objects = reference.conv_weight(x.astype(object), w.shape, y.astype(object), **options)
        assert_same(
            objects.astype(np.int64), reference.conv_weight(x[None], w.shape, y[None], **options)
        )
