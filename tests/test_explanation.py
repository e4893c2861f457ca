"""What tconv.explain and tconv.output_size say."""

import numpy as np
import pytest
from support import ENGINES, ISAS, TRANSPOSING

import tconv
from tconv import problems


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
