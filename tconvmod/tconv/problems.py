"""Problem strings: one name for a problem in tests, benchmarks, plans and on the command line.

A string such as ``ct2d_n16_ci64_ih32_iw32_co3_k4_s2_p1_f32`` says operation, batch, channels,
lengths, kernel, stride, padding and dtype; ``pe`` (padding at the end), ``op`` (output padding),
``d`` (dilation) and ``g`` (groups) appear where they are not as ``p``, 0, 1 and 1, and ``k3x5``
where axes differ; ``circular`` is the padding mode if it is not "zeros"; ``nhwc`` before the dtype
is the layout, ``nhwc_nchw`` one for the input and one for the output. ``c2d`` is a convolution. A
gradient is called as the forward operation it belongs to, with ``gx`` (of the input) or ``gw`` (of
the weight) behind the first word: ``ct2dgw_n16_...``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Problem", "parse", "read_file"]

_OPERATIONS = {"c": "conv", "ct": "conv_transpose"}
_GRADIENTS = {"": "", "gx": "_input", "gw": "_weight"}
_DTYPES = {
    f"{code}{bits}": f"{name}{bits}"
    for code, name, widths in (
        ("f", "float", (16, 32, 64)),
        ("bf", "bfloat", (16,)),
        ("c", "complex", (64, 128)),
        ("i", "int", (8, 16, 32, 64)),
        ("u", "uint", (8, 16, 32, 64)),
    )
    for bits in widths
}
_MODES = ("reflect", "replicate", "circular")
_LAYOUTS = {1: ("ncl", "nlc"), 2: ("nchw", "nhwc"), 3: ("ncdhw", "ndhwc")}
_OPTIONS = {"s": "stride", "p": "padding", "op": "output_padding", "d": "dilation"}


@dataclass(frozen=True)
class Problem:
    """A problem in the terms of the function that solves it.

    Attributes
    ----------
    string : str
        The problem string.
    op : str
        The function's name, such as ``"conv_transpose2d"`` or ``"conv2d_weight"``.
    input_shape, weight_shape : tuple of int
        Of the forward operation.
    dtype : str
        Of all arrays.
    options : dict
        Keyword arguments of the function that are not at their defaults.
    """

    string: str
    op: str
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    dtype: str
    options: dict[str, Any] = field(hash=False)

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.input_shape) - 2

    @property
    def forward(self) -> str:
        """The forward operation that it belongs to, such as ``"conv2d"``."""
        return self.op.removesuffix("_input").removesuffix("_weight")

    @property
    def output_channels(self) -> int:
        """Those of the forward operation."""
        if self.forward.startswith("conv_transpose"):
            return self.weight_shape[1] * int(self.options.get("groups", 1))
        return self.weight_shape[0]


def parse(string: str) -> Problem:
    """Read a problem string.

    Parameters
    ----------
    string : str
        As this module's docstring describes it.

    Returns
    -------
    Problem
        What it says, in the terms of the function that solves it.

    Raises
    ------
    ValueError
        If it is not one.

    Examples
    --------
    >>> p = parse("ct2d_n1_ci8_ih5_iw6_co4_k3_s2x1_p1_op1x0_g2_f32")
    >>> p.op, p.input_shape, p.weight_shape
    ('conv_transpose2d', (1, 8, 5, 6), (8, 2, 3, 3))
    >>> p.options
    {'stride': (2, 1), 'padding': 1, 'output_padding': (1, 0), 'groups': 2}
    >>> parse("c2d_n1_ci8_ih5_iw6_co4_k3_s1_p0_nhwc_f32").options
    {'layout': 'NHWC'}
    >>> parse("c1d_n1_ci8_iw6_co4_k3_s1_p0_pe2_f32").options
    {'padding': ((0, 2),)}
    """
    head, *words = string.split("_")
    match = re.fullmatch(r"(c|ct)([123])d(gx|gw|)", head)
    if match is None or not words or words[-1] not in _DTYPES:
        raise ValueError(f"not a problem string: {string!r}")
    rank = int(match[2])
    values: dict[str, tuple[int, ...]] = {}
    layouts = [word.upper() for word in words[:-1] if word in _LAYOUTS[rank]]
    modes = [word for word in words[:-1] if word in _MODES]
    for word in words[: len(words) - 1 - len(layouts) - len(modes)]:
        part = re.fullmatch(r"([a-z]+)(-?\d+(?:x-?\d+)*)", word)
        if part is None:
            raise ValueError(f"not a problem string: {word!r} in {string!r}")
        values[part[1]] = tuple(int(number) for number in part[2].split("x"))
    try:
        ci, co, n = (values[name][0] for name in ("ci", "co", "n"))
        lengths = tuple(values[name][0] for name in ("id", "ih", "iw")[3 - rank :])
        kernel = values["k"] * rank if len(values["k"]) == 1 else values["k"]
    except KeyError as missing:
        raise ValueError(f"not a problem string: no {missing} in {string!r}") from None
    options: dict[str, Any] = {}
    sides = values.get("p", (0,)), values.get("pe", values.get("p", (0,)))
    for short, name in _OPTIONS.items():
        value = values.get(short, (1,) if short in "sd" else (0,))
        if set(value) != ({1} if short in "sd" else {0}):
            options[name] = value[0] if len(value) == 1 else value
    if sides[0] != sides[1] or min(sides[0]) < 0:
        begin, end = (side * rank if len(side) == 1 else side for side in sides)
        options["padding"] = tuple(zip(begin, end, strict=True))
    groups = values.get("g", (1,))[0]
    if groups != 1:
        options["groups"] = groups
    if modes:
        options["padding_mode"] = modes[0]
    if layouts:
        options["layout"] = "->".join(layouts)
    last = layouts and layouts[0].endswith("C")
    return Problem(
        string=string,
        op=f"{_OPERATIONS[match[1]]}{rank}d{_GRADIENTS[match[3]]}",
        input_shape=(n, *lengths, ci) if last else (n, ci, *lengths),
        weight_shape=(*((ci, co // groups) if match[1] == "ct" else (co, ci // groups)), *kernel),
        dtype=_DTYPES[words[-1]],
        options=options,
    )


def read_file(path: str | os.PathLike[str]) -> dict[str, Problem]:
    """Read a file of problems.

    Parameters
    ----------
    path : path_like
        A text file of lines ``name problem-string remark``; ``#`` begins a comment.

    Returns
    -------
    dict of str to Problem
        By their names, in the order of the file.

    Raises
    ------
    ValueError
        Two problems of one name, or a string that is none.
    """
    problems: dict[str, Problem] = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words and words[0] in problems:
                raise ValueError(f"two problems are named {words[0]!r} in {os.fspath(path)!r}")
            if words:
                problems[words[0]] = parse(words[1])
    return problems
