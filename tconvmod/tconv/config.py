"""What this build and this machine have, and how many threads calls use."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import _core

__all__ = ["available_threads", "show_config", "threads"]


def available_threads() -> int:
    """How many threads a call uses unless told otherwise.

    ``TCONV_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the number of processors that this
    process may use: its affinity, and the quota of its control group (Linux).

    Returns
    -------
    int
        At least 1.
    """
    for name in ("TCONV_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "").split(",")[0].strip()
        if value.isdecimal() and int(value) > 0:
            return min(int(value), 1024)
        if value:
            warnings.warn(f"{name}={value!r} is not a number of threads", stacklevel=2)
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        processors = os.cpu_count() or 1
    return max(1, min(processors, _quota()))


def _quota() -> int:
    """Processors that the control group grants, rounded up; very many if it sets no limit."""
    unlimited = 1 << 20
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        return unlimited if quota == "max" else -(-int(quota) // int(period))
    except (OSError, ValueError):
        return unlimited


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Set the number of threads for the duration of a block.

    The setting is the process's, as that of `set_num_threads` is.

    Parameters
    ----------
    count : int
        At least 1.

    Yields
    ------
    None
        The block runs with it; afterwards the former number holds again.

    Examples
    --------
    >>> import tconv
    >>> with tconv.threads(1):
    ...     tconv.get_num_threads()
    1
    """
    former = _core.set_num_threads(count)
    try:
        yield
    finally:
        _core.set_num_threads(former)


def show_config() -> None:
    """Print the version, what was compiled, and what was found on this machine.

    Examples
    --------
    >>> import tconv
    >>> tconv.show_config()  # doctest: +ELLIPSIS
    tconv ...
    """
    from . import __version__

    facts: dict[str, Any] = {**_core.config()}
    rows = {
        "python, numpy": f"{sys.version.split()[0]}, {np.__version__}",
        "compiler": facts["compiler"],
        "instruction set": f"{facts['isa']} (of {', '.join(facts['isas'])})",
        "engines": ", ".join(facts["engines"]),
        "threads": f"{_core.get_num_threads()}" + ("" if facts["openmp"] else " (no OpenMP)"),
        "caches": ", ".join(
            f"L{level} {facts[f'l{level}_bytes'] >> 10} KiB" for level in (1, 2, 3)
        ),
    }
    print(f"tconv {__version__}")
    for name, value in rows.items():
        print(f"  {name:16} {value}")
