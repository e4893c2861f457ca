"""Loads the extension, and with it OpenMP's library, so that idle threads soon leave their core.

A thread that has done its share of a call waits for the next one. GNU's library lets it spin for
some milliseconds, in which it keeps the core from others, such as the threads that multiply
matrices for NumPy between two calls. The library reads how long when it is loaded, and no later.
"""

from __future__ import annotations

import os

__all__: list[str] = []

_SPINS = "3000"  # some tens of microseconds: longer than from one loop of a call to the next

_said = "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ
if not _said:
    os.environ["GOMP_SPINCOUNT"] = _SPINS
try:
    from . import _core as _core
finally:
    if not _said:
        del os.environ["GOMP_SPINCOUNT"]
