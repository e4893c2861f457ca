"""The examples run, and print what they promise."""

import re
import subprocess
import sys
from pathlib import Path

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
