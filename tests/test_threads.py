"""Threads, batches and processes: the same bits whoever computes them, and no hanging."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from support import CORES, DTYPES, ENGINES, ISAS, arguments_of, arrays_of, gradients, reals

import tconv
from tconv import problems

PROBLEMS = (
    "ct2d_n5_ci40_ih9_iw11_co36_k4_s2_p1_f32",
    "ct2d_n5_ci300_ih4_iw4_co130_k4_s2_p1_f32",
    "ct2d_n6_ci70_ih7_iw7_co3_k3_s2_p1_op1_f32",
    "ct2d_n7_ci50_ih1_iw1_co40_k4_s1_p0_f32",
    "ct1d_n2_ci30_iw3000_co20_k16_s8_p4_f32",
    "ct3d_n3_ci20_id5_ih6_iw7_co24_k3_s2_p1_op1_f32",
    "ct2d_n3_ci32_ih20_iw20_co32_k4_s2_p1_g32_f32",
    "ct1d_n2_ci130_iw60_co1_k256_s64_p0_f32",
    "c2d_n5_ci40_ih18_iw17_co36_k3_s1_p1_f32",
    "c2d_n5_ci130_ih14_iw14_co70_k3_s2_p1_f32",
    "c2d_n6_ci65_ih9_iw9_co130_k1_s1_p0_f32",
    "c2d_n3_ci32_ih20_iw20_co32_k3_s1_p1_g32_f32",
    "c2d_n3_ci40_ih30_iw31_co40_k5_s2_p2_g40_f32",
    "c2d_n5_ci66_ih7_iw7_co132_k3_s1_p1_g33_f32",
    "c1d_n2_ci20_iw3000_co30_k15_s4_p7_f32",
    "c3d_n3_ci20_id5_ih6_iw7_co24_k3_s1_p1_f32",
)
PARSED = [problems.parse(p) for p in PROBLEMS]

problem = pytest.mark.parametrize("problem", PARSED, ids=PROBLEMS)
gradient = pytest.mark.parametrize(
    "gradient", [g for p in PARSED for g in gradients(p)], ids=lambda gradient: gradient.string
)


def bits(array):
    return np.ascontiguousarray(array).tobytes()


@problem
@pytest.mark.parametrize("engine", (None, *ENGINES))
@pytest.mark.parametrize("isa", ISAS)
def test_same_bits_for_any_threads_and_batch(problem, isa, engine, rng):
    x, w, b = arrays_of(problem, rng, fill=reals)
    try:
        plan = tconv.plan(problem.op, w, b, isa=isa, engine=engine, **problem.options)
    except ValueError as refusal:
        assert engine is not None
        pytest.skip(str(refusal))
    whole = plan(x, threads=1)
    for threads in (2, 3, 4, 7, 16):
        assert bits(plan(x, threads=threads)) == bits(whole)
    for begin, end in ((0, 1), (1, 2), (0, len(x) // 2), (1, len(x))):
        for threads in (1, 2):
            assert bits(plan(x[begin:end], threads=threads)) == bits(whole[begin:end])


@problem
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_from_the_function(problem, dtype, rng):
    x, w, b = (a.astype(dtype) for a in arrays_of(problem, rng, fill=reals))
    function = getattr(tconv, problem.op)
    whole = function(x, w, b, threads=1, **problem.options)
    for threads in (2, 3, 5):
        assert bits(function(x, w, b, threads=threads, **problem.options)) == bits(whole)
    assert bits(function(x[:1], w, b, **problem.options)) == bits(whole[:1])
    assert bits(function(x[0], w, b, **problem.options)) == bits(whole[0])


@gradient
@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
def test_same_bits_of_gradients(gradient, core, rng):
    arguments = arguments_of(gradient, rng, fill=reals)
    function = getattr(core, gradient.op)
    whole = function(*arguments, threads=1, **gradient.options)
    for threads in (2, 3, 4, 7, 16):
        assert bits(function(*arguments, threads=threads, **gradient.options)) == bits(whole)
    if gradient.op.endswith("_input"):
        size, w, gy = arguments
        alone = function(size[1:], w, gy[0], **gradient.options)
        assert bits(alone) == bits(whole[0])


def test_number_of_threads():
    former = tconv.set_num_threads(3)
    try:
        assert tconv.get_num_threads() == 3
        with tconv.threads(2):
            assert tconv.get_num_threads() == 2
            with pytest.raises(ZeroDivisionError), tconv.threads(5):
                assert tconv.get_num_threads() == 5
                1 / 0
            assert tconv.get_num_threads() == 2
        assert tconv.set_num_threads(former) == 3
        for bad, error in ((0, ValueError), (-1, ValueError), ("2", TypeError), (None, TypeError)):
            with pytest.raises(error):
                tconv.set_num_threads(bad)
    finally:
        tconv.set_num_threads(former)


@pytest.mark.parametrize(
    ("environment", "expected"),
    (
        ({"TCONV_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"TCONV_NUM_THREADS": "2", "OMP_NUM_THREADS": "5"}, 2),
    ),
)
def test_environment_sets_the_threads(environment, expected):
    done = subprocess.run(
        [sys.executable, "-c", "import tconv; print(tconv.get_num_threads())"],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == expected


# ---- processes ----

BIG = problems.parse("ct2d_n4_ci32_ih16_iw16_co32_k4_s2_p1_f32")


def big_arrays():
    return arrays_of(BIG, np.random.default_rng(0), fill=reals)


def compute_and_send(pipe):
    x, w, b = big_arrays()
    pipe.send(bits(tconv.conv_transpose2d(x, w, b, threads=2, **BIG.options)))


@pytest.mark.parametrize("method", ("fork", "spawn", "forkserver"))
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_child_processes(method):
    """A child works after the parent used threads; a forked one would hang in OpenMP."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    x, w, b = big_arrays()
    expected = bits(tconv.conv_transpose2d(x, w, b, threads=2, **BIG.options))
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    child = context.Process(target=compute_and_send, args=(theirs,))
    child.start()
    assert ours.poll(60), "the child hangs"
    assert ours.recv() == expected
    child.join(60)
    assert child.exitcode == 0
    assert bits(tconv.conv_transpose2d(x, w, b, threads=2, **BIG.options)) == expected


# ---- threads of Python ----


def test_many_python_threads_at_once():
    x, w, b = big_arrays()
    plan = tconv.plan(BIG.op, w, b, **BIG.options)
    calls = [plan, lambda x: tconv.conv_transpose2d(x, w, b, **BIG.options)]
    expected = [bits(call(x)) for call in calls]
    wrong = []

    def work():
        for _ in range(10):
            if [bits(call(x)) for call in calls] != expected:
                wrong.append(threading.get_ident())

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert not worker.is_alive()
    assert not wrong


def test_the_gil_is_let_go():
    """Another thread keeps running while a long call computes."""
    x, w = np.ones((4, 64, 64, 64), "f"), np.ones((64, 64, 4, 4), "f")
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        begin = time.perf_counter()
        while time.perf_counter() - begin < 0.3:
            tconv.conv_transpose2d(x, w, stride=2, threads=1)
        end = time.perf_counter()
    finally:
        stop.set()
        ticker.join()
    assert sum(begin < tick < end for tick in ticks) > 30
