"""The process around a call: signals, other threads, other libraries' limits, and callers whose
objects do what they like. Whatever happens, the process goes on and the next call is right."""

import os
import re
import sys
import threading
import time

import numpy as np
import pytest
from support import assert_same, integers, run_python

import tconv

LINUX = sys.platform.startswith("linux")
F32 = np.float32

# ---- Ctrl-C ----

# Ten seconds of work or more on two threads; what is read is one element, repeated, and what is
# written is hardly begun.
INTERRUPTED = """
import os, signal, threading, time
import numpy as np, tconv

def ones(*shape, dtype="f"):
    return np.broadcast_to(np.ones((), dtype), shape)

# a process in the background inherits that the signal is ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
w = np.ones((256, 256, 4, 4), "f")
plan = tconv.plan("conv_transpose2d", w, stride=2, padding=1)
calls = {
    "function": lambda: tconv.conv_transpose2d(ones(256, 256, 64, 64), w, stride=2, padding=1),
    "one thread": lambda: tconv.conv2d(ones(256, 256, 64, 64), w, threads=1),
    "plan": lambda: plan(ones(256, 256, 64, 64)),
    "of groups": lambda: tconv.conv2d(
        ones(5000, 64, 200, 200), np.ones((64, 1, 9, 9), "f"), stride=2, groups=64),
    "reference": lambda: tconv.plan(
        "conv1d", np.ones((1, 1, 9), "f"), engine="reference")(ones(1, 1, 2**29)),
    "input gradient": lambda: tconv.grad.conv2d_input(
        (256, 256, 64, 64), w, ones(256, 256, 61, 61)),
    "weight gradient": lambda: tconv.grad.conv2d_weight(
        ones(1000, 256, 64, 64), w.shape, ones(1000, 256, 61, 61)),
    "weight gradient of long kernels": lambda: tconv.grad.conv2d_weight(
        ones(1000, 1, 999, 999), (1, 1, 63, 63), ones(1000, 1, 937, 937)),
    "bias gradient": lambda: tconv.grad.bias(ones(1, 3, 2**36)),
    "other dtypes": lambda: tconv.conv2d(
        ones(8, 256, 64, 64, dtype="i4"), ones(2048, 256, 4, 4, dtype="i4"), threads=1),
    "other borders": lambda: tconv.conv2d(
        ones(256, 256, 64, 64), w, padding=1, padding_mode="circular"),
}
good = tconv.conv2d(ones(1, 2, 5, 5), ones(3, 2, 3, 3), threads=2)
def answer(call):
    # seconds from the signal to the exception; None if the call has ended before
    sent = []
    def send():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    timer = threading.Timer(0.2, send)
    timer.start()
    try:
        call()
        timer.join()
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]

for name, call in calls.items():
    seconds = answer(call)
    if seconds is not None and seconds >= 0.5:  # other processes may have held the processor
        seconds = min(answer(call) or 9, answer(call) or 9)
    print(name, "ended" if seconds is None else f"after {seconds:.3f}")
    again = tconv.conv2d(ones(1, 2, 5, 5), ones(3, 2, 3, 3), threads=2)
    assert np.array_equal(again, good), name
"""


def test_interrupts_are_answered_at_once():
    """KeyboardInterrupt within half a second, and the process works on."""
    lines = run_python(INTERRUPTED).splitlines()
    assert len(lines) == 11
    for line in lines:
        _, answered, seconds = line.rpartition(" after ")
        assert answered and float(seconds) < 0.5, line


HANDLED = """
import signal
import numpy as np, tconv

seen = []
signal.signal(signal.SIGALRM, lambda *_: seen.append(tconv.conv1d([[[1., 2]]], [[[3.]]])))
x, w = np.ones((3, 128, 64, 64), "f"), np.ones((128, 128, 4, 4), "f")
expected = tconv.conv_transpose2d(x, w, stride=2)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while len(seen) < 5:
    y = tconv.conv_transpose2d(x, w, stride=2)
    assert np.array_equal(y, expected)
signal.setitimer(signal.ITIMER_REAL, 0)
print(seen[-1].tolist())
"""


@pytest.mark.skipif(not LINUX, reason="needs SIGALRM")
def test_handlers_that_raise_nothing_run_during_a_call():
    """Even one that calls tconv; the call goes on to its end."""
    assert run_python(HANDLED) == "[[[3.0, 6.0]]]\n"


# ---- other threads ----


def test_other_threads_at_the_arrays():
    """They are held during a call, so that none is resized; where values change meanwhile, the
    result is of some that were there."""
    arrays, w = [np.zeros((8, 64, 64, 64), F32)], np.ones((64, 64, 3, 3), F32)
    results, refused = [], 0

    def work():
        for _ in range(5):
            results.append(tconv.conv2d(arrays[0], w, threads=2))

    worker = threading.Thread(target=work)
    worker.start()
    while worker.is_alive():
        arrays[0][...] = 1 - arrays[0][0, 0, 0, 0]
        try:
            arrays[0].resize((17 - len(arrays[0]), 64, 64, 64))
        except ValueError:
            refused += 1
        time.sleep(0.001)
    worker.join()
    assert refused
    assert len(results) == 5
    for y in results:
        assert y.shape in ((8, 64, 62, 62), (9, 64, 62, 62))
        assert 0 <= y.min() <= y.max() <= 576
    assert_same(tconv.conv2d(arrays[0], w), tconv.conv2d(arrays[0].copy(), w))


def test_arrays_deleted_during_a_call():
    x, w = [np.ones((8, 64, 64, 64), F32)], np.ones((64, 64, 3, 3), F32)
    expected = tconv.conv2d(x[0], w)
    got = []
    worker = threading.Thread(target=lambda: got.append(tconv.conv2d(x.pop(), w)))
    worker.start()
    worker.join()
    assert_same(got[0], expected)


# ---- how many threads there are ----

COUNTED = """
import os, sys, threading, time
import numpy as np, tconv

def count():
    return len(os.listdir("/proc/self/task"))

def settled(most):
    end = time.monotonic() + 5
    while count() > most and time.monotonic() < end:
        time.sleep(0.01)
    return count()

x, w = np.ones((4, 32, 16, 16), "f"), np.ones((32, 32, 4, 4), "f")
before = count()
"""

FORKED = """
expected = tconv.conv_transpose2d(x, w, stride=2, threads=4)
assert count() == before + 3
child = os.fork()
if child == 0:
    good = np.array_equal(tconv.conv_transpose2d(x, w, stride=2, threads=4), expected)
    os._exit(0 if good and count() == 1 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

LIMITED = """
import threadpoolctl
def used(threads):
    tconv.conv_transpose2d(x, w, stride=2, threads=threads)
    return count() - before
with threadpoolctl.threadpool_limits(1):
    print(used(2), used(8))
with threadpoolctl.threadpool_limits(2, user_api="openmp"):
    print(used(8))
print(used(4))
"""

MANY_CALLERS = """
def work():
    for _ in range(20):
        tconv.conv_transpose2d(x, w, stride=2, threads=2)
    barrier.wait()
    most.append(count())
    barrier.wait()
most, barrier = [], threading.Barrier(8)
callers = [threading.Thread(target=work) for _ in range(8)]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
print(max(most) - before, settled(before) - before)
tconv.conv_transpose2d(np.ones((2000, 32, 4, 4), "f"), w, threads=10**9)
print(count() - before)
"""


@pytest.mark.skipif(not LINUX, reason="counts the threads in /proc")
def test_a_forked_child_works_on_one_thread():
    assert run_python(COUNTED + FORKED) == "0\n"


@pytest.mark.skipif(not LINUX, reason="counts the threads in /proc")
def test_limits_of_threadpoolctl():
    pytest.importorskip("threadpoolctl")
    assert run_python(COUNTED + LIMITED, OMP_NUM_THREADS="4") == "0 0\n1\n3\n"


@pytest.mark.skipif(not LINUX, reason="counts the threads in /proc")
def test_threads_are_bounded():
    """Callers times their threads, those of callers that have ended excluded; and never more than
    256, however many are asked for."""
    assert run_python(COUNTED + MANY_CALLERS) == "16 0\n255\n"


JOBLIB = """
import joblib, numpy as np, tconv
def job(backend_threads):
    x, w = np.ones((4, 32, 16, 16), "f"), np.ones((32, 32, 4, 4), "f")
    return tconv.get_num_threads(), float(tconv.conv_transpose2d(x, w, stride=2).sum())
if __name__ == "__main__":
    want = job(0)[1]
    for backend in ("loky", "threading"):
        with joblib.parallel_config(backend, n_jobs=2, inner_max_num_threads=(
                1 if backend == "loky" else None)):
            results = joblib.Parallel()(joblib.delayed(job)(0) for _ in range(6))
        assert {total for _, total in results} == {want}, backend
        if backend == "loky":
            assert {threads for threads, _ in results} == {1}
        print(backend)
"""


@pytest.mark.filterwarnings("ignore")
def test_joblib(tmp_path):
    pytest.importorskip("joblib")
    script = tmp_path / "script.py"
    script.write_text(JOBLIB)
    assert run_python(script).split() == ["loky", "threading"]


# ---- subinterpreters ----

SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import tconv
one = interpreters.create()
code = "try:\\n import tconv\\nexcept ImportError as error:\\n print('refused')"
print(interpreters.run_string(one, code))
interpreters.destroy(one)
print(tconv.conv1d([[[1., 2]]], [[[3.]]]).tolist())
"""


def test_subinterpreters_are_refused():
    """With an ImportError, as NumPy refuses them."""
    assert run_python(SUBINTERPRETER) == "refused\nNone\n[[[3.0, 6.0]]]\n"


# ---- objects that misbehave ----


class Acts:
    """An int, an array or a dtype that does something when it is asked what it is."""

    def __init__(self, act, value=None):
        self.act, self.value = act, value

    def __index__(self):
        self.act()
        return self.value

    def __float__(self):
        self.act()
        return self.value

    def __bool__(self):
        self.act()
        return self.value

    def __array__(self, dtype=None, copy=None):
        self.act()
        return self.value

    @property
    def dtype(self):
        self.act()
        return self.value


X, W = integers(np.random.default_rng(0), (2, 4, 900), F32), np.ones((4, 3, 3), F32)
GY = np.ones((2, 2, 898), F32)


def shrink(x):
    x.resize((1, 4, 3), refcheck=False)


def be_bytes(x):
    x.dtype = "S4"


def be_odd(x):
    x.dtype = [("a", "i2"), ("b", "i2")]


def be_unaligned(x):
    x.strides = (x.strides[0], x.strides[1] - 1, 1)


CHANGES = (shrink, be_bytes, be_odd, be_unaligned)
PLACES = {
    "stride": lambda x, o: tconv.conv_transpose1d(x, W, stride=o(2)),
    "padding in a pair": lambda x, o: tconv.conv_transpose1d(x, W, padding=((0, o(1)),)),
    "groups": lambda x, o: tconv.conv_transpose1d(x, W, groups=o(1)),
    "threads": lambda x, o: tconv.conv_transpose1d(x, W, threads=o(2)),
    "output_size": lambda x, o: tconv.conv_transpose1d(x, W, output_size=o(902)),
    "slope": lambda x, o: tconv.conv_transpose1d(x, W, activation=("leaky_relu", o(0.5))),
    "accumulate": lambda x, o: tconv.conv_transpose1d(x, W, accumulate=o(False)),
    "weight": lambda x, o: tconv.conv_transpose1d(x, o(W)),
    "bias": lambda x, o: tconv.conv_transpose1d(x, W, o(np.ones(3, F32))),
    "out_dtype": lambda x, o: tconv.conv_transpose1d(x, W, out_dtype=o(np.dtype("f"))),
    "grad_output": lambda x, o: tconv.grad.conv1d_weight(
        x, (2, 4, 3), o(np.ones((2, 2, 898), F32))
    ),
    "weight_size": lambda x, o: tconv.grad.conv1d_weight(
        x, (2, 4, o(3)), np.ones((2, 2, 898), F32)
    ),
    "plan's bias": lambda x, o: tconv.plan("conv1d", x, o(np.ones(2, F32))),
    "plan's out_dtype": lambda x, o: tconv.plan("conv1d", x, out_dtype=o(np.dtype("f"))),
    "plan's threads": lambda x, o: tconv.plan("conv1d", W[:, :1])(x[:, :1], threads=o(1)),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("place", PLACES)
def test_arrays_that_change_while_arguments_are_read(place, change):
    """What the caller's code makes of an array counts: a result of that, or an exception."""
    x = X.copy()
    try:
        PLACES[place](x, lambda value: Acts(lambda: change(x), value))
    except (TypeError, ValueError) as error:
        assert str(error)
    assert_same(tconv.conv_transpose1d(X, W), tconv.reference.conv_transpose(X, W))


def test_a_changed_array_is_read_as_it_is_then():
    for place in ("stride", "weight", "bias", "out_dtype"):
        x, small = X.copy(), X.ravel()[:12].reshape(1, 4, 3)
        result = PLACES[place](x, lambda value, x=x: Acts(lambda: shrink(x), value))
        plain = PLACES[place](small, lambda value: value)
        assert_same(result, plain)


@pytest.mark.parametrize("place", PLACES)
def test_objects_that_raise(place):
    def fail():
        raise ZeroDivisionError("mine")

    counts = sys.getrefcount(X), sys.getrefcount(W)
    with pytest.raises(ZeroDivisionError, match="mine"):
        PLACES[place](X, lambda value: Acts(fail, value))
    assert counts == (sys.getrefcount(X), sys.getrefcount(W))


@pytest.mark.parametrize("value", ("2", 2.0, None, [2]))
@pytest.mark.parametrize("place", ("stride", "groups", "threads", "output_size"))
def test_index_that_returns_no_int(place, value):
    with pytest.raises(TypeError, match="__index__ returned non-int"):
        PLACES[place](X, lambda _: Acts(lambda: None, value))


@pytest.mark.parametrize("value", ("2", 2.0, None, [2]))
def test_array_that_returns_no_array(value):
    with pytest.raises((TypeError, ValueError), match="__array__"):
        PLACES["weight"](X, lambda _: Acts(lambda: None, value))


def test_sequences_that_lie():
    class Lies(list):
        length = 1

        def __len__(self):
            return self.length

    class Endless:
        def __len__(self):
            return 2**62

        def __getitem__(self, i):
            return 1

    for lies, error in ((Lies(), IndexError), (Endless(), ValueError)):
        with pytest.raises(error):
            tconv.conv_transpose1d(X, W, stride=lies)
    lies = Lies([1])
    lies.length = -1
    with pytest.raises(ValueError):
        tconv.conv_transpose1d(X, W, stride=lies)
    with pytest.raises(IndexError):
        tconv.conv_transpose1d(X, W, padding=Lies())


def test_operators_of_out_are_not_asked():
    """A subclass of ndarray is memory to write to, whatever its operators return."""

    class Own(np.ndarray):
        def __array_ufunc__(self, *arguments, **keywords):
            return "something else"

        def __iadd__(self, other):
            return None

    x, w = integers(np.random.default_rng(1), (1, 2, 5), F32), W[:2]
    expected = tconv.conv_transpose1d(x, w)
    for dtype in (F32, np.int32, np.float16, np.complex64):
        for more in ({}, {"accumulate": True}, {"accumulate": True, "activation": "relu"}):
            if "activation" in more and dtype in (np.int32, np.complex64):
                continue
            out = np.zeros(expected.shape, dtype).view(Own)
            result = tconv.conv_transpose1d(x.astype(dtype), w.astype(dtype), out=out, **more)
            assert result is out
            plain = out.view(np.ndarray).real.astype(F32)
            assert_same(plain, expected.clip(0) if "activation" in more else expected)


# ---- threads that wait ----


SPINS = """
import os
os.dup2(1, 2)  # where GNU's library says what it has read
import tconv
print("found", os.environ.get("GOMP_SPINCOUNT"))
"""


def spins(**environment):
    """How long threads spin for work, and what is left of that in the environment."""
    text = run_python(SPINS, OMP_DISPLAY_ENV="VERBOSE", **environment)
    counts = re.findall(r"GOMP_SPINCOUNT = '(\w+)'", text)
    if not counts:
        pytest.skip("OpenMP is not GNU's here")
    return counts, text.splitlines()[-1]


@pytest.mark.skipif("OMP_WAIT_POLICY" in os.environ, reason="the environment says how they wait")
def test_idle_threads_soon_leave_their_core():
    assert spins() == (["3000"], "found None")


def test_the_environment_may_say_how_long_threads_spin():
    assert spins(GOMP_SPINCOUNT="77") == (["77"], "found 77")
