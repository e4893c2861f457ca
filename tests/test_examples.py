"""The examples run, and print what they promise."""

import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, *arguments):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_upsample_nlc():
    text = run("upsample_nlc.py", "--rounds", "1", "--threads", "1")
    assert "tconv: (4, 256, 64) -> (4, 4096, 64), 0 copies in 4 layers" in text
    pytest.importorskip("torch")
    (error,) = re.findall(r"differs by at most (\S+)", text)
    assert float(error) < 1e-4
    assert re.search(r"tconv [\d.]+ ms, torch [\d.]+ ms: [\d.]+ times faster", text)


def test_istft(tmp_path):
    path = tmp_path / "chord.wav"
    text = run("istft.py", "--seconds", "1.5", "--rounds", "1", "--wav", str(path))
    assert "33075 samples, 130 frames of 1024, 256 apart" in text
    numbers = [float(number) for number in re.findall(r"^  \S.* (\S+)$", text, re.MULTILINE)]
    convolved_32, added_32, convolved_64, added_64 = numbers[:4]
    assert convolved_32 < 1e-5
    assert max(added_32, convolved_64, added_64) < 1e-6
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22050, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert len(samples) == 33075
    assert abs(int(abs(samples.astype(int)).max()) - 0.9 * 32767) < 1
    pytest.importorskip("torch")
    assert "1 thread, milliseconds:" in text
    assert len(numbers) in (8, 12)
    assert min(numbers[4:]) > 0


def test_volume_dask():
    pytest.importorskip("zarr")
    text = run("volume_dask.py", "--shape", "40", "150", "140")
    assert "(40, 150, 140) of 3 MB -> (80, 300, 280) of 27 MB" in text
    peak, limit = re.search(r"at most (\d+) MB of memory, limit (\d+) MB", text).groups()
    assert int(peak) <= int(limit)
    (error,) = re.findall(r"interpolated row: (\S+)", text)
    assert float(error) < 1e-6


@pytest.fixture
def quick(tmp_path):
    """Runs an example with digits for seconds, in a folder of its own; gives what it prints."""
    for package in ("matplotlib", "safetensors", "sklearn", "tqdm"):
        pytest.importorskip(package)

    def run_quickly(name):
        text = run(f"{name}.py", "--quick", "--folder", str(tmp_path))
        for picture in (f"{name}.png", f"{name}_loss.png"):
            assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
        assert f"wrote {tmp_path / name}.safetensors; read again, it differs by 0.0\n" in text
        return text

    return run_quickly


def test_vae_digits(quick):
    text = quick("vae_digits")
    first, last = re.search(r"loss: (\S+) in the first step, (\S+) in the last", text).groups()
    assert float(last) < 0.6 * float(first)
    vae, pca = map(float, re.findall(r"^  (?:this VAE|PCA) +(0\.\d+)$", text, re.MULTILINE))
    assert pca == pytest.approx(0.0102, abs=1e-4)
    assert pca < vae < 0.06  # three epochs are not enough to beat it


def test_dcgan_digits(quick):
    text = quick("dcgan_digits")
    rows = re.findall(r"confidence (0\.\d+), nearest image at (\S+)$", text, re.MULTILINE)
    (real_confidence, real_distance), (_, distance) = [tuple(map(float, row)) for row in rows]
    assert real_confidence > 0.9
    assert real_distance < distance < 4  # before training: about 7
    as_asked = float(re.search(r"samples that are the digit asked for: ([\d.]+)%", text)[1])
    assert as_asked > 60  # before training: 10 on average
    counts = re.search(r"samples of the digits 0 to 9: ([\d ]+)$", text, re.MULTILINE)[1].split()
    assert (len(counts), sum(map(int, counts))) == (10, 1000)


@pytest.mark.parametrize("name", ["vae_digits", "dcgan_digits"])
def test_digits_train_as_in_torch(name):
    for package in ("sklearn", "torch"):
        pytest.importorskip(package)
    text = run(f"{name}.py", "--quick", "--compare")
    assert float(re.search(r"at most (\S+) from torch's", text)[1]) < 1e-5
    times = re.findall(r"a step takes (\S+) ms, in torch (\S+) ms: (\S+) times", text)
    assert len(times) in (1, 2)
    assert all(float(number) > 0 for row in times for number in row)
