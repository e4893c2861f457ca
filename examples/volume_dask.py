"""Doubles a volume that does not fit the memory, from one Zarr store to another.

    python examples/volume_dask.py [--shape 256 768 768] [--memory 600] [--folder DIR]

The volume, a density of smooth waves, is made chunk by chunk and lies in a Zarr store. Then this
process limits its own memory, to less than the volume takes. Dask reads the windows that
`tconv.dask.conv_transpose3d` needs, doubles each axis by linear interpolation, and writes a chunk
as soon as it is done. The example prints the speed, in MB of the result a second, the most memory
that the process held, and how far a row through the middle is from `numpy.interp`.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
from dask.diagnostics import ProgressBar

import tconv.dask

CHUNK = (32, 128, 128)
LINEAR = np.float32([1, 3, 3, 1]) / 4


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        source, target = Path(folder, "volume.zarr"), Path(folder, "doubled.zarr")
        make_volume(arguments.shape, source)
        limit_memory(arguments.memory)
        seconds, size = double(source, target)
        print(f"{size / 1e6 / seconds:.0f} MB/s, {seconds:.1f} s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(f"at most {peak / 1e6:.0f} MB of memory, limit {arguments.memory} MB")
        print(f"largest difference from the interpolated row: {largest_error(source, target):.1e}")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 768, 768))
    parser.add_argument("--memory", type=int, default=600, help="MB this process may take")
    parser.add_argument("--folder", help="where the two stores are made; a temporary folder")
    return parser.parse_args()


def make_volume(shape, path):
    """A density of smooth waves, in [0, 1]."""
    z, y, x = (
        da.linspace(0, 1, n, chunks=chunk, dtype=np.float32)
        for n, chunk in zip(shape, CHUNK, strict=True)
    )
    waves = da.sin(40 * z)[:, None, None] * da.cos(30 * y)[:, None] * da.sin(50 * x * x + 1)
    (0.5 + 0.5 * waves).to_zarr(str(path))


def limit_memory(megabytes):
    """From here on, an allocation beyond the limit is a MemoryError."""
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 10**6,) * 2)


def double(source, target):
    """Seconds taken, and bytes of the result."""
    volume = da.from_zarr(str(source))
    kernel = np.multiply.outer(np.multiply.outer(LINEAR, LINEAR), LINEAR)[None, None]
    doubled = tconv.dask.conv_transpose3d(volume[None], kernel, stride=2, padding=1)[0]
    print(
        f"{volume.shape} of {volume.nbytes / 1e6:.0f} MB -> {doubled.shape} of "
        f"{doubled.nbytes / 1e6:.0f} MB"
    )
    start = time.perf_counter()
    with ProgressBar(out=sys.stderr):
        doubled.to_zarr(str(target))
    return time.perf_counter() - start, doubled.nbytes


def largest_error(source, target):
    """Of one row through the middle, against `numpy.interp`; the ends, where zeros are beyond the
    volume, are left out."""
    volume, doubled = da.from_zarr(str(source)), da.from_zarr(str(target))
    middle = [n // 2 for n in volume.shape[:2]]
    rows = volume[middle[0] - 1 : middle[0] + 1, middle[1] - 1 : middle[1] + 1].compute()
    weights = np.multiply.outer([1 / 4, 3 / 4], [1 / 4, 3 / 4])
    row = np.tensordot(weights, rows.astype(float), 2)
    at = np.arange(2 * len(row)) / 2 - 0.25
    expected = np.interp(at, np.arange(len(row)), row)
    got = doubled[2 * middle[0], 2 * middle[1]].compute()
    return abs(got - expected)[1:-1].max()


if __name__ == "__main__":
    main()
