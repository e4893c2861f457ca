"""The limits of this machine, measured when asked: FMA peak and memory bandwidth."""

import ctypes
import subprocess
import tempfile
import threading
import time
from functools import lru_cache
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("machine.c")
SECONDS = 0.15


@lru_cache
def library(vector_bytes):
    folder = tempfile.mkdtemp()
    path = Path(folder) / "machine.so"
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    subprocess.run(
        ["cc", *flags, f"-DVECTOR_BYTES={vector_bytes}", str(SOURCE), "-o", str(path)], check=True
    )
    result = ctypes.CDLL(str(path))
    for function in (result.multiply_add, result.read_memory):
        function.restype = ctypes.c_double
    return result


def vector_bytes():
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return 64 if "avx512f" in flags else 32 if "avx2" in flags else 16


def rate(work, threads):
    """Units a second of work() -> units, run on all threads at once; the best of some moments."""
    done = [0.0] * threads
    start = threading.Barrier(threads)

    def run(number):
        start.wait()
        end = time.perf_counter() + SECONDS
        while (begin := time.perf_counter()) < end:
            units = work(number)
            done[number] = max(done[number], units / (time.perf_counter() - begin))

    workers = [threading.Thread(target=run, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done)


def fma_peak(threads):
    """Floating-point operations a second, float32."""
    sinks = [(ctypes.c_float * 2)(0.5, 0.25) for _ in range(threads)]
    function = library(vector_bytes()).multiply_add
    return rate(lambda i: function(ctypes.c_ssize_t(200_000), sinks[i]), threads)


def bandwidth(threads, working_set):
    """Bytes a second, reading a working set of so many bytes in all threads together."""
    count = max(int(working_set) // 4 // threads, 1 << 14)
    arrays = [aligned(count) for _ in range(threads)]
    sinks = [(ctypes.c_float * 2)(0, 0) for _ in range(threads)]
    function = library(vector_bytes()).read_memory

    def work(i):
        pointer = arrays[i].ctypes.data_as(ctypes.c_void_p)
        repeats = max(1, (1 << 22) // count)
        return sum(function(pointer, ctypes.c_ssize_t(count), sinks[i]) for _ in range(repeats))

    return rate(work, threads)


def aligned(count):
    array = np.ones(count + 16, np.float32)
    skip = -array.ctypes.data % 64 // 4
    return array[skip : skip + count]
