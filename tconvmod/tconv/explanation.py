"""What a call would do, in words: the size formula with its numbers, the engine, the cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from . import _core

__all__ = ["Explanation", "explain", "output_size"]


class Explanation:
    """What a call would do; `str` tells it, `facts` has the numbers.

    Attributes
    ----------
    facts : dict
        Names and numbers: ``output_shape``, ``engine``, ``isa``, ``flops``, ``bytes``,
        ``scratch_bytes``, ``refusals`` and more.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["facts"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __repr__(self) -> str:
        return f"<tconv.Explanation {self.facts['problem']}>"

    def __str__(self) -> str:
        facts = self.facts
        flops, size = facts["flops"], facts["bytes"]
        cropped = 1 - flops / facts["nominal_flops"] if facts["nominal_flops"] else 0
        lines = [
            facts["problem"],
            f"  output      {facts['output_shape']}",
            *(f"              {formula}" for formula in self._formulas()),
            f"  work        {_count(flops)}flop"
            + (f", without the {cropped:.0%} that padding crops" if cropped >= 0.005 else ""),
            f"  memory      {_count(size)}B in and out, {flops / size:.1f} flop/B; "
            f"scratch {_count(facts['scratch_bytes'])}B"
            + (
                f", {_count(facts['packed_bytes'])}B of it packed weights"
                if facts["packed_bytes"]
                else ""
            ),
            f"  engine      {facts['engine']} ({facts['isa']}): tiles of {facts['tile']}"
            + ("" if facts["dtype"] == facts["computed_in"] else f", in {facts['computed_in']}"),
            f"  tasks       {facts['tasks']} on {facts['threads']} "
            f"thread{'s' if facts['threads'] > 1 else ''}",
            *(f"  not {name:9}{reason}" for name, reason in facts["refusals"].items()),
        ]
        return "\n".join(lines)

    def _formulas(self) -> list[str]:
        facts = self.facts
        rank = len(facts["kernel"])
        names = ("depth", "height", "width")[3 - rank :] if rank > 1 else ("length",)
        axes = zip(
            names,
            facts["output_lengths"],
            facts["input_lengths"],
            facts["stride"],
            map(_both_sides, facts["padding"], facts["padding_end"]),
            facts["dilation"],
            facts["kernel"],
            facts["output_padding"],
            strict=True,
        )
        formula = _LARGE if facts["operation"].startswith("conv_transpose") else _SMALL
        return [
            formula.format(name=name, o=o, i=i, s=s, p=p, d=d, k=k, extra=extra)
            for name, o, i, s, p, d, k, extra in axes
        ]


def _both_sides(begin: int, end: int) -> str:
    return f"2*{begin}" if begin == end else f"({begin} + {end})"


_LARGE = "{name} {o} = ({i} - 1)*{s} - {p} + {d}*({k} - 1) + {extra} + 1"
_SMALL = "{name} {o} = floor(({i} + {p} - {d}*({k} - 1) - 1)/{s}) + 1"


def _count(number: float) -> str:
    """A number with its thousands, millions or billions named, and a space."""
    for prefix in ("", "k", "M", "G"):
        if number < 1000 or prefix == "G":
            break
        number /= 1000
    return f"{number:.3g} {prefix}"


def explain(
    op: str,
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    dtype: str = "float32",
    **options: Any,
) -> Explanation:
    """Tell what an operation would do with arrays of these shapes.

    Parameters
    ----------
    op : str
        The name of the operation, such as ``"conv_transpose2d"``.
    input_shape, weight_shape : sequence of int
        The arrays' shapes; they are taken to be C-contiguous.
    dtype : str
        The arrays' dtype, such as ``"float32"``.
    **options
        As for the operation (``stride``, ``padding``, ``layout`` ...; ``bias`` is True or
        False), and ``isa`` and ``engine`` as for `tconv.plan`.

    Returns
    -------
    Explanation
        Its text has the size formula with the numbers put in, the engine and why the others
        refused, the tiles and tasks, the work and the memory.

    Examples
    --------
    >>> import tconv
    >>> e = tconv.explain("conv_transpose2d", (1, 8, 5, 5), (8, 4, 3, 3), stride=2)
    >>> e.output_shape
    (1, 4, 11, 11)
    """
    shapes = map(_as_tuple, (input_shape, weight_shape))
    return Explanation(_core.explain(op, *shapes, str(dtype), **options))


def _as_tuple(shape: Any) -> Any:
    """What is no sequence stays what it is: the compiled function says what it must be."""
    return tuple(shape) if isinstance(shape, Iterable) else shape


def output_size(
    op: str, input_shape: Sequence[int], weight_shape: Sequence[int], **options: Any
) -> tuple[int, ...]:
    """The shape of an operation's result.

    Parameters
    ----------
    op, input_shape, weight_shape, **options
        As for `explain`.

    Returns
    -------
    tuple of int
        The whole shape, batch and channels included.

    Examples
    --------
    >>> import tconv
    >>> tconv.output_size("conv_transpose1d", (2, 16, 100), (16, 4, 8), stride=4, padding=2)
    (2, 4, 400)
    """
    return explain(op, input_shape, weight_shape, **options).output_shape
