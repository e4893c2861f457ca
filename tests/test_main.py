"""The command line."""

import subprocess
import sys

import numpy as np
import pytest

import tconv

PROBLEM = "ct2d_n1_ci64_ih32_iw32_co3_k4_s2_p1_f32"


def run(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "tconv", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def test_info():
    done = run("info")
    assert done.returncode == 0
    assert done.stdout.startswith(f"tconv {tconv.__version__}\n")
    assert "instruction set" in done.stdout


def test_explain_in_both_forms():
    done = run("explain", PROBLEM)
    assert done.returncode == 0
    assert done.stdout.startswith(PROBLEM)
    words = ["conv_transpose2d", "1,64,32,32", "64,3,4,4", "stride=2", "padding=(1,1)"]
    assert run("explain", *words).stdout == done.stdout


@pytest.mark.parametrize(
    ("words", "text"),
    (
        (["explain", "ct2d_what"], "not a problem string"),
        (["explain", "conv_transpose2d", "1,1"], "give a problem string, or"),
        (["explain", "conv_transpose1d", "1,1,1", "1,1,1", "stride=0"], "stride must be >= 1"),
        (["demo", "no_such_picture.jpg"], "no_such_picture.jpg"),
    ),
)
def test_errors_are_one_line(words, text, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_demo_with_the_photo_of_matplotlib(tmp_path):
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    done = run("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("grace_hopper.jpg", "MB/s", "differs from tconv.reference", "height 2400 ="):
        assert word in done.stdout
    sizes = {}
    for path in tmp_path.glob("*.png"):
        with image.open(path) as picture:
            sizes[path.name] = picture.size
    assert sizes["tconv_bilinear.png"] == sizes["tconv_nearest.png"] == (2048, 2400)
    assert "tconv_compared.png" in sizes


def test_demo_with_a_photo_of_ones_own(tmp_path):
    image = pytest.importorskip("PIL.Image")
    ramp = np.linspace(0, 255, 90, dtype=np.uint8)[None].repeat(80, 0)
    image.fromarray(ramp).save(tmp_path / "ramp.png")
    done = run("demo", str(tmp_path / "ramp.png"), "--out", str(tmp_path / "new" / "folder"))
    assert done.returncode == 0, done.stderr
    enlarged = np.asarray(image.open(tmp_path / "new" / "folder" / "tconv_bilinear.png")).astype(
        int
    )
    assert enlarged.shape == (320, 360, 3)
    place = np.clip((np.arange(360) - 1.5) / 4, 0, 89)  # of its pixels among the ramp's
    assert np.abs(enlarged[..., 0] - np.interp(place, np.arange(90), ramp[0])).max() <= 1
    repeated = np.asarray(image.open(tmp_path / "new" / "folder" / "tconv_nearest.png"))
    assert (repeated[::4, ::4, 0] == ramp).all()
