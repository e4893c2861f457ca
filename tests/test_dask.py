"""tconv.dask: by chunks the same as whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tconv

da = pytest.importorskip("dask.array")

import tconv.dask  # noqa: E402

LAYOUTS = {
    1: (None, "NCL", "NLC", "CL", "LC->CL", "NLC->NCL"),
    2: (None, "NCHW", "NHWC", "CHW", "HWC", "NCHW->NHWC"),
    3: (None, "NDHWC", "CDHW"),
}


@st.composite
def calls(draw):
    """A name, arrays of whole numbers, options, and chunks of the input and of the result."""
    rank = draw(st.integers(1, 3))
    transposed = draw(st.booleans())
    layout = draw(st.sampled_from(LAYOUTS[rank]))
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    integers = lambda low, high: [draw(st.integers(low, high)) for _ in range(rank)]  # noqa: E731
    channels = groups * draw(st.integers(1, 3)), draw(st.integers(1, 2))
    lengths, kernel = integers(4, 12 if rank < 3 else 6), integers(1, 4)
    stride, dilation = integers(1, 3), integers(1, 2)
    options = {"stride": stride, "dilation": dilation, "groups": groups, "layout": layout}
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    options["padding_mode"] = mode = draw(
        st.sampled_from(
            ["zeros", "zeros", "circular"] + ([] if transposed else ["reflect", "replicate"])
        )
    )
    if mode == "zeros":
        low = -1 if transposed else -2
        options["padding"] = [tuple(draw(st.integers(low, 2)) for _ in "ab") for _ in stride]
    else:
        options["padding"] = integers(0, 2)
    if transposed and mode == "zeros":
        options["output_padding"] = [draw(st.integers(0, s - 1)) for s in stride]
    if not transposed:
        lengths = [max(n, span + 4) for n, span in zip(lengths, spans, strict=True)]
    else:
        lengths = [max(n, 5) for n in lengths]
    batch = [draw(st.integers(1, 3))] if layout is None or layout[0] == "N" else []
    shape = [*batch, channels[0], *lengths]
    order = (layout or "").partition("->")[0]
    if order.endswith("C"):
        shape = [*batch, *lengths, channels[0]]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.integers(-4, 5, shape)
    pair = (
        (channels[0], channels[1]) if transposed else (groups * channels[1], channels[0] // groups)
    )
    w = rng.integers(-4, 5, (*pair, *kernel))
    bias = rng.integers(-4, 5, groups * channels[1]) if draw(st.booleans()) else None
    chunks = tuple(draw(st.integers(max(1, n // 3), n)) for n in shape)
    result_chunks = draw(st.none() | st.tuples(*[st.integers(4, 9)] * rank))
    name = f"conv{'_transpose' if transposed else ''}{rank}d"
    return name, x, w, bias, options, chunks, result_chunks


@given(calls())
@settings(max_examples=60, deadline=None)
def test_whole_numbers_are_those_of_one_call(call):
    name, x, w, bias, options, chunks, result_chunks = call
    x, w = x.astype(np.float32), w.astype(np.float32)
    bias = None if bias is None else bias.astype(np.float32)
    try:
        expected = getattr(tconv, name)(x, w, bias, **options)
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)[:20]):
            getattr(tconv.dask, name)(da.from_array(x, chunks), w, bias, **options)
        return
    result = getattr(tconv.dask, name)(
        da.from_array(x, chunks), w, bias, chunks=result_chunks, **options
    )
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    np.testing.assert_array_equal(result.compute(scheduler="sync"), expected)


def test_a_chunk_reads_its_window_and_nothing_else():
    read = set()

    def block(block_info):
        read.add(block_info[None]["chunk-location"][2:])
        return np.ones(block_info[None]["chunk-shape"], np.float32)

    x = da.map_blocks(
        block, chunks=((1,), (2,), (10,) * 5, (10,) * 5), dtype=np.float32, meta=np.empty((0,) * 4)
    )
    y = tconv.dask.conv_transpose2d(x, np.ones((2, 1, 4, 4), np.float32), stride=2, padding=1)
    assert y.chunks[2:] == ((20,) * 5, (20,) * 5)
    y.blocks[0, 0, 1, 4].compute(scheduler="sync")
    assert read == {(i, j) for i in (0, 1, 2) for j in (3, 4)}


def test_the_end_of_a_signal_beyond_memory():
    """A signal of 4 GB that nobody holds: what is computed is its last chunk."""
    x = da.zeros((1, 1, 10**9), chunks=(1, 1, 10**6), dtype=np.float32)
    y = tconv.dask.conv1d(x, np.ones((1, 1, 5), np.float32), np.ones(1, np.float32), padding=2)
    assert y.shape == x.shape
    assert y[0, 0, -10:].compute().tolist() == [1] * 10


def test_tasks_run_on_one_thread_unless_told(monkeypatch):
    seen = []
    original = tconv.conv1d
    monkeypatch.setattr(
        tconv, "conv1d", lambda *a, **k: seen.append(k.get("threads")) or original(*a, **k)
    )
    x, w = da.ones((4, 1, 50), chunks=(1, 1, 10)), np.ones((1, 1, 3))
    tconv.dask.conv1d(x, w).compute()
    tconv.dask.conv1d(x, w, threads=2).compute()
    assert set(seen) == {None, 1, 2}  # None: the call on no images, when the graph is made
    assert seen.count(1) == seen.count(2) >= 20


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64", "int8"])
def test_dtypes(dtype, rng):
    x = rng.integers(-3, 4, (2, 4, 31)).astype(dtype)
    w = rng.integers(-3, 4, (4, 2, 5)).astype(dtype)
    more = {"out_dtype": "int32"} if dtype == "int8" else {}
    lazy = tconv.dask.conv_transpose1d(da.from_array(x, (1, 2, 7)), w, None, 3, 1, **more)
    expected = tconv.conv_transpose1d(x, w, None, 3, 1, **more)
    assert lazy.dtype == expected.dtype
    np.testing.assert_array_equal(lazy.compute(), expected)


def test_reals_within_the_bound(rng):
    """Chunks of channels are summed apart, which changes the rounding and no more."""
    x = rng.standard_normal((1, 48, 20, 21)).astype(np.float32)
    w = rng.standard_normal((48, 5, 3, 3)).astype(np.float32)
    lazy = tconv.dask.conv_transpose2d(da.from_array(x, (1, 13, 6, 21)), w, stride=2, padding=1)
    exact = tconv.conv_transpose2d(x.astype(float), w.astype(float), stride=2, padding=1)
    size = tconv.conv_transpose2d(abs(x).astype(float), abs(w).astype(float), stride=2, padding=1)
    bound = (48 * 9 + 4) * np.finfo(np.float32).eps / 2 * size
    assert (abs(lazy.compute() - exact) <= bound).all()


def test_activation_is_that_of_the_whole_sum(rng):
    x, w = rng.integers(-3, 4, (1, 6, 30)) + 0.0, rng.integers(-3, 4, (6, 2, 4)) + 0.0
    for mode in ("zeros", "circular"):
        options = {"stride": 2, "padding": 1, "activation": "relu", "padding_mode": mode}
        lazy = tconv.dask.conv_transpose1d(da.from_array(x, (1, 2, 9)), w, **options)
        np.testing.assert_array_equal(lazy.compute(), tconv.conv_transpose1d(x, w, **options))


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"weight": np.ones((3, 1, 3))}, ValueError, "conv_transpose1d: "),
        ({"weight": np.ones((2, 1, 3), np.float32)}, TypeError, "weight"),
        ({"bias": np.ones(2)}, ValueError, "bias"),
        ({"stride": 0}, ValueError, "stride"),
        ({"padding": 99}, ValueError, "output length would be -187"),
        ({"activation": "gelu"}, ValueError, "activation"),
        ({"out": np.ones(3)}, TypeError, "out has no meaning"),
        ({"strides": 2}, TypeError, "strides"),
        ({"layout": "LNC"}, ValueError, "layout"),
    ],
)
def test_bad_arguments_are_found_at_once(change, error, text):
    arguments = {"input": da.ones((2, 2, 9), chunks=3), "weight": np.ones((2, 1, 3)), **change}
    with pytest.raises(error, match=text):
        tconv.dask.conv_transpose1d(**arguments)


def test_unknown_chunks_and_too_many_arguments():
    x = da.ones((2, 2, 9), chunks=3)
    unknown = x[:, :, da.ones(9, chunks=3) > 0]
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        tconv.dask.conv1d(unknown, np.ones((1, 2, 3)))
    with pytest.raises(TypeError, match="takes 7 arguments by position, got 8"):
        tconv.dask.conv1d(x, np.ones((1, 2, 3)), None, 1, 0, 1, 1, 1)
    with pytest.raises(TypeError, match="two values for stride"):
        tconv.dask.conv1d(x, np.ones((1, 2, 3)), None, 1, stride=1)


def test_two_workers_of_a_cluster(rng):
    distributed = pytest.importorskip("distributed")
    x = rng.integers(-3, 4, (2, 3, 40, 41)).astype(np.float32)
    w = rng.integers(-3, 4, (3, 2, 4, 4)).astype(np.float32)
    expected = tconv.conv_transpose2d(x, w, stride=2, padding=1)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as all_,
        distributed.Client(all_) as client,
    ):
        lazy = tconv.dask.conv_transpose2d(da.from_array(x, (1, 3, 9, 41)), w, stride=2, padding=1)
        result = client.compute(lazy).result()
        assert len(client.scheduler_info()["workers"]) == 2
    np.testing.assert_array_equal(result, expected)
