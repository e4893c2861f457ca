"""What a call would do, in words: the size formula with its numbers, the engine, the cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core, _lattice

__all__ = ["Explanation", "explain", "output_size"]


class Explanation:
    """What a call would do; `str` tells it, `facts` has the numbers.

    Attributes
    ----------
    facts : dict
        Names and numbers: ``output_shape``, ``engine``, ``isa``, ``flops``, ``bytes``,
        ``scratch_bytes``, ``refusals`` and more.
    taps_per_output : tuple of ndarray
        How many taps reach each output, along each axis.
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

    def _repr_html_(self) -> str:
        """The text under a picture of the axes."""
        from html import escape

        from ._still import axes_picture

        style = "font-family:monospace; white-space:pre; overflow-x:auto"  # whatever the page has
        return f'{axes_picture(self)._repr_html_()}<pre style="{style}">{escape(str(self))}</pre>'

    def __str__(self) -> str:
        facts = self.facts
        flops, size = facts["flops"], facts["bytes"]
        cropped = 1 - flops / facts["nominal_flops"] if facts["nominal_flops"] else 0
        lines = [
            facts["problem"],
            f"  output      {facts['output_shape']}",
            *(f"              {axis.formula()}" for axis in self._axes()),
            *self._stories(),
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

    @property
    def taps_per_output(self) -> tuple[NDArray[np.intp], ...]:
        """How many taps reach each output of the forward operation, an array for each axis."""
        return tuple(_lattice.taps_per_output(**axis.outputs()) for axis in self._axes())

    def _axes(self) -> list[_Axis]:
        facts = self.facts
        rank = len(facts["kernel"])
        transposed = facts["operation"].startswith("conv_transpose")
        axes = zip(
            ("depth", "height", "width")[3 - rank :] if rank > 1 else ("length",),
            facts["output_lengths"],
            facts["input_lengths"],
            facts["kernel"],
            facts["stride"],
            zip(facts["padding"], facts["padding_end"], strict=True),
            facts["dilation"],
            facts["output_padding"],
            strict=True,
        )
        return [_Axis(transposed, facts["padding_mode"], *axis) for axis in axes]

    def _stories(self) -> list[str]:
        """What there is to say axis by axis; axes with the same to say share a line."""
        lines = []
        for label in ("padding", "taps", "unreached", "unread"):
            names: dict[str, list[str]] = {}
            for axis in self._axes():
                names.setdefault(getattr(axis, f"tell_{label}")(), []).append(axis.name)
            names.pop("", None)
            texts = [f"{', '.join(of_axes)}: {text}" for text, of_axes in names.items()]
            lines += [f"  {'' if i else label:12}{text}" for i, text in enumerate(texts)]
        return lines


class _Axis(NamedTuple):
    """One axis of the forward operation, and what there is to say about it."""

    transposed: bool
    padding_mode: str
    name: str
    output: int
    input: int
    kernel: int
    stride: int
    padding: tuple[int, int]
    dilation: int
    output_padding: int

    def outputs(self) -> dict[str, Any]:
        """The arguments with which `_lattice` counts the taps of the outputs."""
        return {
            "input_length": self.input,
            "output_length": self.output,
            "kernel": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "transposed": self.transposed,
            "padding_mode": self.padding_mode,
        }

    def inputs(self) -> dict[str, Any]:
        """Those with which it counts the taps that read the inputs of a convolution."""
        lengths = {"input_length": self.output, "output_length": self.input}
        return {**self.outputs(), **lengths, "transposed": True}

    def formula(self) -> str:
        i, k, s, d = self.input, self.kernel, self.stride, self.dilation
        before, after = self.padding
        p = f"2*{before}" if before == after else f"({before} + {after})"
        if self.transposed:
            numbers = f"({i} - 1)*{s} - {p} + {d}*({k} - 1) + {self.output_padding} + 1"
        else:
            numbers = f"floor(({i} + {p} - {d}*({k} - 1) - 1)/{s}) + 1"
        return f"{self.name} {self.output} = {numbers}"

    def tell_padding(self) -> str:
        """What a transposed convolution keeps of all places that its taps reach."""
        if not self.transposed:
            return ""
        whole = (self.input - 1) * self.stride + self.dilation * (self.kernel - 1) + 1
        before, after = self.padding[0], whole - self.padding[0] - self.output
        cut = "crops" if self.padding_mode == "zeros" else "wraps"
        parts = [
            f"{verb} {places}"
            for verb, places in (
                (cut, _places(before=before, after=after)),
                ("adds", _places(before=-before, after=-after)),
            )
            if places
        ]
        return f"{', '.join(parts)}; the taps reach {whole}" if parts else ""

    def tell_taps(self) -> str:
        """How many taps reach an output, and whether equally many reach each."""
        reach = _lattice.reach(**self.outputs())
        cycle, least, most = reach.cycle, reach.least, reach.most
        if least == most:
            return f"every output is reached by {_taps(least)}"
        if not cycle:
            return f"the outputs, all near a border, are reached by {least} to {_taps(most)}"
        if min(cycle) < max(cycle):
            return f"uneven: {_in_turn(cycle)}; {self.cause()}"
        others = f"{least} to {most}" if most > cycle[0] else f"as few as {least}"
        return f"every output is reached by {_taps(cycle[0])}, near the borders by {others}"

    def tell_unreached(self) -> str:
        unreached = _unmet(_lattice.reach(**self.outputs()), self.output, "outputs")
        return unreached and f"{unreached}; they are the bias alone"

    def tell_unread(self) -> str:
        if self.transposed:
            return ""
        return _unmet(_lattice.reach(**self.inputs()), self.input, "inputs")

    def cause(self) -> str:
        """Why an output is reached by more taps than the next."""
        s, d, k = self.stride, self.dilation, self.kernel
        if gcd(s, d) > 1:
            return f"stride {s} and dilation {d} are both multiples of {gcd(s, d)}"
        if k < s:
            return f"kernel {k} is shorter than stride {s}"
        return f"kernel {k} is no multiple of stride {s}, hence checkerboard"


def _places(**counts: int) -> str:
    """Which counts there are, and of what."""
    return " and ".join(f"{count} {place}" for place, count in counts.items() if count > 0)


def _unmet(reach: _lattice.Reach, length: int, positions: str) -> str:
    """Which positions no tap meets, if there are such."""
    if reach.most == 0:
        return f"all {length} {positions}"
    places = _places(before=reach.first, between=reach.between, after=reach.last)
    return places and f"{places} the others, of {length} {positions}"


def _taps(count: int) -> str:
    return f"{count} tap{'' if count == 1 else 's'}"


def _in_turn(cycle: tuple[int, ...]) -> str:
    """The numbers of taps that repeat along an axis."""
    if len(cycle) == 2:
        return f"{min(cycle)} and {_taps(max(cycle))} alternate"
    if len(cycle) <= 8:
        return f"{', '.join(map(str, cycle))} taps in turn"
    return f"{min(cycle)} to {_taps(max(cycle))} with period {len(cycle)}"


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
        False), and ``isa`` and ``engine`` as for `tconv.plan`; ``kept`` is the engine of a plan
        that makes the call.

    Returns
    -------
    Explanation
        Its text has the size formula with the numbers put in, what padding crops, how many taps
        reach an output and which none reaches, the engine and why the others refused, the tiles
        and tasks, the work and the memory.

    Examples
    --------
    >>> import tconv
    >>> e = tconv.explain("conv_transpose2d", (1, 8, 5, 5), (8, 4, 3, 3), stride=2)
    >>> e.output_shape
    (1, 4, 11, 11)
    >>> e.taps_per_output[0]
    array([1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 1])
    """
    x, w = _as_tuple(input_shape), _as_tuple(weight_shape)
    return Explanation(_core.explain(op, x, w, str(dtype), **options))


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
