"""Pictures of transposed convolutions: of one's own numbers, and of what the sizes mean.

They need no library to be shown in a notebook or saved as SVG; for GIF and PNG they need Pillow,
which ``pip install 'tconv[viz]'`` adds. Those in the folder docs are made there by

>>> import numpy as np
>>> from tconv import viz
>>> linear = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])
>>> scatter_gather = viz.animate([[1, 2], [3, 4]], linear, stride=2, padding=1)
>>> scatter_gather.save("scatter_gather.gif", scale=1.5)                        # doctest: +SKIP
>>> uneven, even = (viz.overlap((5, 5), size, stride=2) for size in (3, 4))
>>> uneven.beside(even).save("checkerboard.png", scale=1.5)                     # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._arguments import Ints, Padding, read_array, read_ints
from ._drawing import Picture
from ._scenes import Call, PlaneScene, RowScene
from ._still import described, overlap_picture
from .explanation import Explanation, explain

__all__ = ["Picture", "animate", "overlap"]

# How long a side of an animation's output may be, before the padding crops it, by the number of
# sides: its numbers are to be read.
MOST_POSITIONS = {1: 32, 2: 12}


def animate(
    input: ArrayLike,
    weight: ArrayLike,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    dilation: Ints = 1,
    seconds: float = 1.2,
) -> Picture:
    """Animate a transposed convolution of one's own numbers, in both of its readings.

    First it **scatters**: each input in turn adds its kernel, times itself, to the output; that is
    a column of W.T. Then it **gathers**: each output in turn collects the inputs that the flipped
    kernel finds around it, among the inputs spaced out by the stride; that is a row of W.T. Both
    end with the same output, that of `tconv.conv_transpose1d` or `tconv.conv_transpose2d`.

    Parameters
    ----------
    input : array_like
        One image with one channel: (length,) or (height, width), or with axes of length 1 before.
    weight : array_like
        (length,) or (height, width), or with two axes of length 1 before.
    stride, padding, output_padding, dilation
        As for `tconv.conv_transpose2d`.
    seconds : float
        How long a step takes.

    Returns
    -------
    Picture
        It has a frame for each input and one for each output. A notebook shows it;
        ``save("name.gif")``, ``save("name.svg")`` and ``save("name.png")`` write it to a file.
        Numbers are computed in double precision and shown with three digits.

    Raises
    ------
    TypeError
        For arguments of the wrong type, and numbers that are not real.
    ValueError
        For arguments that do not fit together, and arrays too large to be read in a picture.

    Examples
    --------
    >>> from tconv import viz
    >>> picture = viz.animate([1, 2, 3], [1, 2, 1], stride=2)
    >>> len(picture)                                       # 3 inputs and 7 outputs
    10
    >>> picture.save("scatter_gather.svg")                 # doctest: +SKIP
    """
    if not seconds > 0:
        raise ValueError(f"animate: seconds must be > 0, got {seconds}")
    call = _call(
        input,
        weight,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    scene = RowScene(call) if call.x.ndim == 1 else PlaneScene(call)
    frames = [*map(scene.scatter, call.inputs), *map(scene.gather, call.outputs)]
    pauses = [seconds] * len(frames)
    for last in (len(call.inputs) - 1, len(frames) - 1):
        pauses[last] *= 2.5
    description = f"An animation of a transposed convolution: {call.words}"
    return Picture(frames, pauses, scene.width, scene.height, description)


def overlap(
    input_size: Ints,
    kernel_size: Ints,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    dilation: Ints = 1,
) -> Picture:
    """Draw how many taps of a transposed convolution reach each output.

    Where these numbers differ from one output to the next, so does what random weights make of a
    flat input: the checkerboard artefacts of A. Odena, V. Dumoulin and C. Olah, "Deconvolution and
    Checkerboard Artifacts", Distill, 2016. With two axes, the bars are the taps along each, and an
    output has the product of its row's and its column's.

    Parameters
    ----------
    input_size : int or sequence of int
        One length, or height and width.
    kernel_size, stride, padding, output_padding, dilation
        As for `tconv.conv_transpose2d`.

    Returns
    -------
    Picture
        Of the first outputs if there are many.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type, or that do not fit together.

    Examples
    --------
    >>> from tconv import viz
    >>> uneven, even = (viz.overlap((8, 8), size, stride=2) for size in (3, 4))
    >>> uneven.beside(even).save("overlap.svg")            # doctest: +SKIP
    """
    lengths = read_ints("overlap", "input_size", input_size)
    lengths = (lengths,) if isinstance(lengths, int) else lengths
    if len(lengths) not in MOST_POSITIONS:
        raise ValueError(f"overlap: input_size must have 1 or 2 numbers, got {len(lengths)}")
    kernel = read_ints("overlap", "kernel_size", kernel_size)
    kernel = (kernel,) * len(lengths) if isinstance(kernel, int) else kernel
    if len(kernel) != len(lengths):
        raise ValueError(
            f"overlap: kernel_size must have {len(lengths)} numbers as input_size has, "
            f"got {len(kernel)}"
        )
    options = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "dilation": dilation,
    }
    return overlap_picture(_explained("overlap", lengths, kernel, options))


def _explained(
    function: str, input: tuple[int, ...], kernel: tuple[int, ...], options: dict[str, Any]
) -> Explanation:
    """What `tconv.explain` says of one image with one channel, or what is wrong."""
    shapes = (1, *input), (1, 1, *kernel)
    try:
        return explain(f"conv_transpose{len(input)}d", *shapes, "float64", **options)
    except (TypeError, ValueError, OverflowError) as error:
        text = str(error).partition(": ")[2]  # without the name of the function asked
        raise type(error)(f"{function}: {text}") from None


def _call(input: Any, weight: Any, **options: Any) -> Call:
    """The arguments of `animate`, checked, and their result."""
    w = read_array("animate", "weight", weight)
    rank = w.ndim if w.ndim <= 2 else w.ndim - 2
    if rank not in MOST_POSITIONS:
        raise ValueError(
            "animate: weight must have 1 or 2 axes, or those after two of length 1, "
            f"got shape {w.shape}"
        )
    w = _one_image("weight", w, rank)
    x = _one_image("input", read_array("animate", "input", input), rank)
    facts = _explained("animate", x.shape, w.shape, options).facts
    lengths = zip(facts["output_lengths"], facts["padding"], facts["padding_end"], strict=True)
    longest = max(length + max(0, before + after) for length, before, after in lengths)
    if longest > MOST_POSITIONS[rank]:
        raise ValueError(
            f"animate: to be readable, the output before padding crops it may be "
            f"{MOST_POSITIONS[rank]} long on a side, got {longest}; pass a part of the input. "
            f"Got input {x.shape}, weight {w.shape}."
        )
    x, w = x.astype(np.result_type(x, w)), w.astype(np.result_type(x, w))
    y = getattr(_core, facts["operation"])(x[None], w[None, None], **options)[0]
    return Call(
        x,
        w,
        y,
        facts["stride"],
        facts["padding"],
        facts["padding_end"],
        facts["dilation"],
        described(facts),
    )


def _one_image(name: str, array: NDArray[Any], rank: int) -> NDArray[Any]:
    """The array without the axes in front, in double precision or in 64 bits."""
    if array.dtype.kind not in "iuf" and array.dtype.name != "bfloat16":
        raise TypeError(f"animate: {name} must be real numbers, got dtype {array.dtype}")
    if array.ndim < rank or array.size != np.prod(array.shape[array.ndim - rank :]):
        raise ValueError(
            f"animate: {name} must be one image with one channel, of {rank} axes or those after "
            f"axes of length 1, got shape {array.shape}; pass a part of it, such as {name}[0, 0]"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"animate: {name} must be finite numbers")
    kind = np.int64 if array.dtype.kind in "iu" else np.float64
    return array.astype(kind).reshape(array.shape[array.ndim - rank :])
