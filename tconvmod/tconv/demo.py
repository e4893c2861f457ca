"""Enlarges a photograph four times by a transposed convolution, twice: with bilinear weights, as
fully convolutional networks upsample, and with weights that repeat each pixel."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tconv

SCALE = 4


def bilinear_weight(channels: int, scale: int) -> np.ndarray:
    """Weights that interpolate linearly: (channels, 1, 2*scale, 2*scale) for groups=channels.

    Along an axis they are a triangle, 0 at the neighbouring pixels and 1 at the pixel itself;
    `scale` is even.
    """
    centre = scale - 0.5
    line = 1 - np.abs(np.arange(2 * scale) - centre) / scale
    kernel = np.outer(line, line).astype(np.float32)
    return np.tile(kernel, (channels, 1, 1, 1))


def nearest_weight(channels: int, scale: int) -> np.ndarray:
    """Weights that repeat every pixel: (channels, 1, scale, scale) for groups=channels."""
    return np.ones((channels, 1, scale, scale), np.float32)


def load_photo(path: Path | None) -> tuple[np.ndarray, str]:
    """A photograph as (3, height, width) in 0..1, and its name."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("the demo needs Pillow: pip install 'tconv[demo]'") from None
    if path is None:
        try:
            from matplotlib import cbook
        except ImportError:
            raise ImportError(
                "without a PHOTO the demo needs matplotlib's: pip install 'tconv[demo]'"
            ) from None
        path = Path(cbook._get_data_path("sample_data", "grace_hopper.jpg"))
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), np.float32) / 255
    return pixels.transpose(2, 0, 1), path.name


def save(image: np.ndarray, path: Path) -> None:
    from PIL import Image

    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    print(f"  {path}")


def timed(call: Callable[[], np.ndarray], repeats: int = 5) -> tuple[np.ndarray, float]:
    """The result and the shortest time of some calls, in seconds."""
    best = np.inf
    for _ in range(repeats):
        begin = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - begin)
    return result, best


def check(photo: np.ndarray, weight: np.ndarray, options: dict[str, Any]) -> float:
    """The largest difference from the definition, on a crop of the photograph."""
    crop = photo[:, 40:72, 40:72]
    return float(
        np.abs(
            tconv.conv_transpose2d(crop, weight, **options)
            - tconv.reference.conv_transpose2d(crop.astype(float), weight.astype(float), **options)
        ).max()
    )


def enlarge(photo: np.ndarray, name: str, weight: np.ndarray, padding: int) -> np.ndarray:
    options: dict[str, Any] = {"stride": SCALE, "padding": padding, "groups": len(photo)}
    print(f"\n{name} weights {weight.shape}, {options}")
    print(tconv.explain("conv_transpose2d", photo.shape, weight.shape, **options))
    result, seconds = timed(lambda: tconv.conv_transpose2d(photo, weight, **options))
    size = photo.nbytes + weight.nbytes + result.nbytes
    print(f"  time        {seconds * 1e3:.1f} ms, {size / seconds / 1e6:.0f} MB/s in and out")
    print(f"  check       differs from tconv.reference by {check(photo, weight, options):.1e}")
    # At the border the triangle reaches over the edge: divide by the weights that did not.
    return result / tconv.conv_transpose2d(np.ones_like(photo), weight, **options)


def side_by_side(photo: np.ndarray, pictures: list[np.ndarray]) -> np.ndarray:
    """A detail of the photograph as it is, and the same detail of its enlargements."""
    height, width = photo.shape[1:]
    side = min(height, width, 96)
    top, left = (height - side) * 27 // 100, (width - side) // 2
    detail = photo[:, top : top + side, left : left + side]
    rows = slice(top * SCALE, (top + side) * SCALE)
    columns = slice(left * SCALE, (left + side) * SCALE)
    white = np.ones((len(photo), side * SCALE, side), photo.dtype)
    white[:, -side:] = detail
    return np.concatenate([white] + [picture[:, rows, columns] for picture in pictures], axis=2)


def run(path: Path | None, out: Path) -> None:
    """Enlarges the photograph at `path`, prints what happens, saves the pictures in `out`."""
    photo, name = load_photo(path)
    print(f"{name}: {photo.shape} -> {SCALE} times as high and wide")
    bilinear = enlarge(photo, "bilinear", bilinear_weight(len(photo), SCALE), padding=SCALE // 2)
    nearest = enlarge(photo, "nearest", nearest_weight(len(photo), SCALE), padding=0)
    out.mkdir(parents=True, exist_ok=True)
    print("\npictures")
    save(bilinear, out / "tconv_bilinear.png")
    save(nearest, out / "tconv_nearest.png")
    save(side_by_side(photo, [nearest, bilinear]), out / "tconv_compared.png")
