"""What tconv.explain and tconv.output_size say."""

from functools import reduce

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from strategies import forward_problems
from support import ENGINES, ISAS, TRANSPOSING, assert_same

import tconv
from tconv import _lattice, problems


def explain_string(string, **more):
    p = problems.parse(string)
    return tconv.explain(p.op, p.input_shape, p.weight_shape, p.dtype, **p.options, **more)


def test_it_tells_the_story():
    text = str(
        explain_string("ct2d_n1_ci64_ih4_iw5_co32_k4x3_s2_p1_f32", isa="portable", threads=1)
    )
    lines = text.splitlines()
    assert lines[0] == "ct2d_n1_ci64_ih4_iw5_co32_k4x3_s2_p1_f32"
    assert "(1, 32, 8, 9)" in lines[1]
    assert lines[2].strip() == "height 8 = (4 - 1)*2 - 2*1 + 1*(4 - 1) + 0 + 1"
    assert lines[3].strip() == "width 9 = (5 - 1)*2 - 2*1 + 1*(3 - 1) + 0 + 1"
    for word in ("work", "memory", "engine", "portable", "tasks", "1 thread"):
        assert word in text


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [2, 3, 4])
@pytest.mark.parametrize(
    "string",
    [
        "c1d_n1_ci512_iw3199_co512_k3_s2_p0_f32",
        "c1d_n1_ci64_iw9001_co128_k3_s1_p1_f32",
        "ct2d_n1_ci64_ih90_iw100_co64_k3_s1_p1_f32",
    ],
)
def test_a_few_tasks_come_out_even(string, threads, isa):
    """The slowest thread has at most a twentieth more to do than its share."""
    tasks = explain_string(string, engine="gather", threads=threads, isa=isa).facts["tasks"]
    assert -(-tasks // threads) * threads <= 1.05 * tasks


# ---- how many taps reach an output ----

MODES = ("zeros", "reflect", "replicate", "circular")


def ones(shape):
    return np.ones(shape, np.int64)


@st.composite
def cases(draw):
    """An operation with one channel, its lengths, kernel and options."""
    problem = draw(forward_problems(channels=(1,)))
    kernel = problem.weight_shape[2:]
    options = {name: value for name, value in problem.options.items() if name != "groups"}
    lengths = problem.input_shape[-len(kernel) :]
    if draw(st.booleans()):
        options.pop("output_padding", None)
        transposed = problem.op.startswith("conv_transpose")
        modes = ("zeros", "circular") if transposed else MODES
        sides = [draw(st.tuples(st.integers(-2, 3), st.integers(-2, 3))) for _ in kernel]
        options |= {"padding": tuple(sides), "padding_mode": draw(st.sampled_from(modes))}
    return problem.op, (1, *lengths), (1, 1, *kernel), options


@given(cases())
def test_taps_are_what_ones_add_up_to(case):
    op, input_shape, weight_shape, options = case
    try:
        explanation = tconv.explain(op, input_shape, weight_shape, **options)
    except ValueError:
        return  # no output is left, or the padding is longer than its mode allows
    y = getattr(tconv, op)(ones(input_shape), ones(weight_shape), **options)
    taps = explanation.taps_per_output
    assert_same(reduce(np.multiply.outer, taps)[None], y)
    assert "\n  taps        " in str(explanation)


axes = st.tuples(*[st.integers(1, most) for most in (90, 5, 5, 4)])
pairs = st.tuples(st.integers(-4, 6), st.integers(-4, 6))


@given(axes, pairs, st.sampled_from(MODES), st.booleans())
def test_reach_is_what_the_counts_come_to(axis, padding, mode, transposed):
    large, kernel, stride, dilation = axis
    span = dilation * (kernel - 1) + 1
    small = (large + sum(padding) - span) // stride + 1
    if small < 1 or (mode != "zeros" and max(padding) >= large):
        return
    lengths = (small, large) if transposed else (large, small)
    case = (*lengths, kernel, stride, padding, dilation)
    options = {"transposed": transposed, "padding_mode": mode}
    counts = _lattice.taps_per_output(*case, **options)
    reach = _lattice.reach(*case, **options)
    assert (reach.least, reach.most) == (counts.min(), counts.max())
    met = np.flatnonzero(counts)
    if len(met):
        gaps = met[0], np.count_nonzero(counts[met[0] : met[-1]] == 0), len(counts) - 1 - met[-1]
        assert (reach.first, reach.between, reach.last) == gaps
    period = stride if transposed else 1
    assert len(reach.cycle) in (0, period)
    if reach.cycle:
        at = np.arange(len(counts))
        regular = counts == np.take(reach.cycle, at % period)
        assert np.lib.stride_tricks.sliding_window_view(regular, period).all(1).any()
    ends = abs(padding[0]) + abs(padding[1])
    if len(counts) >= 2 * (span + ends) + 2 * stride:
        assert reach.cycle


def test_reach_takes_no_time():
    reach = _lattice.reach(10**15, 4 * 10**15 - 2, kernel=2, stride=4)
    assert reach == (0, 2 * (10**15 - 1), 0, 0, 1, (1, 1, 0, 0))


def story(op, length, kernel, **options):
    """The lines on padding and taps, for one axis."""
    text = str(tconv.explain(op, (1, length), (1, 1, kernel), **options))
    return {
        line[2:14].strip(): line[14:]
        for line in text.splitlines()
        if line[14:].startswith("length: ")
    }


@pytest.mark.parametrize(
    ("op", "length", "kernel", "options", "told"),
    [
        (
            "conv_transpose1d",
            6,
            4,
            {"stride": 2, "padding": 1},
            {
                "padding": "crops 1 before and 1 after; the taps reach 14",
                "taps": "every output is reached by 2 taps, near the borders by as few as 1",
            },
        ),
        (
            "conv_transpose1d",
            6,
            3,
            {"stride": 2, "padding": 1, "output_padding": 1},
            {
                "padding": "crops 1 before; the taps reach 13",
                "taps": "uneven: 1 and 2 taps alternate; kernel 3 is no multiple of stride 2, "
                "hence checkerboard",
            },
        ),
        (
            "conv_transpose1d",
            5,
            2,
            {"stride": 3, "padding": "same"},
            {
                "padding": "adds 1 after; the taps reach 14",
                "taps": "uneven: 1, 1, 0 taps in turn; kernel 2 is shorter than stride 3",
                "unreached": "4 between and 1 after the others, of 15 outputs; "
                "they are the bias alone",
            },
        ),
        (
            "conv_transpose1d",
            9,
            2,
            {"stride": 2, "dilation": 4, "padding": ((-1, 2),)},
            {
                "padding": "crops 2 after, adds 1 before; the taps reach 21",
                "taps": "uneven: 0 and 2 taps alternate; stride 2 and dilation 4 are both "
                "multiples of 2",
                "unreached": "1 before and 9 between the others, of 20 outputs; "
                "they are the bias alone",
            },
        ),
        (
            "conv_transpose1d",
            8,
            4,
            {"stride": 2, "padding": 2, "padding_mode": "circular"},
            {
                "padding": "wraps 2 before and 2 after; the taps reach 18",
                "taps": "every output is reached by 2 taps, near the borders by 2 to 3",
            },
        ),
        (
            "conv_transpose1d",
            2,
            3,
            {},
            {"taps": "the outputs, all near a border, are reached by 1 to 2 taps"},
        ),
        ("conv_transpose1d", 1, 4, {}, {"taps": "every output is reached by 1 tap"}),
        (
            "conv_transpose1d",
            40,
            25,
            {"stride": 10},
            {
                "taps": "uneven: 2 to 3 taps with period 10; kernel 25 is no multiple of "
                "stride 10, hence checkerboard",
            },
        ),
        (
            "conv1d",
            10,
            3,
            {"stride": 4},
            {
                "taps": "every output is reached by 3 taps",
                "unread": "1 between and 3 after the others, of 10 inputs",
            },
        ),
        (
            "conv1d",
            10,
            3,
            {"padding": 4},
            {
                "taps": "every output is reached by 3 taps, near the borders by as few as 0",
                "unreached": "2 before and 2 after the others, of 16 outputs; "
                "they are the bias alone",
            },
        ),
        (
            "conv1d",
            10,
            3,
            {"padding": ((-2, -1),)},
            {
                "taps": "every output is reached by 3 taps",
                "unread": "2 before and 1 after the others, of 10 inputs",
            },
        ),
    ],
)
def test_it_tells_what_the_taps_reach(op, length, kernel, options, told):
    lines = story(op, length, kernel, **options)
    assert lines == {label: f"length: {text}" for label, text in told.items()}


def test_axes_with_the_same_to_say_share_a_line():
    text = str(tconv.explain("conv_transpose3d", (1, 6, 6, 6), (1, 1, 4, 3, 3), stride=2))
    assert "  taps        depth: every output is reached by 2 taps, near" in text
    assert "              height, width: uneven: 1 and 2 taps alternate; kernel 3" in text


# ---- work and choices ----


def test_flops_leave_out_what_padding_crops():
    facts = explain_string("ct2d_n1_ci2_ih4_iw4_co3_k4_s2_p1_f32").facts
    assert facts["nominal_flops"] == 2 * 2 * 3 * 16 * 16
    ones = tconv.conv_transpose2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 4, 4)), stride=2, padding=1)
    assert facts["flops"] == 2 * 2 * 3 * ones.sum()


def test_bytes_and_scratch():
    facts = explain_string("ct1d_n2_ci8_iw10_co16_k2_s2_p0_f64", bias=True, threads=1).facts
    assert facts["bytes"] == 8 * (2 * 8 * 10 + 8 * 16 * 2 + 2 * 16 * 20 + 16)
    assert facts["scratch_bytes"] >= facts["packed_bytes"]


def test_every_refusal_has_a_reason():
    for name, reason in (
        explain_string("ct2d_n1_ci8_ih5_iw5_co64_k3_s1_p1_f32").facts["refusals"].items()
    ):
        assert name in ENGINES
        assert len(reason) > 10


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("engine", TRANSPOSING)
def test_choices(isa, engine):
    explanation = explain_string("ct2d_n1_ci8_ih5_iw5_co6_k3_s1_p1_f32", isa=isa, engine=engine)
    assert (explanation.isa, explanation.engine) == (isa, engine)


def test_attributes():
    explanation = explain_string("ct2d_n1_ci8_ih5_iw5_co6_k3_s1_p1_f32")
    assert explanation.output_shape == (1, 6, 5, 5)
    assert "ct2d_n1_ci8" in repr(explanation)
    with pytest.raises(AttributeError, match="colour"):
        _ = explanation.colour


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_output_size_is_the_shape_of_the_result(rank, rng):
    op = f"conv_transpose{rank}d"
    for _ in range(30):
        x = np.zeros((*rng.integers(1, 3, rng.integers(0, 2)), 4, *rng.integers(1, 6, rank)))
        w = np.zeros((4, 3, *rng.integers(1, 5, rank)))
        options = {"stride": int(rng.integers(1, 4)), "dilation": int(rng.integers(1, 3))}
        expected = getattr(tconv, op)(x, w, **options).shape
        assert tconv.output_size(op, x.shape, w.shape, **options) == expected
        size = tuple(length + options["stride"] - 1 for length in expected[-rank:])
        assert tconv.output_size(op, x.shape, w.shape, output_size=size, **options)[-rank:] == size


def test_bad_questions():
    for error, text, call in (
        (ValueError, "op must name", lambda: tconv.explain("conv", (1, 1, 1), (1, 1, 1))),
        (
            ValueError,
            "stride must be",
            lambda: tconv.output_size("conv_transpose1d", (1, 1, 1), (1, 1, 1), stride=0),
        ),
        (
            TypeError,
            "dtype must be",
            lambda: tconv.explain("conv_transpose1d", (1, 1, 1), (1, 1, 1), "bool"),
        ),
        (
            ValueError,
            "must not be negative",
            lambda: tconv.explain("conv_transpose1d", (1, -1, 1), (1, 1, 1)),
        ),
        (
            ValueError,
            "at most 5 dimensions",
            lambda: tconv.explain("conv_transpose1d", (1,) * 9, (1, 1, 1)),
        ),
        (ValueError, "input must have", lambda: tconv.explain("conv_transpose1d", (), (1, 1, 1))),
        (
            TypeError,
            "must be an int",
            lambda: tconv.explain("conv_transpose1d", (1, 1.5, 1), (1, 1, 1)),
        ),
        (
            TypeError,
            "unexpected keyword",
            lambda: tconv.explain("conv_transpose1d", (1, 1, 1), (1, 1, 1), strides=1),
        ),
    ):
        with pytest.raises(error, match=text):
            call()


def test_names_in_a_file(tmp_path):
    """A name says one problem."""
    path = tmp_path / "shapes.txt"
    path.write_text(
        "# two\na ct1d_n1_ci1_iw3_co1_k2_s1_p0_f32 short\nb c1d_n1_ci1_iw3_co1_k2_s1_p0_f32\n"
    )
    assert list(problems.read_file(path)) == ["a", "b"]
    path.write_text(path.read_text().replace("b c1d", "a c1d"))
    with pytest.raises(ValueError, match=r"two problems are named 'a' in .*shapes\.txt"):
        problems.read_file(path)
